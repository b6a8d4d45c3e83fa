"""Photograph: a mountain lake in the morning, rendered as a height field under a low sun.

Every column of the picture is a vertical plane through the camera. Terrain heights are sampled along it
at ever larger steps; their running maximum on the screen gives the visible surface exactly, without rays.
The lake mirrors the picture about the horizon, bent by ripples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atelier import foreground
from atelier.tools import Array, blur, color, filmic, grid, mix, noise, ramp, sample, smoothstep

SHAPE = (1024, 1536)
HORIZON = 0.50  # of the picture's height
FOCAL = 1500.0  # pixels
CAMERA = 6.0  # meters above the lake
SUN = np.array([-0.80, 0.48, -0.36]) / np.linalg.norm([-0.80, 0.48, -0.36])  # right, up, forward
PEAKS = [  # x, z, height, width in meters
    (-900, 9800, 2500, 1900), (2700, 11500, 2300, 2100), (-4300, 12000, 2200, 2200), (600, 16000, 2700, 3200),
    (6200, 15000, 2600, 2600), (-8200, 17000, 2500, 3000), (-2100, 4300, 620, 1000), (2500, 4800, 760, 1150),
    (-1500, 2500, 170, 420), (1250, 2300, 120, 380), (4300, 7600, 1250, 1500), (-4600, 7200, 1350, 1500),
]  # fmt: skip


@dataclass(frozen=True)
class Noises:
    """Periodic tiles that all scales of the landscape are sampled from."""

    smooth: Array  # one octave
    cloudy: Array  # all octaves
    dice: Array  # independent uniform numbers


def paint(rng: np.random.Generator) -> Array:
    """(1024, 1536, 3)."""
    octave = noise((512, 512), rng, 6.5, coarsest=7)
    tiles = Noises(
        np.tanh(1.1 * octave), noise((1024, 1024), rng, 2.9), rng.random((256, 256, 3)).astype(np.float32)
    )
    picture = _sky(tiles)
    picture = _terrain(picture, tiles)
    picture = _water(picture, rng)
    picture = foreground.shore(picture, rng)
    return _develop(picture, rng)


def _tile(tile: Array, y: Array, x: Array) -> Array:
    """Bilinear look-up in a periodic tile."""
    height, width = tile.shape
    fy, fx = np.floor(y), np.floor(x)
    top, left = fy.astype(np.int64) % height, fx.astype(np.int64) % width
    dy, dx = (y - fy).astype(np.float32), (x - fx).astype(np.float32)
    down, right = (top + 1) % height, (left + 1) % width
    upper = tile[top, left] * (1 - dx) + tile[top, right] * dx
    lower = tile[down, left] * (1 - dx) + tile[down, right] * dx
    return np.asarray(upper * (1 - dy) + lower * dy, np.float32)


def _sky(tiles: Noises) -> Array:
    """Linear light."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    up = np.maximum((HORIZON * SHAPE[0] - y) / FOCAL, 0.004)
    side = (x - SHAPE[1] / 2) / FOCAL
    sky = ramp(up, [(0.0, "f4dcc4"), (0.06, "dcdce0"), (0.16, "9cc0e2"), (0.36, "4a86c8")]) ** 2.2
    glow = np.exp(-np.hypot(side + 0.62, up - 0.20) * 3.0)
    sky = sky * (1 + 0.9 * glow[..., None] * color("ffc890"))
    for height, scale, low, high, offset in ((3.2, 95, -0.1, 1.3, 0.0), (6.0, 60, -0.5, 2.4, 333.0)):
        px, py = side * height / (up + 0.05) * scale + offset, height / (up + 0.05) * scale * 0.75
        density = _tile(tiles.cloudy, py, px) + 0.35 * _tile(tiles.cloudy, py * 4, px * 4)
        towards = _tile(tiles.cloudy, py + 5, px - 9) + 0.35 * _tile(tiles.cloudy, py * 4 + 10, px * 4 - 16)
        cover = smoothstep(low, high, density) * smoothstep(0.0, 0.05, up) * 0.95
        lit = smoothstep(-0.7, 0.7, density - towards + 0.12)
        shade = ramp(lit, [(0.0, "8a98b4"), (0.5, "e4dcdc"), (1.0, "fff4e4")]) ** 2.2
        sky = mix(sky, shade, cover)
    return sky


