"""Contents without a data set: procedural pictures whose statistics and layout resemble photographs.

Occluding leaves of power-law sizes have the edges and the scale invariance of natural images (Lee, Mumford,
Huang, "Occlusion Models for Natural Images", IJCV 2001), and 1/f noise has their textures (Ruderman, "The
Statistics of Natural Images", 1994). Styles show blotches in places that leaves do not have, so these are
drawn, too: flat walls and skies, ground in perspective, hills in haze, rows of windows, rounded, shaded
subjects of realistic size, blurred backgrounds, light from one side, nights with lamps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Array = NDArray[np.float32]

VERSION = 2
"""Increased whenever the same arguments give different pictures."""

_SMALLEST, _LARGEST = 0.015, 0.35  # radii of leaves, relative to the side
_EXPONENT = 3.0
_ROUGH, _NATURAL, _SMOOTH, _CLOUDY = range(4)  # kinds of texture
_EXPONENTS = (0.8, 1.1, 1.5, 2.0)


def dead_leaves(count: int, size: int, seed: int) -> Array:
    """``count`` pictures (count, 3, size, size), float32 in [0, 1], sRGB; deterministic."""
    return np.stack([_picture(size, np.random.default_rng((seed, index))) for index in range(count)])


def power_law_noise(size: int, exponent: float, rng: np.random.Generator) -> Array:
    """A field (size, size) of zero mean and unit deviation with an amplitude spectrum of 1/f^exponent."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    f[0, 0] = np.inf
    spectrum = f**-exponent * np.exp(2j * np.pi * rng.random(f.shape))
    field = np.fft.irfft2(spectrum, (size, size))
    return np.asarray((field - field.mean()) / field.std(), np.float32)


@dataclass
class _Scene:
    """A picture being drawn, and its materials."""

    rng: np.random.Generator
    size: int
    x: Array
    y: Array
    """(size, size), 0 to 1."""
    textures: Array
    """(4, size, size): periodic noise of unit deviation, from rough to cloudy."""
    palette: Array
    """(8, 3)."""
    light: Array
    """Unit vector (3,) towards the light: right, down, towards the camera."""
    picture: Array
    """(3, size, size)."""

    def color(self) -> Array:
        """A color (3, 1, 1) from the palette."""
        return np.asarray(self.palette[self.rng.integers(0, len(self.palette))][:, None, None])

    def shifted(self, kind: int) -> Array:
        """A texture, randomly shifted and mirrored, so that a few are enough."""
        offset = self.rng.integers(0, self.size, 2)
        moved = np.roll(self.textures[kind], (int(offset[0]), int(offset[1])), (0, 1))
        return np.asarray(moved[:, ::-1] if self.rng.random() < 0.5 else moved)


def _picture(size: int, rng: np.random.Generator) -> Array:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    textures = np.stack([power_law_noise(size, exponent, rng) for exponent in _EXPONENTS])
    light = np.array([rng.uniform(-1, 1), rng.uniform(-1, 0.2), rng.uniform(0.3, 1)], np.float32)
    light /= np.linalg.norm(light)
    scene = _Scene(rng, size, x, y, textures, _palette(rng), light, np.zeros((3, size, size), np.float32))
    grounds: list[Callable[[_Scene], None]] = [_wall, _landscape, _room, _foliage]
    ground = grounds[rng.choice(len(grounds), p=[0.15, 0.35, 0.2, 0.3])]
    ground(scene)
    if rng.random() < 0.3:
        _blur(scene, rng.uniform(0.004, 0.03))  # blurred, behind everything that follows
    for _ in range(rng.choice(4, p=[0.25, 0.5, 0.15, 0.1])):
        _subject(scene)
    picture = scene.picture
    # Light falls off to one side, and lenses darken corners.
    slope = rng.uniform(0, 0.35)
    picture *= 1 + slope * (light[0] * (x - 0.5) + light[1] * (y - 0.5))
    picture *= 1 - rng.uniform(0, 0.35) * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    if rng.random() < 0.12:
        _night(scene)
    picture = picture + rng.choice([0.0, 0.004, 0.015]) * rng.standard_normal((1, size, size))  # the sensor's
    return np.asarray(picture.clip(0, 1) ** rng.uniform(0.75, 1.2), np.float32)  # exposure


