"""The road to the sea: flat, bold strokes of impossible colors, held together by dark contours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from atelier.brush import Canvas, Layer
from atelier.tools import Array, blur, color, grid, noise, polygon, ramp, smoothstep

SHAPE = (1600, 2000)
INK = "141238"


class Plan:
    """Regions from back to front: each overwrites the underpainting, the direction and the labels."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.under: Array = np.zeros((*SHAPE, 3), np.float32)
        self.angle: Array = np.zeros(SHAPE, np.float32)
        self.labels: Array = np.zeros((*SHAPE, 3), np.float32)

    def add(
        self, mask: Array, palette: list[str], angle: Array | float, patch: float = 1.0, ink: bool = True
    ) -> None:
        """``palette`` is spread over patches of noise; ``ink`` draws a contour around the region."""
        inside = mask > 0.5
        field = noise(SHAPE, self.rng, 2.6, coarsest=4 * patch)
        stops = list(zip(np.linspace(-1.5, 1.5, len(palette)), palette, strict=True))
        self.under[inside] = ramp(np.round(field * 2.2) / 2.2, [(float(a), c) for a, c in stops])[inside]
        self.angle[inside] = np.broadcast_to(np.asarray(angle, np.float32), SHAPE)[inside]
        if ink:
            self.labels[inside] = self.rng.uniform(0.0, 1.0, 3)


def paint(rng: np.random.Generator) -> Array:
    """(1600, 2000, 3)."""
    plan = Plan(rng)
    y, x = grid(SHAPE)
    _background(plan, y, x)
    _village(plan)
    _foreground(plan, y, x)

    contour, tangent = _contours(plan.labels)
    contour = contour * smoothstep(-1.1, -0.2, noise(SHAPE, rng, 1.6, coarsest=5))
    canvas = Canvas(np.broadcast_to(color("e9c79a"), (*SHAPE, 3)), rng)
    canvas.paint(plan.under, plan.angle, Layer(70, 260, 0.7, jitter=0.03, hue=0.03, pull=0.2, body=0.5))
    canvas.paint(
        plan.under, plan.angle, Layer(42, 170, 0.85, jitter=0.05, hue=0.06, pull=0.25, dryness=0.4, body=0.8)
    )
    canvas.paint(
        plan.under,
        plan.angle,
        Layer(24, 90, 0.8, jitter=0.05, hue=0.05, threshold=0.09, pull=0.12, dryness=0.3, body=0.8),
    )
    canvas.paint(
        plan.under,
        plan.angle,
        Layer(12, 40, 0.8, jitter=0.03, hue=0.02, threshold=0.12, pull=0.05, dryness=0.1, body=0.8),
    )
    ink = np.broadcast_to(color(INK), (*SHAPE, 3))
    line = Layer(
        7, 80, 0.5, jitter=0.015, hue=0.012, streaks=0.02, dryness=0.5, wobble=0.07, pull=0.0, body=0.9
    )
    canvas.paint(ink, tangent, line, mask=contour)
    canvas.paint(ink, tangent, replace(line, width=12.0, length=60.0, dryness=0.7), mask=0.35 * contour)
    return canvas.finish(light=0.3, gloss=0.07, weave=0.06)


