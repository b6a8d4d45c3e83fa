"""Photograph: a ginger cat on a wooden floor, in the light of a window.

A distance field gives shape, light and shadow; fur is some 150,000 short strands that grow where the eye sees
skin, combed away from the nose and along the body, in the colors of the coat.
"""

from __future__ import annotations

import numpy as np

from atelier import strands
from atelier.tools import (
    Array,
    Rng,
    blur,
    color,
    filmic,
    grid,
    mix,
    noise,
    ramp,
    sample,
    smoothstep,
)
from atelier.trace import (
    Camera,
    capsule,
    carve,
    ellipsoid,
    join,
    march,
    normals,
    occlusion,
    shadow,
    turned,
    unit,
    vector,
)

SHAPE = (1024, 1536)
HEAD, TURN, TILT = vector(-0.30, 1.58, -0.42), 0.16, 0.10
WINDOW = unit(-0.70, 0.58, -0.42)
EYE_AT = vector(0.232, 0.050, -0.415)
EYE_RADIUS = 0.165
NOSE = vector(0.0, -0.10, -0.66)
FUR = 150_000


AXES = turned(TURN, TILT)


def to_head(p: Array) -> Array:
    return np.asarray((p - HEAD) @ AXES.T, np.float32)


def _mirrored(q: Array) -> Array:
    m = q.copy()
    np.abs(m[:, 0], out=m[:, 0])
    return m


def _lids(m: Array) -> Array:
    """Positive in the open eye, in decimeters from the rim."""
    u, v = m[:, 0] - EYE_AT[0], m[:, 1] - EYE_AT[1]
    u, v = u + 0.22 * v, v - 0.26 * u
    bow = np.clip(1 - (u / 0.160) ** 2, -1, 1)
    return np.asarray(np.minimum(v + 0.096 * bow, 0.106 * bow - v), np.float32)


def _head(q: Array) -> Array:
    m = _mirrored(q)
    d = ellipsoid(m, vector(0, 0.03, 0), vector(0.59, 0.57, 0.55))
    d = join(d, ellipsoid(m, vector(0.34, -0.17, -0.10), vector(0.34, 0.27, 0.34)), 0.2)
    d = join(d, capsule(m, vector(0, 0.14, -0.46), vector(0, -0.09, -0.575), 0.115, 0.075), 0.14)
    d = join(d, ellipsoid(m, vector(0.105, -0.205, -0.515), vector(0.150, 0.118, 0.135)), 0.05)
    d = join(d, ellipsoid(m, vector(0, -0.325, -0.455), vector(0.12, 0.085, 0.11)), 0.05)
    eye = m - EYE_AT
    ball = np.sqrt((eye * eye).sum(axis=1))
    d = join(d, ball - EYE_RADIUS - 0.016, 0.06)
    d = carve(d, np.maximum(np.maximum(-_lids(m) * 0.8, ball - 0.3), eye[:, 2]), 0.015)
    ear = capsule(m, vector(0.36, 0.30, 0.00), vector(0.50, 0.90, 0.02), 0.260, 0.030)
    hollow = capsule(m, vector(0.365, 0.27, -0.27), vector(0.50, 0.87, -0.09), 0.245, 0.030)
    ear = np.maximum(carve(ear, hollow, 0.05), -m[:, 2] - 0.22)
    d = join(d, ear, 0.07)
    return join(d, ellipsoid(m, NOSE, vector(0.060, 0.042, 0.04)), 0.02)


def _body(p: Array) -> Array:
    d = ellipsoid(p, vector(-0.18, 0.78, 0.12), vector(0.66, 0.74, 0.58))
    d = join(d, ellipsoid(p, vector(0.45, 0.74, 0.75), vector(0.88, 0.73, 0.85)), 0.3)
    d = join(d, ellipsoid(p, vector(1.00, 0.66, 1.05), vector(0.85, 0.74, 0.85)), 0.3)
    d = join(d, ellipsoid(p, vector(1.15, 0.36, 0.35), vector(0.50, 0.36, 0.42)), 0.2)
    d = join(d, capsule(p, vector(-0.27, 1.25, -0.1), vector(-0.24, 0.85, 0.1), 0.46, 0.55), 0.2)
    for x, z in ((-0.52, -0.72), (0.08, -0.80)):
        leg = capsule(p, vector(x * 0.9, 0.30, 0.1), vector(x, 0.165, z), 0.22, 0.150)
        for toe in (-0.085, 0.0, 0.085):
            leg = join(
                leg, ellipsoid(p, vector(x + toe, 0.115, z - 0.115), vector(0.062, 0.085, 0.10)), 0.035
            )
        d = join(d, leg, 0.10)
    bends = [
        (1.75, 0.22, 0.95),
        (1.80, 0.19, 0.35),
        (1.50, 0.17, -0.20),
        (1.00, 0.16, -0.48),
        (0.55, 0.15, -0.52),
    ]
    tail = np.full(len(p), 9.0, np.float32)
    for k in range(4):
        tail = join(tail, capsule(p, vector(*bends[k]), vector(*bends[k + 1]), 0.19 - 0.012 * k), 0.05)
    return join(d, tail, 0.06)


