"""Noise in 8 and 16 bits, and files that contain it, encoded by libraries or, where none can, by hand."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

_RNG = np.random.default_rng(7)
NOISE16 = _RNG.integers(0, 65536, (20, 24, 4), dtype=np.uint16)
NOISE8 = _RNG.integers(0, 256, (20, 24, 4), dtype=np.uint8)

Colors = NDArray[np.uint8]


def encoded(image: Image.Image, format_name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=format_name, **options)
    return stream.getvalue()


def tiff(array: NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def png16(samples: NDArray[np.uint16], *chunks: tuple[bytes, bytes]) -> bytes:
    """A 16-bit PNG of 1 to 4 channels, unfiltered, which no installed library writes."""
    height, width, channels = samples.shape
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    data = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 16, (None, 0, 4, 2, 6)[channels], 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts
    )


def difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    assert a.shape == b.shape and a.dtype == b.dtype
    return float(np.abs(a.astype(np.int64) - b.astype(np.int64)).mean())
