from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from metastyle.errors import MetastyleError
from metastyle.images import color
from metastyle.images.color import keep_color, match_color, mix

RNG = np.random.default_rng(5)


def pictures(dtype: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    top = np.iinfo(dtype).max
    a, b = (RNG.integers(0, top, (300, 40, 3), dtype=dtype, endpoint=True) for _ in range(2))
    return a, b


def oklab(pixels: Any) -> NDArray[Any]:
    """OKLab by its definition, in double precision, of sRGB in [0, 1]; (..., 3)."""
    v = np.asarray(pixels, dtype=float)
    v = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    m1 = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
          [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
    m2 = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
          [0.0259040371, 0.7827717662, -0.8086757660]]  # fmt: skip
    return np.cbrt(v @ np.array(m1).T) @ np.array(m2).T


def test_oklab_of_known_colors() -> None:
    known = {
        (255, 255, 255): (1, 0, 0),
        (255, 0, 0): (0.628, 0.225, 0.126),
        (0, 0, 255): (0.452, -0.032, -0.312),
    }
    for rgb, lab in known.items():
        assert color._oklab(np.array([[rgb]], np.uint8))[:, 0] == pytest.approx(lab, abs=1e-3)


@pytest.mark.parametrize(("dtype", "steps"), [(np.uint8, 1), (np.uint16, 2)])
def test_keeping_color_of_the_same_picture_changes_nothing(dtype: Any, steps: int) -> None:
    a, _ = pictures(dtype)
    assert np.abs(keep_color(a, a).astype(int) - a).max() <= steps


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lightness_comes_from_the_style_and_hue_from_the_photograph(dtype: Any) -> None:
    content, stylized = pictures(dtype)
    kept = keep_color(content, stylized)
    assert kept.dtype == dtype and kept.shape == content.shape
    top = np.iinfo(dtype).max
    before, light, after = (oklab(p / top) for p in (content, stylized, kept))
    tolerance = 0.012 if dtype == np.uint8 else 0.002
    bright = light[..., 0] > 0.15  # below this, one step of 8 bits is a large part of the color
    assert np.abs(after[..., 0] - light[..., 0])[bright].max() < tolerance
    chroma_before, chroma_after = (np.hypot(p[..., 1], p[..., 2]) for p in (before, after))
    assert (chroma_after <= chroma_before + tolerance)[bright].all()
    cross = np.abs(before[..., 1] * after[..., 2] - before[..., 2] * after[..., 1]) / np.maximum(
        chroma_before, 0.02
    )
    assert cross[bright].max() < 2 * tolerance  # the distance of the new color from the old hue's ray
    inside = chroma_after > 0.98 * chroma_before
    assert 0.2 < inside.mean() < 0.9  # some colors are in gamut, some had to be reduced


def test_chroma_is_reduced_only_as_far_as_necessary() -> None:
    lab = oklab(np.array([0.0, 0.0, 1.0]))  # blue with a lightness of 90 %
    made = color._into_gamut(np.array([[0.9], [lab[1]], [lab[2]]], np.float32))
    assert made.max() > 0.998 or made.min() < 0.002
    assert (made >= 0).all() and (made <= 1).all()


def test_grays_stay_gray_and_black_and_white_are_exact() -> None:
    gray = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    stylized = pictures(np.uint8)[1][:256, :1]
    kept = keep_color(gray, stylized)
    assert np.ptp(kept.astype(int), axis=2).max() <= 1
    colored = pictures(np.uint8)[0]
    for extreme in (0, 255):
        assert (keep_color(colored, np.full_like(colored, extreme)) == extreme).all()


def test_results_do_not_depend_on_the_block_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    content, stylized = pictures(np.uint8)
    whole = keep_color(content, stylized), mix(content, stylized, 0.3)
    monkeypatch.setattr(color, "_ROWS", 7)
    assert (keep_color(content, stylized) == whole[0]).all() and (
        mix(content, stylized, 0.3) == whole[1]
    ).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("strength", [0, 0.0, 1, 1.0])
def test_mix_returns_exact_copies_at_strengths_zero_and_one(dtype: Any, strength: float) -> None:
    content, stylized = pictures(dtype)
    mixed = mix(content, stylized, strength)
    assert (mixed == (stylized if strength else content)).all()
    assert not np.shares_memory(mixed, content) and not np.shares_memory(mixed, stylized)


@given(
    arrays(np.uint16, (4, 4, 3)),
    arrays(np.uint16, (4, 4, 3)),
    st.floats(0, 1, allow_nan=False),
    st.booleans(),
)
@settings(deadline=None, max_examples=80)
def test_mix_is_a_convex_combination(
    a: NDArray[np.uint16], b: NDArray[np.uint16], strength: float, eight: bool
) -> None:
    content, stylized = ((p >> 8).astype(np.uint8) if eight else p for p in (a, b))
    mixed = mix(content, stylized, strength)
    exact = (1 - strength) * content.astype(float) + strength * stylized
    assert mixed.dtype == content.dtype and np.abs(mixed - exact).max() <= 0.51


@pytest.mark.parametrize("strength", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    content, stylized = pictures(np.uint8)
    with pytest.raises(MetastyleError, match="use a number from 0 to 1"):
        mix(content, stylized, strength)


def test_pictures_of_different_shape_or_type_are_refused() -> None:
    content, stylized = pictures(np.uint8)
    for other in (stylized[:-1], stylized.astype(np.uint16)):
        with pytest.raises(ValueError, match="differ"):
            keep_color(content, other)
        with pytest.raises(ValueError, match="differ"):
            mix(content, other, 0.5)


def smooth(seed: int, size: tuple[int, int] = (60, 80)) -> NDArray[np.uint8]:
    """Colors well inside the range, so that matching clips nothing."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(0, 9, (3, 3))
    return (
        np.rint(rng.normal(size=(*size, 3)) @ mixing + rng.uniform(100, 150, 3)).clip(0, 255).astype(np.uint8)
    )


def test_matched_colors_have_the_photographs_mean_and_covariance() -> None:
    painting, photo = smooth(1), smooth(2, (50, 30))
    matched = match_color(painting, photo)
    assert matched.shape == painting.shape and matched.dtype == np.uint8
    for statistic in (lambda x: x.mean(axis=0), lambda x: np.cov(x.T)):
        got, wanted = (statistic(p.reshape(-1, 3).astype(float)) for p in (matched, photo))
        assert np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()
    assert np.abs(match_color(painting, painting).astype(int) - painting).max() <= 1
    deep = match_color(painting.astype(np.uint16) * 257, photo)
    assert np.abs(deep / 257 - matched).max() <= 1


def test_gray_and_flat_pictures_can_be_matched() -> None:
    gray = np.repeat(smooth(3)[..., :1], 3, axis=2)
    flat = np.full((20, 20, 3), 90, np.uint8)
    assert np.ptp(match_color(smooth(1), gray).astype(int), axis=2).max() <= 12  # nearly gray
    assert np.abs(match_color(smooth(1), flat).astype(int) - 90).max() <= 8
    assert (
        np.abs(match_color(flat, smooth(1)).reshape(-1, 3).mean(0) - smooth(1).reshape(-1, 3).mean(0)).max()
        <= 1
    )
