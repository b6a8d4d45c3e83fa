"""A head as a distance field, and the colors of its skin, lips and eyes.

Head space, in decimeters: the origin lies between the eyes' height and the ears, x to the picture's
right, y up, and the face looks towards -z.
"""

from __future__ import annotations

import numpy as np

from atelier.tools import Array, color, mix, ramp, smoothstep
from atelier.trace import capsule, carve, ellipsoid, join, vector

EYE_AT = vector(0.318, 0.0, -0.640)
EYE_RADIUS = 0.150
HAIRLINE_Z = [-1.0, -0.72, -0.55, -0.36, -0.16, 0.02, 0.2, 0.5, 1.0]
HAIRLINE_Y = [0.66, 0.66, 0.60, 0.40, 0.02, -0.05, 0.10, -0.45, -0.55]


def mirrored(q: Array) -> Array:
    m = q.copy()
    np.abs(m[:, 0], out=m[:, 0])
    return m


def lids(m: Array) -> tuple[Array, Array]:
    """Heights above the lower and below the upper lid's rim, both positive in the open eye."""
    u = m[:, 0] - EYE_AT[0]
    v = m[:, 1] - EYE_AT[1] - 0.06 * u
    bow = np.clip(1 - np.abs(u / 0.152) ** 2.2, -1, 1)
    skewed = np.clip(1 - np.abs((u + 0.02) / 0.162) ** 2.0, -1, 1)
    return v + 0.050 * bow + 0.002, 0.064 * skewed - v


def head(q: Array) -> Array:
    """Skin, without the eyeballs and the neck."""
    m = mirrored(q)
    d = ellipsoid(m, vector(0, 0.30, 0.12), vector(0.74, 0.80, 0.93))
    d = join(d, ellipsoid(m, vector(0, -0.26, -0.24), vector(0.575, 0.80, 0.56)), 0.30)
    d = join(d, capsule(m, vector(0.48, -0.46, -0.05), vector(0.10, -0.90, -0.60), 0.13, 0.15), 0.28)
    d = join(d, ellipsoid(m, vector(0, -0.955, -0.67), vector(0.17, 0.125, 0.14)), 0.20)
    d = join(d, ellipsoid(m, vector(0.39, -0.27, -0.60), vector(0.17, 0.14, 0.14)), 0.24)
    d = join(d, capsule(m, vector(0.08, 0.175, -0.80), vector(0.46, 0.195, -0.66), 0.06, 0.05), 0.16)
    d = carve(d, ellipsoid(m, vector(0.31, 0.005, -0.96), vector(0.19, 0.125, 0.20)), 0.20)
    lower, upper = lids(m)
    eye = m - EYE_AT
    ball = np.sqrt((eye * eye).sum(axis=1))
    lid = ball - (EYE_RADIUS + 0.020 + 0.010 * smoothstep(0.0, -0.03, upper))
    d = join(d, lid, 0.07)
    opening = np.maximum(-np.minimum(lower, upper) * 0.8, ball - 0.30)
    d = carve(d, np.maximum(opening, eye[:, 2] - 0.02), 0.016)
    d = join(d, capsule(m, vector(0, 0.10, -0.83), vector(0, -0.30, -1.03), 0.055, 0.075), 0.13)
    d = join(d, ellipsoid(m, vector(0, -0.345, -1.045), vector(0.105, 0.088, 0.10)), 0.09)
    d = join(d, ellipsoid(m, vector(0.112, -0.385, -0.945), vector(0.066, 0.064, 0.09)), 0.06)
    d = carve(d, ellipsoid(m, vector(0.058, -0.452, -1.00), vector(0.034, 0.034, 0.052)), 0.035)
    d = join(d, ellipsoid(m, vector(0, -0.655, -0.72), vector(0.30, 0.20, 0.185)), 0.14)
    d = carve(d, capsule(m, vector(0, -0.47, -1.00), vector(0, -0.55, -0.965), 0.018), 0.06)
    d = join(d, capsule(m, vector(0.014, -0.624, -0.915), vector(0.250, -0.632, -0.785), 0.038, 0.013), 0.035)
    d = join(d, capsule(m, vector(0.0, -0.722, -0.895), vector(0.230, -0.650, -0.79), 0.056, 0.014), 0.040)
    bend = -0.662 + 0.42 * m[:, 0] ** 2 - 0.006 * np.exp(-((m[:, 0] / 0.05) ** 2))
    groove = np.hypot((m[:, 1] - bend), np.maximum(np.abs(m[:, 0]) - 0.262, 0) * 0.7) - 0.004
    d = carve(d, np.maximum(groove, m[:, 2] + 0.80), 0.022)
    d = carve(d, ellipsoid(m, vector(0.305, -0.600, -0.80), vector(0.025, 0.04, 0.04)), 0.07)
    ear = m - vector(0.735, -0.10, 0.10)
    ear = np.stack(
        [ear[:, 0] - 0.35 * ear[:, 2], ear[:, 1] + 0.25 * ear[:, 2], ear[:, 2] - 0.25 * ear[:, 1]], axis=1
    )
    shell = ellipsoid(ear, vector(0.03, 0, 0.02), vector(0.055, 0.29, 0.165))
    shell = carve(shell, ellipsoid(ear, vector(0.09, 0.03, 0.0), vector(0.06, 0.21, 0.10)), 0.04)
    return join(d, shell, 0.06)


