"""Photograph: a young woman in soft daylight, before a garden out of focus.

Her head is a distance field (face.py). Light that falls on the skin is blurred within the skin, red
farthest, as light that enters skin and leaves it a few millimeters away. Hair, brows and lashes are strands.
"""

from __future__ import annotations

import numpy as np

from atelier import face, strands
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
TURN, TILT = 0.21, -0.06  # of the head, in radians
STRANDS = 22_000
AXES = turned(TURN, TILT)
PIVOT = vector(0.0, -0.75, 0.15)
WINDOW, SUN = unit(-0.66, 0.46, -0.60), unit(0.72, 0.42, 0.55)


def paint(rng: Rng, shape: tuple[int, int] = SHAPE) -> Array:
    """``shape`` + (3,)."""
    camera = Camera(vector(0.1, -0.30, -14.0), vector(0.10, -0.34, 0.0), 4.15, shape)
    tiles = noise((512, 512), rng, 2.4, coarsest=4), noise((512, 512), rng, 1.2, coarsest=8)
    picture = _garden(shape, rng)
    direction = camera.rays()
    t = march(figure, camera.eye, direction, 11.5, 17.0)
    depth = t.reshape(shape)
    here = np.flatnonzero(t < 16.9)
    light, albedo, shine, skin = _surface(
        camera.eye + t[here, None] * direction[here], direction[here], tiles
    )
    layers = [np.zeros((depth.size, n), np.float32) for n in (3, 3, 3, 1)]
    for layer, values in zip(layers, (light, albedo, shine, skin), strict=True):
        layer[here] = values
    light, albedo, shine, skin = (layer.reshape(*shape, -1) for layer in layers)
    light = _scattered(light, skin[..., 0], shape[0] / 1024)
    mask = blur((depth < 16.9).astype(np.float32), 0.7)
    linear = mix(picture, albedo * light + shine, mask)
    picture = _tone(linear + 0.10 * blur(np.clip(linear - 0.75, 0, 3), 8 * shape[0] / 1024))
    share = min(1.0, shape[0] / SHAPE[0])  # a small picture needs fewer strands
    for points, inks, width in (_brows_and_lashes(rng), _hair(rng, share)):
        picture = strands.draw(picture, depth, camera.project(points), inks, width * shape[0] / 1024)
    y, x = grid(shape)
    vignette = 1 - 0.16 * (np.hypot(x - 0.75, y - 0.5) / 0.9) ** 2.5
    return np.asarray(picture * vignette[..., None] + 0.012 * noise(shape, rng, 0.4)[..., None], np.float32)


def to_head(p: Array) -> Array:
    return np.asarray((p - PIVOT) @ AXES.T + PIVOT, np.float32)


def from_head(q: Array) -> Array:
    return np.asarray((q - PIVOT) @ AXES + PIVOT, np.float32)


def _skin(p: Array) -> Array:
    neck = capsule(p, vector(0.02, -0.72, 0.22), vector(0.0, -1.80, 0.34), 0.375, 0.42)
    return join(face.head(to_head(p)), neck, 0.16)


def _sweater(p: Array) -> Array:
    m = face.mirrored(p)
    collar = p[:, 1] + 1.44 - 0.34 * (p[:, 2] - 0.3)
    d = capsule(m, vector(0.0, -1.30, 0.27), vector(0.0, -1.80, 0.34), 0.40, 0.47)
    d = join(d, capsule(m, vector(0.30, -1.78, 0.34), vector(1.18, -2.10, 0.40), 0.29, 0.34), 0.30)
    d = join(d, ellipsoid(m, vector(0, -2.75, 0.30), vector(1.28, 1.20, 0.62)), 0.40)
    d = join(d, capsule(m, vector(1.18, -2.10, 0.40), vector(1.42, -3.6, 0.3), 0.34, 0.34), 0.20)
    ring = np.hypot(np.hypot(p[:, 0], p[:, 2] - 0.30) - 0.44, collar * 0.6) - 0.05
    return join(np.maximum(d, collar), ring, 0.04)


