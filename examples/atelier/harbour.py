"""Houses at the harbour: loose pen lines under watercolor that runs, pools and dries at its edges.

A wash is a mask whose border noise has pushed about; its pigment gathers at the drying edge, settles in the
hollows of the paper, varies with the water, and is laid over what is below by multiplying.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from atelier.tools import Array, blur, color, grid, mix, noise, polygon, smoothstep

SHAPE = (1440, 2048)
S = SHAPE[0]
WATERLINE = 0.70


class Sheet:
    """Cold-pressed paper, washes on it, and a pen."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.tooth: Array = 0.65 * noise(SHAPE, rng, 1.0, coarsest=130) + 0.35 * noise(
            SHAPE, rng, 1.6, coarsest=40
        )
        self.paper: Array = np.broadcast_to(color("faf5e8"), (*SHAPE, 3)).copy()
        self.flow = [noise(SHAPE, rng, 3.0, coarsest=3) for _ in range(3)]
        self.fine = [noise(SHAPE, rng, 2.2, coarsest=24) for _ in range(2)]
        self.pen = Image.new("L", (SHAPE[1], SHAPE[0]))

    def wash(
        self,
        mask: Array,
        first: str,
        second: str,
        strength: float = 1.0,
        bleed: float = 6.0,
        dry: float = 0.0,
    ) -> None:
        """Two pigments mingling in one wet area; ``dry`` lets the tooth of the paper break it up."""
        a, b, c = (
            np.roll(f, tuple(self.rng.integers(0, 900, 2)), (0, 1)) for f in (*self.flow[:2], self.fine[0])
        )
        edge = np.roll(self.fine[1], tuple(self.rng.integers(0, 900, 2)), (0, 1))
        soft = blur(mask, bleed) + 0.10 * edge + 0.07 * c
        wet = smoothstep(0.42, 0.58, soft)
        if dry:
            wet = wet * smoothstep(-0.4, 0.5, -self.tooth + 1.6 * (1 - dry) + 0.5 * a)
        rim = np.clip(wet - blur(wet, 7.0), 0, 1) * 1.7
        pools = 0.72 + 0.20 * a + 0.10 * c
        density = wet * np.clip(pools + 0.75 * rim - 0.10 * self.tooth, 0.12, 1.7) * strength
        pigment = mix(
            np.broadcast_to(color(first), self.paper.shape), color(second), smoothstep(-0.7, 0.7, b)
        )
        absorb = -np.log(np.clip(pigment, 0.02, 0.995))
        self.paper *= np.exp(-absorb * density[..., None])

    def lift(self, mask: Array, amount: float) -> None:
        """Take paint away with a dry brush."""
        self.paper = mix(self.paper, color("fbf7ee"), np.clip(mask * amount, 0, 1))

    def line(self, points: list[tuple[float, float]], width: float = 3.0, twice: float = 0.35) -> None:
        """A nervous pen stroke, sometimes restated; points in picture heights."""
        draw = ImageDraw.Draw(self.pen)
        for _ in range(1 + int(self.rng.random() < twice)):
            p = np.asarray(points, float) * S + self.rng.normal(0, 1.6, (len(points), 2))
            for a, b in pairwise(p):
                length = float(np.hypot(*(b - a)))
                n = max(2, int(length / 1.2))
                t = np.linspace(-6 / max(length, 12), 1 + 6 / max(length, 12), n)[:, None]
                sway = np.cumsum(self.rng.normal(0, 0.16, (n, 2)), axis=0)
                sway -= t * sway[-1]
                press = width * (
                    0.55
                    + 0.45
                    * np.abs(np.sin(np.linspace(0, self.rng.uniform(2, 7), n) + self.rng.uniform(0, 3)))
                )
                for (px, py), w in zip(a + (b - a) * t + sway, press, strict=True):
                    draw.ellipse((px - w / 2, py - w / 2, px + w / 2, py + w / 2), fill=255)

    def finish(self) -> Array:
        lines = blur(np.asarray(self.pen, np.float32) / 255, 0.9)
        ink = smoothstep(0.15, 0.75, lines - 0.10 * np.maximum(self.tooth - 0.9, 0))
        run = blur(ink, 5.0) * smoothstep(0.2, 1.2, self.flow[2])  # sepia creeps where the paper is wet
        out = self.paper * (1 - 0.45 * run[..., None] * (1 - color("4a3a3a")))
        out = mix(out, color("261e26"), 0.93 * ink)
        dy, dx = np.gradient(blur(self.tooth, 0.8))
        return np.asarray(out * (1 + 0.05 * np.tanh(1.3 * (dx + dy)))[..., None], np.float32)


