"""JPEG: finds the end of the picture, which may be followed by a film or lack its last two bytes."""

from __future__ import annotations

import io
import random
import re
from typing import BinaryIO

from metastyle.errors import MetastyleError
from metastyle.images.formats import pillow
from metastyle.images.formats.decoded import Decoded

_MOST_SCANS = 200  # progressive JPEGs have about ten; thousands in a small file take the decoder hours

_END = b"\xff\xd9"
_NOISE = bytes(random.Random(0).choices(range(255), k=4096))  # more than any block has
_FILLER = _NOISE + b"".join(bytes([0xFF, restart]) + _NOISE for restart in range(0xD0, 0xD8))
"""Bytes from which a decoder continues a picture, wherever it was truncated."""

_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # not a stuffed byte, a restart or filling


def is_jpeg(head: bytes) -> bool:
    """Whether this is a JPEG, by its first bytes."""
    return head.startswith(b"\xff\xd8\xff")


def read(stream: BinaryIO, name: str, max_pixels: int, at_least: int | None = None) -> Decoded:
    """Decode a seekable stream; ``at_least`` as in ``pillow.read``.

    Raises MetastyleError for too many scans and for a size that is not permitted, and for damaged or
    truncated data whatever Pillow raises, or ValueError.
    """
    stream.seek(0)
    data = stream.read()
    components, scans, ended = _frame(data)
    if len(scans) > _MOST_SCANS:
        raise MetastyleError(
            f"{name} is not a normal JPEG: it has {len(scans)} scans, where about ten are usual"
        )
    if ended:
        stream.seek(0)
        return pillow.read(stream, name, max_pixels, ("JPEG",), at_least)
    if not _is_complete(components, scans):
        raise ValueError("its picture is not complete")
    return _read_without_end(data, name, max_pixels)


def _frame(data: bytes) -> tuple[int, list[bytes], bool]:
    """A picture's number of components, the headers of its scans, and whether it has an end.

    What follows the end is ignored.
    """
    scans: list[bytes] = []
    components, at = 0, 2
    while found := _MARKER.search(data, at):
        marker, at = found[0][1], found.end()
        if marker == _END_OF_IMAGE:
            return components, scans, True
        if marker not in _WITHOUT_LENGTH:
            begin, at = at, at + int.from_bytes(data[at : at + 2], "big")
            if marker == _START_OF_SCAN:
                scans.append(data[begin:at])
            elif marker in _FRAMES:
                components = data[begin + 7]
    return components, scans, False


def _is_complete(components: int, scans: list[bytes]) -> bool:
    """Whether every coefficient of every component has been transmitted to its last bit."""
    missing: dict[int, list[int]] = {}  # bits still missing of each of a component's 64 coefficients
    for header in scans:
        count = header[2]
        first, last, bits = header[3 + 2 * count : 6 + 2 * count]
        for component in header[3 : 3 + 2 * count : 2]:
            known = missing.setdefault(component, [99] * 64)
            known[first : last + 1] = [bits & 15] * (last + 1 - first)
    return len(missing) == components and all(bits == 0 for known in missing.values() for bits in known)


def _read_without_end(data: bytes, name: str, max_pixels: int) -> Decoded:
    """Check that a picture only lacks its end marker: then bytes put before the end make no difference."""
    bare = data.removesuffix(b"\xff")
    decoded, other = (
        pillow.read(io.BytesIO(bare + filler + _END), name, max_pixels, ("JPEG",))
        for filler in (b"", _FILLER)
    )
    if (decoded.samples != other.samples).any():
        raise ValueError("its picture is not complete")
    return decoded
