"""Moonrise over the sound: an impasto night of thousands of curved strokes."""

from __future__ import annotations

import numpy as np

from atelier.brush import Canvas, Layer
from atelier.tools import Array, blur, color, grid, mix, noise, polygon, ramp, smoothstep

SHAPE = (1536, 2048)
MOON = (0.95, 0.27)
BOATS = [(0.735, 0.75, 0.09, "e8722e"), (1.17, 0.70, 0.05, "c9503a"), (0.545, 0.69, 0.035, "d8a24a")]
VORTICES = [
    (0.32, 0.24, 0.20, 1.0),
    (0.60, 0.47, 0.14, -0.8),
    (1.26, 0.52, 0.13, 0.9),
    (0.02, 0.52, 0.14, -0.7),
]


def paint(rng: np.random.Generator) -> Array:
    """(1536, 2048, 3)."""
    y, x = grid(SHAPE)
    sky_angle, bands = _sky_flow(y, x, rng)
    moon = np.hypot(x - MOON[0], y - MOON[1])

    tone = 0.50 * np.exp(-moon * 3.2) + 0.30 + 0.13 * bands
    sky = ramp(
        tone,
        [
            (0.05, "0b1440"),
            (0.2, "17307e"),
            (0.33, "2a56ad"),
            (0.45, "3f86c0"),
            (0.56, "7fbcb4"),
            (0.68, "d5d58c"),
            (0.8, "f7d85a"),
        ],
    )
    warm = smoothstep(0.6, 2.0, noise(SHAPE, rng, 2.6, stretch=1.6)) * smoothstep(0.1, 0.5, moon)
    sky = mix(sky, color("7a4f9e"), 0.55 * warm)
    sky = mix(sky, color("fff3b0"), smoothstep(0.088, 0.078, moon))
    sky = mix(sky, color("f6a531"), 0.8 * smoothstep(0.022, 0.0, np.abs(moon - 0.1)))

    horizon = 0.665
    swell = noise(SHAPE, rng, 2.4, stretch=0.22)
    depth = np.clip((y - horizon) / (1 - horizon), 0, 1)
    rows = np.sin(70 * np.sqrt(depth + 0.02) + 2.2 * swell)
    sea = ramp(
        0.45 + 0.22 * rows + 0.1 * swell,
        [(0.0, "06122e"), (0.3, "0f2f66"), (0.55, "1c5a8c"), (0.8, "3d9aa0"), (1.0, "9ed0b4")],
    )
    path = np.exp(-(((x - MOON[0] + 0.012 * rows) / (0.05 + 0.15 * depth)) ** 2)) * smoothstep(
        -0.35, 0.5, rows
    )
    sea = mix(sea, ramp(path, [(0, "7fbcb4"), (0.5, "f0c64a"), (1, "fff0a8")]), np.clip(path * 1.2, 0, 0.95))

    under = mix(sky, sea, smoothstep(horizon - 0.002, horizon + 0.002, y))
    angle = np.where(
        y < horizon, sky_angle, 0.35 * np.cos(60 * np.sqrt(depth + 0.02) + 2 * swell + 9 * x) * (0.3 + depth)
    )

    far = horizon - 0.03 - 0.05 * np.sin(3.1 * x + 0.5) ** 2 - 0.012 * np.sin(17 * x)
    hills = (y > far) & (y < horizon + 0.003)
    under[hills] = ramp(noise(SHAPE, rng, 2.2), [(-2, "131a4a"), (0, "27337a"), (2, "54509c")])[hills]
    angle = np.where(hills, 0.3 * np.cos(9 * x), angle)

    edge = (
        0.60 + 0.05 * np.sin(5.2 * x + 1.0) + 1.15 * np.clip(x - 0.26, 0, 1) ** 1.7 + 0.008 * np.sin(43 * x)
    )
    land = blur((y > edge).astype(np.float32), 2.0)
    lit = noise(SHAPE, rng, 2.0) * 0.6 + 7 * np.exp(-(y - edge) * 26) * 0.35
    under = _lighthouse(under)
    under = mix(
        under,
        ramp(lit, [(-2, "0a1026"), (-0.4, "16284a"), (0.6, "24604f"), (1.6, "7a9a44"), (2.6, "e0b64a")]),
        land,
    )
    angle = np.where(land > 0.5, 0.9 * np.cos(7 * x + 3 * y) + 0.3, angle)
    under = _boats(under)

    upright = (np.abs(x - 0.19) < 0.034) & (np.abs(y - 0.5) < 0.175)
    for bx, by, size, _ in BOATS:
        upright |= (np.abs(x - bx) < 0.6 * size) & (np.abs(y - by + 0.7 * size) < 0.58 * size)
    angle = np.where(upright & (land < 0.5), 1.45, angle)

    canvas = Canvas(np.broadcast_to(color("1a2145"), (*SHAPE, 3)), rng)
    canvas.paint(under, angle, Layer(60, 260, 0.6, body=0.6))
    canvas.paint(under, angle, Layer(30, 190, 0.7, jitter=0.055, hue=0.04, streaks=0.07, body=1.0))
    canvas.paint(
        under, angle, Layer(19, 125, 1.0, jitter=0.07, hue=0.045, streaks=0.07, body=1.3, dryness=0.35)
    )
    canvas.paint(
        under, angle, Layer(9, 50, 0.8, threshold=0.1, wobble=0.08, body=1.0, jitter=0.04, pull=0.15)
    )
    canvas.paint(
        under,
        angle,
        Layer(
            5, 18, 0.8, threshold=0.11, wobble=0.05, jitter=0.02, hue=0.01, body=0.8, pull=0.05, dryness=0.05
        ),
    )
    return canvas.finish(light=0.42, gloss=0.16)


