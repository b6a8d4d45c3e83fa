"""Afternoon by the river: no mixed paint, only dots of pure color that the eye mixes.

Each dot takes the tube color nearest to what it should be plus a random error, so that neighbors
differ and their average is right: the divisionists' optical mixture, done as dithering.
"""

from __future__ import annotations

import numpy as np

from atelier.brush import Canvas, Layer
from atelier.tools import Array, blur, color, grid, mix, noise, polygon, ramp, smoothstep

SHAPE = (1440, 2048)
TUBES = [
    "ffffff", "fff2c0", "fbe04a", "f9b820", "f2801e", "e2401e", "c01840", "f29ac0",
    "d868a8", "8a4aa8", "5a3a9a", "2a3a90", "2458b8", "4a90d8", "9accec", "1f8a9a",
    "58c0b0", "0e5a40", "2a8a3a", "7ab82e", "c4dc48", "6a3a28", "1a1a4a",
]  # fmt: skip


def paint(rng: np.random.Generator) -> Array:
    """(1440, 2048, 3)."""
    y, x = grid(SHAPE)
    under = _scene(y, x, rng)
    angle = noise(SHAPE, rng, 2.5)
    canvas = Canvas(np.broadcast_to(color("e8d8b4"), (*SHAPE, 3)), rng)
    canvas.paint(under, angle, Layer(46, 130, 0.7, jitter=0.03, opacity=0.85, body=0.3))
    for size, spacing, error in ((20, 0.85, 0.17), (14, 0.95, 0.15), (10, 1.05, 0.13)):
        _dots(canvas, under, angle, size, spacing, error)
    _dots(canvas, under, angle, 8, 0.75, 0.11, threshold=0.10)
    return canvas.finish(light=0.32, gloss=0.08, weave=0.08)


def _dots(
    canvas: Canvas,
    under: Array,
    angle: Array,
    size: float,
    spacing: float,
    error: float,
    threshold: float = 0.0,
) -> None:
    rng = canvas.rng
    height, width = SHAPE
    y, x = np.mgrid[0 : height : size * spacing, 0 : width : size * spacing].reshape(2, -1)
    y = (y + rng.uniform(-0.5, 0.5, y.size) * size).clip(0, height - 1).astype(np.float32)
    x = (x + rng.uniform(-0.5, 0.5, x.size) * size).clip(0, width - 1).astype(np.float32)
    iy, ix = y.astype(np.intp), x.astype(np.intp)
    wanted = under[iy, ix]
    if threshold:
        off = np.abs(blur(canvas.color, size * 0.7) - under).mean(axis=2)[iy, ix]
        y, x, wanted = y[off > threshold], x[off > threshold], wanted[off > threshold]
    order = rng.permutation(y.size)
    y, x, wanted = y[order], x[order], wanted[order]
    gray = wanted.mean(axis=1, keepdims=True)
    aim = gray + 1.25 * (wanted - gray) + rng.normal(0, error, wanted.shape)
    tubes = np.stack([color(code) for code in TUBES])
    nearest = tubes[np.argmin(((aim[:, None, :] - tubes[None]) ** 2).sum(axis=2), axis=1)]
    rgb = (0.68 * nearest + 0.32 * wanted + rng.normal(0, 0.02, wanted.shape)).astype(np.float32)
    dot = Layer(size, size * 1.05, streaks=0.03, opacity=0.95, dryness=0.03, wobble=0.9, body=1.1)
    canvas.strokes(y, x, angle, rgb, rgb, dot)


