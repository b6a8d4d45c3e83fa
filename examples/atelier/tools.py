"""What every picture needs: noise with natural spectra, blurring, sampling, color ramps, saving.

Pictures are float32 arrays (H, W, 3) of sRGB values in [0, 1]; masks and heights are (H, W).
Coordinates are pixels, y down, unless a function says otherwise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[np.float32]
Rng = np.random.Generator


def noise(
    shape: tuple[int, int], rng: Rng, slope: float = 2.0, stretch: float = 1.0, coarsest: float = 1.0
) -> Array:
    """Gaussian noise with power ~ 1/f^slope, mean 0, deviation 1; periodic.

    ``stretch`` > 1 draws it out horizontally (wood grain, water); wavelengths above the short side
    divided by ``coarsest`` are left out.
    """
    height, width = shape
    fy = np.fft.fftfreq(height)[:, None] * min(shape)
    fx = np.fft.rfftfreq(width)[None, :] * min(shape) * stretch
    radius = np.hypot(fy, fx)
    amplitude = np.where(radius < coarsest, 0.0, np.maximum(radius, 1e-6) ** (-slope / 2))
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * amplitude
    field = np.fft.irfft2(spectrum, s=shape)
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def blur(picture: Array, sigma: float) -> Array:
    """Gaussian blur with mirrored borders; (H, W) or (H, W, C)."""
    if picture.ndim == 3:
        return np.stack([blur(picture[..., c], sigma) for c in range(picture.shape[2])], axis=-1)
    pad = min(int(3 * sigma) + 1, *(n - 1 for n in picture.shape))
    padded = np.pad(picture, pad, mode="reflect")
    fy = np.fft.fftfreq(padded.shape[0])[:, None]
    fx = np.fft.rfftfreq(padded.shape[1])[None, :]
    kernel = np.exp(-2 * (np.pi * sigma) ** 2 * (fy**2 + fx**2))
    out = np.fft.irfft2(np.fft.rfft2(padded) * kernel, s=padded.shape)
    return out[pad:-pad, pad:-pad].astype(np.float32)


def sample(picture: Array, y: Array, x: Array) -> Array:
    """Bilinear look-up at real coordinates, borders repeated; (..., C) or (...)."""
    height, width = picture.shape[:2]
    y = np.clip(y, 0, height - 1.001)
    x = np.clip(x, 0, width - 1.001)
    top, left = y.astype(np.intp), x.astype(np.intp)
    dy, dx = (y - top).astype(np.float32), (x - left).astype(np.float32)
    if picture.ndim == 3:
        dy, dx = dy[..., None], dx[..., None]
    upper = picture[top, left] * (1 - dx) + picture[top, left + 1] * dx
    lower = picture[top + 1, left] * (1 - dx) + picture[top + 1, left + 1] * dx
    return np.asarray(upper * (1 - dy) + lower * dy, np.float32)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below ``low``, 1 above ``high``, an S between; ``low`` > ``high`` falls instead."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def mix(below: Array, above: Array, mask: Array | float) -> Array:
    """``above`` over ``below`` where the mask is 1; colors (3,) and pictures (H, W, 3) alike."""
    m = np.asarray(mask, np.float32)
    if m.ndim:
        m = m[..., None]
    return np.asarray(below * (1 - m) + above * m, np.float32)


def color(code: str) -> Array:
    """``"e0a030"`` -> float (3,)."""
    return np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)], np.float32)


def ramp(value: Array, stops: list[tuple[float, str]]) -> Array:
    """Piecewise-linear color ramp: (...) -> (..., 3)."""
    at = [position for position, _ in stops]
    colors = np.stack([color(code) for _, code in stops])
    return np.stack([np.interp(value, at, colors[:, c]) for c in range(3)], axis=-1).astype(np.float32)


def filmic(linear: Array) -> Array:
    """Linear light, 0 and above, to linear display values up to about 1, with film's toe and shoulder."""
    x = linear
    return np.asarray(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), np.float32)


def polygon(shape: tuple[int, int], points: NDArray[np.floating] | list[tuple[float, float]]) -> Array:
    """Mask (H, W) of a filled polygon given as (x, y) pairs in pixels."""
    image = Image.new("L", (shape[1], shape[0]))
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in points], fill=255)
    return np.asarray(image, np.float32) / 255


def grid(shape: tuple[int, int]) -> tuple[Array, Array]:
    """(y, x) with y from 0 to 1 downwards and x in the same unit."""
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    return y, x


def save(picture: Array, path: Path, long_edge: int, limit: int = 330_000) -> int:
    """Reduce the picture to ``long_edge`` pixels and write the best JPEG within ``limit`` bytes; its size."""
    image = Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
    scale = long_edge / max(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    for quality in range(95, 40, -2):
        image.save(beside, "JPEG", quality=quality, optimize=True)
        if beside.stat().st_size <= limit:
            break
    beside.replace(path)
    return path.stat().st_size
