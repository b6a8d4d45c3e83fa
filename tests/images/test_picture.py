from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pictures import NOISE8, NOISE16, Colors
from PIL import Image

from metastyle.errors import MetastyleError
from metastyle.images.picture import Picture, resize


def test_wrong_shapes_and_types_are_refused() -> None:
    for wrong in (NOISE8, NOISE8[..., 0], NOISE8[..., :3].astype(float)):
        with pytest.raises(ValueError, match="uint8 or uint16"):
            Picture(wrong)
    with pytest.raises(ValueError, match="alpha must be uint8"):
        Picture(NOISE8[..., :3], NOISE16[..., 3])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("with_alpha", [False, True])
@pytest.mark.parametrize(("edge", "size"), [(28, (28, 20)), (112, (112, 80)), (20, (20, 16)), (56, (56, 40))])
def test_resizing_matches_lanczos(
    dtype: Any, with_alpha: bool, edge: int, size: tuple[int, int], colors: Colors
) -> None:
    factor = np.iinfo(dtype).max // 255
    pixels = (colors.astype(np.uint32) * factor).astype(dtype)
    alpha = np.full((40, 56), np.iinfo(dtype).max, dtype) if with_alpha else None
    scaled = resize(Picture(pixels, alpha, dpi=(72, 72), gray=False, name="p"), edge)
    assert scaled.size == size and scaled.pixels.dtype == dtype and scaled.dpi == (72, 72)
    assert (scaled.alpha is not None) == with_alpha
    ideal = np.asarray(Image.fromarray(colors).resize(size, Image.Resampling.LANCZOS)).astype(int) * factor
    assert np.abs(scaled.pixels.astype(int) - ideal).max() <= 1.01 * factor


def test_resizing_keeps_the_precision_of_16_bits() -> None:
    ramp = np.linspace(1000, 1400, 200).astype(np.uint16)  # within two steps of 8 bits
    scaled = resize(Picture(np.repeat(np.tile(ramp, (20, 1))[..., None], 3, axis=2)), 400)
    assert len(np.unique(scaled.pixels)) > 200


def test_transparent_colors_do_not_bleed_when_resized() -> None:
    pixels, alpha = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    pixels[:, :33] = (200, 40, 40)
    pixels[:, 33:] = (0, 255, 0)  # hidden
    alpha[:, :33] = 255
    scaled = resize(Picture(pixels, alpha), 32)
    assert scaled.alpha is not None
    seen = scaled.pixels[scaled.alpha > 8].astype(int)
    assert np.abs(seen - (200, 40, 40)).max() <= 3


@pytest.mark.parametrize("edge", [0, -5, 15, 1.5, True, float("nan"), float("inf"), 10**9])
def test_invalid_sizes_are_refused(edge: Any, colors: Colors) -> None:
    with pytest.raises(MetastyleError, match="size"):
        resize(Picture(colors), edge)
