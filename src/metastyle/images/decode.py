"""From a file to its own samples, before any color is converted: which decoder reads what.

What the decoders cannot be trusted with is settled around them: the size is checked from the header before a
pixel is decoded, only the formats that people have are tried, and no warning of theirs reaches the caller.
"""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

from metastyle.images.formats import heic, jpeg, pillow, tiff, tiff_pages
from metastyle.images.formats.boxes import avif_code_points, png_code_points
from metastyle.images.formats.decoded import Decoded

READABLE = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP or GIF"


def read(stream: BinaryIO, name: str, max_pixels: int, at_least: int | None = None) -> Decoded:
    """Decode the first picture of a seekable stream; ``at_least`` as in ``pillow.read``.

    Raises MetastyleError for a size that is refused, and for damaged data whatever the decoder raises.
    """
    stream.seek(0)
    head = stream.read(64)
    if tiff_pages.is_camera_raw(head):
        raise tiff_pages.camera_raw(name)
    if jpeg.is_jpeg(head):
        return jpeg.read(stream, name, max_pixels, at_least)
    if heic.is_heic(head):
        return heic.read(stream, name, max_pixels)
    if tiff.is_tiff(head):
        return tiff.read(stream, name, max_pixels)
    if head.startswith(b"\x89PNG"):
        return _read_png(stream, name, max_pixels)
    decoded = pillow.read(stream, name, max_pixels)
    return decoded.with_code_points(avif_code_points(stream)) if head[4:8] == b"ftyp" else decoded


def _read_png(stream: BinaryIO, name: str, max_pixels: int) -> Decoded:
    has_code_points, colors = png_code_points(stream)
    stream.seek(0)
    decoded = pillow.read(stream, name, max_pixels)
    # The specification places this chunk above all others that speak of color.
    return replace(decoded, icc=None, stated=colors) if has_code_points else decoded
