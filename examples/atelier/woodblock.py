"""Sails before the storm: a color woodblock print, one block an ink, the dark key block last."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from atelier.tools import Array, blur, color, grid, mix, noise, polygon, ramp, smoothstep

SHAPE = (2048, 1536)
S = SHAPE[0]
KEY = "16203e"
# a breaking wave, left foot to right foot; y up
CREST = [
    (0.0, 0.0), (0.14, 0.16), (0.27, 0.42), (0.38, 0.72), (0.52, 0.95), (0.70, 1.04),
    (0.88, 0.96), (0.99, 0.78), (0.99, 0.66), (0.90, 0.73), (0.80, 0.76), (0.70, 0.68),
    (0.65, 0.52), (0.68, 0.32), (0.80, 0.13), (1.0, 0.0),
]  # fmt: skip


class Print:
    """A sheet of paper under successive blocks; lines are collected for the key block."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        fibers = noise(SHAPE, rng, 1.3, stretch=3) + 0.6 * noise(SHAPE, rng, 0.6)
        self.sheet: Array = color("f1e6cc") * (1 + 0.018 * fibers[..., None])
        self.lines = Image.new("L", (SHAPE[1], SHAPE[0]))
        self.mottle: Array = 0.05 * noise(SHAPE, rng, 1.6) + 0.03 * noise(SHAPE, rng, 0.3)
        y, _ = grid(SHAPE)
        rings = y * 34 + 1.5 * noise(SHAPE, rng, 3.4, stretch=5)
        self.grain: Array = np.sin(2 * np.pi * rings) * 0.5 + 0.5 * noise(SHAPE, rng, 1.1, stretch=30)

    def ink(self, mask: Array, tint: Array | str, cover: float = 0.94, grain: float = 0.09) -> None:
        """Print a mask with a flat color or a bokashi (H, W, 3); a little out of register each time."""
        dy, dx = self.rng.integers(-3, 4, 2)
        mask = np.roll(mask, (int(dy), int(dx)), (0, 1))
        offset = self.rng.integers(0, S, 2)  # the same mottle from another corner
        mottle = np.roll(self.mottle, (int(offset[0]), int(offset[1])), (0, 1))
        alpha = np.clip(mask * (cover + grain * self.grain * 0.6 + mottle), 0, 1)
        rgb = np.broadcast_to(color(tint) if isinstance(tint, str) else tint, self.sheet.shape)
        shifted = np.roll(mask, (5, 5), (0, 1)) + np.roll(mask, (-5, -5), (0, 1))
        edge = np.clip(mask - shifted / 2, 0, 1)  # ink squeezed to the rim of the block
        self.sheet = mix(self.sheet, rgb * (1 - 0.25 * edge[..., None]), alpha)

    def line(self, points: list[tuple[float, float]] | np.ndarray, width: float) -> None:
        """A line of the key block, swelling towards its middle; points in picture heights."""
        draw = ImageDraw.Draw(self.lines)
        p = np.asarray(points, float) * S
        for k, (a, b) in enumerate(pairwise(p)):
            w = width * (0.45 + 0.75 * np.sin(np.pi * (k + 0.5) / len(p))) / 2
            n = max(1, int(np.hypot(*(b - a)) / 2))
            for q in np.linspace(a, b, n, endpoint=False):
                draw.ellipse((q[0] - w, q[1] - w, q[0] + w, q[1] + w), fill=255)

    def cover_lines(self, mask: Array) -> None:
        """A nearer shape hides the lines behind it."""
        old = np.asarray(self.lines, np.float32) * (1 - mask)
        self.lines = Image.fromarray(old.astype(np.uint8))

    def finish(self) -> Array:
        lines = blur(np.asarray(self.lines, np.float32) / 255, 0.8)
        self.ink(lines, KEY, cover=0.95, grain=0.10)
        y, x = grid(SHAPE)
        frame = np.minimum(np.minimum(x, SHAPE[1] / S - x), np.minimum(y, 1 - y)) + 0.001 * noise(
            SHAPE, self.rng, 2.0
        )
        paper = color("f1e6cc") * (1 + 0.02 * noise(SHAPE, self.rng, 1.0)[..., None])
        self.sheet = mix(paper, self.sheet, smoothstep(0.017, 0.0185, frame))
        border = smoothstep(0.002, 0.001, np.abs(frame - 0.019))
        return mix(self.sheet, color(KEY), 0.85 * border)


