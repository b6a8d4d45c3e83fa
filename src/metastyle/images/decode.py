"""Reads picture files of all common formats as ``Picture``.

Reads JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP and the first frame of GIF and other animations, with 1, 2, 4, 8
or 16 bits per channel, in grayscale, palette, RGB, CMYK or CIELAB, with alpha, EXIF orientation and an ICC
profile.

The decoders are not trusted: the size in the header is checked before any pixel is decoded, only these
formats are tried, and none of their warnings reaches the caller.
"""

from __future__ import annotations

import io
import logging
import stat
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from metastyle.errors import MetastyleError
from metastyle.files import one_line, reason
from metastyle.images import profiles, stated_colors
from metastyle.images.formats import heic, jpeg, pillow, png, tiff, tiff_pages
from metastyle.images.formats.avif import avif_code_points
from metastyle.images.formats.decoded import Decoded, quiet
from metastyle.images.picture import MAX_PIXELS, Picture, Samples, as_image, check_size, eight_bits

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".heic", ".heif", ".hif"}
    | {".tif", ".tiff", ".bmp", ".gif"}
)
"""File name extensions of readable formats."""

_READABLE = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP or GIF"
_MODES = {"gray": "L", "rgb": "RGB", "cmyk": "CMYK", "lab": "LAB"}

_log = logging.getLogger(__name__)


def open_picture(
    source: str | Path | bytes | BinaryIO, *, max_pixels: int = MAX_PIXELS, at_least: int | None = None
) -> Picture:
    """Open a picture from a path, from the bytes of a file, or from a binary stream (read from its start).

    Colors are converted to sRGB from the embedded ICC profile, or from other color information in the file
    (code points of HEIC, AVIF, PNG and HDR profiles; gAMA and cHRM; Adobe RGB in EXIF). A damaged profile,
    or one for another kind of picture, counts as sRGB. HDR (PQ, HLG) becomes standard dynamic range, and of
    an animation or a TIFF of several pages the first is taken; all of these log a warning. 16 bits are kept
    (also of 10- and 12-bit HEIC; AVIF is read as 8), except that profiles other than sRGB are converted at
    8 bits.

    at_least: sufficient pixels along the shorter side. Where it is cheaper (JPEG), the picture is read at a
        smaller size, but not below this.

    Raises MetastyleError, naming the source, if it is missing, unreadable, empty, damaged, truncated, not a
    picture, smaller than MIN_SIDE on a side, or larger than ``max_pixels`` (checked before decoding; above
    178 megapixels Pillow's own limit, PIL.Image.MAX_IMAGE_PIXELS, must be raised, too).
    """
    if max_pixels < 1:
        raise MetastyleError(f"max_pixels must be positive, not {max_pixels}")
    if isinstance(source, str | Path):
        path, name = Path(source), one_line(source)
        try:
            with _open_file(path, name, max_pixels) as stream:
                return _open_stream(stream, name, max_pixels, at_least)
        except (OSError, ValueError) as error:
            raise MetastyleError(f"{name} cannot be read: {reason(error)}") from error
    if isinstance(source, bytes | bytearray | memoryview):
        return _open_stream(io.BytesIO(source), "<bytes>", max_pixels, at_least)
    if not hasattr(source, "read"):
        raise MetastyleError(f"a picture is a path, bytes or a binary file, not {type(source).__name__}")
    given = getattr(source, "name", None)
    name = one_line(given) if isinstance(given, str) and given else "<stream>"
    try:
        if not isinstance(source.read(0), bytes):
            raise MetastyleError(f"{name} is a stream of text: open the file in binary mode ('rb')")
        if not source.seekable():
            source = io.BytesIO(source.read(_most_bytes(max_pixels) + 1))
    except (OSError, ValueError) as error:
        raise MetastyleError(f"{name} cannot be read: {reason(error)}") from error
    return _open_stream(source, name, max_pixels, at_least)


def from_pil(image: Image.Image) -> Picture:
    """A Picture from a Pillow image of any mode: orientation, profile, alpha as in ``open_picture``."""
    name = "<image>"
    check_size(image.size, name)
    try:
        with quiet():
            return _to_picture(pillow.channels(image), name)
    except Exception as error:  # a lazily opened file is decoded here, and decoders raise anything
        raise _damaged(error, name) from error


def list_pictures(folder: str | Path) -> list[Path]:
    """The pictures in a folder, by extension, sorted by name; without subfolders and hidden files."""
    name = one_line(folder)
    try:
        entries = sorted(Path(folder).iterdir())
        return [
            p
            for p in entries
            if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".") and p.is_file()
        ]
    except NotADirectoryError:
        raise MetastyleError(f"{name} is a file: use a folder of pictures") from None
    except (OSError, ValueError) as error:
        raise MetastyleError(f"{name} cannot be listed: {reason(error)}") from error


