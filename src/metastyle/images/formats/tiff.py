"""TIFF, which has many variants. Pillow reads the common ones, and a few others incorrectly.

The tags are read first. Pillow decodes what it is known to decode correctly, pictures in separate planes
are read as one gray picture per plane, and every other variant is rejected by name. The variants are tested
with samples laid out as in the specification (TIFF 6.0, and its technical notes for JPEG).
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from metastyle.errors import MetastyleError
from metastyle.images.formats import pillow, tiff_pages
from metastyle.images.formats.decoded import Decoded
from metastyle.images.formats.metadata import metadata_of_tags
from metastyle.images.formats.tiff_pages import Tags
from metastyle.images.picture import Samples, check_size

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_SAMPLES, _ROWS_PER_STRIP, _PLANAR, _EXTRA, _FORMAT, _INK_SET = 277, 278, 284, 338, 339, 332
_SUBSAMPLING = 530
_STRIPS, _TILES = (273, 279), (324, 325)
_COPIED = (_WIDTH, _HEIGHT, _COMPRESSION, 266, _ROWS_PER_STRIP, 292, 293, 317, 320, 322, 323, 347)
_SHORT, _LONG, _UNDEFINED = 3, 4, 7

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_COLORS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3}
_BITS_KNOWN = {  # of pictures whose samples are interleaved
    _WHITE_IS_ZERO: (1, 2, 4, 8, 12, 16),
    _BLACK_IS_ZERO: (1, 2, 4, 8, 12, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _CMYK: (8, 16),
    _YCBCR: (8,),
    _LAB: (8,),
}
_BITS_IN_PLANES: dict[int, tuple[int, ...]] = dict.fromkeys(
    (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK), (1, 2, 4, 8, 12, 16)
)
_BITS_IN_PLANES |= {_PALETTE: (1, 2, 4, 8), _LAB: (8, 16)}
_NAMES = {
    0: "gray, white is 0",
    1: "gray",
    2: "RGB",
    3: "palette",
    4: "mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIELAB",
}
_NAMES |= {9: "ICC LAB", 10: "ITU LAB", 32844: "LogL", 32845: "LogLuv"}
_SPACES: dict[int, Any] = {_WHITE_IS_ZERO: "gray", _BLACK_IS_ZERO: "gray", _RGB: "rgb", _PALETTE: "rgb"}
_SPACES |= {_CMYK: "cmyk", _LAB: "lab"}
_ASSOCIATED, _UNASSOCIATED = 1, 2
_ONLY = ("TIFF",)


@dataclass(frozen=True)
class _Kind:
    """The sample layout of a TIFF."""

    photometric: int
    bits: tuple[int, ...]
    formats: tuple[int, ...]
    extra: tuple[int, ...]
    planar: bool
    compression: int
    whole_chroma: bool
    real_cmyk: bool

    @staticmethod
    def of(tags: Tags) -> _Kind:
        photometric = tags.get(_PHOTOMETRIC, 0)
        subsampled = photometric == _YCBCR and tags.get(_SUBSAMPLING, (2, 2)) != (1, 1)
        samples = tags.get(_SAMPLES, 1)
        bits = _tuple(tags.get(_BITS, 1))
        return _Kind(
            photometric,
            bits * samples if len(bits) == 1 and samples < 16 else bits,
            _tuple(tags.get(_FORMAT, 1)),
            _tuple(tags.get(_EXTRA, ())),
            tags.get(_PLANAR, 1) == 2,
            tags.get(_COMPRESSION, 1),
            not subsampled,
            tags.get(_INK_SET, 1) == 1,
        )

    @property
    def known(self) -> bool:
        """Whether this layout is decoded correctly."""
        colors = _COLORS.get(self.photometric)
        depth = self.bits[0] if self.bits else 0
        if colors is None or len(self.bits) < colors or set(self.bits) != {depth} or set(self.formats) != {1}:
            return False
        if _ASSOCIATED in self.extra and self.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
            return False  # premultiplying a palette index is impossible, and for ink or CIELAB undefined
        if self.in_planes:
            return depth in _BITS_IN_PLANES.get(self.photometric, ()) and self.real_cmyk
        if self.photometric == _YCBCR and self.compression == 1 and not self.whole_chroma:
            return False
        return depth in _BITS_KNOWN[self.photometric] and self.real_cmyk

    @property
    def in_planes(self) -> bool:
        """Whether to read one gray picture per plane; Pillow would not widen 12 bits, nor invert 16."""
        return self.planar or self.bits == (12,) or (self.photometric, self.bits) == (_WHITE_IS_ZERO, (16,))

    def __str__(self) -> str:
        name = _NAMES.get(self.photometric, f"photometric interpretation {self.photometric}")
        kinds = {1: "", 2: " signed", 3: " floating-point", 5: " complex", 6: " complex"}
        kind = kinds.get(self.formats[0] if self.formats else 1, " undefined")
        bits = " and ".join(str(b) for b in sorted(set(self.bits)))
        planes = ", separate planes" if self.planar else ""
        coding = TiffImagePlugin.COMPRESSION_INFO.get(self.compression, f"number {self.compression}")
        return (
            f"{name}, {len(self.bits)} samples of {bits}{kind} bits{planes}, "
            f"compression {coding.removeprefix('tiff_')}"
        )


def is_tiff(head: bytes) -> bool:
    """Whether this is a TIFF or BigTIFF, of either byte order."""
    return head.startswith(tuple(TiffImagePlugin.PREFIXES))


def read(stream: BinaryIO, name: str, max_pixels: int) -> Decoded:
    """Decode the picture of a seekable stream: the first that is not a reduced copy or a mask of another.

    Raises MetastyleError for a camera raw, a variant that is not decoded correctly and a size that is not
    permitted, and for damaged data whatever the decoder raises.
    """
    page = tiff_pages.choose(stream, name)
    kind = _Kind.of(page.tags)
    refused = MetastyleError(
        f"{name}: this kind of TIFF is not supported ({kind}): "
        "save it as RGB or gray with 8 or 16 bits, or as PNG"
    )
    check_size((page.tags[_WIDTH], page.tags[_HEIGHT]), name, max_pixels)
    if not kind.known:
        raise refused
    pages = tiff_pages.count(stream, name)
    stream = page.as_first(stream)
    try:
        if kind.in_planes:
            decoded = _read_planes(stream, page.tags, kind)
        else:
            decoded = pillow.read(stream, name, max_pixels, _ONLY)
    except UnidentifiedImageError as error:
        raise refused from error
    return replace(decoded, pages=pages)


def _read_planes(stream: BinaryIO, tags: Tags, kind: _Kind) -> Decoded:
    colors, photometric = _COLORS[kind.photometric], kind.photometric
    planes = [_read_plane(stream, tags, kind, c) for c in range(colors)]
    samples = planes[0] if colors == 1 else np.stack(planes, axis=2)
    alpha = None
    extra = kind.extra or ((_UNASSOCIATED,) if photometric == _RGB and len(kind.bits) == 4 else ())
    for plane, meaning in enumerate(extra, colors):
        if meaning in (_ASSOCIATED, _UNASSOCIATED):
            alpha = _read_plane(stream, tags, kind, plane, _BLACK_IS_ZERO)
            samples = _divided(samples, alpha) if meaning == _ASSOCIATED else samples
            break
    if photometric == _WHITE_IS_ZERO:
        samples = np.iinfo(samples.dtype).max - samples
    if photometric == _LAB and samples.dtype == np.uint16:
        samples = _narrow_lab(samples)
        alpha = None if alpha is None else (alpha >> 8).astype(np.uint8)
    return Decoded(samples, _SPACES[photometric], alpha, **metadata_of_tags(_exif(stream, tags)))


def _read_plane(
    stream: BinaryIO, tags: Tags, kind: _Kind, plane: int, photometric: int | None = None
) -> Samples:
    """One plane, read as a separate TIFF with one gray or palette sample per pixel."""
    photometric = photometric or (_PALETTE if kind.photometric == _PALETTE else _BLACK_IS_ZERO)
    samples = pillow.read(_plane_file(stream, tags, kind, plane, photometric), "", 2**31, _ONLY).samples
    if kind.bits[0] == 12:
        return ((samples.astype(np.uint32) * 65535 + 2047) // 4095).astype(np.uint16)
    return samples


def _plane_file(stream: BinaryIO, tags: Tags, kind: _Kind, plane: int, photometric: int) -> BinaryIO:
    """A TIFF in memory with the strips or tiles of one plane."""
    offsets_tag, counts_tag = _TILES if _TILES[0] in tags else _STRIPS
    offsets, counts = tags[offsets_tag], tags[counts_tag]
    planes = len(kind.bits) if kind.planar else 1
    each = len(offsets) // planes
    if len(offsets) != each * planes or len(counts) != len(offsets) or not each:
        raise ValueError("its strips or tiles do not fit its planes")
    parts = []
    for at, size in list(zip(offsets, counts, strict=True))[plane * each : (plane + 1) * each]:
        stream.seek(at)
        parts.append(stream.read(size))
        if len(parts[-1]) != size or not size:
            raise ValueError("its samples are incomplete")
    entries: dict[int, tuple[int, Any]] = {
        tag: (_UNDEFINED if isinstance(tags[tag], bytes) else _LONG, tags[tag])
        for tag in _COPIED
        if tag in tags
    }
    entries |= {
        _BITS: (_SHORT, kind.bits[plane]),
        _PHOTOMETRIC: (_SHORT, photometric),
        _SAMPLES: (_SHORT, 1),
        offsets_tag: (_LONG, tuple(np.cumsum([8, *(len(p) for p in parts[:-1])]).tolist())),
        counts_tag: (_LONG, counts[plane * each : (plane + 1) * each]),
    }
    if 320 in entries:
        entries[320] = (_SHORT, tags[320])
    data = b"".join(parts)
    data += bytes(len(data) % 2)
    order = ">" if tags.prefix == b"MM" and kind.bits[0] == 16 else "<"  # Pillow knows 12 bits only as "<"
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data))
    return io.BytesIO(head + data + _directory(entries, order, 8 + len(data)))


def _directory(entries: dict[int, tuple[int, Any]], order: str, at: int) -> bytes:
    """An image file directory that begins at byte ``at``, and the values that its entries point to."""
    table, values = struct.pack(f"{order}H", len(entries)), b""
    beyond = at + 2 + 12 * len(entries) + 4
    for tag, (kind, value) in sorted(entries.items()):
        several = value if isinstance(value, bytes) else _tuple(value)
        letter = {_SHORT: "H", _LONG: "I", _UNDEFINED: "B"}[kind]
        packed = struct.pack(f"{order}{len(several)}{letter}", *several)
        field = packed.ljust(4, b"\0")
        if len(packed) > 4:
            field = struct.pack(f"{order}I", beyond + len(values))
            values += packed + bytes(len(packed) % 2)
        table += struct.pack(f"{order}HHI", tag, kind, len(several)) + field
    return table + bytes(4) + values


def _exif(stream: BinaryIO, tags: Tags) -> Image.Exif:
    exif = Image.Exif()
    try:
        stream.seek(0)
        exif.load_from_fp(stream)
    except Exception:  # BigTIFF, or damaged: everything needed to show the picture is known already
        exif = Image.Exif()
        exif.update({tag: tags[tag] for tag in (274, 282, 283, 296, 34675) if tag in tags})
    return exif


def _divided(samples: Samples, alpha: Samples) -> Samples:
    """Undo premultiplied alpha; invisible pixels stay as they are."""
    top = np.iinfo(alpha.dtype).max
    weight = (alpha if samples.ndim == 2 else alpha[..., None]).astype(np.float32)
    divided = np.rint(samples.astype(np.float32) * top / np.maximum(weight, 1))
    plain: Samples = np.where(weight > 0, np.minimum(divided, top), samples).astype(samples.dtype)
    return plain


def _narrow_lab(wide: Samples) -> Samples:
    """16-bit CIELAB, whose a* and b* are signed, in 8 bits."""
    narrow = np.empty(wide.shape, np.uint8)
    narrow[..., 0] = (wide[..., 0].astype(np.uint32) + 128) // 257
    signed = np.rint(wide[..., 1:].view(np.int16) / 256.0).clip(-128, 127)
    narrow[..., 1:] = signed.astype(np.int8).view(np.uint8)
    return narrow


def _tuple(value: Any) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)
