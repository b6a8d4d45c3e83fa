"""Koi under lotus leaves: a mosaic whose rows of stones follow the fish and the eddies around them.

Each stone is a cell of a Voronoi diagram in a square metric turned to the local direction, made even
by Lloyd's iterations (after Hausner, "Simulating decorative mosaics", SIGGRAPH 2001); cells never
cross the outline of a figure, as a mosaicist nips stones to fit it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from atelier.tools import Array, blur, color, grid, mix, noise, ramp, smoothstep

SHAPE = (1536, 2048)
STONE = 21.0  # pixels between stones
# head x, head y, heading, length, bend, patches
KOI = [
    (0.50, 0.31, 2.75, 0.62, 1.5, "red"),
    (0.90, 0.64, -0.35, 0.66, 1.3, "gold"),
    (0.30, 0.80, 0.35, 0.40, -1.4, "white"),
]
LEAVES = [
    (1.13, 0.23, 0.165, 2.4),
    (0.10, 0.16, 0.115, 0.3),
    (1.26, 0.47, 0.09, 3.6),
    (0.66, 0.90, 0.085, 5.0),
    (0.08, 0.52, 0.075, 0.9),
]
FLOWERS = [(1.02, 0.30, 0.085), (0.145, 0.44, 0.06)]


@dataclass
class Design:
    """What the mosaicist has drawn on the wall: colors, the side of each figure, the rows' direction."""

    under: Array
    labels: Array
    angle: Array


def paint(rng: np.random.Generator) -> Array:
    """(1536, 2048, 3)."""
    design = _design(rng)
    y, x, angle = _relax(design, rng)
    owner, gap = _cells(design, y, x, angle, scale=1)
    return _set_stones(design, owner, gap, y, x, rng)


def _design(rng: np.random.Generator) -> Design:
    y, x = grid(SHAPE)
    distance = np.full(SHAPE, 9.0, np.float32)  # to the nearest figure: its level lines are the rows
    figures = []
    for head_x, head_y, heading, length, bend, patches in KOI:
        body, shade, along = _koi(y, x, head_x, head_y, heading, length, bend)
        figures.append((body, _scales(along, shade, patches, rng)))
        distance = np.minimum(distance, body)
    for cx, cy, r, notch in LEAVES:
        phi, radius = np.arctan2(y - cy, x - cx), np.hypot(x - cx, y - cy)
        turn = np.abs((phi - notch + np.pi) % (2 * np.pi) - np.pi)
        leaf = np.maximum(radius - r, (0.16 - turn) * radius)
        veins = np.abs(((phi - notch) * 7 / np.pi) % 1 - 0.5)
        tone = 0.5 + 0.35 * (radius / r) - 0.25 * (veins < 0.12) + 0.12 * np.sin(phi + 1)
        figures.append(
            (leaf, ramp(tone, [(0.2, "0f4a2a"), (0.5, "2c8a3c"), (0.75, "86b83c"), (1.0, "d8d858")]))
        )
        distance = np.minimum(distance, leaf)

    waves = np.sin(distance * 85 + 0.6 * noise(SHAPE, rng, 3.0))
    water = ramp(
        0.45 + 0.2 * waves + 0.14 * noise(SHAPE, rng, 2.6) - 0.3 * np.clip(distance, 0, 0.4),
        [
            (0.0, "0a1f55"),
            (0.25, "12458c"),
            (0.45, "1878a8"),
            (0.62, "2aa8b4"),
            (0.8, "8ad4c4"),
            (1.0, "e4f0d8"),
        ],
    )
    under, labels = water, np.zeros(SHAPE, np.float32)
    smooth = blur(distance, 8)
    for number, (shape, tint) in enumerate(figures, 1):
        under = np.where((shape < 0)[..., None], tint, under)
        labels[shape < 0] = number
    for number, (cx, cy, r) in enumerate(FLOWERS, len(figures) + 1):
        for ring, petals in ((1.0, 9), (0.68, 7), (0.36, 5)):
            phi, radius = np.arctan2(y - cy, x - cx) + ring, np.hypot(x - cx, y - cy) / (r * ring)
            petal = radius < 0.62 + 0.38 * np.abs(np.cos(phi * petals / 2)) ** 0.7
            tone = radius * (0.6 + 0.4 * np.abs(np.cos(phi * petals / 2)))
            under = np.where(
                petal[..., None],
                ramp(tone, [(0.1, "f9d85a"), (0.35, "fbe6e4"), (0.7, "f29ab8"), (1.0, "d8487e")]),
                under,
            )
            labels[petal] = 10 * number + petals
        smooth = np.where(np.hypot(x - cx, y - cy) < r, np.hypot(x - cx, y - cy), smooth)

    frame = np.minimum(np.minimum(x, SHAPE[1] / SHAPE[0] - x), np.minimum(y, 1 - y))
    for limit, code, label in ((0.044, "d8a63a", 901), (0.030, "7a1f2c", 902), (0.0155, "e8c66a", 903)):
        under = np.where((frame < limit)[..., None], color(code), under)
        labels[frame < limit] = label
    smooth = np.where(frame < 0.046, frame, smooth)
    gy, gx = np.gradient(smooth)
    angle = np.arctan2(gy, gx)
    c, s = blur(np.cos(4 * angle), 3.0), blur(np.sin(4 * angle), 3.0)  # squares have four directions
    return Design(under.astype(np.float32), labels, (np.arctan2(s, c) / 4).astype(np.float32))


