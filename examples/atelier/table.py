"""Photograph: fruit, a jug and a bottle in the light of a window, by sphere tracing distance fields.

Each ray leaves a random point of the lens (depth of field) and steps by the distance to the nearest
surface. The sun comes through a window of nine panes, whose bars it throws on the wall; the sky's light
is a broad glow from the same side, dimmed where surfaces are close (ambient occlusion).
Decimeters; x right, y up, z away from the camera.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from atelier.tools import Array, blur, color, filmic, grid, mix, noise, ramp, sample, smoothstep

SHAPE = (683, 1024)
SAMPLES = 3
EYE = np.array([0.15, 2.75, -8.6], np.float32)
TARGET = np.array([0.0, 1.02, 0.0], np.float32)
FOCAL, LENS, FOCUS = 1.50, 0.075, 8.55
WALL = 2.7
SUN = np.array([-0.74, 0.52, -0.42], np.float32) / np.float32(np.linalg.norm([-0.74, 0.52, -0.42]))
GRAPES_AT = np.array([-1.02, 0.24, -0.95], np.float32)

Field = Callable[[Array], Array]


def paint(rng: np.random.Generator) -> Array:
    """(683, 1024, 3)."""
    scene = Scene(rng)
    total = np.zeros((*SHAPE, 3), np.float32)
    for _ in range(SAMPLES):
        origin, direction = _camera(rng)
        light = [
            scene.radiance(o, d)
            for o, d in zip(np.array_split(origin, 24), np.array_split(direction, 24), strict=True)
        ]
        total += np.concatenate(light).reshape(total.shape) / SAMPLES
    return _develop(total, rng)


def _camera(rng: np.random.Generator) -> tuple[Array, Array]:
    height, width = SHAPE
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x = (x + rng.random(x.shape, np.float32) - width / 2) / (width / 2)
    y = -(y + rng.random(y.shape, np.float32) - height / 2) / (width / 2)
    forward = (TARGET - EYE) / np.linalg.norm(TARGET - EYE)
    right = np.cross(np.array([0, 1, 0]), forward)
    right /= np.linalg.norm(right)
    up = np.cross(forward, right)
    towards = x[..., None] * right + y[..., None] * up + FOCAL * 2 * forward
    point = EYE + towards * (FOCUS / (2 * FOCAL))
    phi, r = 2 * np.pi * rng.random(x.shape), LENS * np.sqrt(rng.random(x.shape))
    origin = EYE + (r * np.cos(phi))[..., None] * right + (r * np.sin(phi))[..., None] * up
    direction = point - origin
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    return origin.reshape(-1, 3).astype(np.float32), direction.reshape(-1, 3).astype(np.float32)


class Scene:
    """Distance fields of the things on the table, and what they are made of."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.rough = noise((512, 512), rng, 2.6)
        self.fine = noise((512, 512), rng, 1.4)
        self.grain = noise((512, 512), rng, 1.6, stretch=14)
        self.rings = noise((512, 512), rng, 3.2, stretch=5)
        steps = rng.normal(0, 1, (60, 3))
        berries = (
            GRAPES_AT
            + steps
            / np.linalg.norm(steps, axis=1, keepdims=True)
            * [0.52, 0.16, 0.30]
            * rng.random((60, 1)) ** 0.4
        )
        berries[:, 1] = np.maximum(berries[:, 1], 0.15)
        self.berries = berries.astype(np.float32)
        self.things: list[Field] = [
            self._table,
            lambda p: np.asarray(WALL - p[:, 2]),
            _apple((-0.12, 0.40, 0.15), 0.46, 0.25),
            _apple((0.78, 0.37, -0.30), 0.43, -0.35),
            _pear((0.42, 0.44, 0.75), 0.47),
            _orange((-0.78, 0.40, -0.05), 0.40),
            _orange((1.42, 0.38, 0.10), 0.38),
            _lemon((0.10, 0.27, -0.85), 0.26, 0.5),
            self._grapes,
            _jug((-1.55, 0.0, 0.85)),
            _bottle((1.85, 0.0, 1.05)),
        ]

    def distance(self, p: Array) -> Array:
        out = self.things[0](p)
        for thing in self.things[1:]:
            out = np.minimum(out, thing(p))
        return out

    def radiance(self, origin: Array, direction: Array) -> Array:
        """Linear light along each ray, (N, 3)."""
        traveled = self._march(origin, direction, 5.0, 14.0, 70)
        p = origin + traveled[:, None] * direction
        each = np.stack([thing(p) for thing in self.things])
        kind = np.argmin(each, axis=0)
        normal = self._normal(p)
        albedo, gloss, normal = self._material(p, normal, kind)
        jitter = self.rng.normal(0, 0.010, p.shape).astype(np.float32)
        sun = SUN + jitter
        facing = np.clip((normal * SUN).sum(axis=1), 0, 1)
        window = self._window(p)
        lit = facing * window
        needs = np.flatnonzero(lit > 0.004)
        start = p[needs] + 0.02 * normal[needs]
        free = self._march(start, sun[needs], 0.0, 5.0, 40)
        lit[needs] *= free > 4.9
        near = np.ones(len(p), np.float32)
        for reach, weight in ((0.08, 1.6), (0.22, 0.9), (0.5, 0.45), (1.0, 0.16)):
            near -= weight * np.clip(reach - self.distance(p + reach * normal), 0, 1)
        near = np.clip(near, 0.10, 1)
        sky = np.clip(0.5 + 0.5 * (normal @ np.array([-0.85, 0.35, -0.38], np.float32)), 0, 1) ** 1.6
        warm = np.clip(0.5 - 0.5 * normal[:, 1], 0, 1) * np.exp(-1.2 * np.clip(p[:, 1], 0, 9))
        light = lit[:, None] * color("ffdca8") ** 2.2 * 3.6
        light = light + (near * (0.10 + 0.72 * sky))[:, None] * color("b4cdf0") ** 2.2 * 0.85
        light = light + (near * warm)[:, None] * color("c89058") ** 2.2 * 0.7
        bounced = direction - 2 * (direction * normal).sum(axis=1, keepdims=True) * normal
        grazing = 0.04 + 0.96 * np.clip(1 + (direction * normal).sum(axis=1), 0, 1) ** 5
        pane = _pane(bounced)
        sparkle = np.clip((bounced * SUN).sum(axis=1), 0, 1) ** 90 * lit * 9
        shine = gloss * (grazing * (0.12 * near + 5.5 * pane * near) + 0.05 * pane + 0.25 * sparkle)
        return np.asarray(albedo * light + shine[:, None] * color("f4f0ff"), np.float32)

    def _march(self, origin: Array, direction: Array, start: float, end: float, steps: int) -> Array:
        t = np.full(len(origin), start, np.float32)
        active = np.arange(len(origin))
        for _ in range(steps):
            d = self.distance(origin[active] + t[active, None] * direction[active])
            t[active] += 0.9 * d
            active = active[(d > 0.0015) & (t[active] < end)]
            if active.size == 0:
                break
        return np.minimum(t, np.float32(end))

    def _normal(self, p: Array) -> Array:
        e = np.float32(0.004)
        corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
        n = sum(c * self.distance(p + e * c)[:, None] for c in corners)
        return np.asarray(n / (np.linalg.norm(n, axis=1, keepdims=True) + 1e-9), np.float32)

    def _table(self, p: Array) -> Array:
        return np.asarray((p[:, 1] - self._cloth(p)) * 0.75)

    def _cloth(self, p: Array) -> Array:
        """Thickness of the folded cloth on the boards."""
        x, z = p[:, 0], p[:, 2]
        edge = 0.55 * x + 0.85 * z + 0.12 * np.sin(3 * x - 1.5 * z)
        on = smoothstep(-0.42, -0.47, edge) * smoothstep(1.75, 1.70, x + 0.05 * np.sin(5 * z))
        folds = np.sin(3.1 * x + 2.0 * z + 1.3 * np.sin(1.7 * z + 0.8 * x)) + 0.5 * np.sin(
            7.3 * z - 2.9 * x + 2 * np.sin(2 * x)
        )
        return np.asarray(on * (0.065 + 0.032 * folds), np.float32)

    def _grapes(self, p: Array) -> Array:
        bound = np.linalg.norm((p - GRAPES_AT) / [1.35, 0.8, 1.0], axis=1).astype(np.float32) * 0.8 - 0.62
        out = np.maximum(bound, 0.03)
        close = np.flatnonzero(bound < 0.05)
        if close.size:
            q = p[close]
            d = np.full(close.size, 9.0, np.float32)
            for berry in self.berries:
                d = np.minimum(d, ((q - berry) ** 2).sum(axis=1))
            out[close] = np.sqrt(d) - 0.145
        return out

    def _window(self, p: Array) -> Array:
        """Where the sun passes the panes: follow it back to the window's plane x = -5."""
        t = (p[:, 0] + 5.0) / -SUN[0]
        y, z = p[:, 1] + t * SUN[1], p[:, 2] + t * SUN[2]
        u, v = (z + 4.9) / 4.6, (y - 2.9) / 3.9
        panes = np.ones_like(u)
        for center in (0.0, 1 / 3, 2 / 3, 1.0):
            panes *= smoothstep(0.022, 0.045, np.abs(u - center))
        for center in (0.0, 1 / 3, 2 / 3, 1.0):
            panes *= smoothstep(0.018, 0.038, np.abs(v - center))
        return np.asarray(panes * (u > 0) * (u < 1) * (v > 0) * (v < 1), np.float32)

    def _look(self, tile: Array, a: Array, b: Array) -> Array:
        return sample(tile, (a * 64) % 510, (b * 64) % 510)

    def _material(self, p: Array, normal: Array, kind: np.ndarray) -> tuple[Array, Array, Array]:
        """(albedo (N, 3), gloss (N,), bumped normals (N, 3))."""
        albedo = np.zeros_like(p)
        gloss = np.full(len(p), 0.5, np.float32)
        painters = [self._wood_and_cloth, self._plaster, *[self._skin] * 7, self._glaze, self._glass]
        bumps = [0.05, 0.10, 0.015, 0.015, 0.04, 0.12, 0.12, 0.09, 0.01, 0.008, 0.0]
        for k, painter in enumerate(painters):
            here = np.flatnonzero(kind == k)
            if here.size:
                albedo[here], gloss[here] = painter(p[here], normal[here], k)
                q = p[here] * (6 if k in (5, 6, 7) else 2.5)
                bump = np.stack(
                    [
                        self._look(self.fine, q[:, i] + 0.7 * q[:, (i + 1) % 3], q[:, (i + 2) % 3] + i)
                        for i in range(3)
                    ],
                    axis=1,
                )
                n = normal[here] + bumps[k] * bump
                normal[here] = n / np.linalg.norm(n, axis=1, keepdims=True)
        return albedo, gloss, normal

    def _wood_and_cloth(self, p: Array, normal: Array, kind: int) -> tuple[Array, Array]:
        x, z = p[:, 0] + 20, p[:, 2] + 20
        board = np.floor(z / 1.15)
        seam = smoothstep(0.0, 0.025, np.abs(z / 1.15 - np.round(z / 1.15)))
        rings = np.sin(9 * self._look(self.rings, z * 1.6 + 3.1 * board, x * 0.5 + 1.7 * board) + 14 * z)
        fiber = self._look(self.grain, z * 3, x * 0.8)
        wood = (
            ramp(
                0.5 + 0.17 * rings + 0.18 * fiber + 0.10 * np.sin(7 * board),
                [(0, "3a2012"), (0.4, "6e4222"), (0.7, "9a6434"), (1, "c08a50")],
            )
            ** 2.2
        )
        wood = wood * (0.25 + 0.75 * seam)[:, None]
        a, b = 0.8 * x + 0.6 * z, 0.8 * z - 0.6 * x
        stripes = np.maximum(smoothstep(0.6, 0.68, np.sin(a * 9)), smoothstep(0.6, 0.68, np.sin(b * 9)))
        weave = 0.92 + 0.05 * np.sin(a * 150) * np.sin(b * 150) + 0.03 * self._look(self.fine, x * 3, z * 3)
        linen = (
            mix(np.broadcast_to(color("ece4d4"), p.shape), color("4a6a9c"), 0.72 * stripes) ** 2.2
            * weave[:, None]
        )
        on = (self._cloth(p) > 0.004).astype(np.float32)
        return mix(wood, linen, on), 0.55 * (1 - on) + 0.02

    def _plaster(self, p: Array, normal: Array, kind: int) -> tuple[Array, Array]:
        x, y = p[:, 0] + 20, p[:, 1] + 20
        worn = 0.5 + 0.20 * self._look(self.rough, y * 0.45, x * 0.45) + 0.07 * self._look(self.fine, y, x)
        tint = ramp(worn, [(0, "6a5a4a"), (0.35, "94806a"), (0.6, "b09a7c"), (1, "ccb898")]) ** 2.2
        return tint, np.full(len(p), 0.02, np.float32)

    def _skin(self, p: Array, normal: Array, kind: int) -> tuple[Array, Array]:
        q = p + 20
        broad = self._look(self.rough, q[:, 1] * 0.9 + 0.6 * q[:, 2], q[:, 0] * 0.9)
        fine = self._look(self.fine, q[:, 1] * 2.5 + q[:, 2], q[:, 0] * 2.5 - q[:, 2])
        speckle = smoothstep(1.7, 2.2, fine)
        if kind in (2, 3):  # apples: streaks from pole to pole
            center = (-0.12, 0.15) if kind == 2 else (0.78, -0.30)
            around = np.arctan2(p[:, 2] - center[1], p[:, 0] - center[0])
            streak = self._look(self.grain, (around + 4) * 1.2, q[:, 1] * 0.8)
            cheek = 0.5 + 0.35 * np.sin(around + (2.6 if kind == 2 else 4.4)) + 0.22 * streak + 0.12 * broad
            cheek = cheek - 0.5 * smoothstep(0.66, 0.86, p[:, 1])
            tint = ramp(
                cheek,
                [(0.0, "a8b040"), (0.25, "d8b048"), (0.45, "d0582c"), (0.75, "a81c22"), (1.0, "6c0f1c")],
            )
            return mix(tint, color("e8d09a"), 0.5 * speckle) ** 2.2, np.full(len(p), 0.75, np.float32)
        if kind == 4:
            tint = ramp(
                0.5 + 0.2 * broad + 0.5 * normal[:, 0],
                [(0, "8a9a38"), (0.5, "bcb44a"), (0.8, "d8a850"), (1.0, "c87840")],
            )
            return mix(tint, color("6a4a20"), 0.6 * smoothstep(1.1, 1.7, fine)) ** 2.2, np.full(
                len(p), 0.4, np.float32
            )
        if kind in (5, 6):
            return ramp(
                0.5 + 0.15 * broad + 0.1 * fine, [(0, "d0600c"), (0.5, "ee8412"), (1, "f8a42c")]
            ) ** 2.2, np.full(len(p), 0.55, np.float32)
        if kind == 7:
            return ramp(
                0.5 + 0.18 * broad + 0.1 * fine, [(0, "d0a81c"), (0.5, "f4cc28"), (1, "fade58")]
            ) ** 2.2, np.full(len(p), 0.5, np.float32)
        bloom = np.clip(0.35 + 0.3 * broad + 0.4 * normal[:, 1], 0, 1)
        which = self._look(self.rough, np.floor(q[:, 0] * 4) * 0.7, np.floor(q[:, 2] * 4) * 0.9)
        berry = ramp(0.5 + 0.3 * which, [(0, "24102c"), (0.5, "43173c"), (1, "6c2440")])
        return mix(berry, color("7a7a9c"), 0.45 * bloom) ** 2.2, np.full(len(p), 0.7, np.float32)

    def _glaze(self, p: Array, normal: Array, kind: int) -> tuple[Array, Array]:
        around = np.arctan2(p[:, 2] - 0.85, p[:, 0] + 1.55)
        y = p[:, 1]
        crackle = self._look(self.fine, y * 1.5 + 20, around + 20)
        tint = ramp(
            0.5 + 0.12 * crackle + 0.1 * self._look(self.rough, y + 20, around + 20),
            [(0, "c8bca0"), (0.5, "e4dcc8"), (1, "f4f0e4")],
        )
        petals = np.abs(np.sin(around * 4)) * 0.30
        flower = smoothstep(0.03, 0.0, np.abs(np.abs(y - 0.95) - petals) - 0.025) * (np.abs(y - 0.95) < 0.36)
        bands = sum(smoothstep(0.028, 0.02, np.abs(y - at)) for at in (0.42, 0.50, 1.40, 1.48, 2.18))
        tint = mix(tint, color("27488c"), 0.9 * np.clip(flower + bands, 0, 1) * (0.85 + 0.1 * crackle))
        drip = smoothstep(0.26, 0.22, y - 0.05 * np.sin(around * 7))
        return mix(tint, color("8a5a38"), drip) ** 2.2, np.full(len(p), 0.85, np.float32)

    def _glass(self, p: Array, normal: Array, kind: int) -> tuple[Array, Array]:
        y = p[:, 1]
        around = np.arctan2(p[:, 2] - 1.05, p[:, 0] - 1.85)
        tint = np.broadcast_to(color("12261a"), p.shape) * (0.8 + 0.8 * np.clip(-normal[:, 0:1], 0, 1))
        wear = self._look(self.fine, y * 2 + 20, around * 2 + 20)
        label = ((y > 0.55) & (y < 1.35)).astype(np.float32) * smoothstep(1.25, 1.22, np.abs(around + 1.75))
        paper = ramp(0.6 + 0.12 * wear, [(0, "a08a60"), (1, "ecdcb4")])
        ornament = np.clip(
            smoothstep(0.02, 0.012, np.abs(np.abs(y - 0.95) - 0.34))
            + smoothstep(0.17, 0.16, np.hypot((around + 1.75) * 0.42, y - 0.98)),
            0,
            1,
        )
        paper = mix(paper, color("8a2a24"), 0.85 * ornament)
        cork = (y > 2.86).astype(np.float32)
        tint = mix(mix(tint, paper, label), color("8a2222"), smoothstep(2.30, 2.32, y))
        return mix(tint, color("7a1c20"), cork) ** 2.2, (1.25 * (1 - label) + 0.05).astype(np.float32)