def _palette(rng: np.random.Generator) -> Array:
    """Eight colors around two hues, mostly muted, light and dark: (8, 3)."""
    # Earth and leaves, skies and water, and occasionally anything.
    usual = [rng.uniform(0.03, 0.3), rng.uniform(0.52, 0.66)]
    hues = np.array([hue if rng.random() < 0.75 else rng.random() for hue in usual])
    strongest = np.where((hues > 0.3) & (hues < 0.52) | (hues > 0.68), 0.4, 1.0)  # rare in nature
    kinds = rng.integers(0, 2, 8)
    hues = hues[kinds] + 0.03 * rng.standard_normal(8)
    saturation = rng.beta(1.2, 1.8, 8) * strongest[kinds]
    value = rng.beta(0.9, 0.9, 8) * 0.92 + 0.04
    phase = 2 * np.pi * (hues[:, None] - np.array([0, 1 / 3, 2 / 3]))
    return np.asarray(value[:, None] * (1 - saturation[:, None] * (0.5 - 0.5 * np.cos(phase))), np.float32)


def _gradient(scene: _Scene, top: Array, bottom: Array) -> Array:
    """A gradient between two colors, mostly vertical: (3, size, size)."""
    lean = scene.rng.normal(0, 0.35)
    way = (scene.y + lean * (scene.x - 0.5)).clip(0, 1) ** scene.rng.uniform(0.6, 1.6)
    return np.asarray(top + (bottom - top) * way)


def _wall(scene: _Scene) -> None:
    """A backdrop: little more than a slow change of light."""
    base = scene.color()
    scene.picture[:] = _gradient(scene, base, base * scene.rng.uniform(0.5, 1.3))
    scene.picture += scene.rng.choice([0.0, 0.01, 0.04]) * scene.shifted(int(scene.rng.integers(0, 4)))
    if scene.rng.random() < 0.3:
        _leaves(scene, int(scene.rng.integers(3, 40)))


def _landscape(scene: _Scene) -> None:
    """A sky, perhaps with clouds; hills fading into it; ground in perspective, with plants."""
    rng, x, y = scene.rng, scene.x, scene.y
    blue = np.array([rng.uniform(0.3, 0.75), rng.uniform(0.5, 0.8), rng.uniform(0.7, 0.95)], np.float32)
    sky = (blue if rng.random() < 0.6 else np.repeat(rng.uniform(0.5, 1), 3) ** [1, 1.1, 1.2])[:, None, None]
    haze = sky + (np.float32(rng.uniform(0.75, 0.98)) - sky) * rng.uniform(0.3, 0.9)
    scene.picture[:] = _gradient(scene, sky, haze)
    if rng.random() < 0.45:
        cloud = ((scene.shifted(_SMOOTH) + scene.shifted(_CLOUDY) - rng.uniform(-0.5, 1.5)) / 1.5).clip(0, 1)
        scene.picture += cloud * (rng.uniform(0.6, 1.0) - scene.picture)
    horizon = rng.uniform(0.25, 0.8)
    for distance in np.linspace(0.7, 0.2, rng.integers(0, 4)):
        ridge = scene.shifted(_CLOUDY)[0] * 0.06 + scene.shifted(_ROUGH)[0] * rng.uniform(0, 0.02)
        rise = horizon - (1 - distance) * 0.08 * rng.random() - ridge
        cover = ((y - rise[None]) * scene.size).clip(0, 1)
        tone = scene.color() * (1 + rng.uniform(0, 0.2) * scene.shifted(_NATURAL))
        scene.picture += cover * (tone + (haze - tone) * distance - scene.picture)
    depth = (y - horizon).clip(0.02)
    near = scene.textures[rng.choice([_NATURAL, _SMOOTH])]
    rows = (0.12 * scene.size / depth).astype(int) % scene.size
    columns = ((x - 0.5) / depth * 0.4 * scene.size).astype(int) % scene.size
    land = scene.color() * (1 + rng.choice([0.05, 0.15, 0.25]) * near[rows, columns])
    cover = ((y - horizon) * scene.size).clip(0, 1)
    scene.picture += cover * (land + (haze - land) * np.exp(-depth / 0.05) * 0.6 - scene.picture)
    if rng.random() < 0.75:
        _leaves(scene, int(rng.integers(60, 300)), above=horizon)