def paint(rng: np.random.Generator) -> Array:
    """(1440, 2048, 3)."""
    sheet = Sheet(rng)
    _sky(sheet)
    houses = _houses(sheet)
    _water(sheet, houses)
    for bx, by, size, tints in (
        (0.28, 0.83, 0.15, ("c8402e", "8a2a3a")),
        (1.02, 0.80, 0.11, ("2f6a9a", "1f3f78")),
        (0.68, 0.765, 0.07, ("d89a2e", "b0602e")),
    ):
        _boat(sheet, bx, by, size, tints)
    _spatter(sheet)
    return sheet.finish()


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> Array:
    return polygon(SHAPE, [(x0 * S, y0 * S), (x1 * S, y0 * S), (x1 * S, y1 * S), (x0 * S, y1 * S)])


def _sky(sheet: Sheet) -> None:
    y, x = grid(SHAPE)
    a, b = sheet.flow[0], sheet.flow[1]
    margin = smoothstep(0.02, 0.05, np.minimum(np.minimum(x, SHAPE[1] / S - x), y) + 0.010 * sheet.fine[0])
    sheet.wash(margin * smoothstep(0.62, 0.30, y + 0.10 * a), "bcd8ea", "e8dcec", 0.9, 30)
    sheet.wash(margin * smoothstep(0.35, 0.9, 0.9 - 1.6 * y + 0.45 * b), "6aa4d0", "8a9ad0", 0.85, 16)
    sheet.wash(
        margin * smoothstep(0.6, 1.1, 0.55 - 1.2 * np.abs(y - 0.30) + 0.55 * sheet.flow[2]),
        "f4c890",
        "eca4a0",
        0.7,
        22,
    )
    hills = smoothstep(0.0, 0.02, y - 0.47 + 0.07 * np.sin(2.3 * x + 0.6) + 0.03 * np.sin(7 * x)) * (
        y < WATERLINE - 0.01
    )
    sheet.wash(hills, "7a9ac0", "a890c0", 0.8, 12)
    sheet.wash(
        hills * smoothstep(0.0, 0.02, y - 0.56 + 0.05 * np.sin(4.1 * x + 2)), "5a9a8a", "8aa85a", 0.7, 12
    )


