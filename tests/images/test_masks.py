from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metastyle.errors import MetastyleError
from metastyle.images.masks import fit_mask, lay_over
from metastyle.images.picture import Picture


def half(height: int = 40, width: int = 60) -> Picture:
    """White on the left, black on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2] = 255
    return Picture(pixels=pixels)


def test_without_feather_a_mask_is_used_as_drawn() -> None:
    mask = fit_mask(half(), 40, 60, feather=0)
    assert mask.shape == (40, 60) and mask.dtype == np.float32
    assert (mask[:, :30] == 1).all() and (mask[:, 30:] == 0).all()


def test_a_feathered_edge_is_monotonic_and_centered() -> None:
    mask = fit_mask(half(), 40, 60, feather=0.05)
    row = mask[20]
    assert (np.diff(row) <= 0).all() and 0.3 < row[29:31].mean() < 0.7
    assert row[0] > 0.99 and row[-1] < 0.01
    assert 4 <= ((row > 0.05) & (row < 0.95)).sum() <= 14  # a standard deviation of 3 pixels


def test_a_small_mask_is_enlarged_to_the_picture() -> None:
    mask = fit_mask(half(40, 60), 400, 600, feather=0)
    assert mask.shape == (400, 600) and mask[:, :280].min() == 1 and mask[:, 320:].max() == 0


def test_alpha_is_the_mask_unless_it_is_opaque() -> None:
    alpha = np.zeros((40, 60), np.uint8)
    alpha[:20] = 255
    mask = fit_mask(Picture(pixels=half().pixels, alpha=alpha), 40, 60, feather=0)
    assert (mask[:20] == 1).all() and (mask[20:] == 0).all()
    opaque = np.full((40, 60), 255, np.uint8)
    assert (fit_mask(Picture(pixels=half().pixels, alpha=opaque), 40, 60, feather=0)[:, 30:] == 0).all()


def test_wrong_proportions_and_feathers_are_refused() -> None:
    with pytest.raises(MetastyleError, match=r"sky\.png: 60x40 pixels, but the picture has 40x60"):
        fit_mask(half(), 60, 40, name="sky.png")
    fit_mask(half(40, 60), 67, 100)  # 100 x 66.7, rounded
    for feather in (-0.1, 0.6, float("nan")):
        with pytest.raises(MetastyleError, match="feather is"):
            fit_mask(half(), 40, 60, feather=feather)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 200),
    st.integers(1, 7),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(0, 2**32 - 1),
)
def test_lay_over_stays_between_the_two_pictures(height: int, width: int, kind: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    top = np.iinfo(kind).max
    below, above = (rng.integers(0, top, (height, width, 3), kind, endpoint=True) for _ in range(2))
    mask = rng.random((height, width), np.float32)
    mixed = lay_over(below, above, mask)
    assert mixed.dtype == kind
    assert (mixed >= np.minimum(below, above)).all() and (mixed <= np.maximum(below, above)).all()
    assert (lay_over(below, above, np.zeros_like(mask)) == below).all()
    assert (lay_over(below, above, np.ones_like(mask)) == above).all()
