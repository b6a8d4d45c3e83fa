"""The record of what a result was made from, stored in the result itself.

The record is in EXIF's ProcessingSoftware, which describes how a picture was processed; the photograph's own
metadata (camera, author, Software) is kept. It has three digests and no names. It is lost if another program
rewrites the picture without its metadata.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, TiffImagePlugin

from metastyle.images.encode import WRITABLE_SUFFIXES
from metastyle.images.formats import png
from metastyle.images.formats.decoded import quiet

_TAG = 0x000B  # ProcessingSoftware
_FORM = re.compile(r"metastyle photo=([0-9a-f]{32}) place=([0-9a-f]{16}) look=([0-9a-f]{32})")
_MOST_CACHED = 1 << 17


@dataclass(frozen=True)
class Origin:
    """The record of one result."""

    photo: str
    """Digest of the photograph's file, 32 hexadecimal digits."""
    place: str
    """Digest of the photograph's path, which identifies it even after its file has changed; 16 digits."""
    look: str
    """Digest of style and options, 32 digits."""

    def __str__(self) -> str:
        return f"metastyle photo={self.photo} place={self.place} look={self.look}"


def stamp(exif: bytes | None, origin: Origin) -> bytes:
    """A picture's ``exif`` with the record added."""
    tags = Image.Exif()
    if exif is not None:
        tags.load(exif)
    tags[_TAG] = str(origin)
    return tags.tobytes()


def read_origin(path: Path) -> Origin | None:
    """The record in a picture's file; None if there is none, or if the file cannot be read."""
    if path.suffix.lower() not in WRITABLE_SUFFIXES or not path.is_file():
        return None
    try:
        return _read_origin(path, _stamp(path))
    except OSError:
        return None


def photo_digest(photo: Path | BytesIO) -> str:
    """The digest of a photograph's file, or of bytes from a pipe.

    Raises:
        OSError: it cannot be read.
    """
    if isinstance(photo, Path):
        return _file_digest(photo, _stamp(photo))
    return digest(photo.getvalue())


def place_digest(photo: Path) -> str:
    """The digest of the photograph's absolute path, with links resolved."""
    return digest(os.fsencode(os.path.realpath(photo)))[:16]


def digest(data: bytes) -> str:
    """A digest of 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@functools.lru_cache(_MOST_CACHED)  # watched folders are checked every second
def _file_digest(path: Path, _: tuple[int, int]) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@functools.lru_cache(_MOST_CACHED)
def _read_origin(path: Path, _: tuple[int, int]) -> Origin | None:
    try:
        with _opened(path) as image:
            if isinstance(image, TiffImagePlugin.TiffImageFile):
                text = image.tag_v2.get(_TAG)
            else:
                tags = Image.Exif()
                tags.load(image.info.get("exif") or _behind_bmp(path, image))
                text = tags.get(_TAG)
    except Exception:  # decoders raise anything on damaged pictures, which are not our results
        return None
    match = _FORM.fullmatch(str(text).strip("\0 "))
    return None if match is None else Origin(*match.groups())


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Read the header alone; nothing is decoded."""
    formats = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP")
    with quiet(), path.open("rb") as stream:
        try:
            image = Image.open(stream, formats=formats)
        except ValueError:  # a PNG with a large profile
            image = Image.open(png.without_text(stream) or stream, formats=formats)
        with image:
            yield image


def _behind_bmp(path: Path, image: Image.Image) -> bytes:
    """The record that ``encode`` appends to a BMP, which has no metadata."""
    if image.format != "BMP":
        return b""
    with path.open("rb") as stream:
        stream.seek(2)
        stream.seek(int.from_bytes(stream.read(4), "little"))
        return stream.read(1 << 16)