def _scene(y: Array, x: Array, rng: np.random.Generator) -> Array:
    cloud = noise(SHAPE, rng, 2.8, stretch=2)
    under = ramp(
        y * 2.6 - 0.12 * cloud, [(0.0, "6aa8e0"), (0.3, "a8d0ec"), (0.55, "f2e8d8"), (0.8, "fbe0b0")]
    )
    under = mix(under, color("fdf4ec"), 0.8 * smoothstep(0.5, 1.3, cloud) * smoothstep(0.35, 0.2, y))

    leaf = noise(SHAPE, rng, 2.2, coarsest=6)
    fine = noise(SHAPE, rng, 1.4, coarsest=20)
    far = y - 0.335 + 0.04 * np.sin(5 * x + 1) + 0.02 * np.sin(13 * x) + 0.012 * leaf
    under = mix(
        under, ramp(leaf, [(-1.5, "3a4aa0"), (0.0, "5a80b0"), (1.5, "a0c0a0")]), smoothstep(0, 0.004, far)
    )
    for px, h, w in (
        (0.76, 0.24, 0.024),
        (0.83, 0.29, 0.028),
        (0.905, 0.25, 0.025),
        (1.0, 0.31, 0.03),
        (1.09, 0.22, 0.024),
    ):
        d = np.hypot((x - px) / w, (y - (0.42 - h / 2)) / (h / 2)) + 0.13 * leaf
        tint = ramp(
            (x - px) / w + 0.5 * fine, [(-1.2, "d8d84a"), (-0.3, "5aa03a"), (0.5, "1a6a5a"), (1.2, "2a3a80")]
        )
        under = mix(under, tint, smoothstep(1.02, 0.95, d))

    river = (y > 0.405) & (y < 0.66)
    ripple = noise(SHAPE, rng, 2.0, stretch=7)
    mirror = under[np.clip(2 * 0.405 * SHAPE[0] - np.arange(SHAPE[0]), 0, SHAPE[0] - 1).astype(np.intp)]
    shift = (np.arange(SHAPE[1])[None, :] + (10 * ripple)).clip(0, SHAPE[1] - 1).astype(np.intp)
    mirror = np.take_along_axis(mirror, shift[..., None], axis=1)
    water = mix(mirror * 0.85 + 0.08, color("2a70b8"), 0.3 + 0.2 * smoothstep(-0.5, 1.2, ripple))
    water = mix(water, color("fff4d0"), 0.75 * smoothstep(1.3, 1.7, ripple))
    under = np.where(river[..., None], water, under)
    under = mix(
        under,
        ramp(fine, [(-1.5, "2a7a4a"), (1.0, "b8d058")]),
        smoothstep(0.395, 0.4, y) * smoothstep(0.418, 0.412, y),
    )
    for bx, by, size in ((0.86, 0.47, 0.11), (1.13, 0.44, 0.06), (0.62, 0.435, 0.05)):
        under = _boat(under, bx, by, size)

    bank = y - 0.565 - 0.07 * np.sin(2.3 * x + 2.6) - 0.008 * leaf
    t = np.clip(bank / 0.4, 0, 1)
    meadow = ramp(
        0.5 + 0.28 * leaf + 0.2 * fine - 0.15 * t,
        [(0.0, "2a8a3a"), (0.4, "7ab83a"), (0.7, "c4d848"), (1.0, "f7e060")],
    )
    shade = smoothstep(-0.15, 0.25, np.sin(x * 3.2 - y * 9.5 + 2.1) + 0.35 * leaf)
    meadow = mix(meadow, ramp(fine + leaf, [(-2, "1a2a70"), (0, "1f6a5a"), (2, "4a8a48")]), 0.82 * shade)
    under = mix(under, meadow, smoothstep(0, 0.004, bank))
    middle = 0.80 - 0.5 * (y - 0.58) + 0.06 * np.sin(9 * y)
    path = smoothstep(
        0.0, -0.012, np.abs(x - middle) - 0.012 - 0.30 * np.clip(y - 0.6, 0, 1) ** 1.2 + 0.004 * leaf
    ) * (bank > 0.02)
    under = mix(under, mix(ramp(fine, [(-2, "f2b890"), (2, "fbeac8")]), color("8a78c0"), 0.65 * shade), path)
    under = _flowers(under, bank, path, rng)
    under = _lady(under, 0.735, 0.72, 0.25)
    return _tree(under, y, x, leaf, fine, rng)


def _boat(under: Array, bx: float, by: float, size: float) -> Array:
    s = SHAPE[0]
    y, x = grid(SHAPE)
    glow = (
        np.exp(-(((x - bx) / (0.35 * size)) ** 2))
        * smoothstep(by, by + 0.01, y)
        * np.exp(-(y - by) / (0.7 * size))
    )
    under = mix(under, color("fff6e4"), 0.8 * np.clip(glow, 0, 1))
    sail = [(bx, by - 1.5 * size), (bx + 0.62 * size, by - 0.1 * size), (bx, by - 0.08 * size)]
    jib = [
        (bx - 0.05 * size, by - 1.25 * size),
        (bx - 0.05 * size, by - 0.1 * size),
        (bx - 0.5 * size, by - 0.1 * size),
    ]
    hull = [
        (bx - 0.65 * size, by - 0.07 * size),
        (bx + 0.7 * size, by - 0.07 * size),
        (bx + 0.5 * size, by + 0.08 * size),
        (bx - 0.45 * size, by + 0.08 * size),
    ]
    for points, code in ((sail, "fffaf0"), (jib, "f9d8b0"), (hull, "b03a2a")):
        under = mix(under, color(code), polygon(SHAPE, [(a * s, b * s) for a, b in points]))
    return under


def _flowers(under: Array, bank: Array, path: Array, rng: np.random.Generator) -> Array:
    """Beds of blossoms that grow in size towards the beholder."""
    beds = [
        ("e2301e", 0.30, 0.90),
        ("f29ac0", 0.60, 0.93),
        ("ffffff", 1.18, 0.80),
        ("f9d820", 1.25, 0.92),
        ("6a4ac0", 1.02, 0.90),
        ("f2801e", 0.12, 0.83),
        ("d868a8", 1.32, 0.72),
        ("4a78e0", 0.45, 0.80),
    ]
    image = under.copy()
    for code, cx, cy in beds:
        for _ in range(150):
            fx, fy = cx + rng.normal(0, 0.085), cy + rng.normal(0, 0.04)
            iy, ix = int(fy * SHAPE[0]), int(fx * SHAPE[0])
            if (
                not (20 < iy < SHAPE[0] - 20 and 20 < ix < SHAPE[1] - 20)
                or bank[iy, ix] < 0.03
                or path[iy, ix] > 0.3
            ):
                continue
            r = max(3, int(13 * (fy - 0.45) * rng.uniform(0.7, 1.4)))
            dy, dx = np.mgrid[-r : r + 1, -r : r + 1]
            petal = (np.hypot(dy, dx) < r).astype(np.float32)
            tint = color(code) * rng.uniform(0.75, 1.05) + rng.normal(0, 0.04, 3)
            here = (slice(iy - r, iy + r + 1), slice(ix - r, ix + r + 1))
            image[here] = mix(
                image[here], (tint * (1.05 - 0.25 * (dy + dx)[..., None] / r)).astype(np.float32), petal
            )
    return image


