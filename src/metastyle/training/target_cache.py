"""What training remembers of each painting: its Gram matrices and statistics, computed once.

Describing a painting costs as much as a training step, so the result is kept on disk in float16
(half a Gram matrix, since it is symmetric: 0.35 MB), under a name that says what it was computed from.
"""

from __future__ import annotations

import hashlib
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
        """Where the target of an encoded picture lies that was prepared (scaled, cropped) as described."""
        key = hashlib.sha256(picture + preparation.encode()).hexdigest()[:32]
        return self.folder / f"{key}.safetensors"


def rounded(target: StyleTarget) -> StyleTarget:
    """A target as it comes back from the cache, so that training does not depend on what was cached."""
    return _unpack({name: t.float() for name, t in _pack(target).items()})


def load_target(path: Path) -> StyleTarget | None:
    """The target at ``path``, or None if there is none that can be used."""
    try:
        return _unpack(decode(read_bytes(path, _LARGEST), str(path)).tensors)
    except (MetastyleError, KeyError):
        return None  # missing or damaged: it will be computed and written again


def save_target(path: Path, target: StyleTarget) -> None:
    """Keep a target for later runs, where that is possible."""
    content = encode(_pack(target), {})
    cache_if_possible(
        path, "what is known of the paintings", lambda path: write_bytes(path, content, overwrite=True)
    )


def side_by_side(one: StyleTarget, other: StyleTarget, share: float) -> StyleTarget:
    """The target of a picture of which ``one`` covers ``share`` (0 to 1) and ``other`` the rest.

    Gram matrices and raw moments are averages over places: they mix as the areas do, but for the seam.
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