def _mountains(x: Array, z: Array, tiles: Noises, octaves: int) -> Array:
    """Height in meters: broad peaks carved by ridged noise whose detail gathers on the ridges."""
    envelope = np.zeros_like(x)
    for px, pz, height, width in PEAKS:
        envelope = np.maximum(envelope, height * np.exp(-(((x - px) / width) ** 2 + ((z - pz) / width) ** 2)))
    ridged, amplitude, frequency = np.zeros_like(x), 0.62, 1 / 52.0
    weight = np.ones_like(x)
    wx, wz = x, z
    for k in range(octaves):
        n = 1.06 - np.sqrt(_tile(tiles.smooth, wz * frequency + 91 * k, wx * frequency + 37 * k) ** 2 + 0.012)
        n = n * n * weight
        ridged += amplitude * n
        weight = np.clip(n * 1.7, 0.12, 1)
        amplitude, frequency = amplitude * 0.425, frequency * 2.03
        wx, wz = 0.8 * wx + 0.6 * wz, 0.8 * wz - 0.6 * wx
    return np.asarray(
        envelope * (0.38 + 0.80 * ridged) + 60 * ridged * smoothstep(1400, 3000, z) - 12, np.float32
    )


def _trees(x: Array, z: Array, tiles: Noises) -> Array:
    """Height of conifers above the ground: a cone in each cell of two shifted grids."""
    tall = np.zeros_like(x)
    for shift, cell in ((0.0, 9.0), (4.3, 11.0)):
        cx, cz = np.floor((x + shift) / cell), np.floor((z + shift) / cell)
        dice = tiles.dice[cz.astype(np.int64) % 256, cx.astype(np.int64) % 256]
        dx = x + shift - (cx + 0.3 + 0.4 * dice[..., 0]) * cell
        dz = z + shift - (cz + 0.3 + 0.4 * dice[..., 1]) * cell
        tree = (9 + 15 * dice[..., 2]) * (1 - np.hypot(dx, dz) / (0.42 * cell))
        tall = np.maximum(tall, np.where(dice[..., 2] > 0.15, tree, 0))
    return np.maximum(tall, 0)


