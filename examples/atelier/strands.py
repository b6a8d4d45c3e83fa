"""Hair and fur: thin curves drawn from the farthest to the nearest over a picture with known depth."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from atelier.tools import Array, sample

FINER = 2
"""Curves are drawn at this multiple of the picture's size, so that they can be thinner than a pixel."""


def draw(picture: Array, depth: Array, points: Array, colors: Array, width: Array | float = 1.0) -> Array:
    """Draw N curves of K points over the picture (H, W, 3), values in [0, 1].

    ``points`` (N, K, 3) are pixels x, y and distance from the eye, ``colors`` (N, K - 1, 3) belong to the
    segments, ``width`` is in pixels, for all or for each curve. Segments behind ``depth`` (H, W) stay hidden.
    """
    first, last = points[:, :-1], points[:, 1:]
    middle = (first + last) / 2
    visible = middle[..., 2] < sample(depth, middle[..., 1], middle[..., 0]) + 0.03
    image = Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
    image = image.resize((image.width * FINER, image.height * FINER), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(image)
    inks = (np.clip(colors, 0, 1) * 255 + 0.5).astype(np.uint8)
    widths = np.broadcast_to(np.asarray(width, np.float32), (len(points),))
    thickness = np.maximum(1, np.round(widths * FINER)).astype(np.intp)
    order = np.argsort(-middle[..., 2], axis=None, kind="stable")
    rows, columns = np.unravel_index(order[visible.reshape(-1)[order]], middle.shape[:2])
    ends = np.concatenate([first[rows, columns, :2], last[rows, columns, :2]], axis=1)
    for line, ink, thick in zip(
        (ends * FINER).tolist(), inks[rows, columns].tolist(), thickness[rows].tolist(), strict=True
    ):
        pen.line(line, fill=tuple(ink), width=thick)
    return np.asarray(image.reduce(FINER), np.float32) / 255


def shade(points: Array, light: Array, eye: Array, shine: float = 60.0) -> tuple[Array, Array]:
    """Diffuse and specular light (N, K - 1) on curves (N, K, 3) in space, as on thin cylinders."""
    tangent = np.diff(points, axis=1)
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True) + 1e-6
    to_eye = eye - (points[:, :-1] + points[:, 1:]) / 2
    to_eye /= np.linalg.norm(to_eye, axis=-1, keepdims=True)
    half = to_eye + light
    half /= np.linalg.norm(half, axis=-1, keepdims=True) + 1e-6
    diffuse = np.sqrt(np.clip(1 - (tangent @ light) ** 2, 0, 1))
    specular = np.clip(1 - (tangent * half).sum(axis=-1) ** 2, 0, 1) ** (shine / 2)
    return diffuse.astype(np.float32), specular.astype(np.float32)
