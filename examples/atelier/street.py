"""Photograph: a street at night after rain. Rays meet planes: ground, two rows of houses, one across the end.

The wet ground sends rays on, scattered by its cobbles, so that lamps and windows streak towards the eye.
People and lamp posts are flat shapes facing the camera. Meters; x right, y up, z along the street.
"""

from __future__ import annotations

import numpy as np

from atelier.tools import Array, Rng, blur, color, filmic, grid, mix, noise, ramp, sample, smoothstep
from atelier.trace import Camera, vector

SHAPE = (1024, 1536)
LEFT, RIGHT, END = -6.5, 7.5, 62.0
LAMPS = [(x, 4.4, z) for z in (10.5, 21.5, 33.0, 45.0, 56.0) for x in (-4.3, 5.3)]
PEOPLE = [  # x, z, size, umbrella, coat
    (1.55, 9.2, 1.00, True, "38303a"), (2.25, 9.5, 0.93, False, "4a2c2c"),
    (-3.4, 14.5, 1.03, False, "20262e"), (5.9, 17.5, 0.97, True, "243038"),
    (-1.6, 24.0, 1.00, True, "3a2a24"), (-5.3, 21.0, 0.95, False, "2c2c34"),
    (3.2, 30.0, 1.00, False, "2a2a30"), (0.6, 38.0, 1.00, True, "30282c"),
    (-3.8, 40.0, 0.98, False, "28282e"),
]  # fmt: skip
WARM = color("ffbe78") ** 2.2