def _houses(sheet: Sheet) -> list[tuple[float, float, float, str]]:
    """The row along the quay; returns (left, right, top, tint) for the reflections."""
    rng = sheet.rng
    tints = [
        ("e8a03a", "d86a3a"),
        ("e88a8a", "c85a6a"),
        ("f2d47a", "e0a84a"),
        ("8ab8c8", "5a8ab0"),
        ("d8583e", "a83a3a"),
        ("b8c88a", "7a9a5a"),
        ("e8c4a0", "c89a7a"),
    ]
    roofs = [("b8502e", "7a3030"), ("8a5a4a", "5a4050"), ("c86a3a", "984028")]
    row, left, k = [], 0.06, 0
    while left < 1.30:
        width = float(rng.uniform(0.11, 0.18))
        top = float(0.36 + 0.10 * rng.random() - (0.10 if k == 4 else 0))
        row.append((left, left + width, top, tints[k % 7][0]))
        left, k = left + width + 0.002, k + 1
    for k, (x0, x1, top, _) in enumerate(row):
        w, mid = x1 - x0, (x0 + x1) / 2
        peak = top - w * (0.55 if k % 3 else 0.42)
        wall = _rectangle(x0, top, x1, WATERLINE - 0.012)
        gable = k % 2 == 0
        front = (
            polygon(SHAPE, [(x0 * S, top * S), (mid * S, peak * S), (x1 * S, top * S)]) if gable else 0 * wall
        )
        sheet.lift(np.maximum(wall, front), 0.75)
        sheet.wash(np.maximum(wall, front), *tints[k % 7], strength=0.95, bleed=4)
        shade = polygon(
            SHAPE,
            [
                (x0 * S, top * S),
                ((x0 + 0.28 * w) * S, top * S),
                ((x0 + 0.16 * w) * S, WATERLINE * S),
                (x0 * S, WATERLINE * S),
            ],
        )
        sheet.wash(shade * wall, "8a84b8", "a890b0", 0.55, 7)
        if gable:
            roof = polygon(
                SHAPE,
                [
                    ((x0 - 0.012) * S, (top + 0.006) * S),
                    (mid * S, (peak - 0.022) * S),
                    ((x1 + 0.012) * S, (top + 0.006) * S),
                    (x1 * S, (top - 0.012) * S),
                    (mid * S, (peak + 0.006) * S),
                    (x0 * S, (top - 0.012) * S),
                ],
            )
            sheet.line([(x0 - 0.012, top + 0.006), (mid, peak - 0.022), (x1 + 0.012, top + 0.006)], 3.6)
            sheet.line([(x0, top - 0.006), (mid, peak + 0.004), (x1, top - 0.006)])
            sheet.line(
                [
                    (mid - 0.012, peak + 0.06),
                    (mid + 0.012, peak + 0.06),
                    (mid + 0.012, peak + 0.09),
                    (mid - 0.012, peak + 0.09),
                    (mid - 0.012, peak + 0.06),
                ]
            )
        else:
            roof = polygon(
                SHAPE,
                [
                    ((x0 - 0.012) * S, top * S),
                    ((x0 + 0.025) * S, peak * S),
                    ((x1 - 0.025) * S, peak * S),
                    ((x1 + 0.012) * S, top * S),
                ],
            )
            sheet.lift(roof, 0.7)
            sheet.line(
                [
                    (x0 - 0.012, top),
                    (x0 + 0.025, peak),
                    (x1 - 0.025, peak),
                    (x1 + 0.012, top),
                    (x0 - 0.012, top),
                ],
                3.4,
            )
            for f in np.linspace(0.1, 0.9, 9):
                sheet.line([(x0 + 0.025 + f * (w - 0.05), peak + 0.006), (x0 + f * w, top - 0.004)], 1.6, 0.0)
        sheet.wash(roof, *roofs[k % 3], strength=1.1, bleed=3)
        cx = x0 + w * float(rng.uniform(0.2, 0.75))
        cy = (peak + 0.4 * (top - peak)) if gable else peak + 0.01
        chimney = _rectangle(cx, cy - 0.055, cx + 0.02, cy)
        sheet.wash(chimney, "a85a3e", "7a4038", 1.0, 2)
        sheet.line([(cx, cy), (cx, cy - 0.055), (cx + 0.02, cy - 0.055), (cx + 0.02, cy)])
        sheet.line([(x0, top), (x0, WATERLINE - 0.01)], 3.0)
        sheet.line([(x1, top), (x1, WATERLINE - 0.01)], 3.0)
        _windows(sheet, x0, x1, top, k)
    quay = _rectangle(0.03, WATERLINE - 0.014, 1.38, WATERLINE + 0.012)
    sheet.wash(quay, "9a8a80", "6a6478", 1.0, 3)
    sheet.line([(0.03, WATERLINE - 0.014), (0.5, WATERLINE - 0.012), (1.38, WATERLINE - 0.015)], 3.5)
    sheet.line([(0.03, WATERLINE + 0.012), (0.7, WATERLINE + 0.010), (1.38, WATERLINE + 0.012)], 4.0)
    return row


def _windows(sheet: Sheet, x0: float, x1: float, top: float, k: int) -> None:
    rng = sheet.rng
    columns = 2 if x1 - x0 < 0.14 else 3
    floors = int((WATERLINE - 0.05 - top) / 0.085)
    pitch = (x1 - x0) / columns
    glass = np.zeros(SHAPE, np.float32)
    shutters = np.zeros(SHAPE, np.float32)
    for floor in range(floors):
        for c in range(columns):
            wx, wy = x0 + pitch * (c + 0.5), top + 0.03 + 0.085 * floor
            hw, h = 0.013, 0.042
            if floor == floors - 1 and c == k % columns:
                h, hw = WATERLINE - 0.014 - wy, 0.018
            glass = np.maximum(glass, _rectangle(wx - hw, wy, wx + hw, wy + h))
            sheet.line(
                [(wx - hw, wy), (wx + hw, wy), (wx + hw, wy + h), (wx - hw, wy + h), (wx - hw, wy)], 2.4
            )
            sheet.line([(wx, wy), (wx, wy + h)], 1.8, 0)
            sheet.line([(wx - hw, wy + 0.4 * h), (wx + hw, wy + 0.4 * h)], 1.8, 0)
            if k % 3 != 1 and h < 0.05:
                for side in (-1, 1):
                    a, b = sorted((wx + side * (hw + 0.002), wx + side * (hw + 0.012)))
                    shutters = np.maximum(shutters, _rectangle(a, wy, b, wy + h))
                    sheet.line([(a, wy), (b, wy), (b, wy + h), (a, wy + h), (a, wy)], 1.8, 0)
            if rng.random() < 0.5 and h < 0.05:
                sheet.line([(wx - hw - 0.004, wy + h + 0.004), (wx + hw + 0.004, wy + h + 0.004)], 3)
    sheet.wash(glass, "5a6a9a", "34466e", 1.15, 2)
    sheet.wash(shutters, ["3f8a7a", "2f6aa0", "a84a3a"][k % 3], ["2f6a5a", "3a4a8a", "7a3a4a"][k % 3], 1.0, 2)