def eyeballs(q: Array) -> Array:
    m = mirrored(q) - EYE_AT
    cornea = m - vector(0, 0, -0.052)
    return join(
        np.sqrt((m * m).sum(axis=1)) - EYE_RADIUS, np.sqrt((cornea * cornea).sum(axis=1)) - 0.105, 0.02
    )


def above_hairline(q: Array, wobble: Array | float = 0.0) -> Array:
    """Decimeters above the hairline, negative on the face and the neck."""
    line = np.interp(q[:, 2], HAIRLINE_Z, HAIRLINE_Y) - 0.10 * np.abs(q[:, 0]) * (q[:, 2] < -0.3)
    return np.asarray(q[:, 1] - line + wobble, np.float32)


def skin(q: Array, broad: Array, fine: Array) -> tuple[Array, Array]:
    """Linear albedo (N, 3) and gloss (N,) of skin and lips; two noises (N,) with deviation 1."""
    m = mirrored(q)
    tone = ramp(0.5 + 0.10 * broad + 0.035 * fine, [(0, "c28c70"), (0.5, "d9a588"), (1, "ecc2a6")]) ** 2.2
    red = 0.62 * np.exp(-(((m - vector(0.42, -0.33, -0.65)) / vector(0.19, 0.16, 0.3)) ** 2).sum(axis=1))
    red += 0.60 * np.exp(-(((m - vector(0.0, -0.37, -1.05)) / vector(0.14, 0.12, 0.2)) ** 2).sum(axis=1))
    red += 0.40 * smoothstep(0.72, 0.80, m[:, 0]) + 0.25 * np.exp(
        -(((m - vector(0.0, -0.95, -0.8)) / vector(0.15, 0.12, 0.3)) ** 2).sum(axis=1)
    )
    tone = mix(tone, color("cf7862") ** 2.2, np.clip(red * (0.75 + 0.12 * broad), 0, 0.8) * 0.62)
    freckle = smoothstep(1.15, 2.0, fine) * np.exp(
        -(((m - vector(0.25, -0.25, -0.8)) / vector(0.32, 0.16, 0.5)) ** 2).sum(axis=1)
    )
    tone = mix(tone, color("9a5c3e") ** 2.2, 0.35 * freckle)
    under = np.exp(-(((m - vector(0.30, -0.13, -0.75)) / vector(0.15, 0.05, 0.2)) ** 2).sum(axis=1))
    tone = mix(tone, color("b07a70") ** 2.2, 0.28 * under)
    arch = (
        0.255
        + 0.075 * np.sin(np.clip((m[:, 0] - 0.13) * 2.75, 0, 1.1) * 2.2)
        - 1.1 * np.maximum(m[:, 0] - 0.13, 0) ** 3
    )
    brow = (
        np.exp(-(((m[:, 1] - arch) / 0.026) ** 2))
        * smoothstep(0.10, 0.19, m[:, 0])
        * smoothstep(0.56, 0.40, m[:, 0])
    )
    tone = mix(tone, color("6a4630") ** 2.2, 0.45 * brow * (m[:, 2] < -0.3))
    across = m[:, 0]
    top = -0.592 - 0.13 * np.maximum(across - 0.05, 0) - 0.020 * np.exp(-((across / 0.032) ** 2))
    bottom = -0.786 + 0.150 * (across / 0.25) ** 2
    lip = smoothstep(0.014, -0.014, np.maximum(m[:, 1] - top, bottom - m[:, 1])) * smoothstep(
        0.285, 0.245, across
    )
    lip *= m[:, 2] < -0.7
    seam = (
        np.exp(-(((m[:, 1] + 0.662 - 0.42 * across**2) / 0.010) ** 2)) * (across < 0.275) * (m[:, 2] < -0.7)
    )
    lines = 0.5 + 0.2 * np.sin(95 * across + 2.5 * broad) + 0.10 * fine
    pink = ramp(lines, [(0, "a85850"), (1, "c87a70")]) ** 2.2
    tone = mix(tone, pink, 0.80 * lip)
    tone = mix(tone, color("6a2c2a") ** 2.2, 0.55 * seam)
    lower, upper = lids(m)
    near = np.hypot(m[:, 0] - EYE_AT[0], m[:, 1]) < 0.21
    rim = np.exp(-((np.clip(-upper, 0, 1) / 0.012) ** 2)) * (lower > -0.01) * near
    tone = mix(tone, color("40241e") ** 2.2, 0.80 * rim)
    crease = (
        np.exp(-(((upper + 0.040) / 0.011) ** 2))
        * (lower > 0.0)
        * smoothstep(0.19, 0.13, np.abs(m[:, 0] - 0.318))
    )
    tone = mix(tone, color("8a5444") ** 2.2, 0.55 * crease * near)
    wet = np.exp(-((np.clip(-lower, 0, 1) / 0.010) ** 2)) * (upper > -0.01) * near
    tone = mix(tone, color("c08074") ** 2.2, 0.6 * wet)
    gloss = 0.30 + 0.35 * lip + 0.12 * np.exp(-((m[:, 0] / 0.2) ** 2))
    return tone, gloss.astype(np.float32)