def _koi(
    y: Array, x: Array, hx: float, hy: float, heading: float, length: float, bend: float
) -> tuple[Array, Array, Array]:
    """Signed distance, position across (-1 to 1), position along the spine (0 head to 1 tail)."""
    t = np.linspace(0, 1, 60)
    direction = heading + np.pi + bend * (t - 0.25) * 1.2
    step = length / 59
    sx, sy = hx + np.cumsum(np.cos(direction)) * step, hy + np.cumsum(np.sin(direction)) * step
    half = length * (0.125 * np.sqrt(np.clip(t * 5, 0, 1)) * np.clip(1.12 - 1.12 * t**1.6, 0.16, 1))
    half = np.maximum(half, 1e-4)
    small = (slice(None, None, 4), slice(None, None, 4))
    py, px = y[small], x[small]
    best, along, across = np.full(py.shape, 9.0), np.zeros(py.shape), np.zeros(py.shape)
    for k in range(60):
        d = np.hypot(px - sx[k], py - sy[k]) - half[k]
        side = (-(px - sx[k]) * np.sin(direction[k]) + (py - sy[k]) * np.cos(direction[k])) / half[k]
        closer = d < best
        best, along, across = (
            np.where(closer, d, best),
            np.where(closer, t[k], along),
            np.where(closer, side, across),
        )
    for at, size, spread in (
        (0.24, 0.14, 0.75),
        (0.60, 0.08, 0.75),
        (0.97, 0.15, 0.32),
    ):  # pairs of fins, the tail
        k = int(at * 59)
        for sign in (-1, 1):
            fa = direction[k] + sign * spread
            fx, fy = sx[k] + np.cos(fa) * length * size * 1.1, sy[k] + np.sin(fa) * length * size * 1.1
            u = (px - fx) * np.cos(fa) + (py - fy) * np.sin(fa)
            v = -(px - fx) * np.sin(fa) + (py - fy) * np.cos(fa)
            fin = (np.hypot(u, v / (0.5 if at < 0.9 else 0.36)) - length * size) * 0.6
            along = np.where((fin < best) & (best > 0), 2.0, along)
            across = np.where((fin < best) & (best > 0), v / (length * size * 0.5), across)
            best = np.minimum(best, fin)

    def full(a: np.ndarray) -> Array:
        image = Image.fromarray(a.astype(np.float32)).resize((SHAPE[1], SHAPE[0]), Image.Resampling.BICUBIC)
        return np.asarray(image, np.float32)

    return full(best), full(across), full(along)


def _scales(along: Array, across: Array, patches: str, rng: np.random.Generator) -> Array:
    main, patch, dark = {
        "red": ("fbf0dc", "e2381e", "1c1a30"),
        "gold": ("f9b02a", "f2701a", "8a2a14"),
        "white": ("f6ead8", "f2922a", "c83a1e"),
    }[patches]
    field = noise(SHAPE, rng, 3.2, coarsest=3)
    body = mix(np.broadcast_to(color(main), (*SHAPE, 3)), color(patch), smoothstep(0.0, 0.05, field))
    body = mix(body, color(dark), smoothstep(1.2, 1.25, noise(SHAPE, rng, 2.6, coarsest=5)))
    body = body * (1.02 - 0.42 * np.clip(np.abs(across), 0, 1)[..., None] ** 2.5)
    fins = smoothstep(0.8, 0.86, along)
    rays = 0.72 + 0.28 * np.sin(across * 16)
    body = mix(body, color(patch) * 0.4 + 0.6, 0.75 * fins) * (
        1 - fins[..., None] * 0.4 * (1 - rays[..., None])
    )
    eyes = smoothstep(0.13, 0.1, np.hypot((along - 0.1) * 3.5, np.abs(across) - 0.6))
    return mix(body, color("101020"), eyes * (along < 0.5))