def _water(sheet: Sheet, houses: list[tuple[float, float, float, str]]) -> None:
    y, x = grid(SHAPE)
    margin = smoothstep(
        0.02, 0.05, np.minimum(np.minimum(x, SHAPE[1] / S - x), 1 - y) + 0.012 * sheet.fine[0]
    )
    area = margin * (y > WATERLINE + 0.012)
    sheet.wash(area, "a4d0d8", "8ab4d8", 0.9, 8)
    sway = 0.012 * np.sin(y * 130 + 2 * sheet.flow[0]) * (0.3 + 3 * np.clip(y - WATERLINE, 0, 1))
    for x0, x1, top, tint in houses:
        bottom = WATERLINE + 0.55 * (WATERLINE - top)
        column = (x + sway > x0) & (x + sway < x1) & (y < bottom + 0.03 * sheet.fine[0])
        sheet.wash(area * column, tint, "6a8ab0", 0.75, 6)
    strokes = np.sin(y * 210 - 90 * (y - WATERLINE) ** 2 + 2.5 * noise(SHAPE, sheet.rng, 2.6, stretch=4))
    sheet.wash(area * (strokes > 0.45 + 0.5 * sheet.flow[2]), "2f7a94", "3a5a94", 0.8, 3, dry=0.35)
    sheet.wash(area * (strokes < -0.75) * (y > 0.84), "1f5a80", "2a3f78", 0.8, 3, dry=0.45)
    sheet.lift(area * smoothstep(1.5, 1.9, noise(SHAPE, sheet.rng, 1.8, stretch=12)), 0.8)
    for _ in range(70):
        lx, ly = float(sheet.rng.uniform(0.05, 1.30)), float(sheet.rng.uniform(WATERLINE + 0.03, 0.97))
        n = float(sheet.rng.uniform(0.02, 0.07))
        sheet.line([(lx, ly), (lx + n / 2, ly + 0.004), (lx + n, ly - 0.001)], 2.0, 0)


def _boat(sheet: Sheet, bx: float, by: float, size: float, tints: tuple[str, str]) -> None:
    def at(u: float, v: float) -> tuple[float, float]:
        return bx + u * size, by - v * size

    hull = [at(-0.75, 0.22), at(-0.55, -0.12), at(0.5, -0.12), at(0.85, 0.30), at(0.1, 0.16), at(-0.75, 0.22)]
    cabin = [at(-0.35, 0.18), at(-0.33, 0.50), at(0.08, 0.50), at(0.12, 0.16), at(-0.35, 0.18)]
    below = [at(-0.6, -0.12), at(0.55, -0.12), at(0.3, -0.55), at(-0.4, -0.55)]
    sheet.wash(polygon(SHAPE, [(a * S, b * S) for a, b in below]), tints[1], "3a5a80", 0.7, 8, dry=0.2)
    for shape, wash in ((hull, tints), (cabin, ("f4ead8", "c8c0d0"))):
        mask = polygon(SHAPE, [(a * S, b * S) for a, b in shape])
        sheet.lift(mask, 0.85)
        sheet.wash(mask, *wash, strength=1.0, bleed=3)
        sheet.line(shape, 3.6)
    sheet.line([at(0.2, 0.18), at(0.22, 1.5)], 4.2)
    sheet.line([at(0.22, 1.45), at(0.85, 0.30)], 1.8, 0)
    sheet.line([at(0.22, 1.45), at(-0.75, 0.24)], 1.8, 0)
    sheet.line([at(0.2, 0.45), at(-0.5, 0.85)], 3)
    sheet.line([at(-0.72, 0.10), at(0.0, 0.05), at(0.74, 0.16)], 2.2)
    for u in (-0.24, -0.06):
        sheet.line([at(u, 0.28), at(u + 0.1, 0.28), at(u + 0.1, 0.42), at(u, 0.42), at(u, 0.28)], 2)


def _spatter(sheet: Sheet) -> None:
    """Drops flicked from the brush."""
    for code in ("3a5a94", "b8502e", "5a9a8a"):
        image = Image.new("L", (SHAPE[1], SHAPE[0]))
        draw = ImageDraw.Draw(image)
        for _ in range(45):
            px, py, r = (
                sheet.rng.uniform(0, SHAPE[1]),
                sheet.rng.uniform(0, SHAPE[0]),
                sheet.rng.lognormal(0.9, 0.6),
            )
            draw.ellipse((px - r, py - r, px + r, py + r), fill=255)
        sheet.wash(np.asarray(image, np.float32) / 255, code, code, 0.7, 0.8)