def _terrain(sky: Array, tiles: Noises) -> Array:
    height, width = SHAPE
    u = ((np.arange(width) - width / 2) / FOCAL).astype(np.float32)[None, :]
    z = np.geomspace(1250, 26000, 1500).astype(np.float32)[:, None]
    x = z * u
    ground = _mountains(x, np.broadcast_to(z, x.shape), tiles, 10)
    rough = _tile(tiles.cloudy, np.broadcast_to(z, x.shape) / 6, x / 6)
    shore = 1500 + 260 * _tile(tiles.cloudy, x * 0 + 7, x / 9) + 120 * rough
    ground = ground * smoothstep(0, 700, z - shore) + 6 * smoothstep(-30, 60, z - shore) - 3
    slope_u, slope_k = np.gradient(ground, axis=1) * FOCAL, np.gradient(ground, axis=0)
    hx = slope_u / z
    hz = slope_k / np.gradient(z, axis=0) - hx * u
    steep = np.hypot(hx, hz)
    wooded = (
        smoothstep(1050, 650, ground + 170 * rough)
        * smoothstep(1.25, 0.75, steep + 0.1 * rough)
        * smoothstep(2, 7, ground)
    )
    wooded *= smoothstep(
        1.1, 0.5, _tile(tiles.cloudy, np.broadcast_to(z, x.shape) / 3.1, x / 3.1) - 0.3 * (z < 2600)
    )
    trees = _trees(x, np.broadcast_to(z, x.shape), tiles) * (wooded > 0.5)
    surface = ground + trees

    rise = (surface - CAMERA) / z
    skyline = np.maximum.accumulate(rise, axis=0)
    rows = (HORIZON * height - np.arange(height)) / FOCAL  # tangent of elevation, decreasing
    index = np.stack([np.searchsorted(skyline[:, c], rows) for c in range(width)], axis=1)
    hit = (index < z.size) & (rows[:, None] > (0.0 - CAMERA) / 1250)
    k = np.minimum(index, z.size - 1)
    c = np.broadcast_to(np.arange(width)[None, :], k.shape)

    normal = np.stack([-hx, np.ones_like(hx), -hz], axis=-1) / np.sqrt(1 + hx**2 + hz**2)[..., None]
    sunlit = np.clip(normal @ SUN.astype(np.float32), 0, 1) * _shadows(x, z, ground, tiles)
    colors = _materials(x, z, ground, normal, steep, rough, wooded, trees, tiles)
    tall = np.clip(trees / 18, 0, 1)
    sunlit = np.where(trees > 0, (0.25 + 0.55 * tall) * (0.3 + 0.7 * _shadows(x, z, ground, tiles)), sunlit)
    ambient = (
        color("5a7aa8") ** 2.2
        * (0.55 + 0.45 * normal[..., 1:2])
        * np.where(trees > 0, 0.35 + 0.65 * tall, 1)[..., None]
    )
    light = sunlit[..., None] * color("ffe2b8") ** 2.2 * 1.75 + ambient
    shaded = colors * light

    haze = 1 - np.exp(-z / 45000) * np.ones_like(x)
    haze = haze + (1 - haze) * 0.45 * np.exp(-np.maximum(ground, 0) / 90) * smoothstep(1800, 6000, z)
    air = ramp(u + 0 * x, [(-0.5, "e8d4c4"), (0.0, "b8c8de"), (0.5, "a8c0de")]) ** 2.2
    shaded = mix(shaded, air, np.clip(haze, 0, 1))
    return np.where(hit[..., None], shaded[k, c], sky).astype(np.float32)


def _shadows(x: Array, z: Array, ground: Array, tiles: Noises) -> Array:
    """1 in the sun, 0 in the shadow of coarser terrain, soft between."""
    gx, gz = np.meshgrid(np.linspace(-16000, 16000, 700), np.linspace(1000, 27000, 600))
    coarse = _mountains(gx.astype(np.float32), gz.astype(np.float32), tiles, 5)
    clear = np.full(coarse.shape, 9.0, np.float32)
    for distance in np.geomspace(120, 7000, 36):
        gy = (gz + SUN[2] * distance - 1000) / 26000 * 599
        gxx = (gx + SUN[0] * distance + 16000) / 32000 * 699
        blocked = coarse + SUN[1] * distance - sample(coarse, gy.astype(np.float32), gxx.astype(np.float32))
        clear = np.minimum(clear, blocked / (0.06 * distance + 30))
    lit = smoothstep(-0.6, 0.6, clear)
    return sample(lit, np.broadcast_to((z - 1000) / 26000 * 599, x.shape), (x + 16000) / 32000 * 699)


