"""Formats that Pillow decodes, with 16 bits even where Pillow itself keeps one byte of two."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, TiffImagePlugin, WebPImagePlugin

from metastyle.images.formats.decoded import Decoded
from metastyle.images.formats.metadata import metadata
from metastyle.images.picture import Samples, check_size

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF")
_PLUGINS = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)  # Pillow finds the other four automatically

# Pillow has no mode for 16-bit color and keeps one byte of each sample. Asking a second time with the byte
# order reversed gives the other byte, so the two together are the 16 bits of the file.
_NATIVE, _SWAPPED = ("L", "B") if sys.byteorder == "little" else ("B", "L")
_OTHER_BYTE = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA", "RGBX")
    for order, other in (("B", "L"), ("L", "B"), ("N", _SWAPPED))
}
_GRAY_ALPHA_16 = "LA;16B"


def read(
    stream: BinaryIO,
    name: str,
    max_pixels: int,
    formats: tuple[str, ...] = FORMATS,
    at_least: int | None = None,
) -> Decoded:
    """Decode a seekable stream; raises for sizes that are not permitted, and whatever Pillow raises.

    at_least: sufficient pixels along the shorter side; a JPEG is then decoded at 1/2, 1/4 or 1/8.
    """
    image = Image.open(stream, formats=formats)
    check_size(image.size, name, max_pixels)
    if at_least is not None:
        image.draft(None, (at_least, at_least))
    rawmode = _rawmode(image)
    if rawmode == _GRAY_ALPHA_16:
        _set_rawmode(image, "RGBA")  # the four bytes of a pixel as they are: gray, gray, alpha, alpha
        both = np.array(image).view(">u2").astype(np.uint16)
        return Decoded(both[..., 0], "gray", both[..., 1], **metadata(image))
    decoded = channels(image)
    if rawmode in _OTHER_BYTE and decoded.samples.dtype == np.uint8:
        again = Image.open(stream, formats=formats)
        _set_rawmode(again, _OTHER_BYTE[rawmode])
        return _join_bytes(decoded, again, image.info.get("transparency"))
    return decoded


def channels(image: Image.Image) -> Decoded:
    """Split a picture of any of Pillow's modes into samples and alpha, without converting colors."""
    image.load()
    mode, rest = image.mode, metadata(image) | {"frames": _frames(image)}
    if mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):
        samples = _as_uint16(np.array(image))
        key = image.info.get("transparency")
        alpha = np.where(samples == key, 0, 65535).astype(np.uint16) if isinstance(key, int) else None
        return Decoded(samples, "gray", alpha, **rest)
    if mode in ("CMYK", "LAB"):
        return Decoded(np.array(image), "cmyk" if mode == "CMYK" else "lab", **rest)
    if mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "HSV"):
        raise ValueError(f"pixels of Pillow's mode {mode} are not supported; 8 or 16 bits a channel are")
    gray = mode in ("1", "L", "LA", "La")
    if image.has_transparency_data or mode == "RGBa":
        both = np.array(image.convert("LA" if gray else "RGBA"))
        color = both[..., 0] if gray else both[..., :3]
        return Decoded(np.ascontiguousarray(color), "gray" if gray else "rgb", both[..., -1].copy(), **rest)
    return Decoded(np.array(image.convert("L" if gray else "RGB")), "gray" if gray else "rgb", **rest)


def _frames(image: Image.Image) -> int:
    """The number of frames of an animation; 1 for anything else, such as a TIFF with several pages."""
    if image.format not in ("GIF", "PNG", "WEBP", "AVIF") or not getattr(image, "is_animated", False):
        return 1
    return int(getattr(image, "n_frames", 1))


def _as_uint16(values: NDArray[Any]) -> NDArray[np.uint16]:
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its gray values are not all between 0 and 65535; 8 or 16 bits are supported")
    return values.astype(np.uint16)


def _join_bytes(high: Decoded, low_image: Image.Image, key: object) -> Decoded:
    """Combine the high and the low bytes of 16-bit samples; ``key`` is the transparent color."""
    low = np.array(low_image)
    wide = high.samples.astype(np.uint16) << 8
    wide |= low[..., :3]
    alpha: Samples | None = None
    if low.shape[2] == 4 and high.alpha is not None:
        alpha = (high.alpha.astype(np.uint16) << 8) | low[..., 3]
    elif isinstance(key, tuple):
        alpha = np.where((wide == np.array(key)).all(axis=2), 0, 65535).astype(np.uint16)
    return replace(high, samples=wide, alpha=alpha)


def _rawmode(image: Image.Image) -> str | None:
    """The sample layout requested from the decoder, if all parts of the picture agree."""
    modes = {
        t.args[0] if isinstance(t.args, tuple) and t.args else t.args for t in getattr(image, "tile", [])
    }
    mode = modes.pop() if len(modes) == 1 else None
    return mode if isinstance(mode, str) else None


def _set_rawmode(image: Any, rawmode: str) -> None:
    image.tile = [
        t._replace(args=(rawmode, *t.args[1:]) if isinstance(t.args, tuple) else rawmode) for t in image.tile
    ]
