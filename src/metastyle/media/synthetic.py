"""Contents without a data set: dead-leaves pictures whose statistics resemble those of photographs.

Occluding leaves of power-law sizes give the edges and the scale invariance of natural images
(Lee, Mumford, Huang, "Occlusion Models for Natural Images", IJCV 2001); each leaf carries a 1/f
texture (Ruderman, "The Statistics of Natural Images", 1994), shading and a colour of a small palette.
Some pictures stand before a sky: smooth areas are where a style shows its blotches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

VERSION = 1
"""Changes where equal arguments begin to give other pictures."""

_LEAVES = 260
_SMALLEST, _LARGEST = 0.015, 0.7  # radii, relative to the side
_EXPONENT = 3.0


def dead_leaves(count: int, size: int, seed: int) -> Array:
    """``count`` pictures (count, 3, size, size), float32 in [0, 1], sRGB; the same for the same arguments."""
    return np.stack([_picture(size, np.random.default_rng((seed, index))) for index in range(count)])


def power_law_noise(size: int, exponent: float, rng: np.random.Generator) -> Array:
    """A field (size, size) of zero mean and unit deviation whose amplitude spectrum falls as 1/f^exponent."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    f[0, 0] = np.inf
    spectrum = f**-exponent * np.exp(2j * np.pi * rng.random(f.shape))
    field = np.fft.irfft2(spectrum, (size, size))
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def _picture(size: int, rng: np.random.Generator) -> Array:
    textures = np.stack([power_law_noise(size, e, rng) for e in (0.7, 1.0, 1.0, 1.4)])
    palette = _palette(rng)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    picture = _background(palette, textures, x, y, rng)
    # Radii of density r^-3 between the two bounds, by inversion; painted in random order.
    a, b = _SMALLEST ** (1 - _EXPONENT), _LARGEST ** (1 - _EXPONENT)
    radii = (a + rng.random(_LEAVES) * (b - a)) ** (1 / (1 - _EXPONENT))
    sky = rng.random() < 0.4  # leaves then stay below a horizon
    horizon = rng.uniform(0.3, 0.7) if sky else -1.0
    big = rng.uniform(0.15, _LARGEST, size=6)
    for radius in np.concatenate([big, radii]):
        cx, cy = rng.uniform(-0.1, 1.1), rng.uniform(max(-0.1, horizon), 1.1)
        _paint_leaf(picture, (cx, cy, float(radius)), palette, textures, x, y, rng)
    picture *= 1 + 0.25 * rng.standard_normal() * (x - 0.5) + 0.25 * rng.standard_normal() * (y - 0.5)
    return np.asarray(picture.clip(0, 1) ** rng.uniform(0.8, 1.25), np.float32)  # exposure


def _palette(rng: np.random.Generator) -> Array:
    """Eight colours around two hues, mostly muted, light and dark: (8, 3)."""
    hues = rng.random(2)[rng.integers(0, 2, 8)] + 0.06 * rng.standard_normal(8)
    saturation = rng.beta(1.3, 3.0, 8)
    value = rng.beta(1.2, 1.2, 8)
    phase = 2 * np.pi * (hues[:, None] + np.array([0, 1 / 3, 2 / 3]))
    return np.asarray(value[:, None] * (1 - saturation[:, None] * (0.5 - 0.5 * np.cos(phase))), np.float32)


def _background(palette: Array, textures: Array, x: Array, y: Array, rng: np.random.Generator) -> Array:
    top, bottom = palette[rng.integers(0, 8, 2)]
    base = top[:, None, None] * (1 - y) + bottom[:, None, None] * y
    return np.asarray(base + rng.uniform(0, 0.12) * textures[3], np.float32)


def _paint_leaf(
    picture: Array,
    where: tuple[float, float, float],
    palette: Array,
    textures: Array,
    x: Array,
    y: Array,
    rng: np.random.Generator,
) -> None:
    """Paint one shape (an ellipse, a rounded box, or one with a wavy edge) over ``picture``, in place."""
    cx, cy, radius = where
    size = picture.shape[-1]
    reach = 1.5 * radius
    x0, x1 = (np.clip([cx - reach, cx + reach], 0, 1) * size).astype(int)
    y0, y1 = (np.clip([cy - reach, cy + reach], 0, 1) * size).astype(int)
    if x1 - x0 < 1 or y1 - y0 < 1:
        return
    box = (slice(y0, y1), slice(x0, x1))
    angle, aspect = rng.uniform(0, np.pi), rng.uniform(0.3, 1)
    dx, dy = x[box] - cx, y[box] - cy
    u = (np.cos(angle) * dx + np.sin(angle) * dy) / radius
    v = (np.cos(angle) * dy - np.sin(angle) * dx) / (radius * aspect)
    power = rng.choice([2.0, 2.0, 6.0])
    distance = (np.abs(u) ** power + np.abs(v) ** power) ** (1 / power)
    if rng.random() < 0.5:
        distance = distance + rng.uniform(0.05, 0.2) * textures[2][box]
    edge = rng.choice([0.7, 1.5, 4.0], p=[0.6, 0.3, 0.1]) / (radius * size)  # sharp, soft, out of focus
    cover = np.clip((1 - distance) / edge + 0.5, 0, 1)
    texture = textures[rng.integers(0, 4)][box]
    shade = 1 + rng.uniform(0, 0.35) * (u * rng.uniform(-1, 1) + v * rng.uniform(-1, 1))
    colour = palette[rng.integers(0, 8)][:, None, None] * shade + rng.uniform(0.0, 0.15) * texture
    picture[:, box[0], box[1]] += cover * (colour - picture[:, box[0], box[1]])
