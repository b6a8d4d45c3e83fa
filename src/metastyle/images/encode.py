"""Writes pictures to files, completely or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le
from PIL import ExifTags, Image

from metastyle.core.checks import check_value
from metastyle.errors import MetastyleError
from metastyle.files import one_line, reason, replacing
from metastyle.images import profiles
from metastyle.images.picture import ROWS, Picture, Samples, as_image, eight_bits, round_to

# Qualities without a visible difference side by side at 100 %. Color is not subsampled (except in
# lossy WebP, which always is), because brush strokes have color edges.
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

_WITH_ALPHA = frozenset({"PNG", "WEBP", "AVIF", "TIFF"})
_WITH_PROFILE = frozenset({"JPEG", "PNG", "WEBP", "AVIF", "TIFF"})
_WITH_16_BIT_GRAY = frozenset({"PNG", "TIFF"})
_WITH_QUALITY = frozenset({"JPEG", "WEBP", "AVIF"})
_LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383, "AVIF": 65536}
_JPEG_EXIF_BYTES = 65527  # one segment, less its length and "Exif\0\0"


def save_picture(
    picture: Picture, path: str | Path, *, overwrite: bool = False, quality: int | None = None
) -> None:
    """Write a picture in the format of the extension: .jpg .jpeg .png .webp .avif .tif .tiff .bmp.

    A picture that was read with an RGB profile (Display P3, Adobe RGB) is converted back to it and embeds it;
    with a CMYK, gray or input-only profile the file is plain sRGB. If the format has no alpha (JPEG, BMP),
    the background is white. 16 bits are kept for gray pictures in PNG and TIFF, otherwise rounded to 8.
    ``quality`` is 1 to 100; by default 95 for JPEG (4:4:4), 92 for WebP, 85 for AVIF (4:4:4).

    The file is written under another name and renamed; a failure leaves nothing behind.

    Raises MetastyleError for an existing file unless ``overwrite``, an unknown extension, a missing or
    unwritable folder, and a full disk.
    """
    path = Path(path)
    format_name = _format_of(path)
    image, icc = _for_saving(picture, format_name)
    _write(image, path, overwrite=overwrite, quality=quality, icc=icc, exif=picture.exif, dpi=picture.dpi)


def to_pil(picture: Picture) -> Image.Image:
    """A Pillow image in sRGB: L, LA, RGB or RGBA; I;16 for 16-bit gray. 16-bit color becomes 8 bits."""
    gray = picture.gray and _channels_equal(picture.pixels)
    if gray and picture.alpha is None and picture.pixels.dtype == np.uint16:
        return Image.fromarray(np.ascontiguousarray(picture.pixels[..., 0]))
    color = eight_bits(picture.pixels[..., :1] if gray else picture.pixels)
    if picture.alpha is not None:
        color = np.concatenate([color, eight_bits(picture.alpha)[..., None]], axis=2)
    return as_image(color, {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[color.shape[2]])


def _format_of(path: Path) -> str:
    """Pillow's name of the format for the extension."""
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        asked = f"'{path.suffix}'" if path.suffix else "a name without extension"
        raise MetastyleError(
            f"{one_line(path)}: pictures cannot be written as {asked}: use one of {', '.join(_SUFFIXES)}"
        ) from None


def _write(
    image: Image.Image,
    path: Path,
    *,
    overwrite: bool,
    quality: int | None,
    icc: bytes | None,
    exif: bytes | None,
    dpi: tuple[float, float] | None,
) -> None:
    """Encode ``image`` in the format of the extension, with the metadata that the format can hold."""
    name, format_name = one_line(path), _format_of(path)
    options = dict(_FORMATS[format_name])
    if quality is not None:
        if format_name not in _WITH_QUALITY:
            raise MetastyleError(
                f"{name}: a quality applies to .jpg, .webp and .avif; {path.suffix} is lossless"
            )
        options["quality"] = check_value("quality", quality, Annotated[int, Ge(1), Le(100)])
    longest = _LONGEST_SIDE.get(format_name)
    if longest is not None and max(image.size) > longest:
        raise MetastyleError(
            f"{name}: {format_name} allows {longest} pixels a side, and the picture is "
            f"{image.width}x{image.height}: use .png or .tif"
        )
    if format_name in _WITH_PROFILE:
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
                stream.write(exif)  # after the end of the picture, read by origin.py alone
        except OSError as error:
            if error.errno is None:  # an error of the encoder, not of the disk
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


def _for_saving(picture: Picture, format_name: str) -> tuple[Image.Image, bytes | None]:
    """The Pillow image to encode, in its own color space, and the profile to embed."""
    if picture.alpha is not None and format_name not in _WITH_ALPHA:
        picture = replace(picture, pixels=_on_white(picture.pixels, picture.alpha), alpha=None)
    if picture.pixels.dtype == np.uint16 and format_name not in _WITH_16_BIT_GRAY:
        alpha = None if picture.alpha is None else eight_bits(picture.alpha)
        picture = replace(picture, pixels=eight_bits(picture.pixels), alpha=alpha)
    image = to_pil(picture)
    if picture.icc is None or format_name not in _WITH_PROFILE or not image.mode.startswith("RGB"):
        return image, None
    transform = profiles.from_srgb(picture.icc)
    if transform is None:
        return image, None
    if profiles.changes_nothing(transform):
        return image, picture.icc
    own = transform.apply(image.convert("RGB"))
    if image.mode == "RGBA":
        own.putalpha(image.getchannel("A"))
    return own, picture.icc


def _on_white(pixels: Samples, alpha: Samples) -> Samples:
    out = np.empty_like(pixels)
    top = np.iinfo(pixels.dtype).max
    for row in range(0, len(pixels), ROWS):
        opaque = alpha[row : row + ROWS, :, None].astype(np.float32) / top
        laid = pixels[row : row + ROWS] * opaque + (1 - opaque) * top
        out[row : row + ROWS] = round_to(laid, pixels.dtype)
    return out


def _channels_equal(pixels: Samples) -> bool:
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())