class Street:
    """What rays meet."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.dice = rng.random((97, 89, 4)).astype(np.float32)
        self.rough = noise((512, 512), rng, 2.4, coarsest=4)
        self.fine = noise((512, 512), rng, 1.2, coarsest=8)

    def look(self, tile: Array, a: Array, b: Array) -> Array:
        return sample(tile, (a * 40) % 510, (b * 40) % 510)

    def roll(self, a: Array, b: Array) -> Array:
        return self.dice[a.astype(np.intp) % 97, b.astype(np.intp) % 89]

    def radiance(self, eye: Array, direction: Array, bounces: int) -> Array:
        """Linear light (N, 3) that arrives along the rays from ``eye`` (N, 3)."""
        dx, dy, dz = (np.where(np.abs(d) < 1e-5, 1e-5, d) for d in direction.T)
        far = np.float32(1e6)
        to_ground = np.where(dy < 0, -eye[:, 1] / dy, far)
        to_side = np.where(dx < 0, (LEFT - eye[:, 0]) / dx, (RIGHT - eye[:, 0]) / dx)
        to_end = np.where(dz > 0, (END - eye[:, 2]) / dz, far)
        t = np.minimum(np.minimum(to_ground, to_side), to_end)
        p = eye + t[:, None] * direction
        light = self._sky(direction)
        ground = to_ground <= t
        for k, wall in enumerate((~ground & (to_side <= to_end), ~ground & (to_end < to_side))):
            here = np.flatnonzero(wall)
            q = p[here]
            along = q[:, 0] + 300 if k else q[:, 2] + np.where(q[:, 0] < 0, 100.0, 200.0)
            inward = vector(0, 0, -1) if k else np.where(q[:, :1] < 0, vector(1, 0, 0), vector(-1, 0, 0))
            house, there = self._houses(q, along.astype(np.float32), np.broadcast_to(inward, q.shape))
            light[here] = np.where(there[:, None], house, light[here])
        here = np.flatnonzero(ground)
        light[here] = self._ground(p[here], direction[here], bounces)
        mist = 1 - np.exp(-np.minimum(t, 90) / 160)
        light = mix(light, color("4a4450") ** 2.2 * 0.55, mist * (t < 1e5))
        return self._flat_shapes(eye, direction, t, light)

    def _sky(self, direction: Array) -> Array:
        up = np.clip(direction[:, 1], 0, 1)
        clouds = self.look(self.rough, direction[:, 1] * 5 + 3, direction[:, 0] * 4 + 3)
        sky = ramp(up, [(0, "6a5560"), (0.12, "3c3f5a"), (0.35, "1e2a48"), (1, "0e1630")]) ** 2.2
        return np.asarray(sky * (1 + 0.35 * np.tanh(clouds))[:, None] * 0.9, np.float32)

    def lamplight(self, p: Array, normal: Array | None) -> Array:
        """Light (N, 3) of the lamps on a surface; without a normal, on something round."""
        total = np.zeros(len(p), np.float32)
        for lamp in LAMPS:
            to = np.array(lamp, np.float32) - p
            square = (to * to).sum(axis=1) + 0.6
            facing = 0.5 if normal is None else np.clip((to * normal).sum(axis=1) / np.sqrt(square), 0, 1)
            total += 6.0 * facing / square
        return np.asarray(total[:, None] * WARM + 0.10 * color("5a6a9c") ** 2.2, np.float32)

    def _houses(self, p: Array, along: Array, inward: Array) -> tuple[Array, Array]:
        """Light of facades (N, 3), and where there is a house rather than sky."""
        y = p[:, 1]
        plot = np.floor(along / 9.0)
        dice = self.roll(plot, plot * 0 + 7)
        x = along - plot * 9.0
        tall = 11.5 + 6.0 * dice[:, 0]
        gable = np.maximum(0, 2.4 - 0.9 * np.abs(x - 4.5)) * (dice[:, 1] > 0.55)
        there = y < tall + gable
        plaster = ramp(
            dice[:, 2], [(0, "8a6a52"), (0.3, "b09a7c"), (0.55, "96544a"), (0.8, "7c8478"), (1, "c0b49c")]
        )
        stain = 1 + 0.12 * self.look(self.rough, y * 0.4, along * 0.4) + 0.06 * self.look(self.fine, y, along)
        albedo = plaster**2.2 * stain[:, None]
        edge = np.minimum(x, 9.0 - x)
        storey = 3.2
        floor = np.floor((y - 4.3) / storey)
        ledge = (np.abs(y - 4.1) < 0.14) | (np.abs(y - tall) < 0.22)
        albedo = mix(albedo, plaster**2.2 * 1.3, 0.8 * ledge)
        albedo = albedo * (0.55 + 0.45 * smoothstep(0.0, 0.12, edge))[:, None]
        light = albedo * self.lamplight(p, inward)
        light = light + albedo * (np.exp(-np.clip(y, 0, 30) / 2.6) * 0.12)[:, None] * WARM

        column = np.floor((x - 0.45) / 2.03)
        u, v = x - 0.45 - (column + 0.5) * 2.03, y - 4.3 - floor * storey - 1.45
        upper = (floor >= 0) & (column >= 0) & (column < 4) & (y < tall - 0.7)
        frame = upper & (np.abs(u) < 0.70) & (np.abs(v) < 1.12)
        pane = upper & (np.abs(u) < 0.56) & (np.abs(v) < 0.98)
        bars = (np.abs(u) < 0.045) | (np.abs(v - 0.25) < 0.045)
        own = self.roll(plot * 5 + column, floor * 3 + plot)
        lit = own[:, 0] < 0.42
        glow = ramp(own[:, 1], [(0, "ff9a3c"), (0.5, "ffc878"), (0.85, "fff0c8"), (1, "b4d4ff")]) ** 2.2
        curtain = 0.55 + 0.45 * smoothstep(0.15, 0.45, np.abs(u)) * (0.75 + 0.25 * np.sin(u * 38))
        room = 1.0 - 0.45 * smoothstep(0.2, -0.9, v) + 0.25 * self.look(self.rough, v + own[:, 2] * 9, u + 5)
        bright = glow * (1.9 * (0.35 + 0.65 * own[:, 3]) * curtain * room)[:, None]
        dark = np.broadcast_to(color("1c2638") ** 2.2 * 0.5, bright.shape)
        light = np.where(frame[:, None], light * 1.3 + 0.008, light)
        sill = upper & (np.abs(u) < 0.82) & (np.abs(v + 1.16) < 0.07)
        light = np.where(sill[:, None], light * 1.6 + 0.01, light)
        light = np.where(pane[:, None], np.where(lit[:, None], bright, dark), light)
        light = np.where((pane & bars)[:, None], light * 0.12, light)

        shop = self.roll(plot * 3, plot * 0 + 2)
        inside = (np.abs(x - 4.5) < 3.9) & (y > 0.55) & (y < 3.15)
        mullion = np.abs(np.mod(x - 0.6, 1.95) - 0.98) > 0.90
        open_ = shop[:, 0] < 0.86
        tint = ramp(shop[:, 1], [(0, "ff9848"), (0.4, "ffc070"), (0.7, "ffd8a0"), (1, "ff9878")]) ** 2.2
        lamps = np.exp(-((np.mod(x, 1.3) - 0.65) ** 2) / 0.10 - np.clip(2.9 - y, 0, 9) * 1.1)
        room = (
            0.55 + 0.12 * self.look(self.rough, y + 2, along) + 0.9 * lamps - 0.25 * smoothstep(1.6, 0.6, y)
        )
        window = tint * (1.25 * room)[:, None]
        shelf, place = np.floor((y - 0.6) / 0.62), np.floor(along / 0.36)
        item = self.roll(place + 31, shelf + plot * 2)
        a, b = along - (place + 0.5) * 0.36, y - 0.6 - shelf * 0.62
        thing = (np.abs(a) < 0.05 + 0.10 * item[:, 1]) & (b < 0.16 + 0.34 * item[:, 0]) & (shelf < 3)
        thing &= np.hypot(a, np.maximum(b - 0.05 - 0.34 * item[:, 0], 0)) < 0.13
        wares = ramp(
            item[:, 2], [(0, "6a2a20"), (0.3, "c88a3a"), (0.55, "3a5a50"), (0.8, "c8b8a0"), (1, "4a2a44")]
        )
        window = np.where(thing[:, None], wares**2.2 * (0.75 * room)[:, None] * tint * 1.6, window)
        window = np.where(((b > 0.57) & (shelf < 3))[:, None], window * 0.35, window)
        shutter = 0.35 + 0.15 * np.sin(y * 42) + 0.06 * self.look(self.rough, y, along)
        closed = color("6a6c70") ** 2.2 * shutter[:, None] * self.lamplight(p, inward)
        window = np.where(open_[:, None], window, closed)
        window = np.where(mullion[:, None], window * 0.10, window)
        light = np.where(inside[:, None], window, light)
        sign = (np.abs(x - 4.5) < 3.0) & (np.abs(y - 3.55) < 0.24)
        hue = ramp(shop[:, 2], [(0, "2a8a7a"), (0.35, "c03a34"), (0.7, "3a5ab8"), (1, "d89a2c")]) ** 2.2
        letters = (np.abs(y - 3.55) < 0.12) & (np.abs(x - 4.5) < 1.9)
        letters &= self.roll(np.floor(along * 5.5), np.floor(y * 11))[:, 0] < 0.55
        neon = hue * np.where(letters, 3.0, 0.18)[:, None]
        return np.where((sign & open_)[:, None], neon, light).astype(np.float32), there

    def _ground(self, p: Array, direction: Array, bounces: int) -> Array:
        x, z = p[:, 0], p[:, 2]
        walk = smoothstep(-3.35, -3.40, x) + smoothstep(4.35, 4.40, x)
        row = np.floor(z / 0.26)
        across = x / 0.34 + 0.5 * np.mod(row, 2)
        stone = self.roll(np.floor(across) + 500, row + 40)
        a, b = across - np.floor(across) - 0.5, z / 0.26 - row - 0.5
        joint = np.maximum(np.abs(a), np.abs(b))
        slab = np.maximum(np.abs(np.mod(x, 0.9) / 0.9 - 0.5), np.abs(np.mod(z, 0.9) / 0.9 - 0.5))
        tone = 0.45 + 0.22 * (stone[:, 0] - 0.5) + 0.06 * self.look(self.fine, z, x)
        albedo = ramp(tone, [(0, "2c2a2c"), (0.5, "5a5654"), (1, "7a746c")]) ** 2.2
        gaps = (1 - walk) * smoothstep(0.38, 0.48, joint) + walk * smoothstep(0.47, 0.49, slab)
        albedo = albedo * (1 - 0.75 * gaps)[:, None] * np.where(walk > 0.5, 1.2, 1.0)[:, None]
        curb = np.minimum(np.abs(x + 3.38), np.abs(x - 4.38)) < 0.09
        albedo = np.where(curb[:, None], color("8a847c") ** 2.2, albedo)
        shops = np.exp(-(x - LEFT) / 1.8) + np.exp(-(RIGHT - x) / 1.8)
        light = self.lamplight(p, np.broadcast_to(vector(0, 1, 0), p.shape)) + (0.55 * shops)[:, None] * WARM
        out = albedo * light
        if bounces == 0:
            return np.asarray(out + 0.02 * WARM, np.float32)
        puddle = smoothstep(0.15, 0.75, self.look(self.rough, z * 0.30, x * 0.42)) * (1 - 0.6 * walk)
        still = 1 - 0.90 * puddle
        steep = (1 - walk) * still * 0.16
        ripple = 0.012 * self.look(self.fine, z * 2.2, x * 2.2)
        total = np.zeros_like(p)
        for _ in range(3):
            scatter = self.rng.normal(0, 1, (len(p), 2)).astype(np.float32)
            nx = steep * a + ripple * still + 0.010 * scatter[:, 0] * still
            nz = steep * 1.1 * b + ripple + 0.055 * scatter[:, 1] * still
            normal = np.stack([nx, np.ones_like(nx), nz], axis=1)
            normal /= np.linalg.norm(normal, axis=1, keepdims=True)
            bounced = direction - 2 * (direction * normal).sum(axis=1, keepdims=True) * normal
            bounced[:, 1] = np.abs(bounced[:, 1]) + 1e-4
            total += self.radiance(p + vector(0, 0.01, 0), bounced.astype(np.float32), 0) / 3
        facing = np.clip(-direction[:, 1], 0, 1)
        fresnel = 0.06 + 0.94 * (1 - facing) ** 4
        strength = fresnel * (0.50 + 0.42 * puddle) * (1 - 0.55 * gaps * still) * (1 - 0.25 * walk)
        return np.asarray(out * (1 - 0.5 * strength)[:, None] + total * strength[:, None], np.float32)

    def _flat_shapes(self, eye: Array, direction: Array, t: Array, light: Array) -> Array:
        """Posts and people, from the farthest to the nearest."""
        shapes: list[tuple[float, float, object]] = [(z, x, None) for x, _, z in LAMPS]
        shapes += [(person[1], person[0], person) for person in PEOPLE]
        for z, x, person in sorted(shapes, key=lambda s: -s[0]):
            k = (z - eye[:, 2]) / np.where(np.abs(direction[:, 2]) < 1e-5, 1e-5, direction[:, 2])
            px, py = eye[:, 0] + k * direction[:, 0] - x, eye[:, 1] + k * direction[:, 1]
            here = np.flatnonzero((k > 0.05) & (k < t) & (np.abs(px) < 1.0) & (py > 0) & (py < 5.2))
            if not here.size:
                continue
            px, py = px[here], py[here]
            if person is None:
                cover, ink = _post(px, py)
            else:
                cover, ink = _person(px, py, person)
                at = eye[here] + k[here, None] * direction[here]
                ink = ink * (self.lamplight(at, None) * 1.0 + 0.05 * WARM)
            light[here] = mix(light[here], ink, cover)
        return light


def _post(x: Array, y: Array) -> tuple[Array, Array]:
    """Coverage (N,) and light (N, 3) of a lamp post with a lantern."""
    thin = 0.055 + 0.05 * (y < 1.0) + 0.05 * (y < 0.35)
    post = smoothstep(0.012, -0.012, np.abs(x) - thin) * (y < 4.05)
    roof = (np.abs(x) < 0.30 - 0.75 * (y - 4.72)) & (y > 4.72) & (y < 5.05)
    lantern = (np.abs(x) < 0.13 + 0.17 * (y - 4.05)) & (y > 4.05) & (y <= 4.72)
    bars = np.abs(np.abs(x) - (0.12 + 0.17 * (y - 4.05))) < 0.018
    cover = np.clip(post + roof + lantern, 0, 1)
    shine = np.where(lantern & ~bars, 9.0 * np.exp(-(((y - 4.38) / 0.28) ** 2)) + 2.0, 0.0)
    metal = np.broadcast_to(color("16181c") ** 2.2, (len(x), 3))
    return cover.astype(np.float32), np.asarray(metal + shine[:, None] * color("ffd49a") ** 2.2, np.float32)


def _person(x: Array, y: Array, person: tuple[float, float, float, bool, str]) -> tuple[Array, Array]:
    """Coverage (N,) and albedo (N, 3) of somebody in a coat who walks away or comes near."""
    _, z, size, umbrella, coat = person
    x, y = x / size, y / size
    swing = 0.10 * np.sin(z * 7)
    head = np.hypot(x / 0.95, (y - 1.62) / 1.15) - 0.105
    neck = np.maximum(np.abs(x) - 0.05, np.abs(y - 1.50) - 0.07)
    hang = np.interp(y, [0.62, 1.0, 1.25, 1.42, 1.50], [0.27, 0.195, 0.22, 0.20, 0.08])
    body = np.maximum(np.abs(x) - hang, np.abs(y - 1.06) - 0.44)
    arms = np.minimum(np.abs(x + 0.235), np.abs(x - 0.235)) - 0.058
    arms = np.maximum(arms, np.abs(y - 1.10) - 0.29)
    stride = swing * (0.72 - y) / 0.72
    legs = np.minimum(np.abs(x - 0.095 - stride), np.abs(x + 0.095 + stride)) - (0.055 + 0.045 * y)
    legs = np.maximum(legs, np.abs(y - 0.34) - 0.34)
    all_ = np.minimum(np.minimum(np.minimum(head, neck), np.minimum(body, arms)), legs)
    albedo = np.broadcast_to(color(coat) ** 2.2 * 0.9, (len(x), 3))
    albedo = np.where((head < 0.03)[:, None], color("6a4a3a") ** 2.2, albedo)
    albedo = np.where((y < 0.66)[:, None], color("20222a") ** 2.2, albedo)
    folds = 1 + 0.35 * np.sin(x * 21 + 3 * y) + 1.3 * smoothstep(0.03, 0.22, np.abs(x))
    albedo = albedo * folds[:, None]
    if umbrella:
        top = np.maximum(np.hypot((x - 0.12) / 0.66, (y - 1.78) / 0.40) - 1, (1.80 - y) * 3) * 0.4
        scallop = top + 0.02 * np.cos((x - 0.12) * 19)
        stick = np.maximum(np.abs(x - 0.12) - 0.012, np.abs(y - 1.55) - 0.45)
        albedo = np.where(
            (scallop < 0.0)[:, None],
            color("7a2630") ** 2.2 * (0.6 + 0.5 * np.abs(np.cos(x * 9)))[:, None],
            albedo,
        )
        all_ = np.minimum(all_, np.minimum(scallop, stick))
    return smoothstep(0.012, -0.012, all_), np.asarray(albedo, np.float32)


def paint(rng: Rng, shape: tuple[int, int] = SHAPE) -> Array:
    """``shape`` + (3,)."""
    camera = Camera(vector(-0.6, 1.75, 0.0), vector(0.35, 2.25, 12.0), 1.02, shape)
    street = Street(rng)
    direction = camera.rays()
    eye = np.broadcast_to(camera.eye, direction.shape)
    parts = max(1, len(direction) // 60_000)
    pieces = zip(np.array_split(eye, parts), np.array_split(direction, parts), strict=True)
    linear = np.concatenate([street.radiance(e, d, 1) for e, d in pieces]).reshape(*shape, 3)
    return _developed(linear, rng)


def _developed(linear: Array, rng: Rng) -> Array:
    """Glow around lights, a filmic curve, vignette and grain: linear light to sRGB."""
    shape = linear.shape[:2]
    scale = shape[0] / 1024
    bright = np.clip(linear - 0.9, 0, 6)
    glow = 0.10 * blur(bright, 6 * scale) + 0.09 * blur(bright, 24 * scale) + 0.10 * blur(bright, 80 * scale)
    x = filmic((linear + glow) * 1.55)
    y, across = grid((shape[0], shape[1]))
    vignette = 1 - 0.25 * (np.hypot(across - 0.75, y - 0.5) / 0.9) ** 2.5
    out = np.clip(x * vignette[..., None], 0, 1) ** (1 / 2.2)
    return np.asarray(out + 0.016 * noise((shape[0], shape[1]), rng, 0.3)[..., None], np.float32)
