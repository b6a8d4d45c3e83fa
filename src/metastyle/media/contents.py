"""The pool of contents that adaptation draws from: crops of photographs, or procedural pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from metastyle.media.images import Picture, resize, to_tensor
from metastyle.media.synthetic import dead_leaves

_ZOOM = 3


def synthetic_pool(count: int, size: int, seed: int) -> Tensor:
    """``count`` procedural pictures (count, 3, size, size) in [0, 1]."""
    return torch.from_numpy(dead_leaves(count, size, seed))


def photo_pool(photos: Sequence[Picture], count: int, size: int, seed: int) -> Tensor:
    """``count`` random crops (count, 3, size, size) in [0, 1] of the photographs, each taken in turn.

    The scale is random too, from the whole shorter side down to a third of it, so that the network
    meets both the layout of a photograph and its detail; crops are mirrored half of the time.
    """
    rng = np.random.default_rng(seed)
    reduced = [
        _with_shorter_side(photo, min(*photo.pixels.shape[:2], _ZOOM * size)) for photo in photos[:count]
    ]
    return torch.cat([_crop(reduced[index % len(reduced)], size, rng) for index in range(count)])


def _with_shorter_side(photo: Picture, side: float) -> Picture:
    height, width = photo.pixels.shape[:2]
    return resize(photo, round(side * max(height, width) / min(height, width)))


def _crop(photo: Picture, size: int, rng: np.random.Generator) -> Tensor:
    zoom = max(1.0, min(photo.pixels.shape[:2]) / size)
    scaled = _with_shorter_side(photo, size * rng.uniform(1, zoom))
    height, width = scaled.pixels.shape[:2]
    top, left = rng.integers(0, max(1, height - size + 1)), rng.integers(0, max(1, width - size + 1))
    pixels = scaled.pixels[top : top + size, left : left + size]
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    crop = to_tensor(np.ascontiguousarray(pixels))
    short = [size - crop.shape[3], size - crop.shape[2]]  # rounding may leave a side a pixel short
    return torch.nn.functional.pad(crop, (0, short[0], 0, short[1]), mode="replicate")
