"""From a file to its own samples, before any colour is converted: Pillow, and pi-heif for HEIC.

What the decoders cannot be trusted with is settled here: the size is checked from the header before a
pixel is decoded, only the formats that people have are tried, and no warning of theirs reaches the caller.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, ExifTags, Image, TiffImagePlugin, WebPImagePlugin

from metastyle.errors import MetastyleError

MIN_SIDE = 16
"""Pixels that a picture must have along each side: the loss network halves it three times."""

_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF")
_PLUGINS = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)  # Pillow finds the four others by itself
READABLE = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP or GIF"

# Pillow has no mode for 16-bit colour and keeps one byte of each sample. Asking a second time with the byte
# order reversed gives the other byte, so the two together are the 16 bits of the file.
_NATIVE, _SWAPPED = ("L", "B") if sys.byteorder == "little" else ("B", "L")
_OTHER_BYTE = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA", "RGBX")
    for order, other in (("B", "L"), ("L", "B"), ("N", _SWAPPED))
}
_GREY_ALPHA_16 = "LA;16B"

_MAX_SCANS = (
    200  # a progressive JPEG has about ten; thousands in a small file would keep the decoder for hours
)

_KEPT_TAGS = (
    *(ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software),
    *(ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.HostComputer, ExifTags.Base.Copyright),
    *(ExifTags.Base.XPTitle, ExifTags.Base.XPComment, ExifTags.Base.XPAuthor, ExifTags.Base.XPKeywords),
)
_DROPPED_EXIF_TAGS = (  # the maker's note points into the old file; sizes may change
    *(ExifTags.Base.MakerNote, ExifTags.Base.ExifInteroperabilityOffset),
    *(ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight),
)

Samples = NDArray[Any]  # uint8 or uint16, as Picture and check_pixels assert

_quiet_lock = threading.RLock()


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a file holds, upright or not, in its own colours."""

    samples: Samples
    """(H, W) if grey, (H, W, 3) if rgb or lab, (H, W, 4) if cmyk."""
    space: Literal["grey", "rgb", "cmyk", "lab"]
    alpha: Samples | None = None
    """(H, W), of the same type as the samples; not multiplied into them."""
    icc: bytes | None = None
    exif: bytes | None = None
    orientation: int = 1
    dpi: tuple[float, float] | None = None


def check_size(size: tuple[int, int], name: str, max_pixels: int | None = None) -> None:
    """Refuse a (width, height) below MIN_SIDE, or above ``max_pixels`` altogether."""
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


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the decoders' warnings, one thread at a time: Python's filters belong to all threads."""
    with _quiet_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read(stream: BinaryIO, name: str, max_pixels: int) -> Decoded:
    """Decode the first picture of a seekable stream.

    Raises MetastyleError for a size that is refused, and for damaged data whatever the decoder raises.
    """
    stream.seek(0)
    head = stream.read(64)
    if _is_heic(head):
        return _read_heic(stream, name, max_pixels)
    image = Image.open(stream, formats=_FORMATS)
    check_size(image.size, name, max_pixels)
    if image.info.get("progressive"):
        _check_scans(stream, name)
    rawmode = _rawmode(image)
    if rawmode == _GREY_ALPHA_16:
        _set_rawmode(image, "RGBA")  # the four bytes of a pixel as they are: grey, grey, alpha, alpha
        both = np.array(image).view(">u2").astype(np.uint16)
        return Decoded(both[..., 0], "grey", both[..., 1], **_metadata(image))
    decoded = channels(image)
    if rawmode in _OTHER_BYTE and decoded.samples.dtype == np.uint8:
        again = Image.open(stream, formats=_FORMATS)
        _set_rawmode(again, _OTHER_BYTE[rawmode])
        return _join_bytes(decoded, again, image.info.get("transparency"))
    return decoded


def channels(image: Image.Image) -> Decoded:
    """Split a picture of any of Pillow's modes into samples and alpha, without converting colours."""
    image.load()
    mode, rest = image.mode, _metadata(image)
    if mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):
        samples = _as_uint16(np.array(image))
        key = image.info.get("transparency")
        alpha = np.where(samples == key, 0, 65535).astype(np.uint16) if isinstance(key, int) else None
        return Decoded(samples, "grey", alpha, **rest)
    if mode in ("CMYK", "LAB"):
        return Decoded(np.array(image), "cmyk" if mode == "CMYK" else "lab", **rest)
    if mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "HSV"):
        raise ValueError(f"pixels of Pillow's mode {mode} are not supported; 8 or 16 bits a channel are")
    grey = mode in ("1", "L", "LA", "La")
    if image.has_transparency_data or mode == "RGBa":
        both = np.array(image.convert("LA" if grey else "RGBA"))
        colour = both[..., 0] if grey else both[..., :3]
        return Decoded(np.ascontiguousarray(colour), "grey" if grey else "rgb", both[..., -1].copy(), **rest)
    return Decoded(np.array(image.convert("L" if grey else "RGB")), "grey" if grey else "rgb", **rest)