def _lady(under: Array, px: float, py: float, size: float) -> Array:
    """A walker with a parasol, seen from behind; her shadow lies to the right."""
    s = SHAPE[0]
    y, x = grid(SHAPE)

    def shape(points: list[tuple[float, float]]) -> Array:
        return polygon(SHAPE, [((px + a * size) * s, (py - b * size) * s) for a, b in points])

    under = mix(
        under,
        color("3a3a90"),
        0.75
        * smoothstep(1.0, 0.8, np.hypot((x - px - 0.17 * size) / (0.33 * size), (y - py) / (0.05 * size))),
    )
    skirt = shape([(-0.06, 0.52), (0.06, 0.52), (0.13, 0.25), (0.17, 0.0), (-0.15, 0.0), (-0.11, 0.25)])
    under = mix(under, ramp((x - px) / size, [(-0.13, "fbe8f0"), (0.0, "e898c0"), (0.12, "7a4ab0")]), skirt)
    under = mix(
        under,
        ramp((x - px) / size, [(-0.06, "f9f0e0"), (0.06, "6a60c0")]),
        shape([(-0.06, 0.5), (-0.075, 0.70), (0.075, 0.70), (0.06, 0.5)]),
    )
    under = mix(
        under, color("6a3020"), smoothstep(0.045, 0.04, np.hypot(x - px, y - py + 0.76 * size) / size)
    )
    under = mix(
        under,
        color("fbe04a"),
        smoothstep(1, 0.95, np.hypot((x - px) / (0.085 * size), (y - py + 0.795 * size) / (0.03 * size))),
    )
    a = np.linspace(np.pi, 2 * np.pi, 30)
    scallop = [(0.29 * np.cos(t) - 0.06, 0.80 - 0.20 * np.sin(t)) for t in a]
    rib = np.abs(np.sin(np.arctan2(y - py + 0.8 * size, x - px + 0.06 * size) * 3.5))
    tint = mix(
        ramp((x - px) / size, [(-0.3, "fff4c8"), (-0.1, "f9a030"), (0.2, "d02c3a")]),
        color("8a2a5a"),
        0.35 * (rib < 0.22),
    )
    return mix(under, tint, shape(scallop))


def _tree(under: Array, y: Array, x: Array, leaf: Array, fine: Array, rng: np.random.Generator) -> Array:
    s = SHAPE[0]
    trunk = [
        (0.155, 0.80),
        (0.185, 0.62),
        (0.18, 0.40),
        (0.15, 0.2),
        (0.21, 0.18),
        (0.235, 0.36),
        (0.33, 0.2),
        (0.35, 0.21),
        (0.26, 0.44),
        (0.245, 0.62),
        (0.275, 0.80),
    ]
    bark = ramp(
        (x - 0.15) / 0.12 + 0.2 * fine, [(0.0, "f2a04a"), (0.3, "9a5a6a"), (0.7, "4a3a80"), (1.0, "1a1a4a")]
    )
    under = mix(under, bark, polygon(SHAPE, [(a * s, b * s) for a, b in trunk]))
    blobs = [
        (0.05, 0.12, 0.19),
        (0.26, 0.06, 0.20),
        (0.45, 0.10, 0.14),
        (-0.02, 0.30, 0.12),
        (0.36, 0.24, 0.10),
        (0.14, 0.24, 0.13),
        (0.52, 0.0, 0.11),
    ]
    field = np.full(SHAPE, 9.0, np.float32)
    light = np.zeros(SHAPE, np.float32)
    for bx, by, r in blobs:
        d = np.hypot(x - bx, (y - by) * 1.15) / r
        light = np.where(d < field, ((x - bx) * 0.5 + (y - by)) / r, light)
        field = np.minimum(field, d)
    crown = smoothstep(1.03, 0.97, field + 0.16 * leaf + 0.10 * fine)
    tint = ramp(
        light + 0.4 * leaf + 0.3 * fine,
        [(-1.3, "f7e860"), (-0.7, "b8d040"), (-0.1, "3a9a40"), (0.5, "0e5a50"), (1.1, "2a2a7a")],
    )
    sparkle = 0.8 * smoothstep(1.5, 1.8, noise(SHAPE, rng, 1.2, coarsest=20))
    return mix(under, mix(tint, color("fbd84a"), sparkle), crown)