def paint(rng: np.random.Generator) -> Array:
    """(2048, 1536, 3)."""
    sheet = Print(rng)
    _sky(sheet)
    _mountains(sheet)
    _sea(sheet)
    _pine(sheet)
    return sheet.finish()


def smooth(points: list[tuple[float, float]] | np.ndarray, steps: int = 12) -> np.ndarray:
    """Catmull-Rom curve through the points."""
    p = np.asarray(points, float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    out = []
    for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True):
        out.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    return np.vstack([*out, p[-2:-1]])


def _sky(sheet: Print) -> None:
    y, x = grid(SHAPE)
    everywhere = np.ones(SHAPE, np.float32)
    sheet.ink(
        everywhere,
        ramp(
            y,
            [
                (0.0, "123a6e"),
                (0.08, "2a6496"),
                (0.19, "8ab4bc"),
                (0.28, "ecdcb8"),
                (0.38, "f2b48a"),
                (0.46, "e8806a"),
                (0.52, "d8605a"),
            ],
        ),
    )
    sun = smoothstep(0.0835, 0.0825, np.hypot(x - 0.50, y - 0.262))
    sheet.ink(sun, ramp(y, [(0.18, "c8281e"), (0.34, "ee6a3a")]))
    circle = np.linspace(0, 2 * np.pi, 90)
    sheet.line(np.stack([0.50 + 0.083 * np.cos(circle), 0.262 + 0.083 * np.sin(circle)], 1), 3)
    sheet.lines = sheet.lines.point(lambda v: v // 2)
    for cx, cy, w, h in (
        (0.53, 0.305, 0.30, 0.017),
        (0.36, 0.335, 0.26, 0.014),
        (0.20, 0.17, 0.24, 0.016),
        (0.64, 0.205, 0.2, 0.013),
        (0.08, 0.205, 0.18, 0.013),
    ):
        bars = np.full(SHAPE, 9.0, np.float32)  # suyari mist: stacked bars with round ends
        for k, (shift, scale) in enumerate(((0.0, 1.0), (0.07, 0.75), (-0.06, 0.6))):
            bx = np.maximum(np.abs(x - cx - shift) - w * scale / 2, 0)
            bars = np.minimum(bars, np.hypot(bx, y - cy - (k - 1) * h * 1.25) - h * 0.62)
        mask = smoothstep(0.0008, -0.0008, bars)
        sheet.cover_lines(mask)
        sheet.ink(mask, ramp(x, [(cx - w / 2, "f4e4c4"), (cx + w / 2, "e2c8b4")]))
        _outline(sheet, bars, 0.0012, 0.8)


def _outline(sheet: Print, distance: Array, width: float, strength: float = 1.0) -> None:
    ring = smoothstep(width, 0.3 * width, np.abs(distance)) * strength * 255
    sheet.lines = Image.fromarray(np.maximum(np.asarray(sheet.lines, np.float32), ring).astype(np.uint8))


def _mountains(sheet: Print) -> None:
    y, x = grid(SHAPE)
    rough = noise((SHAPE[1], SHAPE[1]), sheet.rng, 2.8)[0]
    ridges = [
        (
            [
                (-0.02, 0.49),
                (0.06, 0.45),
                (0.16, 0.385),
                (0.235, 0.345),
                (0.27, 0.35),
                (0.33, 0.40),
                (0.42, 0.44),
                (0.52, 0.475),
                (0.77, 0.50),
            ],
            "2e4a7a",
            "7a94b0",
        ),
        (
            [
                (-0.02, 0.53),
                (0.3, 0.52),
                (0.42, 0.475),
                (0.52, 0.425),
                (0.60, 0.395),
                (0.66, 0.41),
                (0.77, 0.46),
            ],
            "26597a",
            "9ab8b0",
        ),
        (
            [
                (-0.02, 0.455),
                (0.05, 0.47),
                (0.13, 0.50),
                (0.22, 0.535),
                (0.34, 0.55),
                (0.5, 0.555),
                (0.77, 0.56),
            ],
            "1c5a54",
            "98b884",
        ),
        (
            [(-0.02, 0.57), (0.25, 0.565), (0.45, 0.555), (0.58, 0.52), (0.70, 0.50), (0.77, 0.49)],
            "174a4a",
            "6a9a6a",
        ),
    ]
    for k, (knots, dark, light) in enumerate(ridges):
        curve = smooth(knots)
        top = np.interp(np.arange(SHAPE[1]) / S, curve[:, 0], curve[:, 1]) + (
            0.0035 if k < 2 else 0.0025
        ) * rough * np.cos(k)
        depth = y - top[None, :]
        mask = smoothstep(-0.0004, 0.0004, depth)
        sheet.cover_lines(mask)
        sheet.ink(mask, ramp(depth, [(0.0, dark), (0.10, light), (0.17, "ead9b8")]))
        columns = np.arange(0, SHAPE[1], 6)
        sheet.line(np.stack([columns / S, top[columns]], 1), 5)
        if k < 2:  # snow and gullies run down from the summit
            gully = np.sin(
                (x + 0.35 * depth * np.sign(x - (0.24 if k == 0 else 0.6))) * 210 + 3 * rough[None, :]
            )
            snow = smoothstep(0.0, 0.25, gully * 0.02 + 0.034 - depth) * mask * (depth > 0)
            snow = smoothstep(0.3, 0.34, snow)
            sheet.ink(snow * (np.abs(x - (0.24 if k == 0 else 0.6)) < 0.16), "f4ead4", grain=0.04)
        else:  # rows of firs
            for _ in range(170):
                i = int(sheet.rng.integers(0, SHAPE[1]))
                fx, fy = i / S, float(top[i] + sheet.rng.uniform(0.004, 0.06))
                h = 0.018 * sheet.rng.uniform(0.6, 1.2)
                tree = [
                    (fx, fy - h),
                    (fx + 0.28 * h, fy - 0.4 * h),
                    (fx + 0.12 * h, fy - 0.45 * h),
                    (fx + 0.4 * h, fy),
                    (fx - 0.4 * h, fy),
                    (fx - 0.12 * h, fy - 0.45 * h),
                    (fx - 0.28 * h, fy - 0.4 * h),
                ]
                ImageDraw.Draw(sheet.lines).polygon([(px * S, py * S) for px, py in tree], fill=225)


def _sea(sheet: Print) -> None:
    y, _ = grid(SHAPE)
    water = smoothstep(0.5745, 0.5755, y)
    sheet.cover_lines(water)
    sheet.ink(water, ramp(y, [(0.575, "d8d4b0"), (0.62, "8fbcb8"), (0.75, "3a86a0"), (1.0, "1a4f86")]))
    for k in range(15):
        yy = 0.582 + 0.0035 * k**1.35
        start = 0.0
        while start < 0.76:
            length = float(sheet.rng.uniform(0.04, 0.16))
            px = np.linspace(start, start + length, 24)
            sheet.line(np.stack([px, yy + 0.0016 * np.sin(px * 120 + k)], 1), 3.2)
            start += length + float(sheet.rng.uniform(0.02, 0.10))
    for bx, by, size in ((0.21, 0.628, 0.06), (0.335, 0.607, 0.032), (0.66, 0.612, 0.042)):
        _sail(sheet, bx, by, size)
    waves = [
        (0.40, 0.72, 0.24, 0.085, 1), (0.02, 0.725, 0.26, 0.08, 1), (0.60, 0.745, 0.30, 0.10, 1),
        (0.12, 0.81, 0.36, 0.15, 1), (0.50, 0.83, 0.34, 0.13, -1), (-0.14, 0.88, 0.34, 0.12, 1),
        (0.28, 0.945, 0.46, 0.19, 1), (-0.12, 1.0, 0.42, 0.13, 1), (0.56, 1.01, 0.34, 0.14, 1),
    ]  # fmt: skip
    for wx, wy, w, h, facing in waves:
        _wave(sheet, wx, wy, w, h, facing)


def _wave(sheet: Print, wx: float, wy: float, w: float, h: float, facing: int) -> None:
    """One breaker: body in three blues following the crest, foam of small circles along its lip."""
    y, _ = grid(SHAPE)
    crest = np.array(CREST) if facing > 0 else np.array(CREST)[::-1] * [-1, 1] + [1, 0]
    curve = smooth(crest) * [w, -h] + [wx, wy]
    left, right = (
        [(wx - 0.35, wy + 0.035), (wx - 0.15, wy + 0.018)],
        [(wx + w + 0.15, wy + 0.018), (wx + w + 0.35, wy + 0.035)],
    )
    outline = np.vstack([smooth([*left, *curve[:1]]), curve, smooth([*curve[-1:], *right])])
    body = polygon(SHAPE, np.vstack([outline, [(wx + w + 0.35, wy + 0.2), (wx - 0.35, wy + 0.2)]]) * S)
    body = body * smoothstep(wy + 0.2, wy + 0.12, y)
    sheet.cover_lines((body > 0.5).astype(np.float32))
    sheet.ink(
        body,
        ramp(y, [(wy - h, "1f5f9a"), (wy - 0.2 * h, "164a86"), (wy + 0.06, "2f7a9e"), (wy + 0.16, "4a98a8")]),
    )
    # stripes sweep up the back of the wave into the lip
    spine = smooth(crest[:7] if facing > 0 else crest[-7:]) * [w, -h] + [wx, wy]
    for k in range(1, 7):
        f = k / 7
        foot = np.array([wx + w * (0.15 + 0.75 * f) if facing > 0 else wx + w * (0.85 - 0.75 * f), wy + 0.05])
        path = spine * (1 - f) + (foot + (spine - spine.mean(0)) * [0.25, 0.55]) * f
        band = np.zeros(SHAPE, np.float32)
        if k % 2:
            inner = spine * (1 - f - 0.07) + (foot + (spine - spine.mean(0)) * [0.25, 0.55]) * (f + 0.07)
            band = polygon(SHAPE, np.vstack([path, inner[::-1]]) * S) * body
            sheet.ink(band, "7ab8c4" if k < 4 else "a8d0cc", cover=0.85)
        sheet.line(path, 4.0)
    sheet.line(outline, 6.5)
    lip = smooth(crest[3:11] if facing > 0 else crest[5:13]) * [w, -h] + [wx, wy]
    discs = []
    for px, py in lip[:: max(1, len(lip) // 34)]:
        ox, oy = sheet.rng.normal(0, 0.03 * h, 2)
        discs.append((px + ox, py + oy, h * float(sheet.rng.uniform(0.035, 0.085))))
    tip = lip[-1] if facing > 0 else lip[0]
    for k in range(9):  # fingers reach out from the lip
        a = np.pi * (0.05 + 0.10 * k) if facing > 0 else np.pi * (0.95 - 0.10 * k)
        reach = h * float(sheet.rng.uniform(0.10, 0.22))
        discs += [
            (tip[0] + reach * f * np.cos(a), tip[1] + reach * f * np.sin(a), h * 0.038 * (1.4 - f))
            for f in (0.5, 0.8, 1.05)
        ]
    for _ in range(26):
        px, py = tip + sheet.rng.normal(0, 0.30 * h, 2) * [1.2, 0.8] + [facing * 0.16 * h, -0.1 * h]
        discs.append((px, py, h * float(sheet.rng.uniform(0.008, 0.02))))
    foam = _discs(discs, 0.0)
    lines = np.maximum(np.asarray(sheet.lines, np.float32) / 255, _discs(discs, 0.0017))
    sheet.lines = Image.fromarray((np.where(foam > 0.5, 0, lines) * 255).astype(np.uint8))
    sheet.ink(foam, "f6efdc", grain=0.03)
    hollows = [(px + 0.3 * r, py + 0.3 * r, 0.45 * r) for px, py, r in discs if r > 0.045 * h]
    sheet.ink(_discs(hollows, 0.0), "b8d4d0", cover=0.7, grain=0.03)


def _discs(discs: list[tuple[float, float, float]], grow: float) -> Array:
    image = Image.new("L", (SHAPE[1], SHAPE[0]))
    draw = ImageDraw.Draw(image)
    for px, py, r in discs:
        q = r + grow
        draw.ellipse(((px - q) * S, (py - q) * S, (px + q) * S, (py + q) * S), fill=255)
    return np.asarray(image, np.float32) / 255


def _sail(sheet: Print, bx: float, by: float, size: float) -> None:
    sail = smooth(
        [
            (bx - 0.42 * size, by - 1.35 * size),
            (bx + 0.40 * size, by - 1.4 * size),
            (bx + 0.52 * size, by - 0.7 * size),
            (bx + 0.36 * size, by - 0.14 * size),
            (bx - 0.46 * size, by - 0.14 * size),
            (bx - 0.42 * size, by - 1.35 * size),
        ]
    )
    hull = smooth(
        [
            (bx - 0.9 * size, by - 0.18 * size),
            (bx - 0.6 * size, by + 0.06 * size),
            (bx + 0.6 * size, by + 0.06 * size),
            (bx + 1.0 * size, by - 0.25 * size),
            (bx + 0.5 * size, by - 0.1 * size),
            (bx - 0.9 * size, by - 0.18 * size),
        ]
    )
    for shape, tint in ((sail, "f4e8cc"), (hull, "7a3a26")):
        mask = polygon(SHAPE, shape * S)
        sheet.cover_lines((mask > 0.5).astype(np.float32))
        sheet.ink(mask, tint, grain=0.04)
        sheet.line(shape, 4.5)
    for f in (-0.2, 0.02, 0.24):
        sheet.line(
            [
                (bx + f * size, by - 1.37 * size),
                (bx + (f * 1.1) * size, by - 0.75 * size),
                (bx + f * size, by - 0.14 * size),
            ],
            3,
        )


def _pine(sheet: Print) -> None:
    """A pine reaches in from the right edge: bark with scales, pads of needles drawn as fans."""
    rng = sheet.rng
    trunk = smooth(
        [(0.80, 0.50), (0.72, 0.42), (0.70, 0.34), (0.735, 0.26), (0.69, 0.18), (0.60, 0.13), (0.52, 0.118)]
    )
    branch = smooth([(0.715, 0.30), (0.66, 0.285), (0.60, 0.30), (0.56, 0.325)])
    for spine, w0, w1 in ((branch, 0.008, 0.003), (trunk, 0.030, 0.005)):
        t = np.linspace(0, 1, len(spine))[:, None]
        d = np.gradient(spine, axis=0)
        normal = np.stack([-d[:, 1], d[:, 0]], 1) / np.hypot(d[:, 0], d[:, 1])[:, None]
        width = w0 + (w1 - w0) * t + 0.0015 * np.sin(t * 60)
        shape = np.vstack([spine + normal * width, (spine - normal * width)[::-1]])
        mask = polygon(SHAPE, shape * S)
        sheet.cover_lines((mask > 0.5).astype(np.float32))
        sheet.ink(mask, "8a4e34")
        sheet.ink(mask * np.roll(1 - mask, (-14, -14), (0, 1)), "4a2a2a")
        sheet.line(shape, 6)
        for _ in range(int(90 * w0 / 0.03)):
            k = int(rng.integers(2, len(spine) - 2))
            c = spine[k] + normal[k] * width[k] * rng.uniform(-0.7, 0.7)
            r = 0.006 * rng.uniform(0.6, 1.2)
            a = np.linspace(0.3, 2.9, 7)
            sheet.line(np.stack([c[0] + r * np.cos(a), c[1] + 0.6 * r * np.sin(a)], 1), 3.5)
    for px, py, r in (
        (0.53, 0.115, 0.055),
        (0.60, 0.085, 0.065),
        (0.685, 0.105, 0.07),
        (0.64, 0.155, 0.045),
        (0.74, 0.20, 0.06),
        (0.57, 0.32, 0.045),
        (0.63, 0.275, 0.05),
        (0.72, 0.31, 0.05),
    ):
        _needles(sheet, px, py, r)


def _needles(sheet: Print, px: float, py: float, r: float) -> None:
    y, _ = grid(SHAPE)
    fans = [
        (px + r * f, py - 0.28 * r * (1 - f * f) + 0.12 * r * (k % 2))
        for k, f in enumerate(np.linspace(-0.75, 0.75, 5))
    ]
    puffs = [(fx + 0.24 * r * side, fy, 0.27 * r) for fx, fy in fans for side in (-1, 0, 1)]
    mask, rim = _discs(puffs, 0.0), _discs(puffs, 0.0014)
    lines = np.maximum(np.asarray(sheet.lines, np.float32) / 255, rim)
    sheet.lines = Image.fromarray((np.where(mask > 0.5, 0, lines) * 255).astype(np.uint8))
    sheet.ink(mask, ramp((y - py) / r, [(-0.6, "6a9a4a"), (0.1, "2a6a4a"), (0.4, "17483e")]))
    for fx, fy in fans:
        for a in np.linspace(np.pi * 1.02, np.pi * 1.98, 17):
            q = 0.40 * r * float(sheet.rng.uniform(0.8, 1.15))
            sheet.line(
                [
                    (fx, fy + 0.16 * r),
                    (fx + 0.6 * q * np.cos(a), fy + 0.16 * r + 0.6 * q * np.sin(a)),
                    (fx + 1.15 * q * np.cos(a), fy + 0.16 * r + q * np.sin(a)),
                ],
                3.4,
            )
