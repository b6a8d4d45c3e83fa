"""What stands near the camera in the photographs: stones with moss, grass with flowers, spruces.

All work on linear light (H, W, 3); positions are in picture heights, y down.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from atelier.tools import Array, color, mix, noise, ramp, smoothstep


def shore(picture: Array, rng: np.random.Generator) -> Array:
    """Near bank: stones at the water's edge, grass in front, two spruces at the left."""
    out = picture
    for py in np.sort(1.0 - 0.17 * rng.beta(1.2, 2.2, 170)):
        px = rng.uniform(-0.05, 1.55)
        edge = 0.94 - 0.10 * np.exp(-(((px - 0.15) / 0.4) ** 2)) - 0.05 * np.exp(-(((px - 1.4) / 0.25) ** 2))
        if py < edge:
            continue
        out = _stone(out, px, float(py), float((py - 0.78) * 0.22 * rng.lognormal(0, 0.45)), rng)
    for px, top, foot in ((0.235, 0.36, 0.94), (0.085, 0.10, 0.99), (1.43, 0.44, 0.99), (-0.01, 0.30, 0.99)):
        out = _spruce(out, px, top, foot, rng)
    return _grass(out, rng)


def _stone(picture: Array, px: float, py: float, r: float, rng: np.random.Generator) -> Array:
    height, width = picture.shape[:2]
    n = max(6, int(r * height * 1.5))
    cy, cx = int(py * height), int(px * height)
    if not (n < cx < width - n and n < cy):
        return picture
    yy, xx = np.mgrid[-n : n + 1, -n : n + 1].astype(np.float32) / (r * height)
    lumps = noise((2 * n + 1, 2 * n + 1), rng, 3.2)
    grain = noise((2 * n + 1, 2 * n + 1), rng, 1.6)
    radius = np.hypot(xx, yy / 0.62) + 0.10 * lumps
    dome = np.sqrt(np.clip(1 - radius**2, 0, 1)) * 0.62 + 0.06 * lumps + 0.006 * grain
    gy, gx = np.gradient(dome)
    scale = r * height
    light = np.clip(
        (-gx * -0.8 * scale + gy * scale * 0.7 + 0.42) / np.sqrt(1 + (gx * scale) ** 2 + (gy * scale) ** 2),
        0,
        1.3,
    )
    tint = (
        ramp(0.5 + 0.2 * grain + 0.25 * float(rng.normal()), [(0, "4a4644"), (0.5, "86807a"), (1, "b8aa98")])
        ** 2.2
    )
    moss = smoothstep(0.6, 1.4, lumps - yy * 0.6)
    tint = mix(tint, color("5a6a2e") ** 2.2, 0.6 * moss)
    shade = light[..., None] * color("ffe2b8") ** 2.2 * 1.5 + color("6a86b0") ** 2.2 * 0.45
    rows = slice(cy - n, min(cy + n + 1, height))
    here = (rows, slice(cx - n, cx + n + 1))
    part = picture[here]
    cut = slice(0, part.shape[0])
    mask = smoothstep(1.02, 0.96, radius)[cut]
    dark = np.exp(-np.clip(np.hypot(xx - 0.1, (yy - 0.15) / 0.62) - 0.95, 0, 9) * 12)[cut]
    part = part * (1 - 0.5 * dark[..., None])
    out = picture.copy()
    out[here] = mix(part, (tint * shade)[cut], mask)
    return out