def _background(plan: Plan, y: Array, x: Array) -> None:
    sun = np.hypot(x - 0.86, y - 0.17)
    around = np.arctan2(y - 0.17, x - 0.86) + np.pi / 2
    plan.add(
        np.ones(SHAPE, np.float32),
        ["f2a0b5", "f7c46c", "f9e08a", "f4b3a0", "9fd3c7"],
        0.25 * np.sin(4 * x + 6 * y),
        1.2,
        False,
    )
    plan.add(smoothstep(0.30, 0.29, sun), ["f7c948", "f9dd6b", "f6b04e"], around, 2, False)
    plan.add(smoothstep(0.19, 0.18, sun), ["f58a3c", "f7a53d", "f9c440"], around, 2, False)
    plan.add(smoothstep(0.1, 0.098, sun), ["e8402a", "ee5a2a"], around, 2)
    drift = noise(SHAPE, plan.rng, 3.0, stretch=2.4) - 5 * np.abs(y - 0.15)
    plan.add(
        smoothstep(0.1, 0.12, drift) * smoothstep(0.27, 0.29, sun),
        ["fdf3e4", "f6cfd8", "b9dcea", "8fc4e0"],
        0.15 * np.sin(9 * x),
        2,
        False,
    )

    def ridge(base: float, *waves: tuple[float, float, float]) -> Array:
        return y - base - sum(a * np.sin(f * x + p) for a, f, p in waves)

    plan.add(
        (ridge(0.36, (0.07, 4.1, 0.8), (0.03, 11, 2.0), (0.012, 23, 0)) > 0).astype(np.float32),
        ["3b4fb8", "5a67d6", "7a4fb0", "4a86d8"],
        -0.5 + 1.1 * np.sin(5 * x),
        2,
    )
    plan.add(
        (ridge(0.43, (0.04, 5.2, 3.1), (0.02, 13, 1.0)) > 0).astype(np.float32),
        ["7d2d86", "b0408f", "d8567c", "6a3aa0"],
        0.5 * np.cos(6 * x),
        2,
    )
    sea = y > 0.475 + 0.002 * np.sin(50 * x)
    plan.add(sea.astype(np.float32), ["14508f", "1d7fb5", "2aa7b8", "62c8c0"], 0.06 * np.sin(30 * x), 2)
    for bx, by, size, hue in ((0.93, 0.53, 0.05, "f04a2e"), (1.12, 0.505, 0.035, "f9d54a")):
        s = SHAPE[0]
        plan.add(
            polygon(
                SHAPE,
                [
                    (bx * s, (by - size * 1.5) * s),
                    ((bx + size * 0.8) * s, by * s),
                    ((bx - 0.1 * size) * s, by * s),
                ],
            ),
            [hue, hue],
            1.2,
        )
        plan.add(
            polygon(
                SHAPE,
                [
                    ((bx - size) * s, by * s),
                    ((bx + size) * s, by * s),
                    ((bx + 0.6 * size) * s, (by + 0.3 * size) * s),
                    ((bx - 0.6 * size) * s, (by + 0.3 * size) * s),
                ],
            ),
            ["241a52", "3a2a78"],
            0.0,
        )
    plan.add(
        (ridge(0.55, (0.035, 4.0, 3.4), (0.015, 9, 0.5)) > 0.10 * np.clip(x - 0.7, 0, 1)).astype(np.float32),
        ["1f8a4c", "57b14a", "b8cf3e", "f0d03c"],
        0.5 * np.cos(4 * x + 1),
        2.5,
    )
    for k, (base, palette) in enumerate(
        [
            (0.62, ["f2b632", "f7d23e", "f08a2c", "e9e05a"]),
            (0.69, ["0e7a63", "1f9a5a", "58b848", "0c5d6b"]),
            (0.78, ["e2532c", "f07a2e", "f2a33a", "d0347a"]),
        ]
    ):
        plan.add(
            (ridge(base, (0.035, 3.3, 2.1 * k), (0.018, 7.0, 1.7 * k)) > 0).astype(np.float32),
            palette,
            0.45 * np.cos(3.3 * x + 2.1 * k) + 0.2,
            3,
        )


def _village(plan: Plan) -> None:
    s = SHAPE[0]
    walls = [["f9e6c0", "f6cfa0"], ["f2a7b8", "f5c6c0"], ["a9d7e8", "cfe8ee"], ["f7d86a", "f9e59a"]]
    roofs = [["d8322a", "ee5630"], ["f0702c", "f59a3a"], ["8a2a6a", "b04080"]]
    spots = [
        (0.33, 0.60, 0.075),
        (0.44, 0.585, 0.06),
        (0.235, 0.60, 0.06),
        (0.53, 0.605, 0.065),
        (0.385, 0.645, 0.085),
    ]
    for i, (hx, hy, w) in enumerate(spots):

        def at(px: float, py: float, hx: float = hx, hy: float = hy, w: float = w) -> tuple[float, float]:
            return (hx + px * w) * s, (hy + py * w) * s

        plan.add(
            polygon(SHAPE, [at(-0.5, 0.5), at(-0.5, -0.3), at(-0.14, -0.72), at(0.2, -0.3), at(0.2, 0.5)]),
            walls[i % 4],
            1.5,
            4,
        )
        plan.add(
            polygon(SHAPE, [at(0.2, 0.5), at(0.2, -0.3), at(0.75, -0.3), at(0.75, 0.5)]),
            ["4a6ad0", "6f8ae0"],
            1.5,
            4,
        )
        plan.add(
            polygon(SHAPE, [at(-0.14, -0.76), at(0.5, -0.76), at(0.85, -0.25), at(0.18, -0.25)]),
            roofs[i % 3],
            0.95,
            4,
        )
        plan.add(
            polygon(SHAPE, [at(-0.28, 0.1), at(-0.28, -0.16), at(-0.08, -0.16), at(-0.08, 0.1)]),
            ["23307c", "2f4fa8"],
            1.5,
            4,
        )
        plan.add(
            polygon(SHAPE, [at(0.4, 0.2), at(0.4, -0.1), at(0.55, -0.1), at(0.55, 0.2)]),
            ["f7c040", "f9d860"],
            1.5,
            4,
        )


