"""Photograph: a sunlit wall with a shuttered window and an oleander in a pot.

A flat picture with three layers (reflectance, relief, sunshine), which are multiplied at the end. Shadows are
the outlines of things, moved along the sun's direction and blurred by their distance from the wall.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from atelier.tools import Array, Rng, blur, color, filmic, grid, mix, noise, ramp, sample, smoothstep

SHAPE = (1024, 1536)
GROUND = 0.905  # heights and widths in units of the picture's height
WINDOW = (1.03, 0.20, 1.29, 0.62)  # left, top, right, bottom
SHUTTER = 0.145  # width of one
POT = (0.335, 0.715, 0.945)  # center, top, bottom
SUN = (0.62, 0.78)  # how far shadows move right and down for a unit of depth


class Layers:
    """Reflectance (H, W, 3), relief (H, W) and sunshine (H, W) of everything drawn so far."""

    def __init__(self, shape: tuple[int, int], rng: Rng) -> None:
        self.shape, self.rng = shape, rng
        self.y, self.x = grid(shape)
        self.scale = shape[0]
        self.broad = noise(shape, rng, 3.0, coarsest=2)
        self.fine = noise(shape, rng, 1.7, coarsest=12)
        self.albedo = np.zeros((*shape, 3), np.float32)
        self.relief = np.ones(shape, np.float32)
        self.sun = np.ones(shape, np.float32)

    def box(self, left: float, top: float, right: float, bottom: float, soft: float = 0.0007) -> Array:
        across = np.maximum(left - self.x, self.x - right)
        return smoothstep(soft, -soft, np.maximum(across, np.maximum(top - self.y, self.y - bottom)))

    def put(self, ink: Array, mask: Array, relief: Array | float = 1.0) -> None:
        """Draw something in full sunshine over what is there."""
        self.albedo = mix(self.albedo, ink, mask)
        self.relief = np.asarray(self.relief * (1 - mask) + relief * mask, np.float32)
        self.sun = np.asarray(self.sun * (1 - mask) + mask, np.float32)

    def cast(self, outline: Array, depth: float, strength: float = 1.0) -> None:
        """The shadow of something ``depth`` before what is there."""
        moved = sample(
            outline, (self.y - depth * SUN[1]) * self.scale, (self.x - depth * SUN[0]) * self.scale
        )
        self.sun = self.sun * (1 - strength * blur(moved, max(0.5, 0.035 * depth * self.scale)))

    def slope(self, height: Array) -> Array:
        """Shading of a relief by light from the upper left; 1 where it is flat."""
        return np.asarray(1 - 0.5 * (np.gradient(height, axis=0) + np.gradient(height, axis=1)), np.float32)


def paint(rng: Rng, shape: tuple[int, int] = SHAPE) -> Array:
    """``shape`` + (3,)."""
    layers = Layers(shape, rng)
    _plaster(layers)
    _branches(layers)
    _window(layers)
    _pavement(layers)
    _plant(layers)
    return _developed(layers)


def _plaster(layers: Layers) -> None:
    y, broad, fine = layers.y, layers.broad, layers.fine
    tone = 0.55 + 0.075 * broad + 0.022 * fine + 0.10 * (0.5 - y)
    plaster = ramp(tone, [(0, "c08452"), (0.4, "d8a26c"), (0.65, "e6b884"), (1, "f0cfa4")]) ** 2.2
    damp = smoothstep(0.70, 0.93, y + 0.035 * broad)
    plaster = mix(plaster, color("a87a58") ** 2.2, 0.50 * damp)
    trowel = noise(layers.shape, layers.rng, 2.0, stretch=0.6, coarsest=9)
    layers.put(plaster, np.ones(layers.shape, np.float32), layers.slope(0.12 * trowel + 0.05 * fine))
    crack = np.abs(layers.x - 0.70 - 0.018 * np.sin(17 * y) - 0.012 * broad)
    crack = smoothstep(0.0022, 0.0006, crack) * smoothstep(0.06, 0.0, y - 0.20) * smoothstep(0.0, 0.03, y)
    layers.albedo = mix(layers.albedo, color("8a6040") ** 2.2, 0.55 * crack)


def _branches(layers: Layers) -> None:
    """Shadows of an olive tree that stands outside the picture, and of the roof's edge."""
    rng, height = layers.rng, layers.scale
    image = Image.new("L", (layers.shape[1], layers.shape[0]))
    pen = ImageDraw.Draw(image)
    for start in (0.30, 0.44, 0.52, 0.63, 0.72, 0.92):
        at, angle = np.array([start, -0.06]), rng.uniform(0.9, 2.1)
        reach = rng.uniform(0.30, 0.48)
        for k in range(46):
            angle += rng.normal(0, 0.07)
            step = at + reach / 46 * np.array([np.cos(angle), np.sin(angle)])
            pen.line([tuple(at * height), tuple(step * height)], fill=255, width=max(1, int(0.004 * height)))
            at = step
            if k > 8 and k % 3 == 0:
                for side in (-1, 1):
                    _leaf(
                        pen,
                        at,
                        angle + side * rng.uniform(0.5, 1.2),
                        rng.uniform(0.035, 0.055),
                        0.14,
                        255,
                        height,
                    )
    outline = np.asarray(image, np.float32) / 255
    layers.sun *= 1 - 0.80 * blur(outline, 0.0042 * height)
    roof = 0.045 + 0.012 * np.abs(np.sin(layers.x * 52)) - 0.03 * layers.x
    layers.sun *= smoothstep(-0.006, 0.006, layers.y - roof)


