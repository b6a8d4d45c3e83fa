"""Regions of a picture: masks with soft edges, and compositing through them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from metastyle.core.checks import check_value
from metastyle.core.settings import FEATHER, Feather
from metastyle.errors import MetastyleError
from metastyle.images.picture import Picture, Samples, eight_bits

_PROPORTIONS = 0.02  # tolerance for the aspect ratio, because reduced sizes are rounded
_ROWS = 128

Mask = NDArray[np.float32]


def fit_mask(mask: Picture, height: int, width: int, *, feather: float = FEATHER, name: str = "mask") -> Mask:
    """A mask (height, width) in [0, 1] from a picture. White is inside, or opaque if it has transparency.

    feather: sigma of the Gaussian that softens edges, as a share of the long edge; 0 keeps them as drawn.

    Raises:
        MetastyleError: the mask has other proportions than the picture, or ``feather`` is not 0 to 0.5.
    """
    feather = check_value("feather", feather, Feather)
    rows, columns = mask.pixels.shape[:2]
    if abs(columns * height / (rows * width) - 1) > _PROPORTIONS:
        raise MetastyleError(
            f"{name}: {columns}x{rows} pixels, but the picture has {width}x{height}:"
            " a mask needs the picture's proportions"
        )
    if mask.alpha is not None and mask.alpha.min() < np.iinfo(mask.alpha.dtype).max:
        inside = eight_bits(mask.alpha)
    else:
        inside = eight_bits(mask.pixels).mean(axis=2).round().astype(np.uint8)
    drawn = Image.fromarray(inside).resize((width, height), Image.Resampling.BILINEAR)
    if feather:
        drawn = drawn.filter(ImageFilter.GaussianBlur(feather * max(height, width)))
    return np.asarray(drawn, dtype=np.float32) / np.float32(255)


def lay_over(below: Samples, above: Samples, mask: Mask) -> Samples:
    """``above`` where ``mask`` is 1, ``below`` where it is 0, and their weighted mean in between.

    Pictures (H, W, 3) of one size and type, uint8 or uint16; mask (H, W) in [0, 1].
    """
    out = np.empty_like(below)
    for row in range(0, len(below), _ROWS):
        part = slice(row, row + _ROWS)
        share = mask[part, :, None]
        out[part] = np.rint(below[part] * (1 - share) + above[part] * share)
    return out