def figure(p: Array) -> Array:
    bound = np.linalg.norm((p - vector(0, -0.9, 0.1)) / vector(1.6, 2.3, 1.25), axis=1) - 1
    near = np.flatnonzero(bound < 0.15)
    out = np.asarray(0.1 + bound, np.float32)
    if near.size:
        q = p[near]
        out[near] = np.minimum(np.minimum(_skin(q), face.eyeballs(to_head(q))), _sweater(q))
    return out


def _surface(p: Array, direction: Array, tiles: tuple[Array, Array]) -> tuple[Array, Array, Array, Array]:
    """Light that arrives (N, 3), albedo (N, 3), mirrored light (N, 3), and whether it is skin (N, 1)."""
    q = to_head(p)
    kind = np.argmin(np.stack([_skin(p), face.eyeballs(q), _sweater(p)]), axis=0)
    broad = sample(tiles[0], (q[:, 1] * 90 + 40 * q[:, 2]) % 510, (q[:, 0] * 90 + 300) % 510)
    fine = sample(tiles[1], (q[:, 1] * 170 + 60 * q[:, 2]) % 510, (q[:, 0] * 170 + 300) % 510)
    normal = normals(figure, p)
    albedo, gloss = face.skin(q, broad, fine)
    hair = smoothstep(-0.02, 0.06, face.above_hairline(q, 0.02 * broad)) * (p[:, 1] > -0.9)
    albedo = mix(albedo, color("4a2c1c") ** 2.2, 0.9 * hair)
    gaze = to_head(vector(0.1, -0.3, -14.0)[None])[0] - vector(0, 0, -0.6)
    gaze = gaze / np.linalg.norm(gaze)
    is_eye = kind == 1
    albedo[is_eye] = face.eye_color(q[is_eye], gaze, fine[is_eye])
    cloth = kind == 2
    around = np.arctan2(p[cloth, 0], -p[cloth, 2] + 1.2)
    rows = p[cloth, 1] * 75 + 1.1 * np.abs(np.mod(around * 40, 2) - 1)
    stitch = 0.5 + 0.5 * np.sin(rows) * np.cos(around * 40 * np.pi)
    wool = ramp(0.5 + 0.22 * stitch + 0.05 * broad[cloth], [(0, "4e6478"), (0.6, "8ea2b2"), (1, "b8c6ce")])
    albedo[cloth] = wool**2.2
    bump = np.stack(
        [sample(tiles[1], (q[:, i] * 420) % 510, (q[:, (i + 1) % 3] * 420) % 510) for i in range(3)]
    )
    normal += (0.030 * (kind == 0) + 0.10 * cloth)[:, None] * bump.T
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)

    near = occlusion(figure, p, normal, (0.03, 0.08, 0.2, 0.45))
    window = shadow(figure, p + 0.015 * normal, WINDOW, 2.2, 3.0)
    behind = shadow(figure, p + 0.015 * normal, SUN, 9.0, 3.0)
    under_hair = 1 - 0.45 * smoothstep(-0.16, 0.0, face.above_hairline(q)) * (kind == 0)
    wrap = np.where(kind == 0, vector(0.34, 0.22, 0.16)[:, None], vector(0.1, 0.1, 0.1)[:, None]).T
    facing = np.clip(((normal @ WINDOW)[:, None] + wrap) / (1 + wrap), 0, 1) ** 1.15
    sky = 0.5 + 0.5 * normal[:, 1] - 0.15 * normal[:, 0]
    light = facing * window[:, None] * (color("fff0e0") ** 2.2 * 1.40)
    light = light + (near * under_hair * (0.22 + 0.36 * sky))[:, None] * color("dce6f4") ** 2.2
    light = light + (near * np.clip(-normal[:, 1], 0, 1))[:, None] * color("c8a07c") ** 2.2 * 0.34
    rim = np.clip(normal @ SUN, 0, 1) * behind
    light = light + rim[:, None] * color("ffd8a0") ** 2.2 * 1.5
    light = light + ((1 - near) * 0.10 * (kind == 0))[:, None] * color("e04830")

    light[is_eye] = 0.45 * light[is_eye] + 0.40

    bounced = direction - 2 * (direction * normal).sum(axis=1, keepdims=True) * normal
    grazing = 0.03 + 0.97 * np.clip(1 + (direction * normal).sum(axis=1), 0, 1) ** 5
    broad_shine = np.clip(bounced @ WINDOW, 0, 1)
    shine = (
        gloss * (0.16 * broad_shine**14 + 0.10 * broad_shine**50) * window
        + 0.35 * grazing * near * sky * gloss
    )
    shine = shine * np.where(kind == 2, 0.15, 1.0)
    up, side = np.cross(WINDOW, unit(-1, 0, 1)), unit(-1, 0, 1)
    pane = smoothstep(0.20, 0.16, np.abs(bounced @ up)) * smoothstep(
        0.17, 0.13, np.abs(bounced @ side + 0.02)
    )
    mirror = pane * (bounced @ WINDOW > 0.5) * 1.4 + 0.05 * near * np.clip(0.4 + bounced[:, 1], 0, 1)
    shine = np.where(is_eye, mirror, shine)
    return light, albedo, shine[:, None] * color("fff8f0"), (kind == 0).astype(np.float32)[:, None]


