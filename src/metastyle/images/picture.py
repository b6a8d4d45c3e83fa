"""The picture type: upright sRGB samples, and metadata of the file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from metastyle.errors import MetastyleError

MIN_SIDE = 16
"""Smallest side of a picture in pixels: the loss network halves it three times."""
MAX_PIXELS = 100_000_000
"""Most pixels of a picture."""

Samples = NDArray[Any]  # uint8 or uint16, as Picture and check_pixels assert

ROWS = 256
"""Rows that are processed at once to limit the memory of temporaries."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture in sRGB, with metadata of its file."""

    pixels: Samples
    """(H, W, 3), uint8 or uint16, sRGB; gray pictures have three equal channels."""
    alpha: Samples | None = None
    """(H, W), of the type of ``pixels``; 0 is transparent. Colors are not premultiplied."""
    icc: bytes | None = None
    """The embedded profile of the file, from which ``pixels`` were converted."""
    exif: bytes | None = None
    """Camera, time, place and author; never orientation or thumbnail."""
    dpi: tuple[float, float] | None = None
    gray: bool = False
    """Whether the file had one channel. It is written with one channel if its channels are still equal."""
    name: str = "<array>"
    """The file's name, for messages."""

    def __post_init__(self) -> None:
        check_pixels(self.pixels)
        if self.alpha is not None and (
            self.alpha.shape != self.pixels.shape[:2] or self.alpha.dtype != self.pixels.dtype
        ):
            raise ValueError(
                f"alpha must be {self.pixels.dtype} of shape {self.pixels.shape[:2]}, "
                f"not {self.alpha.dtype} of shape {self.alpha.shape}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


def resize(picture: Picture, long_edge: int) -> Picture:
    """Scale so that the longer edge is ``long_edge`` pixels, with Lanczos' filter (a = 3), up or down.

    The shorter edge is kept in proportion but not below MIN_SIDE. Averages are of sRGB values, as in nearly
    every viewer and in the pictures that the networks were trained on, not of linear light. Colors are
    weighted by alpha, so that transparent pixels do not bleed into edges. 16 bits stay 16 bits.
    """
    width, height = picture.size
    if isinstance(long_edge, bool) or not hasattr(long_edge, "__index__") or long_edge < MIN_SIDE:
        raise MetastyleError(f"size is {long_edge}: use a whole number of at least {MIN_SIDE} pixels")
    scale = int(long_edge) / max(width, height)
    new = (max(MIN_SIDE, round(width * scale)), max(MIN_SIDE, round(height * scale)))
    check_size(new, f"{picture.name} at size {long_edge}", MAX_PIXELS)
    if new == (width, height):
        return picture
    if picture.alpha is None:
        if picture.pixels.dtype == np.uint8:
            scaled = Image.fromarray(picture.pixels).resize(new, Image.Resampling.LANCZOS)
            return replace(picture, pixels=np.array(scaled))
        planes = [round_to(_lanczos(picture.pixels[..., c], new), np.uint16) for c in range(3)]
        return replace(picture, pixels=np.stack(planes, axis=2))
    opaque = picture.alpha.astype(np.float32) / np.iinfo(picture.alpha.dtype).max
    weight = _lanczos(opaque, new)
    planes = []
    for c in range(3):
        plain = picture.pixels[..., c].astype(np.float32)
        seen = _lanczos(plain * opaque, new) / np.maximum(weight, 1e-3)
        planes.append(round_to(np.where(weight > 1e-3, seen, _lanczos(plain, new)), picture.pixels.dtype))
    alpha = round_to(weight * np.iinfo(picture.alpha.dtype).max, picture.alpha.dtype)
    return replace(picture, pixels=np.stack(planes, axis=2), alpha=alpha)


def eight_bits(samples: Samples) -> NDArray[np.uint8]:
    """Samples as 8 bits, rounded: 65535 -> 255."""
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    out = np.empty(samples.shape, np.uint8)
    for top in range(0, len(samples), ROWS):
        out[top : top + ROWS] = (samples[top : top + ROWS].astype(np.uint32) + 128) // 257
    return out


def as_image(samples: Samples, mode: str) -> Image.Image:
    """A Pillow image of ``mode``, whose samples are reduced to 8 bits."""
    height, width = samples.shape[:2]
    return Image.frombytes(mode, (width, height), eight_bits(samples).tobytes())


def check_size(size: tuple[int, int], name: str, max_pixels: int | None = None) -> None:
    """Raise MetastyleError for a side below MIN_SIDE, or more than ``max_pixels`` pixels."""
    width, height = size
    if min(size) < MIN_SIDE:
        raise MetastyleError(
            f"{name} is {width}x{height} pixels; a picture needs at least {MIN_SIDE}x{MIN_SIDE}"
        )
    if max_pixels is not None and width * height > max_pixels:
        raise MetastyleError(
            f"{name} is {width}x{height} pixels, {width * height / 1e6:.0f} megapixels; "
            f"at most {max_pixels / 1e6:g} are read"
        )


def check_pixels(pixels: Samples) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"pixels must be uint8 or uint16 of shape (H, W, 3), not {pixels.dtype} of shape {pixels.shape}"
        )


def round_to(values: NDArray[Any], dtype: DTypeLike) -> Samples:
    rounded: Samples = np.clip(np.rint(values), 0, np.iinfo(np.dtype(dtype)).max).astype(dtype)
    return rounded


def _lanczos(plane: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))