def iris_offsets(q: Array, gaze: Array) -> tuple[Array, Array, Array]:
    """Position on the eyeball relative to the gaze: (across, up, distance), in eyeball radii."""
    center = EYE_AT * np.where(q[:, :1] < 0, vector(-1, 1, 1), vector(1, 1, 1))
    n = (q - center) / EYE_RADIUS
    right = np.cross(vector(0, 1, 0), -gaze)
    right /= np.linalg.norm(right)
    a, b = n @ right, n @ np.cross(-gaze, right)
    return a, b, np.hypot(a, b)


def eye_color(q: Array, gaze: Array, fine: Array) -> Array:
    """Linear albedo (N, 3) of the eyeballs that look along ``gaze`` (3,)."""
    a, b, r = iris_offsets(q, gaze)
    angle = np.arctan2(b, a)
    fibers = 0.5 + 0.22 * np.sin(23 * angle + 3 * np.sin(5 * angle)) + 0.2 * np.sin(41 * angle + 9 * r)
    white = mix(np.broadcast_to(color("e2dcd6"), q.shape), color("d0a8a0"), smoothstep(0.75, 1.0, r) * 0.6)
    iris = ramp(fibers, [(0, "3a4a3c"), (0.6, "7a8a5e"), (1, "a8a070")])
    iris = mix(iris, color("8a6234"), smoothstep(0.36, 0.22, r) * 0.75)
    iris = mix(iris, color("18201e"), smoothstep(0.42, 0.52, r) * 0.85)
    out = mix(white, iris, smoothstep(0.545, 0.505, r))
    out = mix(out, color("060606"), smoothstep(0.225, 0.195, r))
    return np.asarray(out**2.2 * (1 + 0.02 * fine[:, None]), np.float32)
