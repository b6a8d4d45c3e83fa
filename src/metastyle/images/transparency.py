"""Paintings with transparent parts: hidden pixels are replaced by a continuation of the visible ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.errors import MetastyleError
from metastyle.images.convert import from_tensor, to_tensor
from metastyle.images.picture import Picture

_LEAST_SHARE = 1 / 255
"""Opacity below which colors count as unknown."""


def visible_painting(picture: Picture) -> Picture:
    """A painting whose pixels do not depend on hidden colors; its alpha is their visibility.

    Every pixel is composited, by its alpha, over a smooth continuation of the visible ones, so that hidden
    colors cause no edges. An opaque picture comes back unchanged and without alpha.

    Raises MetastyleError if nothing is visible.
    """
    if picture.alpha is None or picture.alpha.min() == np.iinfo(picture.alpha.dtype).max:
        return dataclasses.replace(picture, alpha=None)
    mask = alpha_mask(picture)
    assert mask is not None
    mask = mask * (mask > _LEAST_SHARE)
    if not bool((mask > 0).any()):
        raise MetastyleError(f"{picture.name} is fully transparent: there is nothing to adapt to")
    colors = to_tensor(picture.pixels) * (mask > 0)
    filled = torch.lerp(_continued(colors, mask), colors, mask)
    top = np.iinfo(picture.alpha.dtype).max
    alpha = np.rint(mask[0, 0].numpy() * top).astype(picture.alpha.dtype)
    return dataclasses.replace(picture, pixels=from_tensor(filled, picture.pixels.dtype), alpha=alpha)


def alpha_mask(picture: Picture) -> Tensor | None:
    """The visibility of each pixel, (1, 1, H, W) float32 in [0, 1]; None without alpha."""
    if picture.alpha is None:
        return None
    top = float(np.iinfo(picture.alpha.dtype).max)
    return torch.from_numpy(picture.alpha.astype(np.float32) / np.float32(top))[None, None]


def _continued(colors: Tensor, weight: Tensor) -> Tensor:
    """Fill holes with averages over increasingly large squares ("pull-push", Gortler et al. 1996)."""
    if bool((weight >= 1).all()) or max(weight.shape[2:]) == 1:
        return colors
    odd = (0, weight.shape[3] % 2, 0, weight.shape[2] % 2)
    known, weighted = (F.pad(x, odd) for x in (weight, colors * weight))
    less = F.avg_pool2d(known, 2)
    smaller = F.avg_pool2d(weighted, 2) / less.clamp(min=1e-12)
    below = _continued(smaller, (4 * less).clamp(max=1))
    size = (weight.shape[2] + odd[3], weight.shape[3] + odd[1])
    larger = F.interpolate(below, size=size, mode="bilinear", align_corners=False)
    return torch.lerp(larger[..., : weight.shape[2], : weight.shape[3]], colors, weight)
