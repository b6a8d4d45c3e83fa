"""Colors that a file declares without an ICC profile, and their conversion to sRGB.

Code points (ITU-T H.273: HEIC, AVIF, cICP in PNG), PNG's gAMA and cHRM, EXIF's and TIFF's tags. High dynamic
range is converted to standard range according to ITU-R BT.2408: reference white, 203 cd/m2, is white, and
brighter highlights are clipped, as in films.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from metastyle.images.color import srgb_curve, srgb_to_linear
from metastyle.images.picture import Samples

_ROWS = 128
_REFERENCE_WHITE = 203.0  # cd/m2 (ITU-R BT.2408)
_HLG_PEAK = 1000.0  # cd/m2 of the display for which HLG's system gamma is 1.2 (ITU-R BT.2100)

_D65, _DCI_WHITE = (0.3127, 0.3290), (0.314, 0.351)
_SRGB = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65)
_ADOBE_RGB = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *_D65)
_P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
_PRIMARIES = {  # of H.273, as x and y of red, green, blue and white
    1: _SRGB,
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    11: (*_P3, *_DCI_WHITE),
    12: (*_P3, *_D65),
}
_TRANSFERS: dict[int, Literal["PQ", "HLG"] | float] = {4: 2.2, 5: 2.8, 8: 1.0, 16: "PQ", 18: "HLG"}
_SAME = 0.005  # of a chromaticity, because files round them
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

_COLOR_SPACE, _GAMMA, _INTEROP_INDEX = 0xA001, 0xA500, 1
_WHITE_POINT, _CHROMATICITIES = 318, 319

_Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Stated:
    """Primaries and transfer function that differ from sRGB's."""

    primaries: tuple[float, ...] = _SRGB
    """CIE x and y of red, green, blue and white."""
    transfer: Literal["sRGB", "PQ", "HLG"] | float = "sRGB"
    """The curve from values to linear light; a number is an exponent."""

    @property
    def hdr(self) -> str | None:
        """PQ or HLG."""
        return self.transfer if self.transfer in ("PQ", "HLG") else None


def from_code_points(primaries: int, transfer: int) -> Stated | None:
    """The colors of H.273's code points; None for sRGB and for unspecified ones.

    The curves of BT.709, BT.601 and BT.2020 count as sRGB's, because screens show both in the same way.
    """
    return _unless_srgb(_PRIMARIES.get(primaries, _SRGB), _TRANSFERS.get(transfer, "sRGB"))


def from_profile(icc: bytes) -> Stated | None:
    """The colors of the code points in an ICC profile (its cicp tag, ICC.1:2022); None without them."""
    count = int.from_bytes(icc[128:132], "big")
    for at in range(132, min(132 + 12 * count, len(icc)), 12):
        if icc[at : at + 4] == b"cicp":
            begin = int.from_bytes(icc[at + 4 : at + 8], "big")
            content = icc[begin : begin + 12]
            return from_code_points(*content[8:10]) if len(content) == 12 else None
    return None


def from_info(info: Mapping[Any, Any]) -> Stated | None:
    """The colors of a PNG, from its gAMA and cHRM as read by Pillow, unless an sRGB chunk overrides them."""
    if "srgb" in info:
        return None
    gamma, given = info.get("gamma"), info.get("chromaticity")
    primaries = (*given[2:8], *given[:2]) if isinstance(given, tuple) and len(given) == 8 else _SRGB
    return _unless_srgb(primaries, _curve(1 / gamma if isinstance(gamma, float) and gamma > 0 else None))


def from_exif(exif: Image.Exif) -> Stated | None:
    """Adobe RGB as declared by cameras, or the primaries in the tags."""
    camera, pointed = (exif.get_ifd(ifd) for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.Interop))
    space = camera.get(_COLOR_SPACE)
    if space == 2 or (space != 1 and str(pointed.get(_INTEROP_INDEX, ""))[:3] == "R03"):
        return Stated(_ADOBE_RGB, 563 / 256)
    white, colors = exif.get(_WHITE_POINT), exif.get(_CHROMATICITIES)
    if space == 1 or white is None or colors is None:
        return None
    gamma = camera.get(_GAMMA)
    return _unless_srgb(
        tuple(float(v) for v in (*colors, *white)), _curve(None if gamma is None else float(gamma))
    )