def _relax(design: Design, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    height, width = SHAPE
    y, x = np.mgrid[STONE / 2 : height : STONE, STONE / 2 : width : STONE].reshape(2, -1)
    y = (y + rng.uniform(-5, 5, y.size)).clip(0, height - 1).astype(np.float32)
    x = (x + rng.uniform(-5, 5, x.size)).clip(0, width - 1).astype(np.float32)
    for _ in range(14):
        angle = design.angle[y.astype(np.intp), x.astype(np.intp)]
        owner, _ = _cells(design, y, x, angle, scale=3)
        py, px = np.mgrid[: owner.shape[0], : owner.shape[1]] * 3 + 1.0
        own = owner.ravel()
        weight = np.bincount(own, minlength=y.size)
        has = weight > 0
        y = np.where(has, np.bincount(own, py.ravel(), y.size) / np.maximum(weight, 1), y).astype(np.float32)
        x = np.where(has, np.bincount(own, px.ravel(), x.size) / np.maximum(weight, 1), x).astype(np.float32)
    return y, x, design.angle[y.astype(np.intp), x.astype(np.intp)]


def _cells(design: Design, y: Array, x: Array, angle: Array, scale: int) -> tuple[np.ndarray, Array]:
    """Owner of each pixel and the distance gap to the runner-up, on a grid ``scale`` times coarser."""
    labels = design.labels[scale // 2 :: scale, scale // 2 :: scale]
    side = labels[
        (y / scale).astype(np.intp).clip(0, labels.shape[0] - 1),
        (x / scale).astype(np.intp).clip(0, labels.shape[1] - 1),
    ]
    best = np.full(labels.shape, 1e9, np.float32)
    second = best.copy()
    owner = np.zeros(labels.shape, np.int32)
    reach = int(2.1 * STONE / scale)
    for k in range(y.size):
        cy, cx = int(y[k] / scale), int(x[k] / scale)
        top, left = max(cy - reach, 0), max(cx - reach, 0)
        here = (slice(top, cy + reach + 1), slice(left, cx + reach + 1))
        b = best[here]
        dy = (np.arange(top, top + b.shape[0], dtype=np.float32) * scale - y[k])[:, None]
        dx = (np.arange(left, left + b.shape[1], dtype=np.float32) * scale - x[k])[None, :]
        c, s = np.cos(angle[k]), np.sin(angle[k])
        d = np.maximum(np.abs(c * dx + s * dy), np.abs(c * dy - s * dx))
        d = d + 60.0 * (labels[here] != side[k])
        wins = d < b
        second[here] = np.where(wins, b, np.minimum(second[here], d))
        best[here] = np.where(wins, d, b)
        owner[here][wins] = k
    return owner, second - best


def _set_stones(
    design: Design, owner: np.ndarray, gap: Array, y: Array, x: Array, rng: np.random.Generator
) -> Array:
    """Glaze, tilt and bevel each stone, and let the grout lie between."""
    count = y.size
    base = blur(design.under, 2.0)[y.astype(np.intp), x.astype(np.intp)]
    base = base + rng.normal(0, 0.045, (count, 1)) + rng.normal(0, 0.028, (count, 3))
    tilt = rng.normal(0, 1, (count, 2))
    py, px = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    lean = (tilt[owner, 0] * (py - y[owner]) + tilt[owner, 1] * (px - x[owner])) / STONE
    chips = noise(SHAPE, rng, 1.5)
    different = np.maximum(np.abs(owner - np.roll(owner, 1, 0)), np.abs(owner - np.roll(owner, 1, 1))) > 0
    edge = blur(different.astype(np.float32), 2.2) * 5.5  # borders between figures have no metric gap
    solid = smoothstep(1.6, 3.4, gap + 0.7 * chips - 3.0 * np.clip(edge - 0.35, 0, 1))
    height = blur(solid * (1 + 0.04 * chips), 1.6)
    dy, dx = np.gradient(height)
    shade = 1 + 0.16 * lean + 1.5 * (dx + dy)
    stone = base[owner] * shade[..., None] + 0.035 * noise(SHAPE, rng, 1.0)[..., None]
    shine = smoothstep(0.9, 1.6, tilt[owner, 0] + 0.5 * lean + 0.25 * chips) * 0.22
    stone = stone + shine[..., None] * color("fff6e0")
    grout = ramp(0.5 + 0.2 * noise(SHAPE, rng, 1.2), [(0, "3a342e"), (1, "857a68")])
    shadow = 1 - 0.35 * smoothstep(0.1, 0.6, np.roll(height, (3, 3), (0, 1)) - height)
    return mix(grout * shadow[..., None], stone, solid)
