"""The code points of AVIF, which Pillow ignores."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from metastyle.images.stated_colors import Stated, from_code_points

_MOST_META = 16 << 20


def avif_code_points(stream: BinaryIO) -> Stated | None:
    """The colors in the nclx box of an AVIF's primary item; None without one, or if it is damaged."""
    try:
        return _primary_colors(_meta(stream))
    except (struct.error, IndexError, KeyError, ValueError):  # damaged: the decoder will report it
        return None


def _meta(stream: BinaryIO) -> bytes:
    stream.seek(0)
    while len(head := stream.read(8)) == 8:
        size = int.from_bytes(head[:4], "big")
        if head[4:] == b"meta":
            return stream.read(min(size - 8, _MOST_META))[4:]
        if size < 8:  # one that ends with the file, or is larger than 4 GB
            break
        stream.seek(size - 8, 1)
    return b""


def _primary_colors(meta: bytes) -> Stated | None:
    boxes = dict(_boxes(meta))
    if b"iprp" not in boxes:
        return None
    wide = boxes[b"pitm"][0] > 0
    primary = int.from_bytes(boxes[b"pitm"][4 : 8 if wide else 6], "big")
    inside = dict(_boxes(boxes[b"iprp"]))
    properties = list(_boxes(inside[b"ipco"]))
    for index in _associated(inside[b"ipma"], primary):
        kind, content = properties[index - 1]
        if kind == b"colr" and content[:4] == b"nclx":
            return from_code_points(*struct.unpack_from(">HH", content, 4))
    return None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield kind, data[at + 8 : at + size]
        at += size


def _associated(ipma: bytes, item: int) -> list[int]:
    """The numbers of an item's properties, starting at 1."""
    wide_item, wide_index = ipma[0] > 0, ipma[3] & 1
    count, at = struct.unpack_from(">I", ipma, 4)[0], 8
    for _ in range(count):
        number, several = struct.unpack_from(">IB" if wide_item else ">HB", ipma, at)
        at += 5 if wide_item else 3
        letter, mask = ("H", 0x7FFF) if wide_index else ("B", 0x7F)
        indices = struct.unpack_from(f">{several}{letter}", ipma, at)
        at += struct.calcsize(f">{several}{letter}")
        if number == item:
            return [i & mask for i in indices if i & mask]
    return []