def _scattered(light: Array, skin: Array, scale: float) -> Array:
    """Light blurred within the skin, red farther than green and blue."""
    out = light.copy()
    for channel, widths in enumerate(((2.5, 9.0), (1.8, 4.0), (1.4, 2.2))):
        total = sum(
            blur(light[..., channel] * skin, w * scale) / np.maximum(blur(skin, w * scale), 0.05)
            for w in widths
        )
        out[..., channel] = np.where(skin > 0.5, total / len(widths), light[..., channel])
    return np.asarray(out, np.float32)


def _garden(shape: tuple[int, int], rng: Rng) -> Array:
    """Linear light of leaves and sky, far out of focus."""
    y, x = grid(shape)
    scale = shape[0] / 1024
    clouds = [blur(noise((256, 384), rng, 2.6, coarsest=2), 3) for _ in range(2)]
    broad, tint = (sample(c, y * 255, x / x.max() * 383) for c in clouds)
    value = 0.52 - 0.42 * (y - 0.45) + 0.11 * broad + 0.12 * (x - 0.75)
    leaves = ramp(value, [(0, "24382a"), (0.35, "4c6a3c"), (0.6, "8a9c58"), (0.85, "cfd2a0"), (1, "f0ead0")])
    leaves = mix(leaves, color("b88a5c"), 0.35 * smoothstep(0.3, 1.6, tint)) ** 2.2
    leaves = mix(leaves, leaves.mean(axis=2, keepdims=True) * color("f4f0e4"), 0.30)
    spots = np.zeros((*shape, 3), np.float32)
    for _ in range(90):
        cx, cy = rng.uniform(0, 1.5), rng.beta(2, 3)
        r = rng.uniform(0.02, 0.055)
        hue = ramp(np.float32(rng.random()), [(0, "b8d070"), (0.5, "fff0c0"), (1, "e8f0ff")]) ** 2.2
        away = np.hypot(x - cx, y - cy) / r
        spots += (smoothstep(1.06, 0.94, away) * (0.75 + 0.25 * away) * rng.uniform(0.05, 0.28))[
            ..., None
        ] * hue
    return np.asarray(leaves + blur(spots, 2 * scale), np.float32)


def _tone(linear: Array) -> Array:
    return np.asarray(np.clip(filmic(linear * 0.92), 0, 1) ** (1 / 2.2), np.float32)