def _fur(p: Array) -> Array:
    return join(_body(p), _head(to_head(p)), 0.10)


def _eyeballs(p: Array) -> Array:
    m = _mirrored(to_head(p)) - EYE_AT
    return np.asarray(np.sqrt((m * m).sum(axis=1)) - EYE_RADIUS, np.float32)


def cat(p: Array) -> Array:
    bound = np.linalg.norm((p - vector(0.45, 1.0, 0.3)) / 2.05, axis=1) - 1
    near = np.flatnonzero(bound < 0.1)
    out = np.asarray(0.1 + bound, np.float32)
    out[near] = np.minimum(_fur(p[near]), _eyeballs(p[near]))
    return out


def paint(rng: Rng, shape: tuple[int, int] = SHAPE) -> Array:
    """``shape`` + (3,)."""
    camera = Camera(vector(-0.5, 2.0, -9.0), vector(0.22, 1.12, 0.0), 2.75, shape)
    tiles = noise((512, 512), rng, 2.4, coarsest=4), noise((512, 512), rng, 1.3, coarsest=8)
    direction = camera.rays()
    t = march(cat, camera.eye, direction, 7.0, 13.0)
    linear = _room(camera, direction, tiles, rng)
    here = np.flatnonzero(t < 12.9)
    p = camera.eye + t[here, None] * direction[here]
    normal = normals(cat, p)
    light = _light(p, normal)
    albedo, shine, hairy = _coat(p, direction[here], normal, tiles)
    flat = linear.reshape(-1, 3)
    flat[here] = albedo * light * np.where(hairy > 0, 0.55, 1.0)[:, None] + shine
    picture = _tone(flat.reshape(linear.shape))
    depth = t.reshape(shape)

    grown = np.flatnonzero(hairy > 0)
    count = round(FUR * min(1.0, shape[0] / SHAPE[0]))  # a small picture needs fewer strands
    pick = grown[rng.integers(0, len(grown), count)]
    curves, long_ = _combed(p[pick], normal[pick], hairy[pick], rng)
    tip = np.linspace(0.80, 1.20, curves.shape[1] - 1, dtype=np.float32)
    tint = np.exp(rng.normal(0, 0.17, (count, 1, 1))).astype(np.float32)
    diffuse, glint = strands.shade(curves, WINDOW, camera.eye, 24)
    lit = light[pick][:, None] * (0.55 + 0.55 * diffuse)[..., None]
    inks = albedo[pick][:, None] * lit * tint * tip[:, None]
    inks = inks + (0.05 * glint)[..., None] * light[pick][:, None]
    width = (0.5 + 0.5 * (long_ > 0.10)) * shape[0] / 1024
    picture = strands.draw(picture, depth, camera.project(curves), _tone(inks), width)
    whiskers, white = _whiskers(rng)
    picture = strands.draw(picture, depth + 9, camera.project(whiskers), white, 1.1 * shape[0] / 1024)
    y, x = grid(shape)
    vignette = 1 - 0.22 * (np.hypot(x - 0.75, y - 0.5) / 0.9) ** 2.5
    return np.asarray(picture * vignette[..., None] + 0.012 * noise(shape, rng, 0.4)[..., None], np.float32)


def _light(p: Array, normal: Array) -> Array:
    near = occlusion(_all, p, normal, (0.06, 0.16, 0.4, 0.8))
    window = shadow(cat, p + 0.03 * normal, WINDOW, 3.0, 3.5)
    facing = np.clip((normal @ WINDOW + 0.22) / 1.22, 0, 1) * window
    light = facing[:, None] * color("fff0d8") ** 2.2 * 2.1
    light = (
        light + (near * (0.26 + 0.20 * normal[:, 1] - 0.10 * normal[:, 0]))[:, None] * color("cfdcf0") ** 2.2
    )
    return np.asarray(
        light + (near * np.clip(-normal[:, 1], 0, 1))[:, None] * color("c89058") ** 2.2 * 0.3, np.float32
    )