def to_srgb(samples: Samples, stated: Stated) -> Samples:
    """(H, W) or (H, W, 3), uint8 or uint16, in the declared colors -> the same in sRGB."""
    out = np.empty_like(samples)
    top = np.float32(np.iinfo(samples.dtype).max)
    light = _light(stated.transfer, int(top) + 1)
    matrix = None if samples.ndim == 2 else _to_srgb_matrix(stated.primaries)
    luminance = None if matrix is None else _to_xyz(stated.primaries)[1].astype(np.float32)
    for row in range(0, len(samples), _ROWS):
        linear = light[samples[row : row + _ROWS]]
        if stated.transfer == "HLG":  # from scene light to display light
            shown = linear if luminance is None else (linear @ luminance)[..., None]
            linear = (
                linear * np.maximum(shown, 1e-6) ** np.float32(0.2) * np.float32(_HLG_PEAK / _REFERENCE_WHITE)
            )
        if matrix is not None:
            linear = linear @ matrix.astype(np.float32).T
        out[row : row + _ROWS] = np.rint(srgb_curve(np.clip(linear, 0, 1)) * top)
    return out


def _unless_srgb(
    primaries: tuple[float, ...], transfer: Literal["sRGB", "PQ", "HLG"] | float
) -> Stated | None:
    if not _is_sane(primaries) or max(abs(a - b) for a, b in zip(primaries, _SRGB, strict=True)) < _SAME:
        primaries = _SRGB
    stated = Stated(primaries, transfer)
    return None if stated == Stated() else stated


def _curve(exponent: float | None) -> Literal["sRGB"] | float:
    """The exponent, or sRGB if it is about 2.2, which sRGB files declare."""
    sane = exponent is not None and 0.1 < exponent < 10
    return exponent if sane and exponent is not None and abs(exponent - 2.2) > 0.1 else "sRGB"


def _is_sane(primaries: tuple[float, ...]) -> bool:
    """Whether the primaries span a triangle that contains the white."""
    if len(primaries) != 8 or not all(0 <= v <= 1 for v in primaries) or min(primaries[1::2]) < 1e-3:
        return False
    columns = _columns(primaries[:6])
    return bool(
        abs(np.linalg.det(columns)) > 1e-2 and (np.linalg.solve(columns, _white(primaries)) > 0).all()
    )


def _columns(xy: tuple[float, ...]) -> _Matrix:
    """XYZ of three chromaticities with Y = 1, as columns."""
    return np.array([[x / y, 1, (1 - x - y) / y] for x, y in zip(xy[::2], xy[1::2], strict=True)]).T


def _white(primaries: tuple[float, ...]) -> _Matrix:
    return _columns((*primaries[6:],) * 3)[:, 0]


def _to_xyz(primaries: tuple[float, ...]) -> _Matrix:
    """Linear RGB -> XYZ; 1, 1, 1 is the white with Y = 1."""
    columns = _columns(primaries[:6])
    matrix: _Matrix = columns * np.linalg.solve(columns, _white(primaries))
    return matrix


@cache
def _to_srgb_matrix(primaries: tuple[float, ...]) -> _Matrix:
    """Linear RGB of these primaries -> linear sRGB, white to white (Bradford)."""
    seen = [_BRADFORD @ _white(p) for p in (primaries, _SRGB)]
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(seen[1] / seen[0]) @ _BRADFORD
    matrix: _Matrix = np.linalg.inv(_to_xyz(_SRGB)) @ adapted @ _to_xyz(primaries)
    return matrix


@cache
def _light(transfer: Literal["sRGB", "PQ", "HLG"] | float, levels: int) -> NDArray[np.float32]:
    """The light of each value, where 1 is white; for HLG, scene light, where 1 is the brightest."""
    if transfer == "sRGB":
        return srgb_to_linear(levels)
    v = np.arange(levels) / (levels - 1)
    if transfer == "PQ":  # SMPTE ST 2084
        root = v ** (32 / 2523)
        light = (np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16384 / 2610)
        return (light * 10000 / _REFERENCE_WHITE).astype(np.float32)
    if transfer == "HLG":  # ITU-R BT.2100, table 5
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(v <= 0.5, v * v / 3, (np.exp((v - c) / a) + b) / 12).astype(np.float32)
    assert isinstance(transfer, float)
    return (v**transfer).astype(np.float32)
