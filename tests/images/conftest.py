"""Color profiles made from their definitions, so that no vendor's files are needed, and a picture."""

from __future__ import annotations

import itertools
import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

ADOBE_RGB_TO_XYZ = np.array(  # D50, columns are the primaries
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(x, y, z)


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH2x", 1, round(value * 256))


def _lut(inks: int, lab: Any) -> bytes:
    """An A2B0 table with two points per axis; ``lab`` returns L*, a*, b* of each corner."""
    straight = bytes(range(256))
    corners = b"".join(
        bytes(np.clip(np.rint([L * 2.55, a + 128, b + 128]), 0, 255).astype(np.uint8))
        for L, a, b in (lab(*corner) for corner in itertools.product((0, 1), repeat=inks))
    )
    head = b"mft1\0\0\0\0" + bytes([inks, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return head + straight * inks + corners + straight * 3


def _profile(kind: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2.4 (ICC.1:2001-04)."""
    description = b"test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(description)) + description + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(0.9642, 1, 0.8249),
        **tags,
    }
    table, data, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", offset + len(data), len(content))
        data += content
    body = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(">I4sI4s4s4s12x4s", 128 + len(body), b"lcms", 0x02400000, kind, space, pcs, b"acsp")
    head = head.ljust(68, b"\0") + _fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + body


def _ink_lab(c: int, m: int, y: int, k: int) -> tuple[float, float, float]:
    light = 100 * (1 - 0.4 * c) * (1 - 0.5 * m) * (1 - 0.1 * y) * (1 - k)
    return light, (70 * m - 35 * c) * (1 - k), (85 * y - 45 * c) * (1 - k)


@pytest.fixture(scope="session")
def icc() -> SimpleNamespace:
    """adobe_rgb (and _to_xyz), gray (gamma 1.8), cmyk, scanner (RGB, for reading only), broken.

    pq and hlg say so in a cicp tag (BT.2020 primaries) alone; p3_points says sRGB's curve, P3's primaries.
    """
    r, g, b = ADOBE_RGB_TO_XYZ.T
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(2.19921875))
    primaries = {b"rXYZ": _xyz(*r), b"gXYZ": _xyz(*g), b"bXYZ": _xyz(*b)}
    adobe_rgb = _profile(b"mntr", b"RGB ", b"XYZ ", primaries | curves)
    return SimpleNamespace(
        adobe_rgb_to_xyz=ADOBE_RGB_TO_XYZ,
        adobe_rgb=adobe_rgb,
        **{
            name: _profile(
                b"mntr",
                b"RGB ",
                b"XYZ ",
                primaries | curves | {b"cicp": b"cicp\0\0\0\0" + bytes([*points, 0, 1])},
            )
            for name, points in {"pq": (9, 16), "hlg": (9, 18), "p3_points": (12, 13)}.items()
        },
        gray=_profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _gamma(1.8)}),
        cmyk=_profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": _lut(4, _ink_lab)}),
        scanner=_profile(
            b"scnr",
            b"RGB ",
            b"Lab ",
            {b"A2B0": _lut(3, lambda r, g, b: (30 * r + 60 * g + 10 * b, 50 * (r - g), 50 * (g - b)))},
        ),
        broken=adobe_rgb[:150] + bytes(50),
    )


@pytest.fixture(scope="session")
def colors() -> NDArray[np.uint8]:
    """(40, 56, 3), smooth, with four different corners. The files in ``data`` were made from it."""
    y, x = np.mgrid[0:40, 0:56]
    return np.stack([x * 4 + 20, y * 5 + 20, 255 - (x + y) * 2], axis=-1).astype(np.uint8)