def _sky_flow(y: Array, x: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Direction of the air, and bands of light and dark drawn out along it."""
    u = 1.0 + 0.0 * x
    v = 0.35 * np.sin(4.4 * x + 1.5 * np.sin(5 * y)) * np.ones_like(y)
    for cx, cy, radius, spin in [*VORTICES, (*MOON, 0.17, 1.6)]:
        dx, dy = x - cx, y - cy
        pull = spin * 3.0 * np.exp(-(dx**2 + dy**2) / (2 * radius**2)) / radius
        u, v = u - pull * dy, v + pull * dx
    angle = np.arctan2(v, u)
    # line integral convolution: average white noise along the flow
    grain = blur(rng.standard_normal(SHAPE).astype(np.float32), 7.0)
    total = np.zeros(SHAPE, np.float32)
    for sign in (-1, 1):
        py, px = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
        for _ in range(22):
            a = angle[py.astype(np.intp).clip(0, SHAPE[0] - 1), px.astype(np.intp).clip(0, SHAPE[1] - 1)]
            py, px = py + sign * 9 * np.sin(a), px + sign * 9 * np.cos(a)
            total += grain[py.astype(np.intp).clip(0, SHAPE[0] - 1), px.astype(np.intp).clip(0, SHAPE[1] - 1)]
    return angle.astype(np.float32), total / total.std()


def _lighthouse(under: Array) -> Array:
    s = SHAPE[0]
    tower = polygon(
        SHAPE, [(0.155 * s, 0.68 * s), (0.172 * s, 0.40 * s), (0.208 * s, 0.40 * s), (0.225 * s, 0.68 * s)]
    )
    _, x = grid(SHAPE)
    shade = ramp((x - 0.157) / 0.066, [(0.0, "3a4a86"), (0.45, "a9b8c8"), (0.8, "f6e6b0"), (1.0, "d9b46a")])
    under = mix(under, shade, tower)
    for top, bottom in ((0.45, 0.49), (0.545, 0.59)):
        band = tower * polygon(SHAPE, [(0, top * s), (s, top * s), (s, bottom * s), (0, bottom * s)])
        under = mix(under, ramp((x - 0.157) / 0.066, [(0, "4a1430"), (0.8, "d8492c"), (1, "b02c2a")]), band)
    lamp = polygon(
        SHAPE, [(0.172 * s, 0.40 * s), (0.172 * s, 0.362 * s), (0.208 * s, 0.362 * s), (0.208 * s, 0.40 * s)]
    )
    roof = polygon(SHAPE, [(0.164 * s, 0.364 * s), (0.19 * s, 0.325 * s), (0.216 * s, 0.364 * s)])
    rail = polygon(
        SHAPE,
        [(0.163 * s, 0.398 * s), (0.217 * s, 0.398 * s), (0.217 * s, 0.409 * s), (0.163 * s, 0.409 * s)],
    )
    y, _ = grid(SHAPE)
    glow = np.exp(-np.hypot(x - 0.19, y - 0.38) * 16)
    under = mix(under, color("ffb53c"), 0.75 * glow * (1 - tower))
    under = mix(under, color("fff2a0"), lamp)
    under = mix(under, color("7c1f2c"), roof)
    return mix(under, color("10162e"), rail)


def _boats(under: Array) -> Array:
    s = SHAPE[0]
    for bx, by, size, sail in BOATS:

        def at(
            px: float, py: float, bx: float = bx, by: float = by, size: float = size
        ) -> tuple[float, float]:
            return (bx + px * size) * s, (by + py * size) * s

        main = [at(0.05, -0.12), at(0.0, -1.25), at(0.35, -0.75), at(0.55, -0.16)]
        jib = [at(-0.06, -0.14), at(-0.04, -1.1), at(-0.55, -0.15)]
        hull = [at(-0.62, -0.12), at(0.72, -0.14), at(0.5, 0.12), at(-0.42, 0.12)]
        under = mix(under, color(sail), polygon(SHAPE, main))
        under = mix(under, color("f4d9a0"), polygon(SHAPE, jib))
        under = mix(under, color("141026"), polygon(SHAPE, hull))
        y, x = grid(SHAPE)
        wake = np.exp(-(((x - bx - 0.1 * size) / (0.3 * size)) ** 2)) * smoothstep(
            by + 0.1 * size, by + 0.2 * size, y
        )
        wake = wake * np.exp(-(y - by) / (0.6 * size)) * (np.sin(y * 260) > -0.2)
        under = mix(under, 0.6 * color(sail), 0.8 * np.clip(wake, 0, 1))
    return under
