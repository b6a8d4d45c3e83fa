"""Sphere tracing: signed distance fields, the rays of a camera, shadows and ambient occlusion.

A field maps points (N, 3) to distances (N,), negative inside. Decimeters; x right, y up, z away from the
camera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from atelier.tools import Array

Field = Callable[[Array], Array]


def vector(*values: float) -> Array:
    return np.array(values, np.float32)


def unit(*values: float) -> Array:
    v = np.array(values, np.float32)
    return np.asarray(v / np.linalg.norm(v), np.float32)


def turned(turn: float, tilt: float) -> Array:
    """Rows (3, 3): the axes of a head turned to the right about y, then tilted about its own z; radians."""
    c, s, a, b = np.cos(turn), np.sin(turn), np.cos(tilt), np.sin(tilt)
    axes = np.array([[a, b, 0], [-b, a, 0], [0, 0, 1]]) @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.asarray(axes, np.float32)


def ellipsoid(p: Array, center: Array, radii: Array) -> Array:
    q = (p - center) / radii
    far = np.sqrt((q * q).sum(axis=1))
    q /= radii
    return np.asarray(far * (far - 1) / (np.sqrt((q * q).sum(axis=1)) + 1e-6), np.float32)


def capsule(p: Array, start: Array, end: Array, first: float, last: float | None = None) -> Array:
    """A rounded cone from ``start`` with radius ``first`` to ``end`` with radius ``last``."""
    axis = end - start
    q = p - start
    along = np.clip(q @ axis / (axis @ axis), 0, 1)
    off = q - along[:, None] * axis
    radius = first if last is None else first + (last - first) * along
    return np.asarray(np.sqrt((off * off).sum(axis=1)) - radius, np.float32)


def join(a: Array, b: Array, width: float) -> Array:
    """The union, with the seam rounded over ``width``."""
    h = np.maximum(width - np.abs(a - b), 0) / width
    return np.asarray(np.minimum(a, b) - h * h * (width / 4), np.float32)


def carve(a: Array, b: Array, width: float) -> Array:
    """``a`` without ``b``, with the edge rounded over ``width``."""
    return -join(-a, b, width)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; ``focal`` is the focal length over the picture's height."""

    eye: Array
    target: Array
    focal: float
    shape: tuple[int, int]

    def axes(self) -> tuple[Array, Array, Array]:
        """Right, up and forward."""
        forward = (self.target - self.eye) / np.linalg.norm(self.target - self.eye)
        right = np.cross(vector(0, 1, 0), forward)
        right /= np.linalg.norm(right)
        return right, np.cross(forward, right), forward

    def rays(self) -> Array:
        """Unit directions (H * W, 3)."""
        height, width = self.shape
        y, x = np.mgrid[:height, :width].astype(np.float32)
        right, up, forward = self.axes()
        x, y = (x + 0.5 - width / 2) / height, (height / 2 - y - 0.5) / height
        direction = x[..., None] * right + y[..., None] * up + self.focal * forward
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        return direction.reshape(-1, 3).astype(np.float32)

    def project(self, p: Array) -> Array:
        """Points (..., 3) to pixels and distance from the eye: (..., 3) as x, y, distance."""
        right, up, forward = self.axes()
        height, width = self.shape
        q = p - self.eye
        scale = self.focal * height / np.maximum(q @ forward, 1e-3)
        x, y = width / 2 + (q @ right) * scale, height / 2 - (q @ up) * scale
        return np.stack([x, y, np.linalg.norm(q, axis=-1)], axis=-1).astype(np.float32)


def march(field: Field, origin: Array, direction: Array, start: float, end: float, steps: int = 70) -> Array:
    """Distance (N,) along each ray to the surface; ``end`` where there is none."""
    origin, direction = np.broadcast_arrays(origin, np.atleast_2d(direction))
    t = np.full(len(direction), start, np.float32)
    active = np.arange(len(direction))
    for _ in range(steps):
        d = field(origin[active] + t[active, None] * direction[active])
        t[active] += 0.9 * d
        active = active[(d > 0.001) & (t[active] < end)]
        if active.size == 0:
            break
    return np.minimum(t, np.float32(end))


def normals(field: Field, p: Array, step: float = 0.004) -> Array:
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
    n = sum(c * field(p + np.float32(step) * c)[:, None] for c in corners)
    return np.asarray(n / (np.linalg.norm(n, axis=1, keepdims=True) + 1e-9), np.float32)


def occlusion(field: Field, p: Array, normal: Array, reaches: tuple[float, ...]) -> Array:
    """Share (N,) of the surroundings' light that arrives; ``reaches`` are distances along the normal."""
    open_ = np.ones(len(p), np.float32)
    for reach in reaches:
        open_ *= 0.25 + 0.75 * np.clip(field(p + np.float32(reach) * normal) / reach, 0, 1)
    return np.asarray(open_ ** (1.6 / len(reaches)), np.float32)


def shadow(field: Field, p: Array, light: Array, sharpness: float, end: float, steps: int = 24) -> Array:
    """Share (N,) of a broad light in direction ``light`` (3,) that arrives; a low ``sharpness`` is soft."""
    free = np.ones(len(p), np.float32)
    t = np.full(len(p), 0.03, np.float32)
    active = np.arange(len(p))
    for _ in range(steps):
        d = field(p[active] + t[active, None] * light)
        free[active] = np.minimum(free[active], 0.5 + 0.5 * sharpness * d / t[active])
        t[active] += np.clip(d, 0.02, 0.35)
        active = active[(free[active] > 0) & (t[active] < end)]
        if active.size == 0:
            break
    free = np.clip(free, 0, 1)
    return np.asarray(free * free * (3 - 2 * free), np.float32)