def _room(scene: _Scene) -> None:
    """Walls, a floor and straight edges: furniture, houses, rows of windows."""
    rng, x, y = scene.rng, scene.x, scene.y
    base = scene.color()
    scene.picture[:] = _gradient(scene, base, base * rng.uniform(0.7, 1.2))
    edge = rng.uniform(0.55, 0.95) + rng.normal(0, 0.1) * (x - 0.5)
    floor = scene.color() * (1 + rng.choice([0.0, 0.05, 0.15]) * scene.shifted(_NATURAL))
    scene.picture += ((y - edge) * scene.size).clip(0, 1) * (floor - scene.picture)
    for _ in range(rng.integers(2, 9)):
        x0, y0 = rng.uniform(-0.1, 0.9), rng.uniform(-0.1, 0.8)
        x1, y1 = x0 + rng.uniform(0.08, 0.6), y0 + rng.uniform(0.08, 0.6)
        across, down = (x - x0) / (x1 - x0), (y - y0 + rng.normal(0, 0.08) * (x - x0)) / (y1 - y0)
        inside = np.minimum(
            np.minimum(across, 1 - across) * (x1 - x0), np.minimum(down, 1 - down) * (y1 - y0)
        )
        tone = scene.color() * (
            1 + rng.uniform(-0.3, 0.3) * (down - 0.5) + rng.choice([0, 0.06]) * scene.shifted(_NATURAL)
        )
        if rng.random() < 0.5:
            columns, rows = rng.integers(1, 9), rng.integers(1, 9)
            pane = ((across * columns) % 1 > 0.35) & ((down * rows) % 1 > rng.uniform(0.1, 0.5))
            tone = tone + pane * (scene.color() - tone) * rng.uniform(0.3, 1)
        scene.picture += (inside * scene.size).clip(0, 1) * (tone - scene.picture)


def _foliage(scene: _Scene) -> None:
    """Overlapping leaves."""
    base = _gradient(scene, scene.color(), scene.color())
    scene.picture[:] = base * (1 + scene.rng.uniform(0.05, 0.3) * scene.shifted(_NATURAL))
    _leaves(scene, int(scene.rng.integers(150, 300)))


def _leaves(scene: _Scene, count: int, above: float = -0.1) -> None:
    """Leaves of density r^-3, smaller towards a horizon ``above`` if there is one."""
    rng = scene.rng
    a, b = _SMALLEST ** (1 - _EXPONENT), _LARGEST ** (1 - _EXPONENT)
    radii = (a + rng.random(count) * (b - a)) ** (1 / (1 - _EXPONENT))
    down = np.sort(rng.uniform(above, 1.1, count))
    for radius, cy in zip(radii, down, strict=True):
        near = 1.0 if above < 0 else 0.3 + 1.5 * (cy - above)
        at = (rng.uniform(-0.1, 1.1), float(cy), float(radius * near))
        _blob(scene, at, scene.color(), aspect=rng.uniform(0.25, 1), rough=0.12, texture=rng.uniform(0, 0.15))


def _subject(scene: _Scene) -> None:
    """A sharp figure of connected rounded parts, lit like the scene, with its shadow."""
    rng = scene.rng
    height = rng.uniform(0.1, 0.33)
    cx, cy = rng.uniform(0.15, 0.85), rng.uniform(0.35, 0.85)
    skin, kind = scene.color(), rng.choice([0.02, 0.08, 0.2])
    shadow = (cx - 0.5 * height * float(scene.light[0]), cy + height * 0.9, height * 0.8)
    dark = scene.picture.min(axis=(1, 2))[:, None, None] * 0.5
    _blob(scene, shadow, dark, aspect=0.25, angle=0.0, soft=0.5, flat=True)
    upright = rng.random() < 0.5
    beside = (rng.uniform(-0.2, 0.2), -1.15) if upright else (rng.choice([-1.0, 1.0]), -0.6)
    for part in range(rng.integers(2, 7)):
        if part == 0:
            at, radius, aspect = (cx, cy), height, rng.uniform(0.45, 0.9)
        elif part == 1:  # a head
            at = (cx + beside[0] * height, cy + beside[1] * height)
            radius, aspect = height * rng.uniform(0.35, 0.55), rng.uniform(0.75, 1)
        else:
            at = (cx + rng.uniform(-0.8, 0.8) * height, cy + rng.uniform(-0.6, 1.0) * height)
            radius, aspect = height * rng.uniform(0.15, 0.6), rng.uniform(0.25, 1)
        angle = np.pi / 2 if upright and part == 0 else rng.uniform(0, np.pi)
        tone = skin if rng.random() < 0.5 else scene.color()
        _blob(scene, (*at, radius), tone, aspect=aspect, angle=angle, rough=0.03, texture=kind, round_=True)
    for side in (-1, 1):  # eyes
        accent = (cx + (beside[0] + side * 0.13) * height, cy + beside[1] * height, 0.05 * height)
        _blob(scene, accent, np.full((3, 1, 1), 0.03, np.float32), aspect=0.8, flat=True)


