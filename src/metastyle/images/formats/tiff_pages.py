"""Chooses one of a TIFF's pictures: some begin with a thumbnail, and camera raws must be developed first."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from PIL import TiffImagePlugin

from metastyle.errors import MetastyleError

Tags = TiffImagePlugin.ImageFileDirectory_v2

_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _SUB_DIRECTORIES = 254, 255, 256, 257, 262, 330
_DNG_VERSION = 50706
_REDUCED, _IS_MASK = 1, 4  # bits of the subfile type
_OLD_REDUCED = 2
_MASK = 4
_COLOR_FILTERS, _LINEAR_RAW = 32803, 34892
_MOST_PAGES = 1000

_RAW_HEADS = (  # of camera raws that are not quite TIFFs
    *(b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM"),
)


@dataclass(frozen=True)
class Page:
    """One picture of a file."""

    tags: Tags
    offset: int
    """Position of its directory in the file."""

    def as_first(self, stream: BinaryIO) -> BinaryIO:
        """A file whose first picture this is: the stream itself, or a copy in memory."""
        stream.seek(0)
        header = stream.read(16)
        at, letter = (8, "Q") if _is_big(header) else (4, "I")
        order = "<" if header.startswith(b"I") else ">"
        stream.seek(0)
        if struct.unpack_from(order + letter, header, at) == (self.offset,):
            return stream
        copy = bytearray(stream.read())
        struct.pack_into(order + letter, copy, at, self.offset)
        return io.BytesIO(bytes(copy))

    @property
    def is_reduced(self) -> bool:
        """A smaller copy of another picture in the file."""
        kind = self.tags.get(_SUBFILE, 0)
        return bool(kind & _REDUCED) or (
            _SUBFILE not in self.tags and self.tags.get(_OLD_SUBFILE) == _OLD_REDUCED
        )

    @property
    def is_mask(self) -> bool:
        """The transparency of another picture."""
        return bool(self.tags.get(_SUBFILE, 0) & _IS_MASK) or self.tags.get(_PHOTOMETRIC) == _MASK

    @property
    def is_raw(self) -> bool:
        """Raw sensor data, which must be developed first."""
        return _DNG_VERSION in self.tags or self.tags.get(_PHOTOMETRIC) in (_COLOR_FILTERS, _LINEAR_RAW)


def is_camera_raw(head: bytes) -> bool:
    """Whether a file is a camera raw other than a plain TIFF, by its first bytes."""
    return (
        head.startswith(_RAW_HEADS)
        or head[4:12] == b"ftypcrx "
        or (head[:4] == b"II*\0" and head[8:10] == b"CR")
    )


def camera_raw(name: str) -> MetastyleError:
    """The error for a camera raw."""
    return MetastyleError(
        f"{name} is a camera raw: develop it first (with the camera's software, darktable or RawTherapee) "
        "and use the resulting JPEG or TIFF"
    )


def choose(stream: BinaryIO, name: str) -> Page:
    """The first picture that is neither a reduced copy nor a mask; the largest copy if there is no other.

    Raises MetastyleError for a camera raw, and for damaged data whatever the tag reader raises.
    """
    smaller: list[Page] = []
    for page, below in _pages(stream, name):
        if any(p.is_raw for p in (page, *below)):
            raise camera_raw(name)
        for candidate in (page, *below):
            if not (candidate.is_reduced or candidate.is_mask):
                return candidate
        smaller += [p for p in (page, *below) if not p.is_mask]
    if not smaller:
        raise MetastyleError(f"{name} holds no picture, only masks")
    return max(smaller, key=lambda p: p.tags.get(_WIDTH, 0) * p.tags.get(_HEIGHT, 0))


def count(stream: BinaryIO, name: str) -> int:
    """The number of pages that are no copies or masks of others, as far as they can be read."""
    found = 0
    with suppress(Exception):  # a damaged page costs nothing: it would not be used anyway
        for page, _ in _pages(stream, name):
            found += not (page.is_reduced or page.is_mask)
    return found


def _pages(stream: BinaryIO, name: str) -> Iterator[tuple[Page, list[Page]]]:
    """The pictures in order, each followed by its sub-pictures."""
    stream.seek(0)
    header = stream.read(8)
    if header.startswith(b"MM\0+"):  # Pillow would take it for a smaller TIFF
        raise MetastyleError(
            f"{name} is a big-endian BigTIFF, which is not supported: save it as a plain TIFF"
        )
    if _is_big(header):
        header += stream.read(8)
    following = Tags(header).next
    seen: set[int] = set()
    while following and following not in seen and len(seen) < _MOST_PAGES:
        page = _page(stream, header, following)
        seen.add(following)
        below = page.tags.get(_SUB_DIRECTORIES, ())
        offsets = [at for at in (below if isinstance(below, tuple) else (below,)) if at not in seen]
        seen.update(offsets)
        yield page, [_page(stream, header, at) for at in dict.fromkeys(offsets[:_MOST_PAGES])]
        following = page.tags.next


def _page(stream: BinaryIO, header: bytes, offset: int) -> Page:
    tags = Tags(header)
    stream.seek(offset)
    tags.load(stream)
    return Page(tags, offset)


def _is_big(header: bytes) -> bool:
    return header[2] == 43