def _open_file(path: Path, name: str, max_pixels: int) -> BinaryIO:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise MetastyleError(f"{name} does not exist") from None
    if stat.S_ISDIR(mode):
        raise MetastyleError(f"{name} is a folder: use a picture")
    if stat.S_ISFIFO(mode):
        with path.open("rb") as pipe:
            return io.BytesIO(pipe.read(_most_bytes(max_pixels) + 1))
    if not stat.S_ISREG(mode):
        raise MetastyleError(f"{name} is not a regular file: use a picture")
    return path.open("rb")


def _most_bytes(max_pixels: int) -> int:
    """An upper limit for the size of a permitted picture's file: four 16-bit channels twice, and metadata."""
    return 16 * max_pixels + (64 << 20)


def _open_stream(stream: BinaryIO, name: str, max_pixels: int, at_least: int | None) -> Picture:
    try:
        length = stream.seek(0, io.SEEK_END)
        if length == 0:
            raise MetastyleError(f"{name} is empty")
        if length > _most_bytes(max_pixels):
            raise MetastyleError(
                f"{name} has {length / 1e9:.1f} GB, too much for {max_pixels / 1e6:g} megapixels"
            )
        with quiet():
            return _to_picture(_decode(stream, name, max_pixels, at_least), name)
    except UnidentifiedImageError as error:
        raise MetastyleError(
            f"{name} is not a picture or is damaged at its start; {_READABLE} can be read"
        ) from error
    except Image.DecompressionBombError as error:
        raise MetastyleError(
            f"{name} is too large: at most {max_pixels / 1e6:g} megapixels are read"
        ) from error
    except Exception as error:  # decoders raise anything on damaged data
        raise _damaged(error, name) from error


def _decode(stream: BinaryIO, name: str, max_pixels: int, at_least: int | None = None) -> Decoded:
    """Decode the first picture of a seekable stream; ``at_least`` as in ``pillow.read``.

    Raises MetastyleError for a size that is not permitted, and whatever the decoder raises for damaged data.
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
    if png.is_png(head):
        return png.read(stream, name, max_pixels)
    decoded = pillow.read(stream, name, max_pixels)
    return decoded.with_code_points(avif_code_points(stream)) if head[4:8] == b"ftyp" else decoded


def _damaged(error: Exception, name: str) -> MetastyleError:
    if isinstance(error, MetastyleError):
        return error
    if isinstance(error, MemoryError):
        return MetastyleError(f"{name} needs more memory than is free, or is damaged")
    if isinstance(error, OSError) and error.errno is not None:
        return MetastyleError(f"{name} cannot be read: {reason(error)}")
    return MetastyleError(f"{name} is damaged, truncated or of an unknown kind: {reason(error)}")


def _to_picture(decoded: Decoded, name: str) -> Picture:
    if decoded.icc is not None and decoded.space in ("gray", "rgb"):
        decoded = decoded.with_code_points(stated_colors.from_profile(decoded.icc))
    if decoded.stated is not None and decoded.stated.hdr:
        _log.warning(
            "%s is HDR (%s): converted to standard dynamic range (sRGB), highlights above white are clipped",
            name,
            decoded.stated.hdr,
        )
    if decoded.frames > 1:
        _log.warning(
            "%s is animated: the first of its %d frames is used ('metastyle video' repaints them all)",
            name,
            decoded.frames,
        )
    if decoded.pages > 1:
        _log.warning("%s has %d pages: the first is used", name, decoded.pages)
    pixels = _to_srgb(decoded)
    alpha = decoded.alpha
    if alpha is not None and alpha.dtype != pixels.dtype:
        alpha = eight_bits(alpha)
    return Picture(
        pixels=_upright(pixels, decoded.orientation),
        alpha=None if alpha is None else _upright(alpha, decoded.orientation),
        icc=decoded.icc,
        exif=decoded.exif,
        dpi=decoded.dpi if decoded.dpi is None or decoded.orientation < 5 else decoded.dpi[::-1],
        gray=decoded.space == "gray",
        name=name,
    )


def _to_srgb(decoded: Decoded) -> Samples:
    samples, mode = decoded.samples, _MODES[decoded.space]
    if decoded.stated is not None and mode in ("L", "RGB"):
        samples = stated_colors.to_srgb(samples, decoded.stated)
    transform = None if decoded.icc is None else profiles.to_srgb(decoded.icc, mode)
    if transform is None and mode == "LAB":
        transform = profiles.lab_to_srgb()
    if transform is not None and not profiles.changes_nothing(transform):
        return np.array(transform.apply(as_image(samples, mode)))
    if mode == "CMYK":
        return np.array(as_image(samples, mode).convert("RGB"))
    return np.repeat(samples[..., None], 3, axis=2) if mode == "L" else samples


def _upright(array: Samples, orientation: int) -> Samples:
    """Undo an EXIF orientation, whose bits stand for a transposition and two reflections."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)