def _all(p: Array) -> Array:
    return np.minimum(cat(p), p[:, 1])


def _coat(
    p: Array, direction: Array, normal: Array, tiles: tuple[Array, Array]
) -> tuple[Array, Array, Array]:
    """Linear albedo (N, 3), mirrored light (N, 3), and the fur's length (N,), 0 on eyes and nose."""
    q = to_head(p)
    m = _mirrored(q)
    is_eye = _eyeballs(p) < _fur(p)
    on_head = _head(q) < _body(p) - 0.02
    wobble = sample(tiles[0], (p[:, 1] * 80 + 40 * p[:, 2]) % 510, (p[:, 0] * 80 + 300) % 510)
    fine = sample(tiles[1], (p[:, 1] * 170 + 90 * p[:, 2]) % 510, (p[:, 0] * 170 + 300) % 510)
    brow = np.sin(m[:, 0] * 26 - 6 * np.maximum(m[:, 1], 0) + 0.4 * wobble) * smoothstep(0.10, 0.25, m[:, 1])
    cheek = np.sin(m[:, 1] * 24 - 9 * m[:, 0] + 0.8 * wobble) * smoothstep(0.30, 0.42, m[:, 0])
    cheek *= smoothstep(0.15, 0.05, m[:, 1])
    flank = np.sin(7.5 * (p[:, 0] + 0.5 * p[:, 2]) + 1.4 * wobble + 1.2 * p[:, 1])
    tail = np.sin(9 * (p[:, 0] - 1.2 * p[:, 2]) + 0.3 * wobble)
    stripe = np.where(on_head, brow + cheek, np.where((p[:, 1] < 0.42) & (p[:, 0] > 0.5), tail, flank))
    value = 0.56 - 0.42 * smoothstep(-0.1, 0.7, stripe) + 0.07 * wobble + 0.05 * fine + 0.10 * normal[:, 1]
    albedo = ramp(value, [(0, "8a4a1c"), (0.35, "c07a38"), (0.6, "dca060"), (1, "f0cc9c")]) ** 2.2
    muzzle = smoothstep(0.23, 0.13, np.hypot(m[:, 0], (m[:, 1] + 0.24) * 1.1)) * (m[:, 2] < -0.3) * on_head
    chin = smoothstep(-0.28, -0.38, q[:, 1]) * smoothstep(0.42, 0.2, m[:, 0]) * on_head
    bib = smoothstep(0.46, 0.22, np.abs(p[:, 0] + 0.26) + 0.05 * wobble) * smoothstep(0.15, -0.25, p[:, 2])
    bib *= ~on_head & (p[:, 1] > 0.25)
    paw = smoothstep(-0.40, -0.62, p[:, 2] + 0.04 * wobble) * (p[:, 1] < 0.45) * (p[:, 0] < 0.40)
    white = np.clip(muzzle + chin + bib + paw, 0, 1)
    albedo = mix(albedo, color("f2ebe0") ** 2.2, white)
    rim = np.abs(_lids(m)) * (m[:, 2] < -0.3) + 1.0 * (m[:, 2] >= -0.3)
    around = np.hypot(m[:, 0] - EYE_AT[0], m[:, 1] - EYE_AT[1])
    albedo = mix(albedo, color("f0d8b4") ** 2.2, 0.6 * smoothstep(0.24, 0.18, around) * (m[:, 2] < -0.2))
    albedo = mix(albedo, color("3a2018") ** 2.2, smoothstep(0.024, 0.008, rim) * (around < 0.2))
    inner = smoothstep(0.40, 0.52, m[:, 1]) * (normal @ unit(0, 0, -1) > 0.35) * (m[:, 2] > -0.2) * on_head
    inner *= smoothstep(
        0.165, 0.10, np.abs(m[:, 0] - 0.38 - 0.24 * (m[:, 1] - 0.35)) + 0.20 * (m[:, 1] - 0.4)
    )
    albedo = mix(albedo, color("d8a090") ** 2.2, 0.8 * inner)
    nose = smoothstep(1.35, 1.10, np.linalg.norm((m - NOSE) / vector(0.060, 0.046, 0.06), axis=1))
    albedo = mix(albedo, color("c87a72") ** 2.2, nose)
    mouth = np.exp(-((m[:, 0] / 0.010) ** 2)) * (np.abs(q[:, 1] + 0.185) < 0.055)
    mouth += np.exp(-(((q[:, 1] + 0.245 + 0.30 * np.abs(m[:, 0] - 0.085)) / 0.012) ** 2)) * (m[:, 0] < 0.17)
    albedo = mix(albedo, color("5a302a") ** 2.2, 0.75 * np.clip(mouth, 0, 1) * (q[:, 2] < -0.5) * (1 - nose))

    length = 0.16 + 0.05 * bib
    length = np.where(on_head, 0.085 + 0.10 * smoothstep(0.28, 0.52, m[:, 0]) * (m[:, 1] < 0.1), length)
    length = np.where((p[:, 1] < 0.35) & (p[:, 2] < 0), 0.07, length)
    length *= smoothstep(0.05, 0.16, np.linalg.norm(m - NOSE, axis=1)) * np.where(
        on_head, smoothstep(0.0, 0.03, rim), 1
    )
    length = np.where(on_head & (muzzle > 0.3), 0.05, length) * (1 - 0.6 * inner)
    length = np.where(is_eye | (nose > 0.3), 0, length)

    gaze = to_head(vector(-0.5, 2.0, -9.0)[None])[0]
    gaze = 0.75 * gaze / np.linalg.norm(gaze) + vector(0, 0, -0.25)
    gaze = gaze / np.linalg.norm(gaze)
    center = EYE_AT * np.where(q[:, :1] < 0, vector(-1, 1, 1), vector(1, 1, 1))
    n = (q - center) / EYE_RADIUS
    a, b = n @ np.cross(vector(0, 1, 0), -gaze), n[:, 1] - gaze[1]
    r, angle = np.hypot(a, b), np.arctan2(b, a)
    fibers = 0.55 + 0.18 * np.sin(31 * angle + 4 * np.sin(7 * angle)) - 0.35 * smoothstep(0.35, 0.75, r)
    iris = ramp(fibers, [(0, "5a6a1c"), (0.5, "a8b044"), (1, "dcd884")])
    iris = mix(iris, color("1a1a10"), smoothstep(0.66, 0.78, r))
    iris = mix(iris, color("050505"), smoothstep(1.06, 0.94, np.hypot(a / 0.24, b / 0.52)))
    albedo = np.where(is_eye[:, None], iris**2.2, albedo)
    bounced = direction - 2 * (direction * normal).sum(axis=1, keepdims=True) * normal
    pane = smoothstep(0.30, 0.24, np.abs(bounced @ np.cross(WINDOW, unit(-1, 0, 1)))) * smoothstep(
        0.25, 0.20, np.abs(bounced @ unit(-1, 0, 1))
    )
    mirror = pane * (bounced @ WINDOW > 0.4) * 1.6 + 0.03
    wet = np.clip(bounced @ WINDOW, 0, 1) ** 12 * 0.25
    shine = np.where(is_eye, mirror, np.where(nose > 0.3, wet, 0))
    return albedo.astype(np.float32), shine[:, None] * color("f4f6ff"), length.astype(np.float32)