def _pane(direction: Array) -> Array:
    """What a mirror sees of the window: a bright oblong with bars, to the left."""
    u = direction[:, 2] / np.minimum(direction[:, 0], -1e-3)
    v = direction[:, 1] / np.minimum(direction[:, 0], -1e-3)
    inside = smoothstep(0.55, 0.5, np.abs(u - 0.45)) * smoothstep(0.5, 0.45, np.abs(v + 0.75))
    bars = smoothstep(0.02, 0.05, np.abs(u - 0.45)) * smoothstep(0.02, 0.05, np.abs(v + 0.75))
    return np.asarray(inside * bars * (direction[:, 0] < -0.2), np.float32)


def _apple(center: tuple[float, float, float], r: float, lean: float) -> Field:
    def field(p: Array) -> Array:
        x, y, z = (p[:, i] - center[i] for i in range(3))
        x, y = np.cos(lean) * x - np.sin(lean) * y, np.sin(lean) * x + np.cos(lean) * y
        lobes = 1 + 0.015 * np.cos(5 * np.arctan2(z, x)) * np.clip(-y / r, 0, 1)
        ring = np.hypot(x, z)
        body = np.hypot(ring - 0.30 * r, y * (1 + 0.12 * y / r)) - 0.70 * r * lobes
        stalk = np.maximum(np.hypot(x - 0.12 * y, z) - 0.022, np.abs(y - 0.72 * r) - 0.36 * r)
        return np.asarray(np.minimum(body * 0.9, stalk), np.float32)

    return field