def _grass(picture: Array, rng: np.random.Generator) -> Array:
    image = Image.fromarray((np.clip(picture, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    s = picture.shape[0]
    roots = rng.random((7000, 2)) * [1.56, 0.22] + [-0.03, 0.84]
    for px, py in roots[np.argsort(roots[:, 1])]:
        edge = (
            0.965
            - 0.10 * np.exp(-(((px - 0.05) / 0.42) ** 2))
            - 0.05 * np.exp(-(((px - 1.45) / 0.22) ** 2))
            + 0.012 * np.sin(23 * px)
        )
        if py < edge + 0.012 * rng.normal():
            continue
        near = np.clip((py - 0.80) / 0.2, 0, 1.4)
        length, lean = (0.02 + 0.065 * near) * rng.uniform(0.5, 1.3), rng.normal(0.18, 0.35)
        t = np.linspace(0, 1, 6)
        points = [((px + lean * length * k * k) * s, (py - length * k * (1 - 0.15 * k)) * s) for k in t]
        tone = rng.uniform(0, 1)
        root = ramp(np.float32(tone), [(0, "1e2a14"), (1, "3a4420")])
        tip = ramp(np.float32(tone), [(0, "5a7030"), (0.5, "94983e"), (0.8, "d0bc62"), (1, "e8d490")])
        for k in range(5):
            rgb = tuple(int(v * 255) for v in (root + (tip - root) * k / 4))
            draw.line([points[k], points[k + 1]], fill=rgb, width=max(1, round(3.2 * near * (1 - k / 6))))
        if rng.random() < 0.018:
            q = 2 + 4 * near
            fx, fy = points[-1]
            tint = ["e8e4f4", "c878c8", "f4d84a", "e8685a"][int(rng.integers(4))]
            for a in np.linspace(0, 2 * np.pi, 6)[:-1]:
                ox, oy = fx + q * 0.8 * np.cos(a), fy + q * 0.6 * np.sin(a)
                draw.ellipse((ox - q / 2, oy - q / 2, ox + q / 2, oy + q / 2), fill=f"#{tint}")
    image = image.filter(ImageFilter.GaussianBlur(0.6))
    return (np.asarray(image, np.float32) / 255) ** 2.2


def _spruce(picture: Array, px: float, top: float, foot: float, rng: np.random.Generator) -> Array:
    """Whorls of drooping boughs, each a fan of needle-clad twigs, dark within and sunlit at the left tips."""
    image = Image.fromarray((np.clip(picture, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    s = picture.shape[0]
    tall = foot - top
    draw.polygon(
        [
            (px * s - 1, top * s),
            (px * s + 1, top * s),
            ((px + 0.011 * tall) * s, foot * s),
            ((px - 0.011 * tall) * s, foot * s),
        ],
        fill="#2a201a",
    )
    boughs = int(230 * tall / 0.8)
    for i in range(boughs):
        f = (i + rng.uniform(0, 1)) / boughs
        y0 = top + tall * (0.01 + 0.95 * f**0.9)
        reach = tall * (0.012 + 0.21 * f) * rng.uniform(0.6, 1.15)
        side = rng.choice([-1.0, 1.0]) * rng.uniform(0.25, 1.0)
        droop = 0.25 + 0.4 * f
        for k in range(int(16 + 60 * reach / 0.15)):
            g = rng.uniform(0.05, 1.0)
            bx = px + side * reach * g
            by = y0 + reach * (droop * g - 0.28 * g**3) * 0.75
            length = tall * 0.022 * (1.2 - 0.6 * g) * rng.uniform(0.6, 1.4)
            a = np.pi / 2 + side * rng.uniform(-0.2, 1.0) * -1
            light = np.clip(
                0.25 + 0.5 * g * (1 if side < 0 else 0.35) + rng.normal(0, 0.16) - 0.2 * (k % 3 == 0), 0, 1
            )
            rgb = ramp(np.float32(light), [(0, "0c1610"), (0.35, "1e3420"), (0.7, "44602e"), (1.0, "a09c50")])
            end = ((bx + length * np.cos(a)) * s, (by + length * np.sin(a)) * s)
            draw.line([(bx * s, by * s), end], fill=tuple(int(v * 255) for v in rgb), width=2)
    return (np.asarray(image.filter(ImageFilter.GaussianBlur(0.5)), np.float32) / 255) ** 2.2
