"""PNG: its code points, which Pillow ignores, and metadata that is larger than Pillow accepts."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from metastyle.images.formats import pillow
from metastyle.images.formats.decoded import Decoded
from metastyle.images.profiles import MAX_PROFILE_BYTES
from metastyle.images.stated_colors import Stated, from_code_points

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 1000
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_PROFILE = b"iCCP"


def is_png(head: bytes) -> bool:
    """Whether this is a PNG, by its first bytes."""
    return head.startswith(_SIGNATURE[:4])


def read(stream: BinaryIO, name: str, max_pixels: int) -> Decoded:
    """Decode a seekable stream.

    Pillow refuses texts and profiles of more than 1 MB. Such texts, as of programs that store a whole project
    in them, are ignored.

    Raises MetastyleError for a size that is not permitted, and for damaged data whatever Pillow raises.
    """
    has_code_points, colors = _code_points(stream)
    stream.seek(0)
    try:
        decoded = pillow.read(stream, name, max_pixels)
    except ValueError:
        bare = without_text(stream)
        if bare is None:
            raise
        decoded = replace(pillow.read(bare, name, max_pixels), icc=_profile(stream))
    # By the specification, code points take precedence over all other color information.
    return replace(decoded, icc=None, stated=colors) if has_code_points else decoded


def without_text(stream: BinaryIO) -> BinaryIO | None:
    """A copy of a PNG without its texts and its profile; None if it has neither."""
    kept, found = bytearray(_SIGNATURE), False
    for kind, content, checksum in _chunks(stream):
        if kind in (*_TEXT, _PROFILE):
            found = True
        else:
            kept += len(content).to_bytes(4, "big") + kind + content + checksum
    return io.BytesIO(bytes(kept)) if found else None


def _code_points(stream: BinaryIO) -> tuple[bool, Stated | None]:
    """Whether a PNG has a cICP chunk before the first pixels, and its colors."""
    stream.seek(len(_SIGNATURE))
    for _ in range(_MOST_CHUNKS):
        head = stream.read(8)
        if len(head) < 8 or head[4:] in (b"IDAT", b"IEND"):
            break
        size = int.from_bytes(head[:4], "big")
        if head[4:] == b"cICP" and size == 4:
            primaries, transfer = stream.read(2)
            return True, from_code_points(primaries, transfer)
        stream.seek(size + 4, 1)
    return False, None


def _profile(stream: BinaryIO) -> bytes | None:
    """The ICC profile; a larger one than any that is used is truncated."""
    for kind, content, _ in _chunks(stream):
        if kind == _PROFILE:
            _, _, after_name = content.partition(b"\0")
            try:
                return zlib.decompressobj().decompress(after_name[1:], MAX_PROFILE_BYTES + 1) or None
            except zlib.error:
                return None
    return None


def _chunks(stream: BinaryIO) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Kind, content and checksum of each chunk, up to the end of the picture or of the file."""
    stream.seek(len(_SIGNATURE))
    while len(head := stream.read(8)) == 8:
        kind, content = head[4:], stream.read(int.from_bytes(head[:4], "big"))
        yield kind, content, stream.read(4)
        if kind == b"IEND":
            return