def _materials(
    x: Array,
    z: Array,
    ground: Array,
    normal: Array,
    steep: Array,
    rough: Array,
    wooded: Array,
    trees: Array,
    tiles: Noises,
) -> Array:
    """Linear reflectance of rock, scree, meadow, snow and trees."""
    zz = np.broadcast_to(z, x.shape)
    fine = _tile(tiles.cloudy, zz / 1.7 + 99, x / 1.7)
    strata = np.sin((ground + 90 * rough + 0.1 * x) / 45) + 0.5 * fine
    rock = (
        ramp(
            0.5 + 0.16 * strata + 0.16 * fine,
            [(0, "4a4448"), (0.45, "7a7270"), (0.75, "a09488"), (1, "c4b4a0")],
        )
        ** 2.2
    )
    meadow = ramp(0.5 + 0.25 * rough + 0.2 * fine, [(0, "3e5226"), (0.5, "6e7a34"), (1, "a8984c")]) ** 2.2
    out = mix(
        rock,
        meadow,
        smoothstep(1500, 1000, ground + 200 * rough) * smoothstep(0.95, 0.6, steep + 0.12 * fine),
    )
    cold = smoothstep(620, 1150, ground + 150 * rough + 70 * fine)
    snow = cold * smoothstep(1.75, 1.05, steep + 0.30 * fine + 0.1 * rough)
    out = mix(out, color("f4f6fa") ** 2.2, 0.95 * snow)
    dice = tiles.dice[(zz // 10).astype(np.int64) % 256, (x // 10).astype(np.int64) % 256]
    hue = 0.55 * dice[..., 0] + 0.2 * rough
    needles = (
        ramp(hue, [(0.0, "1c3220"), (0.35, "2e4a26"), (0.55, "4e5e2c"), (0.75, "b08a30"), (0.9, "c8742a")])
        ** 2.2
    )
    out = mix(out, 0.8 * needles, smoothstep(0.3, 0.5, wooded) * (trees > 0))
    return mix(out, color("2a3420") ** 2.2, 0.8 * smoothstep(0.3, 0.5, wooded) * (trees <= 0))


def _water(picture: Array, rng: np.random.Generator) -> Array:
    height, width = SHAPE
    horizon = HORIZON * height
    waterline = horizon + CAMERA / 1250 * FOCAL
    y, x = np.mgrid[:height, :width].astype(np.float32)
    depth = np.maximum(y - horizon, 1.0)
    distance = CAMERA * FOCAL / depth
    tile = noise((1024, 1024), rng, 2.2, coarsest=4)
    wx, wz = (x - width / 2) / FOCAL * distance, distance
    ripple = sum(
        _tile(tile, wz * s * 1.0 + 50 * k, wx * s * 0.35 + 31 * k) * a
        for k, (s, a) in enumerate(((9, 1.0), (23, 0.5), (61, 0.3)))
    )
    calm = smoothstep(-0.6, 0.9, _tile(tile, np.log(distance) * 90, wx * 0.5 + 80))
    bend = ripple * np.minimum(depth / 26 + 1.2, 13) * (0.35 + 0.9 * calm)
    source = 2 * horizon - y + (waterline - horizon) - np.abs(bend) * 1.6
    mirror = sample(picture, source, x + 0.4 * bend)
    graze = np.clip(0.94 - 0.62 * (depth / height) * 1.6 - 0.10 * np.clip(bend / 10, -1, 1), 0.15, 1)
    body = ramp(depth / height, [(0.0, "2e5a6a"), (0.3, "1c4a52"), (0.5, "10302e")]) ** 2.2
    water = mix(np.broadcast_to(body, picture.shape), mirror * 0.92, graze)
    breeze = smoothstep(0.55, 1.0, _tile(tile, np.log(distance) * 160 + 300, wx * 0.22)) * smoothstep(
        10, 40, depth
    )
    water = mix(water, color("b8ccdc") ** 2.2, 0.22 * breeze * (0.6 + 0.4 * np.tanh(2 * ripple)))
    out = np.where((y > waterline)[..., None], water, picture)
    shoreline = np.exp(-(((y - waterline) / 2.2) ** 2))
    return mix(out, color("d8d4cc") ** 2.2, 0.30 * shoreline)


def _develop(linear: Array, rng: np.random.Generator) -> Array:
    """Exposure, bloom, a filmic curve, vignette and grain: linear light to sRGB."""
    bloom = blur(np.clip(linear - 0.7, 0, 2), 18)
    x = filmic((linear + 0.25 * bloom) * 1.05)
    y, xx = grid(SHAPE)
    vignette = 1 - 0.22 * (np.hypot(xx - 0.75, y - 0.5) / 0.9) ** 2.5
    out = np.clip(x * vignette[..., None], 0, 1) ** (1 / 2.2)
    return np.asarray(out + 0.012 * noise(SHAPE, rng, 0.4)[..., None], np.float32)
