"""Keeping the photograph's colors, before adaptation or after rendering, and mixing two pictures.

Gatys, Bethge, Hertzmann, Shechtman, "Preserving Color in Neural Artistic Style Transfer" (2016), section 3:
the luminance of the stylized picture with the photograph's color. They take luminance from YIQ; here the
space is OKLab (Ottosson, 2020), whose lightness and hue are close to perception, so that a face darkened by
the style keeps the color of skin.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from metastyle.core.checks import check_value
from metastyle.core.settings import Share
from metastyle.images.picture import Samples

_ROWS = 128  # rows at once: about 100 MB of temporaries for a picture 6000 pixels wide

_LINEAR_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_CONES_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_LAB_TO_CONES = np.linalg.inv(_CONES_TO_LAB)
_CONES_TO_LINEAR = np.linalg.inv(_LINEAR_TO_CONES)
_HALVINGS = 10  # for the chroma of out-of-gamut colors: to a thousandth
_SLACK = 1e-5  # of linear light: invisible, and spares colors at the edge of the gamut

_Floats = NDArray[np.float32]


def keep_color(content: Samples, stylized: Samples) -> Samples:
    """The lightness of ``stylized`` with the hue and chroma of ``content``.

    Both (H, W, 3) sRGB of one size and type, uint8 or uint16, like the result. Colors outside sRGB (a
    saturated blue as light as white) lose chroma until they fit, at the same lightness and hue.
    """
    _check_alike(content, stylized)
    out = np.empty_like(content)
    top = np.float32(np.iinfo(content.dtype).max)
    for row in range(0, len(content), _ROWS):
        lab = _oklab(content[row : row + _ROWS])
        lab[0] = _oklab(stylized[row : row + _ROWS])[0]
        encoded = np.rint(srgb_curve(_into_gamut(lab)) * top)
        out[row : row + _ROWS] = encoded.T.reshape(-1, *content.shape[1:])
    return out


def match_color(
    painting: Samples,
    photo: Samples,
    painting_alpha: Samples | None = None,
    photo_alpha: Samples | None = None,
) -> Samples:
    """The painting in the photograph's colors: with the mean and covariance of its sRGB values.

    Gatys, Bethge, Hertzmann, Shechtman (2016), section 4: x -> A x + b with A = S_C^(1/2) S_S^(-1/2), their
    "image analogies" form with symmetric square roots. Adapting to the result gives strokes in the
    photograph's colors. Both are (H, W, 3), uint8 or uint16; the result has the painting's shape and type.
    Means and covariances are weighted by the alphas (H, W), so that hidden pixels do not count.
    """
    x, wanted = (p.reshape(-1, 3) / np.float64(np.iinfo(p.dtype).max) for p in (painting, photo))
    own_mean, own = _moments(x, painting_alpha)
    wanted_mean, other = _moments(wanted, photo_alpha)
    matrix = _root(other, 0.5) @ _root(own, -0.5)
    matched = ((x - own_mean) @ matrix.T + wanted_mean).clip(0, 1)
    out = np.empty_like(painting)
    out[:] = np.rint(matched * np.iinfo(painting.dtype).max).reshape(painting.shape)
    return out


def _moments(
    colors: NDArray[np.float64], alpha: Samples | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (3,) and covariance (3, 3) of (N, 3)."""
    if alpha is None or not alpha.any():
        return colors.mean(axis=0), np.cov(colors.T)
    seen = alpha.reshape(-1) > 0
    weights = alpha.reshape(-1)[seen] / np.float64(np.iinfo(alpha.dtype).max)
    visible = colors[seen]
    return np.average(visible, axis=0, weights=weights), np.cov(visible.T, aweights=weights)


def _root(covariance: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """A symmetric positive matrix (3, 3) to a power; directions without variation stay finite."""
    values, vectors = np.linalg.eigh(covariance)
    root: NDArray[np.float64] = (vectors * np.maximum(values, 1e-5) ** power) @ vectors.T
    return root


def mix(content: Samples, stylized: Samples, strength: float) -> Samples:
    """(1 - strength) * content + strength * stylized, of sRGB values; 0 and 1 give either picture exactly.

    Both (H, W, 3) of one size and type, uint8 or uint16. Raises MetastyleError for a strength outside 0 to 1.
    """
    check_strength(strength)
    _check_alike(content, stylized)
    if strength in (0, 1):
        return (stylized if strength else content).copy()
    out = np.empty_like(content)
    for row in range(0, len(content), _ROWS):
        a, b = (p[row : row + _ROWS].astype(np.float32) for p in (content, stylized))
        out[row : row + _ROWS] = np.rint(a + np.float32(strength) * (b - a))
    return out


def check_strength(strength: float) -> None:
    """Raise MetastyleError unless ``strength`` is from 0 to 1."""
    check_value("strength", strength, Share)


def _check_alike(content: Samples, stylized: Samples) -> None:
    if content.shape != stylized.shape or content.dtype != stylized.dtype:
        raise ValueError(
            f"the two pictures differ: {content.dtype} {content.shape} and {stylized.dtype} {stylized.shape}"
        )


@cache
def srgb_to_linear(levels: int) -> _Floats:
    """Linear light in [0, 1] of each sRGB level (IEC 61966-2-1)."""
    v = np.arange(levels) / (levels - 1)
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _oklab(pixels: Samples) -> _Floats:
    """(H, W, 3) sRGB -> (3, H * W) OKLab: lightness in [0, 1], then green to red, blue to yellow."""
    linear = srgb_to_linear(np.iinfo(pixels.dtype).max + 1)[pixels.reshape(-1, 3).T]
    return _times(_CONES_TO_LAB, np.cbrt(_times(_LINEAR_TO_CONES, linear)))


def _linear(lab: _Floats) -> _Floats:
    """(3, N) OKLab -> (3, N) linear sRGB, outside [0, 1] for colors outside sRGB."""
    cones = _times(_LAB_TO_CONES, lab)
    return _times(_CONES_TO_LINEAR, cones * cones * cones)


def _into_gamut(lab: _Floats) -> _Floats:
    """Linear sRGB in [0, 1] of (3, N) OKLab, with as much chroma as fits."""
    linear = _linear(lab)
    outside = np.flatnonzero(~_in_gamut(linear))
    if len(outside):
        colors = lab[:, outside]
        fits = np.zeros(len(outside), np.float32)
        fails = np.ones(len(outside), np.float32)
        for _ in range(_HALVINGS):
            middle = (fits + fails) * np.float32(0.5)
            good = _in_gamut(_linear(_with_chroma(colors, middle)))
            fits, fails = np.where(good, middle, fits), np.where(good, fails, middle)
        linear[:, outside] = _linear(_with_chroma(colors, fits))
    return np.clip(linear, 0, 1, out=linear)


def _in_gamut(linear: _Floats) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (linear.min(axis=0) >= -_SLACK) & (linear.max(axis=0) <= 1 + _SLACK)
    return inside


def _with_chroma(lab: _Floats, part: _Floats) -> _Floats:
    return np.stack([lab[0], lab[1] * part, lab[2] * part])


def srgb_curve(linear: _Floats) -> _Floats:
    """Linear light -> sRGB values, both in [0, 1]."""
    curve = np.float32(1.055) * linear ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(linear <= 0.0031308, linear * np.float32(12.92), curve)


def _times(matrix: NDArray[np.float64], columns: _Floats) -> _Floats:
    return matrix.astype(np.float32) @ columns
