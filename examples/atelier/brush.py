"""A brush: thousands of curved strokes with bristles, mixed paint and relief, laid coarse to fine.

A stroke follows the flow of the picture from its seed, takes its color from the underpainting, and is
a strip of bristles: each with its own tint, its own load of paint and its own places where it runs dry.
The canvas remembers the thickness of the paint, and a raking light shows it at the end.
After the idea of painting in layers with ever smaller brushes (Hertzmann, SIGGRAPH 1998).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atelier.tools import Array, Rng, blur, noise, sample, smoothstep

KNOTS = 14  # a stroke's course is a polyline of this many points
TEXTURE = (64, 512)  # bristles across, positions along


@dataclass(frozen=True)
class Layer:
    """One brush over the whole canvas, or over a mask.

    width, length: pixels of the working canvas. spacing: between seeds, in widths. jitter: change of
    lightness a stroke; hue: change of each color channel a stroke; streaks: contrast among bristles;
    opacity: 0 to 1; dryness: share of bristles that leave gaps; wobble: radians added to the flow;
    threshold: paint only where the canvas still differs this much from the underpainting (0: everywhere);
    body: thickness of the paint; pull: mixing with a neighboring color of the underpainting.
    """

    width: float
    length: float
    spacing: float = 0.9
    jitter: float = 0.05
    hue: float = 0.03
    streaks: float = 0.08
    opacity: float = 0.92
    dryness: float = 0.25
    wobble: float = 0.15
    threshold: float = 0.0
    body: float = 1.0
    pull: float = 0.4


class Canvas:
    """Color (H, W, 3) and paint thickness (H, W), worked on in place."""

    def __init__(self, ground: Array, rng: Rng) -> None:
        self.color: Array = ground.astype(np.float32).copy()
        self.thickness: Array = np.zeros(ground.shape[:2], np.float32)
        self.rng = rng
        self.bristles = [_bristle_texture(rng) for _ in range(8)]

    def paint(self, under: Array, angle: Array, layer: Layer, mask: Array | None = None) -> int:
        """Cover the canvas with one layer of strokes; returns how many."""
        height, width = self.thickness.shape
        pitch = layer.width * layer.spacing
        y, x = np.mgrid[pitch / 2 : height : pitch, pitch / 2 : width : pitch].reshape(2, -1)
        y = (y + self.rng.uniform(-0.6, 0.6, y.size) * pitch).clip(0, height - 1).astype(np.float32)
        x = (x + self.rng.uniform(-0.6, 0.6, x.size) * pitch).clip(0, width - 1).astype(np.float32)
        iy, ix = y.astype(np.intp), x.astype(np.intp)
        keep = np.ones(y.size, bool) if mask is None else self.rng.random(y.size) < mask[iy, ix]
        if layer.threshold:
            error = blur(np.abs(self.color - under).mean(axis=2), layer.width / 2)
            keep &= error[iy, ix] > layer.threshold
        order = self.rng.permutation(np.flatnonzero(keep))
        y, x = y[order], x[order]
        reach = (layer.width * self.rng.normal(0, 1.5, (2, y.size))).astype(np.float32)
        first = sample(under, y, x)
        second = sample(under, y + reach[0], x + reach[1])
        shift = self.rng.normal(0, layer.jitter, (y.size, 1)) + self.rng.normal(0, layer.hue, (y.size, 3))
        self.strokes(y, x, angle, first + shift, second + shift, layer)
        return int(y.size)

    def strokes(self, y: Array, x: Array, angle: Array, first: Array, second: Array, layer: Layer) -> None:
        """Lay strokes in the given order: seeds (N,), two colors each (N, 3) that mix bristle by bristle."""
        length = layer.length * self.rng.uniform(0.6, 1.3, y.size)
        ys, xs = self._courses(y, x, angle, length, layer.wobble)
        at_once = max(1, int(150_000 / (layer.length * layer.width * 1.6)))
        for i in range(0, y.size, at_once):
            part = slice(i, i + at_once)
            self._lay(ys[part], xs[part], first[part], second[part], layer)

    def finish(self, light: float = 0.35, gloss: float = 0.12, weave: float = 0.0) -> Array:
        """The canvas under a raking light from the upper left."""
        relief = blur(self.thickness, 0.7)
        if weave:
            y, x = np.mgrid[: relief.shape[0], : relief.shape[1]]
            relief = relief + weave * (np.sin(x * 1.05) * np.sin(y * 1.05)).astype(np.float32)
        dy, dx = np.gradient(relief)
        slope = (dx + dy) / np.sqrt(2)
        shade = 1 + light * np.tanh(slope * 1.6)
        shine = gloss * smoothstep(0.35, 1.2, slope) * (0.3 + self.color.mean(axis=2))
        return np.asarray(self.color * shade[..., None] + shine[..., None], np.float32)

    def _courses(self, y: Array, x: Array, angle: Array, length: Array, wobble: float) -> tuple[Array, Array]:
        """Follow the flow both ways from the seed: two arrays (N, KNOTS)."""
        step = length / (KNOTS - 1)
        off = self.rng.normal(0, wobble, y.size)
        bend = self.rng.normal(0, wobble, y.size) / KNOTS
        halves = []
        for sign in (-1, 1):
            py, px = y.astype(np.float64), x.astype(np.float64)
            points = [(py, px)]
            for k in range(KNOTS // 2):
                height, width = angle.shape
                a = angle[py.astype(np.intp).clip(0, height - 1), px.astype(np.intp).clip(0, width - 1)]
                a = a + off + sign * k * bend
                py, px = py + sign * step * np.sin(a), px + sign * step * np.cos(a)
                points.append((py, px))
            halves.append(points)
        points = halves[0][:0:-1] + halves[1]
        return (
            np.stack([p[0] for p in points], axis=1).astype(np.float32),
            np.stack([p[1] for p in points], axis=1).astype(np.float32),
        )

    def _lay(self, ys: Array, xs: Array, first: Array, second: Array, layer: Layer) -> None:
        count, knots = ys.shape
        along = max(4, int(layer.length * 1.7))
        across = max(3, int(layer.width * 1.5))
        t = np.linspace(0, knots - 1.001, along)
        k = t.astype(np.intp)
        f = (t - k).astype(np.float32)
        cy, cx = ys[:, k] * (1 - f) + ys[:, k + 1] * f, xs[:, k] * (1 - f) + xs[:, k + 1] * f
        ty, tx = np.gradient(cy, axis=1), np.gradient(cx, axis=1)
        norm = np.hypot(ty, tx) + 1e-6
        v = np.linspace(-1, 1, across, dtype=np.float32)
        u = np.linspace(0, 1, along, dtype=np.float32)
        profile = np.minimum(1, 3.2 * np.sqrt(u)) * np.minimum(
            1, 2.2 * np.sqrt(1 - u)
        )  # the brush lands and lifts
        half = layer.width / 2 * profile[None, :, None] * v[None, None, :]
        py = cy[:, :, None] + (tx / norm)[:, :, None] * half
        px = cx[:, :, None] - (ty / norm)[:, :, None] * half

        load, tint, ridge = self.bristles[int(self.rng.integers(len(self.bristles)))]
        rows = (np.linspace(0, 1, across) * 40).astype(np.intp)[None, None, :] + self.rng.integers(
            0, 23, (count, 1, 1)
        )
        columns = (np.linspace(0, 1, along) * 300).astype(np.intp)[None, :, None] + self.rng.integers(
            0, 200, (count, 1, 1)
        )
        # paint runs out towards the end of the stroke and at its edges
        dry = layer.dryness * (0.35 + 1.1 * u[None, :, None] ** 1.5 + 0.5 * np.abs(v[None, None, :]) ** 3)
        wet = smoothstep(-0.08, 0.08, load[rows, columns] - dry)
        alpha = layer.opacity * wet
        blend = np.clip(0.5 + layer.pull * tint[rows, columns], 0, 1)[..., None]
        rgb = first[:, None, None, :] * blend + second[:, None, None, :] * (1 - blend)
        rgb = rgb + (layer.streaks * ridge[rows, columns])[..., None]
        body = layer.body * (0.55 * ridge[rows, columns] + 1.4 * np.abs(v) ** 4 + 0.5 * (u[:, None] > 0.9))

        height, width = self.thickness.shape
        iy, ix = np.rint(py).astype(np.intp), np.rint(px).astype(np.intp)
        inside = (iy >= 0) & (iy < height) & (ix >= 0) & (ix < width) & (alpha > 0.02)
        iy, ix, alpha = iy[inside], ix[inside], alpha[inside]
        old = self.color[iy, ix]
        self.color[iy, ix] = old + alpha[:, None] * (rgb[inside] - old)
        thickness = self.thickness[iy, ix]
        self.thickness[iy, ix] = thickness * (1 - 0.8 * alpha) + alpha * (body[inside] + 0.4 * layer.body)


def _bristle_texture(rng: Rng) -> tuple[Array, Array, Array]:
    """(load in [0, 1], tint, ridge), each TEXTURE: long in the direction of the stroke."""
    load = noise(TEXTURE, rng, slope=1.2, stretch=9.0)
    rank = np.argsort(np.argsort(load.ravel())).reshape(TEXTURE) / load.size
    tint = noise(TEXTURE, rng, slope=1.4, stretch=14.0)
    ridge = noise(TEXTURE, rng, slope=0.7, stretch=16.0)
    return rank.astype(np.float32), tint, ridge