def _leaf(
    pen: ImageDraw.ImageDraw, at: Array, angle: float, length: float, slim: float, ink: object, height: int
) -> None:
    """A pointed leaf that starts at ``at`` (x, y)."""
    s = np.linspace(0, 1, 8)
    half = slim * length * np.sin(np.pi * s**0.8)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    upper = at + np.outer(s * length, along) + np.outer(half, across)
    lower = at + np.outer(s * length, along) - np.outer(half, across)
    pen.polygon(
        [tuple(point) for point in (np.concatenate([upper, lower[::-1]]) * height).tolist()], fill=ink
    )


def _window(layers: Layers) -> None:
    left, top, right, bottom = WINDOW
    x, y, fine = layers.x, layers.y, layers.fine
    surround = layers.box(left - 0.022, top - 0.026, right + 0.022, bottom)
    stone = ramp(0.5 + 0.12 * layers.broad + 0.06 * fine, [(0, "b8a890"), (1, "ece2d0")]) ** 2.2
    layers.cast(surround, 0.004)
    layers.put(stone, surround, layers.slope(0.12 * fine))
    opening = layers.box(left, top, right, bottom)
    frame = mix(np.broadcast_to(color("e8e6de"), (*layers.shape, 3)), color("d0ccc0"), 0.5) ** 2.2
    layers.put(frame, opening)
    middle = (left + right) / 2
    for a, b in ((left + 0.014, middle - 0.009), (middle + 0.009, right - 0.014)):
        for c, d in ((top + 0.014, top + 0.125), (top + 0.139, top + 0.265), (top + 0.279, bottom - 0.014)):
            pane = layers.box(a, c, b, d)
            sky = ramp((y - top) / (bottom - top) + 0.10 * layers.broad + 0.3 * (x - middle), [
                (0, "9cb4cc"), (0.35, "6a8298"), (0.6, "36424c"), (1, "20262a")]) ** 2.2 * 0.62  # fmt: skip
            curtain = smoothstep(0.030, 0.060, np.abs(x - middle)) * (0.75 + 0.25 * np.sin(x * 420))
            sky = mix(
                sky, color("c8c4b8") ** 2.2 * 0.45, 0.55 * curtain * smoothstep(top + 0.2, top + 0.05, y)
            )
            layers.put(sky, pane)
            layers.sun = layers.sun * (1 - 0.5 * pane) + 0.5 * pane
    inner = np.minimum(opening, 1 - layers.box(left + 0.030, top + 0.040, right + 1, bottom + 1, 0.004))
    layers.sun *= 1 - 0.92 * inner
    for edge in (left - SHUTTER - 0.012, right + 0.012):
        shutter = layers.box(edge, top - 0.012, edge + SHUTTER, bottom + 0.004)
        layers.cast(shutter, 0.024)
        paint_ = (
            ramp(0.5 + 0.14 * layers.broad + 0.09 * fine, [(0, "28606a"), (0.5, "3f7f86"), (1, "6aa2a2")])
            ** 2.2
        )
        worn = smoothstep(1.5, 2.3, fine + 0.4 * layers.broad)
        layers.put(mix(paint_, color("a89a80") ** 2.2, 0.6 * worn), shutter)
        for c, d in ((top + 0.012, top + 0.195), (top + 0.222, bottom - 0.022)):
            slats = layers.box(edge + 0.020, c, edge + SHUTTER - 0.020, d)
            phase = np.mod((y - c) / 0.0175, 1)
            layers.relief *= 1 - slats * (1 - (0.55 + 0.62 * phase))
            layers.sun *= 1 - slats * 0.75 * smoothstep(0.30, 0.10, phase)
            layers.sun *= 1 - 0.8 * np.clip(slats - layers.box(edge + 0.024, c + 0.005, 9, d + 1), 0, 1)
    sill = layers.box(left - 0.040, bottom, right + 0.040, bottom + 0.028)
    layers.cast(sill, 0.036)
    layers.put(stone, sill, layers.slope(0.12 * fine) * (1.08 - 3.5 * np.clip(y - bottom - 0.010, 0, 1)))


