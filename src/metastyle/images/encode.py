"""From pixels to a file that is either complete or not there at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from metastyle.errors import MetastyleError
from metastyle.files import one_line, reason, replacing

# Qualities at which a difference from the pixels is not seen side by side at 100 %; color is not
# subsampled (but by lossy WebP, which knows nothing else), because brush strokes are edges of color.
_FORMATS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"quality": 92, "method": 4},
    "AVIF": {"quality": 85, "subsampling": "4:4:4", "speed": 6},
    "PNG": {"compress_level": 3},  # a third of the time of level 6 for 4 % more bytes
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "BMP": {},
}
_SUFFIXES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
WRITABLE_SUFFIXES = tuple(_SUFFIXES)

WITH_ALPHA = frozenset({"PNG", "WEBP", "AVIF", "TIFF"})
WITH_PROFILE = frozenset({"JPEG", "PNG", "WEBP", "AVIF", "TIFF"})
WITH_16_BIT_GRAY = frozenset({"PNG", "TIFF"})
_WITH_QUALITY = frozenset({"JPEG", "WEBP", "AVIF"})
_LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383, "AVIF": 65536}
_JPEG_EXIF_BYTES = 65527  # one segment, less its length and "Exif\0\0"


def format_of(path: Path) -> str:
    """Pillow's name of the format that the extension asks for."""
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        asked = f"'{path.suffix}'" if path.suffix else "a name without extension"
        raise MetastyleError(
            f"{one_line(path)}: pictures cannot be written as {asked}; use one of {', '.join(_SUFFIXES)}"
        ) from None


def write(
    image: Image.Image,
    path: Path,
    *,
    overwrite: bool,
    quality: int | None,
    icc: bytes | None,
    exif: bytes | None,
    dpi: tuple[float, float] | None,
) -> None:
    """Encode ``image`` in the format of the extension, with that metadata which the format can hold."""
    name, format_name = one_line(path), format_of(path)
    options = dict(_FORMATS[format_name])
    if quality is not None:
        if format_name not in _WITH_QUALITY:
            raise MetastyleError(
                f"{name}: a quality applies to .jpg, .webp and .avif; {path.suffix} loses nothing"
            )
        if not 1 <= quality <= 100:
            raise MetastyleError(f"quality {quality} is out of range; give a whole number from 1 to 100")
        options["quality"] = int(quality)
    longest = _LONGEST_SIDE.get(format_name)
    if longest is not None and max(image.size) > longest:
        raise MetastyleError(
            f"{name}: {format_name} holds at most {longest} pixels a side, the picture is "
            f"{image.width}x{image.height}; choose .png or .tif"
        )
    if format_name in WITH_PROFILE:
        options["icc_profile"] = icc
        if exif is not None and not (format_name == "JPEG" and len(exif) > _JPEG_EXIF_BYTES):
            options["exif"] = exif
            if format_name == "TIFF" and _is_nested(exif):
                del options["compression"]  # Pillow cannot write the nested parts of EXIF through libtiff
    if dpi is not None:
        options["dpi"] = dpi
    with replacing(path, overwrite=overwrite) as stream:
        try:
            image.save(stream, format=format_name, **options)
            if format_name == "BMP" and exif is not None:
                stream.write(exif)  # behind the end of the picture, for our own eyes: origin.py
        except OSError as error:
            if error.errno is None:  # an encoder's own complaint, not the disk's
                raise MetastyleError(
                    f"{name} could not be encoded as {format_name}: {reason(error)}"
                ) from error
            raise
        except (ValueError, RuntimeError, MemoryError) as error:
            raise MetastyleError(f"{name} could not be encoded as {format_name}: {reason(error)}") from error


def _is_nested(exif: bytes) -> bool:
    tags = Image.Exif()
    tags.load(exif)
    return any(ifd in tags for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo))