def _as_uint16(values: NDArray[Any]) -> NDArray[np.uint16]:
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its grey values do not lie between 0 and 65535; 8 or 16 bits are supported")
    return values.astype(np.uint16)


def _join_bytes(high: Decoded, low_image: Image.Image, key: object) -> Decoded:
    """Put the high and the low bytes of 16-bit samples together; ``key`` is the colour that means nothing."""
    low = np.array(low_image)
    wide = high.samples.astype(np.uint16) << 8
    wide |= low[..., :3]
    alpha: Samples | None = None
    if low.shape[2] == 4 and high.alpha is not None:
        alpha = (high.alpha.astype(np.uint16) << 8) | low[..., 3]
    elif isinstance(key, tuple):
        alpha = np.where((wide == np.array(key)).all(axis=2), 0, 65535).astype(np.uint16)
    return Decoded(wide, "rgb", alpha, high.icc, high.exif, high.orientation, high.dpi)


def _rawmode(image: Image.Image) -> str | None:
    """How the decoder is asked to lay samples out, if all parts of the picture agree."""
    modes = {
        t.args[0] if isinstance(t.args, tuple) and t.args else t.args for t in getattr(image, "tile", [])
    }
    mode = modes.pop() if len(modes) == 1 else None
    return mode if isinstance(mode, str) else None


def _set_rawmode(image: Any, rawmode: str) -> None:
    image.tile = [
        t._replace(args=(rawmode, *t.args[1:]) if isinstance(t.args, tuple) else rawmode) for t in image.tile
    ]


def _check_scans(stream: BinaryIO, name: str) -> None:
    stream.seek(0)
    scans = stream.read().count(b"\xff\xda")
    if scans > _MAX_SCANS:
        raise MetastyleError(f"{name} is not a sane JPEG: it has {scans} scans where about ten are usual")


def _metadata(image: Image.Image) -> dict[str, Any]:
    """Profile, cleaned EXIF, orientation and resolution; after load(), which turns TIFF upright."""
    orientation, exif = _read_exif(image)
    icc = image.info.get("icc_profile")
    return {
        "icc": icc if isinstance(icc, bytes) and icc else None,
        "exif": exif,
        "orientation": orientation,
        "dpi": _read_dpi(image.info.get("dpi")),
    }


def _read_exif(image: Image.Image) -> tuple[int, bytes | None]:
    try:
        exif = image.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata must not cost the picture
        return 1, None
    return orientation if orientation in range(1, 9) else 1, clean_exif(exif)


def clean_exif(exif: Image.Exif) -> bytes | None:
    """Keep what describes the photograph (camera, time, place, author); None if nothing is, or it is damaged.

    Orientation, thumbnail and everything that speaks of the old file's layout are left out.
    """
    kept = Image.Exif()
    try:
        kept.update({tag: exif[tag] for tag in _KEPT_TAGS if tag in exif})
        described = len(kept) > 0
        for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            entries = {t: v for t, v in exif.get_ifd(ifd).items() if t not in _DROPPED_EXIF_TAGS}
            if entries:
                kept.get_ifd(ifd).update(entries)
                described = True
        return kept.tobytes() if described else None
    except Exception:  # whatever the metadata of a damaged file makes of Pillow's writer
        return None


def _read_dpi(dpi: object) -> tuple[float, float] | None:
    try:
        x, y = (float(v) for v in dpi)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 1 <= x <= 1e5 and 1 <= y <= 1e5 else None


def _is_heic(head: bytes) -> bool:
    """An ISO media file whose brands are HEVC's, or a bare MIAF that does not name AVIF."""
    if head[4:8] != b"ftyp":
        return False
    if head[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"):
        return True
    return head[8:12] in (b"mif1", b"msf1") and b"avif" not in head


def _read_heic(stream: BinaryIO, name: str, max_pixels: int) -> Decoded:
    """HEIC comes out upright already: rotation is part of the format and applied by libheif."""
    import pi_heif  # 30 ms and a library that most pictures do not need

    file = pi_heif.open_heif(stream, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    check_size(file.size, name, max_pixels)
    samples = np.array(file)
    check_size((samples.shape[1], samples.shape[0]), name, max_pixels)  # may differ from the header's
    if samples.dtype != np.uint8:
        top = (1 << file.info["bit_depth"]) - 1  # 10 or 12 bits, widened so that white stays white
        samples = ((samples.astype(np.uint32) * 65535 + top // 2) // top).astype(np.uint16)
    alpha = None
    if samples.ndim == 3 and samples.shape[2] in (2, 4):
        alpha = samples[..., -1].copy()
        samples = np.ascontiguousarray(samples[..., :-1])
    if samples.ndim == 3 and samples.shape[2] == 1:
        samples = samples[..., 0]
    exif = None
    if file.info.get("exif"):
        tags = Image.Exif()
        tags.load(file.info["exif"])
        exif = clean_exif(tags)
    return Decoded(samples, "rgb" if samples.ndim == 3 else "grey", alpha, file.info.get("icc_profile"), exif)