def _pavement(layers: Layers) -> None:
    x, y, fine, broad = layers.x, layers.y, layers.fine, layers.broad
    ground = smoothstep(GROUND - 0.001, GROUND + 0.001, y)
    depth = 0.16 / np.maximum(y - GROUND + 0.16, 0.01)  # of the ground, 1 at the wall
    row = np.floor(np.log(depth) * 7.0)
    across = (x - 0.75) * depth * 4.2 + 0.37 * row
    stone = np.abs(np.sin(row * 12.9 + np.floor(across) * 78.2) * 43758.5) % 1
    a, b = np.mod(across, 1), np.mod(np.log(depth) * 7.0, 1)
    joint = np.minimum(np.minimum(a, 1 - a) * 2.0, np.minimum(b, 1 - b))
    tone = 0.5 + 0.30 * (stone - 0.5) + 0.10 * broad + 0.06 * fine
    flags = ramp(tone, [(0, "94806a"), (0.5, "b8a488"), (1, "d4c4a8")]) ** 2.2
    flags = flags * (0.45 + 0.55 * smoothstep(0.0, 0.07, joint))[..., None]
    layers.put(flags, ground, layers.slope(0.15 * fine))
    corner = np.exp(-np.abs(y - GROUND) / 0.012)
    layers.relief *= 1 - 0.35 * corner


def _plant(layers: Layers) -> None:
    center, top, bottom = POT
    rng, height, x, y = layers.rng, layers.scale, layers.x, layers.y
    half = 0.080 - 0.026 * (y - top) / (bottom - top)
    lip = y < top + 0.035
    half = np.where(lip, 0.090, half)
    foot = bottom - 0.010 * ((x - center) / 0.07) ** 2
    pot = smoothstep(0.001, -0.001, np.maximum(np.abs(x - center) - half, np.maximum(top - y, y - foot)))
    leaves = _foliage(rng)
    image = Image.new("L", (layers.shape[1], layers.shape[0]))
    pen = ImageDraw.Draw(image)
    for at, angle, length, *_ in leaves:
        _leaf(pen, at, angle, length, 0.17, 255, height)
    outline = np.maximum(pot, np.asarray(image, np.float32) / 255)
    wall_only = layers.sun.copy()
    layers.cast(outline, 0.15, 0.93)
    on_ground = y > GROUND
    spot = np.hypot((x - center - 0.09) / 0.15, (y - bottom + 0.008) / 0.022)
    layers.sun = np.where(on_ground, wall_only * (1 - 0.9 * smoothstep(1.1, 0.75, spot)), layers.sun)
    u = np.clip((x - center) / half, -1, 1)
    clay = (
        ramp(0.5 + 0.15 * layers.broad + 0.09 * layers.fine, [(0, "9a4e30"), (0.5, "ba6a44"), (1, "d49a74")])
        ** 2.2
    )
    lit = np.clip(
        0.25 + 0.85 * np.sqrt(np.clip(1 - (u + 0.42) ** 2 / 2.0, 0, 1)) - 0.35 * np.maximum(u, 0) ** 2,
        0.2,
        1.1,
    )
    layers.put(clay, pot, lit.astype(np.float32))
    layers.sun *= 1 - 0.75 * pot * smoothstep(0.016, 0.0, np.abs(y - top - 0.046)) * ~lip
    layers.sun *= 1 - 0.65 * pot * smoothstep(0.35, 0.9, u)
    ink = Image.fromarray(np.zeros((*layers.shape, 3), np.uint8))
    mask = Image.new("L", (layers.shape[1], layers.shape[0]))
    light = Image.new("L", (layers.shape[1], layers.shape[0]))
    pens = [ImageDraw.Draw(layer) for layer in (ink, mask, light)]
    for lean in (-0.020, -0.008, 0.006, 0.018):
        stem = [(center + lean, top + 0.004), (center + 3 * lean, top - 0.09)]
        line = [(px * height, py * height) for px, py in stem]
        for pen, fill in zip(pens, ((96, 78, 56), 255, 70), strict=True):
            pen.line(line, fill=fill, width=max(1, int(0.006 * height)))
    for at, angle, length, slim, tint, shine in leaves:
        code = tuple(int(255 * value) for value in tint)
        for pen, fill in zip(pens, (code, 255, int(255 * shine)), strict=True):
            _leaf(pen, at, angle, length, slim, fill, height)
        if slim < 0.3:
            rib = [
                tuple(at * height),
                tuple((at + 0.9 * length * np.array([np.cos(angle), np.sin(angle)])) * height),
            ]
            pens[2].line(rib, fill=int(min(255, 290 * shine)), width=max(1, int(0.0014 * height)))
    lit_by = np.asarray(light, np.float32) / 255 * 1.5
    layers.put(
        (np.asarray(ink, np.float32) / 255) ** 2.2, blur(np.asarray(mask, np.float32) / 255, 0.5), lit_by
    )