def _combed(p: Array, normal: Array, length: Array, rng: Rng) -> tuple[Array, Array]:
    """Curves (N, 6, 3) that start at ``p``, and their lengths (N,)."""
    nose = HEAD + vector(0.09, -0.02, -0.60)
    back = p - nose
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    body = unit(0.45, -0.75, 0.40) - 0.6 * (p[:, 2:] < -0.2) * (p[:, 1:2] < 0.5) * vector(0.3, 0.0, 1.3)
    near_head = smoothstep(1.05, 0.75, np.linalg.norm(p - HEAD, axis=1))
    flow = mix(np.broadcast_to(body, p.shape), back + vector(0, -0.25, 0), near_head)
    flow = flow + rng.normal(0, 0.16, p.shape)
    flow -= (flow * normal).sum(axis=1, keepdims=True) * normal
    flow /= np.linalg.norm(flow, axis=1, keepdims=True) + 1e-6
    long_ = (length * np.exp(rng.normal(0, 0.25, len(p))))[:, None, None]
    s = np.linspace(0, 1, 6)[None, :, None]
    lift = 0.55 * s - 0.40 * s * s
    curve = p[:, None] + long_ * (flow[:, None] * s + normal[:, None] * lift + vector(0, -0.15, 0) * s * s)
    return curve.astype(np.float32), long_[:, 0, 0].astype(np.float32)