def _foreground(plan: Plan, y: Array, x: Array) -> None:
    t = np.clip((y - 0.63) / 0.37, 0, 1)
    middle = 0.60 + 0.20 * np.sin(3.6 * t + 0.2) * (1 - 0.5 * t) - 0.1 * t
    half = 0.012 + 0.2 * t**1.7
    road = ((np.abs(x - middle) < half) & (y > 0.63)).astype(np.float32)
    plan.add(road, ["f4b8c8", "f9d8b0", "e98fb8", "f7efc8"], np.pi / 2 - 0.9 * np.cos(3.6 * t + 0.2), 3)
    for tx, ty, size, lean, crown in (
        (0.15, 0.97, 0.74, 0.05, ["5a1468", "b01a56", "e83a3a", "f9803a", "fcc04a"]),
        (1.12, 1.0, 0.8, -0.07, ["1a2470", "0f5a7c", "128a74", "4ab85a", "c8d848"]),
        (0.93, 0.75, 0.26, 0.03, ["a82a4a", "e2582c", "f79a2e", "fbd04a"]),
        (0.80, 0.70, 0.17, 0.0, ["1a3a7a", "146a5a", "4aaa50"]),
        (0.06, 0.70, 0.20, 0.0, ["1a3a7a", "146a5a", "5ab050"]),
    ):
        _tree(plan, y, x, tx, ty, size, lean, crown)


def _tree(
    plan: Plan, y: Array, x: Array, tx: float, ty: float, size: float, lean: float, crown: list[str]
) -> None:
    s = SHAPE[0]

    bark = plan.rng.uniform(0.0, 1.0, 3)

    def limb(ax: float, ay: float, bx: float, by: float, wa: float, wb: float) -> None:
        points = [
            (tx + size * (ax - wa), ty - size * ay),
            (tx + size * (ax + wa), ty - size * ay),
            (tx + size * (bx + wb), ty - size * by),
            (tx + size * (bx - wb), ty - size * by),
        ]
        plan.add(
            polygon(SHAPE, [(px * s, py * s) for px, py in points]),
            ["3a1f7a", "6a2f9a", "2a4fb0"],
            1.5 - (bx - ax),
            4,
            False,
        )
        plan.labels[polygon(SHAPE, [(px * s, py * s) for px, py in points]) > 0.5] = bark

    for ax, ay, bx, by, wa, wb in (
        (0, 0, 0.6 * lean, 0.3, 0.055, 0.033),
        (0.6 * lean, 0.28, 1.6 * lean, 0.66, 0.034, 0.018),
        (0.7 * lean, 0.34, lean + 0.20, 0.70, 0.020, 0.010),
        (0.9 * lean, 0.42, lean - 0.20, 0.74, 0.020, 0.010),
    ):
        limb(ax, ay, bx, by, wa, wb)
    ragged = noise(SHAPE, plan.rng, 3.4, coarsest=10)
    light_to_dark = list(zip(np.linspace(-1.3, 1.1, len(crown)), crown[::-1], strict=True))
    label = plan.rng.uniform(0.0, 1.0, 3)
    for bx, by, r in ((0, 0.84, 0.22), (-0.22, 0.73, 0.16), (0.23, 0.74, 0.15), (0.02, 0.66, 0.13)):
        dx, dy = (x - tx) / size - bx - lean, (y - ty) / size + by
        inside = np.hypot(dx / 1.25, dy) + 0.016 * ragged - r
        light = np.round((dx + dy) / r * 1.6 + 0.5 * ragged) / 1.6
        palette = ramp(light, [(float(a), c) for a, c in light_to_dark])
        plan.add(smoothstep(0.0, -0.002, inside), crown, np.arctan2(dy, dx) * 0.6 + 0.8, 4, False)
        here = inside < 0
        plan.labels[here] = label
        plan.under[here] = 0.8 * palette[here] + 0.2 * plan.under[here]


def _contours(labels: Array) -> tuple[Array, Array]:
    """Where neighboring regions meet (probability of a seed), and the direction along the seam."""
    soft = blur(labels, 5.0)
    dy, dx = np.gradient(soft, axis=(0, 1))
    channel = np.argmax(np.hypot(dy, dx), axis=2)[..., None]
    dy, dx = np.take_along_axis(dy, channel, 2)[..., 0], np.take_along_axis(dx, channel, 2)[..., 0]
    seam = np.abs(labels - np.roll(labels, 3, 0)).max(2) + np.abs(labels - np.roll(labels, 3, 1)).max(2)
    seam[:3], seam[:, :3] = 0, 0  # the roll wraps around
    # double angle smoothing keeps the direction steady where it is an orientation, not a vector
    theta = np.arctan2(dy, dx) + np.pi / 2
    weight = np.hypot(dy, dx)
    c, q = blur(weight * np.cos(2 * theta), 4.0), blur(weight * np.sin(2 * theta), 4.0)
    return (seam > 0.02).astype(np.float32), (np.arctan2(q, c) / 2).astype(np.float32)