def _inked(points: Array, base: Array, lit: Array) -> Array:
    """sRGB (N, K - 1, 3) of curves (N, K, 3) in space; ``lit`` (N, K - 1) dims inner strands."""
    diffuse, specular = strands.shade(points, WINDOW, vector(0.1, -0.3, -14.0), 50)
    rim, gold = strands.shade(points, SUN, vector(0.1, -0.3, -14.0), 30)
    middle = (points[:, :-1] + points[:, 1:]) / 2
    outward = middle - vector(0, 0.15, 0.15)
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    window, sun = (np.clip(0.35 + 0.65 * (outward @ light), 0, 1) for light in (WINDOW, SUN))
    light = (0.22 + 0.15 * outward[..., 1] + 0.95 * diffuse * window)[..., None] * lit[..., None]
    sunny = (0.7 * rim * np.clip(outward @ SUN, 0, 1) ** 1.5 * lit)[..., None] * color("ffd8a0") ** 2.2
    linear = base[:, None] * (light + 2.0 * sunny)
    linear = linear + (0.20 * specular * window * lit)[..., None] * color("ffe8d0") ** 2.2
    linear = linear + (0.16 * gold * sun**3 * lit)[..., None] * color("ffc880") ** 2.2
    return _tone(linear)


def _brows_and_lashes(rng: Rng) -> tuple[Array, Array, Array]:
    """Curves (N, K, 3) in space, their colors, and their widths in pixels at a height of 1024."""
    curves = []
    for side in (-1.0, 1.0):
        u = rng.random(420).astype(np.float32)
        x = 0.13 + 0.40 * u
        thick = np.interp(u, [0, 0.15, 0.6, 1], [0.016, 0.024, 0.018, 0.004])
        y = (
            0.235
            + 0.070 * np.sin(np.clip(u * 1.1, 0, 1.1) * 2.2)
            - 0.07 * u**3
            + thick * rng.normal(0, 0.5, 420)
        )
        lean = np.interp(u, [0, 0.2, 0.7, 1], [0.85, 0.45, 0.05, -0.40]) + rng.normal(0, 0.10, 420)
        s = np.linspace(0, 1, 5)[None, :] * np.interp(u, [0, 1], [0.075, 0.060])[:, None]
        px, py = x[:, None] + np.cos(lean)[:, None] * s, y[:, None] + np.sin(lean)[:, None] * s - 1.6 * s * s
        flat = np.stack([side * px, py, np.full(px.shape, -1.5)], axis=-1).reshape(-1, 3).astype(np.float32)
        t = march(face.head, flat, vector(0, 0, 1), 0.0, 2.0)
        flat[:, 2] += t - 0.008
        curves.append(flat.reshape(*px.shape, 3))
        for top, count in ((True, 75), (False, 30)):
            u = np.sort(rng.uniform(-0.15, 0.15, count)).astype(np.float32)
            m = np.stack([face.EYE_AT[0] + u, u * 0, u * 0], axis=1)
            lower, upper = face.lids(m)
            v = upper if top else -lower
            depth = -np.sqrt(np.clip((face.EYE_RADIUS + 0.022) ** 2 - u**2 - v**2, 1e-4, 1))
            length = (
                (0.042 if top else 0.016)
                * rng.uniform(0.75, 1.1, count)
                * (0.75 + 2.0 * np.clip(u, -0.1, 0.15))
            )
            s = np.linspace(0, 1, 5)[None, :]
            spread = (u * 3.6 + 0.15 + rng.normal(0, 0.08, count))[:, None]
            rise = (0.2 * s + 0.75 * s * s) if top else (-0.35 * s - 0.45 * s * s)
            px = side * (m[:, :1] + length[:, None] * s * spread * 1.5)
            py = v[:, None] + length[:, None] * rise
            pz = face.EYE_AT[2] + depth[:, None] - length[:, None] * (0.9 * s - 0.25 * s * s)
            curves.append(np.stack([px, py, pz], axis=-1).astype(np.float32))
    points = from_head(np.concatenate(curves).reshape(-1, 3)).reshape(-1, 5, 3)
    base = color("5e4230") ** 2.2 * rng.uniform(0.5, 1.0, (len(points), 1)).astype(np.float32)
    lit = np.full((len(points), 4), 0.8, np.float32)
    return points, _inked(points, base, lit), np.full(len(points), 0.7, np.float32)


