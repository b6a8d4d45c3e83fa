"""The style targets of training: a painting's Gram matrices and statistics, computed once and cached.

Computing a target costs as much as a training iteration, so it is kept on disk in float16 (half of each
symmetric Gram matrix: 0.35 MB), under a name that depends on everything it was computed from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from metastyle.core.losses import StyleTarget
from metastyle.errors import MetastyleError
from metastyle.files import read_bytes, write_bytes
from metastyle.weights.cache import cache_if_possible
from metastyle.weights.tensor_files import decode, encode

_LARGEST = 8 << 20


@dataclass(frozen=True)
class TargetCache:
    """A folder of style targets of one loss network at one precision; processes may share it."""

    folder: Path

    def path(self, picture: bytes, preparation: str) -> Path:
        """The file for the target of an encoded picture, scaled and cropped as ``preparation`` describes."""
        key = hashlib.sha256(picture + preparation.encode()).hexdigest()[:32]
        return self.folder / f"{key}.safetensors"


@dataclass(frozen=True)
class Painting:
    """A painting of an episode: its cached target, or else the pixels to compute it from."""

    name: str
    cached: Path
    target: StyleTarget | None
    pixels: Tensor | None
    """(1, 3, H, W) uint8."""
    beside: Painting | None = None
    """Another painting that covers the rest of the picture, if any."""
    share: float = 1.0
    """The share of the picture that this painting covers, 0 to 1."""


class StyleTargets:
    """The style targets of paintings, on the device: read from the cache, or computed and cached.

    ``describe`` computes the target of a picture (1, 3, H, W) in [0, 1].
    """

    def __init__(self, describe: Callable[[Tensor], StyleTarget], device: torch.device) -> None:
        self._describe, self._device = describe, device

    def __call__(self, painting: Painting) -> StyleTarget:
        """The target of a painting, or of two that share a picture."""
        target = self._single(painting)
        if painting.beside is not None:
            target = side_by_side(target, self._single(painting.beside), painting.share)
        grams = tuple(gram.to(self._device) for gram in target.grams)
        return StyleTarget(grams, target.statistics.to(self._device))

    def _single(self, painting: Painting) -> StyleTarget:
        target = painting.target
        if target is None:
            assert painting.pixels is not None
            target = rounded(self._describe(to_unit_range(painting.pixels, self._device)))
            save_target(painting.cached, target)
        return target


def to_unit_range(pictures: Tensor, device: torch.device) -> Tensor:
    """uint8 pictures (B, 3, H, W) -> float32 in [0, 1] on the device."""
    return pictures.to(device).float().div(255).contiguous(memory_format=torch.channels_last)


def rounded(target: StyleTarget) -> StyleTarget:
    """A target rounded as in the cache, so that training does not depend on what was cached."""
    return _unpack({name: t.float() for name, t in _pack(target).items()})


def load_target(path: Path) -> StyleTarget | None:
    """The target at ``path``, or None if there is no usable one."""
    try:
        return _unpack(decode(read_bytes(path, _LARGEST), str(path)).tensors)
    except (MetastyleError, KeyError):
        return None  # missing or damaged: computed and written again


def save_target(path: Path, target: StyleTarget) -> None:
    """Cache a target for later iterations and runs, if possible."""
    content = encode(_pack(target), {})
    cache_if_possible(path, "style targets", lambda path: write_bytes(path, content, overwrite=True))


def side_by_side(one: StyleTarget, other: StyleTarget, share: float) -> StyleTarget:
    """The target of a picture of which ``one`` covers ``share`` (0 to 1) and ``other`` the rest.

    Gram matrices and raw moments are averages over positions: they mix like the areas, except at the seam.
    """

    def mixed(a: Tensor, b: Tensor) -> Tensor:
        return share * a + (1 - share) * b

    (mean, deviation), (mean2, deviation2) = one.statistics.chunk(2), other.statistics.chunk(2)
    means = mixed(mean, mean2)
    squares = mixed(mean.square() + deviation.square(), mean2.square() + deviation2.square())
    deviations = (squares - means.square()).clamp(min=0).sqrt()
    grams = tuple(mixed(a, b) for a, b in zip(one.grams, other.grams, strict=True))
    return StyleTarget(grams, torch.cat([means, deviations]))


def _pack(target: StyleTarget) -> dict[str, Tensor]:
    packed = {"statistics": target.statistics.half()}
    for layer, gram in enumerate(target.grams):
        rows, columns = torch.triu_indices(*gram.shape)
        packed[f"gram{layer}"] = gram[rows, columns].half()
    return packed


def _unpack(packed: dict[str, Tensor]) -> StyleTarget:
    grams = []
    for layer in range(len(packed) - 1):
        upper = packed[f"gram{layer}"]
        side = round((2 * len(upper) + 0.25) ** 0.5 - 0.5)
        rows, columns = torch.triu_indices(side, side)
        gram = upper.new_empty(side, side)
        gram[rows, columns] = upper
        gram[columns, rows] = upper
        grams.append(gram)
    return StyleTarget(tuple(grams), packed["statistics"])