def _whiskers(rng: Rng) -> tuple[Array, Array]:
    """Curves (N, 13, 3) and their sRGB."""
    curves = []
    s = np.linspace(0, 1, 13)[:, None]
    for side in (-1, 1):
        for k in range(9):
            root = np.array([0.15 + 0.03 * (k % 3), -0.165 - 0.03 * (k // 3), -0.60 + 0.03 * (k % 3)])
            away = np.array([1.0, 0.22 - 0.17 * (k // 3) + rng.normal(0, 0.05), -0.05 + rng.normal(0, 0.08)])
            long_ = rng.uniform(0.62, 0.95)
            curve = root + long_ * (away * s + np.array([0, -0.26, 0.30]) * s * s)
            curves.append(curve * [side, 1, 1] @ AXES + HEAD)
    points = np.array(curves, np.float32)
    fade = np.linspace(0.95, 0.80, 12)[None, :, None] * color("fbf6ee")
    return points, np.broadcast_to(fade, (len(points), 12, 3)).astype(np.float32)


def _room(camera: Camera, direction: Array, tiles: tuple[Array, Array], rng: Rng) -> Array:
    """Linear light of the floor and of a wall behind, out of focus."""
    shape = camera.shape
    t = -camera.eye[1] / np.minimum(direction[:, 1], -1e-4)
    p = camera.eye + t[:, None] * direction
    wall_at = 6.5
    floor = p[:, 2] < wall_at
    board = np.floor(p[:, 0] / 1.1 + 40)
    seam = smoothstep(0.0, 0.02, np.abs(p[:, 0] / 1.1 - np.round(p[:, 0] / 1.1)))
    fiber = sample(tiles[1], (p[:, 0] * 60 + 77 * board) % 510, (p[:, 2] * 5 + 91 * board) % 510)
    knots = sample(tiles[0], (p[:, 0] * 30 + 57 * board) % 510, (p[:, 2] * 5 + 31 * board) % 510)
    wood = (
        ramp(
            0.5 + 0.10 * fiber + 0.06 * np.sin(4 * knots) + 0.10 * np.sin(3.7 * board),
            [(0, "4a2e1c"), (0.4, "7c5432"), (0.7, "a47a4e"), (1, "c8a070")],
        )
        ** 2.2
        * (0.3 + 0.7 * seam)[:, None]
    )
    lit = np.ones((len(p), 3), np.float32) * 0.4
    near = np.flatnonzero(floor & (np.abs(p[:, 0] - 0.6) < 4.5) & (p[:, 2] < 5))
    up = np.broadcast_to(vector(0, 1, 0), p[near].shape)
    lit[near] = _light(p[near], up) * 0.75
    lit = np.where((floor & (np.abs(p[:, 0]) < 1e3))[:, None], lit, 0)
    far = np.flatnonzero(floor & ~np.isin(np.arange(len(p)), near))
    lit[far] = (2.1 * 0.75 * 0.67) * color("fff0d8") ** 2.2 + 0.3 * color("cfdcf0") ** 2.2
    k = (wall_at - camera.eye[2]) / direction[:, 2]
    q = camera.eye + k[:, None] * direction
    stripe = smoothstep(0.16, 0.22, np.abs(np.mod(q[:, 0] + 0.45 * q[:, 1] + 0.6, 2.6) - 1.3) / 1.3)
    beam = (
        smoothstep(1.0, 1.6, q[:, 1])
        * smoothstep(4.6, 3.8, q[:, 1])
        * smoothstep(-2.6, -2.0, q[:, 0] + 0.45 * q[:, 1])
    )
    beam *= smoothstep(3.8, 3.2, q[:, 0] + 0.45 * q[:, 1]) * stripe
    paint_ = ramp(
        0.5 + 0.06 * sample(tiles[0], (q[:, 1] * 20 + 99) % 510, (q[:, 0] * 20 + 255) % 510),
        [(0, "5e7478"), (1, "7e949a")],
    )
    wall = paint_**2.2 * (0.42 - 0.035 * q[:, :1] + 0.02 * q[:, 1:2] + 1.3 * beam[:, None] * color("ffe6bc"))
    wall = np.where((q[:, 1] < 0.55)[:, None], color("d8d4cc") ** 2.2 * 0.42, wall)
    sharp = np.where(floor[:, None], wood * lit, wall).reshape(*shape, 3).astype(np.float32)
    scale = shape[0] / 1024
    soft, softer = blur(sharp, 5 * scale), blur(sharp, 16 * scale)
    away = np.where(floor, np.clip((np.abs(p[:, 2] + 0.5) - 0.8) / 4, 0, 2), 2).reshape(shape)
    picture = mix(sharp, soft, np.clip(away / 0.5, 0, 1))
    return mix(picture, softer, np.clip((away - 0.5) / 0.8, 0, 1))


def _tone(linear: Array) -> Array:
    return np.asarray(np.clip(filmic(linear * 0.95), 0, 1) ** (1 / 2.2), np.float32)