def _pear(center: tuple[float, float, float], r: float) -> Field:
    def field(p: Array) -> Array:
        x, y, z = (p[:, i] - center[i] for i in range(3))
        x = x + 0.10 * np.clip(y, 0, 2) ** 2
        a, b = np.sqrt(x**2 + y**2 + z**2) - r, np.sqrt(x**2 + (y - 1.35 * r) ** 2 + z**2) - 0.50 * r
        h = np.clip(0.5 + 0.5 * (b - a) / 0.30, 0, 1)
        body = b * (1 - h) + a * h - 0.30 * h * (1 - h)
        stalk = np.maximum(np.hypot(x - 0.2 * (y - 0.9), z) - 0.022, np.abs(y - 2.0 * r) - 0.28 * r)
        return np.asarray(np.minimum(body * 0.9, stalk), np.float32)

    return field


def _orange(center: tuple[float, float, float], r: float) -> Field:
    def field(p: Array) -> Array:
        x, y, z = (p[:, i] - center[i] for i in range(3))
        dimple = 0.03 * np.exp(-(x**2 + z**2) / 0.004) * (y > 0)
        return np.asarray(np.sqrt(x**2 + (y * 1.06) ** 2 + z**2) - r + dimple, np.float32)

    return field


def _lemon(center: tuple[float, float, float], r: float, turn: float) -> Field:
    def field(p: Array) -> Array:
        x, y, z = (p[:, i] - center[i] for i in range(3))
        along, across = np.cos(turn) * x + np.sin(turn) * z, np.cos(turn) * z - np.sin(turn) * x
        off = np.hypot(y, across)
        body = np.sqrt(along**2 / 1.7 + off**2) - r
        tip = np.sqrt((np.abs(along) - 1.30 * r) ** 2 + off**2) - 0.20 * r
        h = np.clip(0.5 + 0.5 * (tip - body) / 0.12, 0, 1)
        return np.asarray((tip * (1 - h) + body * h - 0.12 * h * (1 - h)) * 0.8, np.float32)

    return field