def _under_hair(q: Array) -> Array:
    """What hair slides along, in head space: head and neck, and the room before the face."""
    body = join(
        ellipsoid(q, vector(0, 0.30, 0.12), vector(0.74, 0.80, 0.93)),
        ellipsoid(q, vector(0, -0.30, -0.10), vector(0.64, 0.80, 0.66)),
        0.25,
    )
    body = join(body, capsule(q, vector(0, -0.6, 0.22), vector(0, -2.4, 0.34), 0.42, 0.55), 0.3)
    return join(body, ellipsoid(q, vector(0, -0.35, -1.0), vector(0.60, 0.92, 0.85)), 0.15)


def _hair(rng: Rng, share: float) -> tuple[Array, Array, Array]:
    """As above: strands that leave a side parting, fall along the head and curl at the shoulders."""
    wanted, count, steps = round(STRANDS * share), 0, 44
    roots: list[Array] = []
    while count < wanted:
        n = rng.normal(0, 1, (20000, 3)).astype(np.float32)
        n /= np.linalg.norm(n, axis=1, keepdims=True)
        q = n * vector(0.74, 0.80, 0.93) + vector(0, 0.30, 0.12)
        q = q[face.above_hairline(q, rng.normal(0, 0.015, len(q)).astype(np.float32)) > 0]
        roots.append(q)
        count += len(q)
    q = np.concatenate(roots)[:wanted]
    clumps = q[rng.choice(wanted, 420, replace=False)]
    clump = np.concatenate(
        [((part[:, None] - clumps[None]) ** 2).sum(axis=2).argmin(axis=1) for part in np.array_split(q, 60)]
    )
    phase = rng.uniform(0, 6.3, 420)[clump] + rng.normal(0, 0.35, wanted)
    length = (
        rng.uniform(1.0, 1.12, 420)[clump]
        * (1 - 0.30 * rng.random(wanted) ** 1.7)
        * (1.80 + 0.5 * smoothstep(0.2, 0.9, q[:, 1]))
    )
    offset = np.abs(rng.normal(0, 0.055, wanted)).astype(np.float32) + 0.03
    part = np.where(q[:, 0] > 0.20, 1.0, -1.0)
    away = np.stack([part, 0.30 + 0 * part, 0.42 + 0 * part], axis=1)
    heading = (away + rng.normal(0, 0.07, away.shape)).astype(np.float32)
    step = (length / steps).astype(np.float32)[:, None]
    path = [q]
    for k in range(steps):
        s = k / steps
        heading = heading + vector(0, -0.24, 0.035 * (s < 0.45))
        wave = 0.17 * s * np.sin(phase + 9 * s)
        heading[:, 0] += (wave * np.sign(q[:, 0])).astype(np.float32)
        heading[:, 2] += (0.16 * s * np.cos(phase + 9 * s)).astype(np.float32)
        heading[:, 0] -= (0.20 * smoothstep(-0.1, -0.9, q[:, 1]) * q[:, 0]).astype(np.float32)
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        q = q + step * heading
        gap = _under_hair(q) - offset * min(1, (k + 1) / 8)
        inside = np.flatnonzero(gap < 0)
        if inside.size:
            n = normals(_under_hair, q[inside], 0.02)
            q[inside] -= gap[inside, None] * n
            into = np.minimum((heading[inside] * n).sum(axis=1), 0)
            heading[inside] -= into[:, None] * n
        path.append(q)
    points = np.stack(path, axis=1)
    lit = np.repeat(0.42 + 0.58 * smoothstep(0.02, 0.13, offset)[:, None], steps, axis=1)
    points = from_head(points.reshape(-1, 3)).reshape(wanted, steps + 1, 3)
    shade = rng.normal(0, 1, 420)[clump] * 0.35 + rng.normal(0, 0.45, wanted)
    base = (
        ramp((0.5 + 0.22 * shade).astype(np.float32), [(0, "2e1a10"), (0.5, "6a4028"), (1, "b07c4c")]) ** 2.2
    )
    return points, _inked(points, base, lit.astype(np.float32)), np.full(wanted, 0.95, np.float32)