def _foliage(rng: Rng) -> list[tuple[Array, float, float, float, Array, float]]:
    """Leaves and petals from the back to the front: base, angle, length, slimness, color, light."""
    found = []
    center, top = np.array([POT[0], POT[1] - 0.165]), POT[1]
    for _ in range(44):
        root = np.array([POT[0] + rng.normal(0, 0.03), top])
        end = center + np.array([0.19, 0.20]) * rng.uniform(0.45, 1.0) * _round(rng)
        for s in np.linspace(0.15, 1, 17):
            at = root + (end - root) * s + np.array([0, -0.05]) * np.sin(np.pi * s)
            heading = np.arctan2(end[1] - root[1] - 0.1, end[0] - root[0])
            for _ in range(2):
                angle = heading + rng.normal(0, 0.75)
                out = (at - center) / 0.2
                near = rng.random()
                shine = np.clip(
                    0.22 - 0.18 * out[0] - 0.22 * out[1] + 0.42 * near * near + rng.normal(0, 0.08),
                    0.05,
                    0.75,
                )
                tint = ramp(np.float32(rng.random()), [(0, "3c5a2a"), (0.5, "5e7e3a"), (1, "8a9c58")])
                found.append((near, (at, angle, rng.uniform(0.045, 0.080), 0.12, tint, float(shine))))
        if rng.random() < 0.62:
            for _ in range(rng.integers(7, 15)):
                at = end + rng.normal(0, 0.014, 2)
                tint = ramp(np.float32(rng.random()), [(0, "c83a5c"), (0.6, "e86a8a"), (1, "f8b0c0")])
                shine = np.clip(0.55 - 0.2 * (at[0] - POT[0]) / 0.2 + rng.normal(0, 0.08), 0.25, 0.8)
                found += [(1.0 + rng.random(), (at, rng.uniform(0, 6.3), 0.017, 0.40, tint, float(shine)))]
    return [leaf for _, leaf in sorted(found, key=lambda pair: pair[0])]


def _round(rng: Rng) -> Array:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle) * 0.95 - 0.05])


def _developed(layers: Layers) -> Array:
    shape = layers.shape
    glow = 1.06 - 0.16 * layers.x / 1.5 - 0.10 * layers.y
    sunshine = (layers.sun * layers.relief * glow)[..., None] * color("fff0d4") ** 2.2 * 0.98
    bounce = 0.30 * (0.55 + 0.45 * layers.relief)[..., None] * color("b8c8e8") ** 2.2
    linear = layers.albedo * (sunshine + bounce + 0.035 * smoothstep(0.4, 0.95, layers.y)[..., None])
    linear = linear + 0.05 * blur(np.clip(linear - 0.7, 0, 2), 8)
    x = filmic(linear * 0.92)
    vignette = 1 - 0.16 * (np.hypot(layers.x - 0.75, layers.y - 0.5) / 0.9) ** 2.5
    out = np.clip(x * vignette[..., None], 0, 1) ** (1 / 2.2)
    return np.asarray(blur(out, 0.4) + 0.010 * noise(shape, layers.rng, 0.4)[..., None], np.float32)
