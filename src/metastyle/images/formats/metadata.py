"""A file's metadata: profile, resolution, orientation, and EXIF cleaned for writing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import ExifTags, Image

from metastyle.images import stated_colors

_KEPT_TAGS = (
    *(ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software),
    *(ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.HostComputer, ExifTags.Base.Copyright),
    *(ExifTags.Base.XPTitle, ExifTags.Base.XPComment, ExifTags.Base.XPAuthor, ExifTags.Base.XPKeywords),
)
_DROPPED_EXIF_TAGS = (  # the maker note points into the old file; sizes and colors may change
    *(ExifTags.Base.MakerNote, ExifTags.Base.ExifInteroperabilityOffset),
    *(
        ExifTags.Base.ExifImageWidth,
        ExifTags.Base.ExifImageHeight,
        ExifTags.Base.ColorSpace,
        ExifTags.Base.Gamma,
    ),
)


def metadata(image: Image.Image) -> dict[str, Any]:
    """Profile, cleaned EXIF, orientation and resolution; after load(), which turns TIFF upright."""
    described = _described(image.getexif, image.info.get("icc_profile"), image.info.get("dpi"))
    if described["icc"] is None and not described["stated"]:
        described["stated"] = stated_colors.from_info(image.info)
    return described


def metadata_of_tags(exif: Image.Exif) -> dict[str, Any]:
    """The same from a TIFF's own tags, for pictures that Pillow does not decode as a whole."""
    unit = {2: 1.0, 3: 2.54}.get(exif.get(ExifTags.Base.ResolutionUnit, 2))
    across, down = (exif.get(tag) for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution))
    dpi = (across * unit, down * unit) if across and down and unit else None
    return _described(lambda: exif, exif.get(ExifTags.Base.InterColorProfile), dpi)


def _described(read_exif: Callable[[], Image.Exif], icc: object, dpi: object) -> dict[str, Any]:
    colors = None
    try:
        exif = read_exif()
        orientation, kept = exif.get(ExifTags.Base.Orientation, 1), clean_exif(exif)
        colors = stated_colors.from_exif(exif)
    except Exception:  # damaged metadata must not cost the picture
        orientation, kept = 1, None
    profile = icc if isinstance(icc, bytes) and icc else None
    return {
        "icc": profile,
        "stated": colors if profile is None else None,
        "exif": kept,
        "orientation": orientation if orientation in range(1, 9) else 1,
        "dpi": _read_dpi(dpi),
    }


def clean_exif(exif: Image.Exif) -> bytes | None:
    """Keep what describes the photograph (camera, time, place, author); None if nothing does.

    Orientation, thumbnail and everything about the old file's layout are left out.
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
    except Exception:  # Pillow's writer raises anything on damaged metadata
        return None


def _read_dpi(dpi: object) -> tuple[float, float] | None:
    try:
        x, y = (float(v) for v in dpi)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 1 <= x <= 1e5 and 1 <= y <= 1e5 else None
