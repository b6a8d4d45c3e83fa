"""TIFFs of every layout that the specification allows; no installed library writes all of them."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NONE, LZW, ZIP, OLD_ZIP, PACKBITS = 1, 5, 8, 32946, 32773
Tag = tuple[str, Sequence[int]]  # struct's letter (B, H or I), and the values


def lzw(data: bytes) -> bytes:
    """TIFF's LZW without repetitions: the table is cleared before its codes grow beyond 9 bits."""
    codes: list[int] = []
    for at in range(0, len(data), 200):
        codes += [256, *data[at : at + 200]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def packbits(data: bytes) -> bytes:
    runs = (data[at : at + 128] for at in range(0, len(data), 128))
    return b"".join(bytes([len(run) - 1]) + run for run in runs)


_CODERS: Mapping[int, Callable[[bytes], bytes]] = {
    NONE: bytes,
    LZW: lzw,
    ZIP: zlib.compress,
    OLD_ZIP: zlib.compress,
    PACKBITS: packbits,
}


def _packed(row: NDArray[Any], bits: int, order: str) -> bytes:
    if bits % 8 == 0:
        return row.astype(row.dtype.newbyteorder(order)).tobytes()
    text = "".join(f"{value:0{bits}b}" for value in row.tolist())
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


def _cut(plane: NDArray[Any], rows: int, tile: int | None) -> list[NDArray[Any]]:
    height, width = plane.shape[:2]
    if tile is None:
        return [plane[top : top + rows] for top in range(0, height, rows)]
    padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
    return [
        padded[top : top + tile, left : left + tile]
        for top in range(0, height, tile)
        for left in range(0, width, tile)
    ]


def directory(
    samples: NDArray[Any],
    photometric: int,
    bits: int,
    *,
    sample_format: int | None = None,
    planar: bool = False,
    compression: int = NONE,
    predictor: int = 1,
    order: str = "<",
    extra: Sequence[int] = (),
    rows: int = 7,
    tile: int | None = None,
    tags: Mapping[int, Tag] | None = None,
) -> tuple[dict[int, Tag], list[bytes]]:
    """The tags of samples (H, W, C), and the strips or tiles; ``body`` puts them into a file."""
    height, width, channels = samples.shape
    planes = [samples[..., c : c + 1] for c in range(channels)] if planar else [samples]
    parts = []
    for plane in planes:
        for block in _cut(plane, rows, tile):
            if predictor == 2 and compression in (LZW, ZIP, OLD_ZIP):
                block = np.diff(block, axis=1, prepend=np.zeros_like(block[:, :1]))
            packed = b"".join(_packed(row.reshape(-1), bits, order) for row in block)
            parts.append(_CODERS[compression](packed))
    own: dict[int, Tag] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits] * channels),
        259: ("H", [compression]),
        262: ("H", [photometric]),
        277: ("H", [channels]),
        284: ("H", [2 if planar else 1]),
    }
    own |= {278: ("I", [rows])} if tile is None else {322: ("I", [tile]), 323: ("I", [tile])}
    if sample_format is not None:
        own[339] = ("H", [sample_format] * channels)
    if predictor != 1:
        own[317] = ("H", [predictor])
    if extra:
        own[338] = ("H", list(extra))
    return own | dict(tags or {}), parts


def tiff(
    samples: NDArray[Any], photometric: int, bits: int, *, order: str = "<", big: bool = False, **options: Any
) -> bytes:
    """A file with one picture."""
    return chain([directory(samples, photometric, bits, order=order, **options)], order, big=big)


def chain(
    pages: Sequence[tuple[dict[int, Tag], list[bytes]]],
    order: str = "<",
    *,
    big: bool = False,
    below: Mapping[int, Sequence[int]] | None = None,
) -> bytes:
    """A file with several pages; ``below`` maps a page to those that are its SubIFDs and do not follow it."""
    below = below or {}
    nested = {page for pages_below in below.values() for page in pages_below}
    count, entry, offset = ("Q", "HHQ", "Q") if big else ("H", "HHI", "I")
    room = struct.calcsize(f"<{offset}")
    magic = b"II" if order == "<" else b"MM"
    data = bytearray(
        magic + struct.pack(f"{order}HHHQ" if big else f"{order}HI", *((43, 8, 0, 0) if big else (42, 0)))
    )
    links = {-1: len(data) - room}  # where the offset of the following page must be written
    places: dict[int, int] = {}
    subifds: dict[int, int] = {}
    for number, (tags, parts) in enumerate(pages):
        offsets = []
        for part in parts:
            offsets.append(len(data))
            data += part + bytes(len(part) % 2)
        where, sizes = (324, 325) if 322 in tags else (273, 279)
        tags = tags | {where: ("I", offsets), sizes: ("I", [len(part) for part in parts])}
        if number in below:
            tags[330] = ("I", [0] * len(below[number]))
        places[number] = len(data)
        values_at = len(data) + struct.calcsize(f"<{count}") + (4 + 2 * room) * len(tags) + room
        table, values = struct.pack(order + count, len(tags)), b""
        for tag, (letter, numbers) in sorted(tags.items()):
            packed = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
            at = len(data) + len(table) + struct.calcsize(f"<{entry}")
            if len(packed) > room:
                at = values_at + len(values)
                values += packed + bytes(len(packed) % 2)
                packed = struct.pack(order + offset, at)
            if tag == 330:
                subifds[number] = at
            kind = {"B": 7, "H": 3, "I": 4}[letter]
            table += struct.pack(order + entry, tag, kind, len(numbers)) + packed.ljust(room, b"\0")
        data += table
        links[number] = len(data)
        data += bytes(room) + values
    main = [-1, *(number for number in places if number not in nested)]
    for before, after in itertools.pairwise(main):
        struct.pack_into(order + offset, data, links[before], places[after])
    for number, at in subifds.items():
        struct.pack_into(f"{order}{len(below[number])}I", data, at, *(places[n] for n in below[number]))
    return bytes(data)