def _blob(
    scene: _Scene,
    where: tuple[float, float, float],
    color: Array,
    *,
    aspect: float,
    angle: float | None = None,
    rough: float = 0.0,
    texture: float = 0.0,
    soft: float = 0.0,
    flat: bool = False,
    round_: bool = False,
) -> None:
    """Paint an ellipse, or a rounded box, at ``where`` = (x, y, radius).

    rough: waviness of the edge; soft: width of the edge; texture: deviation; flat: unshaded;
    round_: shaded like a ball, otherwise like an inclined plane.
    """
    rng, size = scene.rng, scene.size
    cx, cy, radius = where
    reach = 1.3 * radius * (1 + soft)
    x0, x1 = (np.clip([cx - reach, cx + reach], 0, 1) * size).astype(int)
    y0, y1 = (np.clip([cy - reach, cy + reach], 0, 1) * size).astype(int)
    if x1 - x0 < 1 or y1 - y0 < 1:
        return
    box = (slice(y0, y1), slice(x0, x1))
    angle = rng.uniform(0, np.pi) if angle is None else angle
    dx, dy = scene.x[box] - cx, scene.y[box] - cy
    u = (np.cos(angle) * dx + np.sin(angle) * dy) / radius
    v = (np.cos(angle) * dy - np.sin(angle) * dx) / (radius * aspect)
    distance = np.sqrt(u * u + v * v)
    if not round_ and not soft and rng.random() < 0.25:
        distance = (u**6 + v**6) ** (1 / 6)
    if rough and rng.random() < 0.6:
        distance = distance + rng.uniform(0, rough) * scene.textures[_SMOOTH][box]
    edge = max(soft, rng.choice([0.8, 1.5]) / (radius * size))
    cover = ((1 - distance) / edge + 0.5).clip(0, 1)
    shade: Any = 1.0
    if round_:
        bulge = np.sqrt((1 - distance * distance).clip(0.02))
        facing = (dx * scene.light[0] + dy * scene.light[1]) / radius + bulge * scene.light[2]
        shade = rng.uniform(0.35, 0.6) + 0.75 * facing.clip(0)
    elif not flat:
        shade = 1 + rng.uniform(0, 0.5) * (dx * scene.light[0] + dy * scene.light[1]) / radius
    if texture:
        shade = shade + texture * scene.textures[rng.integers(0, 3)][box]
    if round_ and rng.random() < 0.2:  # striped or checked
        bands = np.sin(u * rng.uniform(6, 25)) * (np.sin(v * 12) if rng.random() < 0.4 else 1)
        shade = shade * np.where(bands > rng.uniform(-0.5, 0.5), 1.0, rng.uniform(0.3, 0.9))
    scene.picture[:, box[0], box[1]] += cover * (color * shade - scene.picture[:, box[0], box[1]])


def _blur(scene: _Scene, radius: float) -> None:
    """Blurred by ``radius``, relative to the side."""
    pixels = (scene.picture.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    blurred = Image.fromarray(np.ascontiguousarray(pixels)).filter(
        ImageFilter.GaussianBlur(radius * scene.size)
    )
    scene.picture[:] = np.asarray(blurred, np.float32).transpose(2, 0, 1) / 255


def _night(scene: _Scene) -> None:
    """Darkness with glowing lamps, some of them out of focus."""
    rng = scene.rng
    scene.picture *= rng.uniform(0.08, 0.35)
    scene.picture[2] += rng.uniform(0, 0.05)
    warm = np.array([1.0, rng.uniform(0.6, 0.9), rng.uniform(0.2, 0.7)], np.float32)[:, None, None]
    disk = rng.random() < 0.4
    for _ in range(rng.integers(4, 40)):
        cx, cy = rng.random(), rng.uniform(0.1, 0.9)
        radius = rng.uniform(0.01, 0.05) if disk else rng.uniform(0.003, 0.012)
        lamp = warm if rng.random() < 0.8 else 1 - 0.6 * warm[::-1]
        away = np.hypot(scene.x - cx, scene.y - cy) / radius
        glow = (8 * (1 - away)).clip(0, 1) * (0.5 if disk else 1.0) + (
            0 if disk else 0.25 / (1 + away * away)
        )
        scene.picture += glow * lamp * rng.uniform(0.5, 1.2)