def _turned(center: tuple[float, float, float], heights: list[float], radii: list[float]) -> Field:
    """A body of revolution from a smooth profile."""
    y = np.linspace(heights[0], heights[-1], 400)
    profile = np.interp(y, heights, radii)
    for _ in range(60):
        profile[1:-1] = (profile[:-2] + 2 * profile[1:-1] + profile[2:]) / 4
    for_steep = 1 / np.sqrt(1 + np.gradient(profile, y).clip(-3, 3) ** 2)

    def field(p: Array) -> Array:
        radius = np.hypot(p[:, 0] - center[0], p[:, 2] - center[2])
        side = (radius - np.interp(p[:, 1], y, profile)) * np.interp(p[:, 1], y, for_steep) * 0.85
        return np.maximum(side, p[:, 1] - heights[-1]).astype(np.float32)

    return field


def _jug(center: tuple[float, float, float]) -> Field:
    body = _turned(
        center,
        [0.0, 0.1, 0.5, 0.95, 1.4, 1.75, 2.0, 2.25, 2.32],
        [0.40, 0.46, 0.70, 0.80, 0.68, 0.42, 0.36, 0.48, 0.52],
    )

    def field(p: Array) -> Array:
        x, y, z = p[:, 0] - center[0] + 0.62, p[:, 1] - 1.62, p[:, 2] - center[2]
        handle = np.hypot(np.hypot(x, y * 0.85) - 0.42, z) - 0.07
        throat = 0.27 - np.hypot(p[:, 0] - center[0], p[:, 2] - center[2])
        hollow = np.maximum(body(p), np.where(p[:, 1] > 2.0, throat, -1.0))
        return np.asarray(np.minimum(hollow, handle * 0.85), np.float32)

    return field


def _bottle(center: tuple[float, float, float]) -> Field:
    return _turned(
        center,
        [0.0, 0.05, 1.6, 1.85, 2.1, 2.7, 2.75, 2.85, 2.9],
        [0.36, 0.40, 0.40, 0.36, 0.17, 0.145, 0.18, 0.18, 0.14],
    )


def _develop(linear: Array, rng: np.random.Generator) -> Array:
    """Bloom, a filmic curve, vignette and grain: linear light to sRGB."""
    x = filmic((linear + 0.12 * blur(np.clip(linear - 0.8, 0, 4), 9)) * 1.15)
    y, xx = grid(SHAPE)
    vignette = 1 - 0.28 * (np.hypot(xx - 0.75, y - 0.5) / 0.9) ** 2.5
    out = np.clip(x * vignette[..., None], 0, 1) ** (1 / 2.2)
    return np.asarray(out + 0.012 * noise(SHAPE, rng, 0.3)[..., None], np.float32)
