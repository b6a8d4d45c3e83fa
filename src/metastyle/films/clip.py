"""The contents of a film file; anything that FFmpeg reads can be opened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from metastyle.errors import MetastyleError
from metastyle.files import one_line
from metastyle.films.decode import Damage, decoded, opened

Pixels = NDArray[np.uint8]

UNSPECIFIED = 2  # in all of FFmpeg's color enumerations
_RGB, _BT709, _BT601 = 0, 1, 6  # AVCOL_SPC
_HDR = {16: "PQ", 18: "HLG"}  # AVCOL_TRC
_SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}  # AVCOL_SPC -> SWS_CS
_RESERVED = {UNSPECIFIED, 3}
_NO_OFFSET = 0.5  # seconds that may be missing at the end of a film
_HD_LINES = 720  # from this size on, an untagged film counts as BT.709, as in players


@dataclass(frozen=True)
class Colors:
    """How a film encodes colors; the values are those of ITU-T H.273, which FFmpeg also uses."""

    matrix: int
    primaries: int
    transfer: int
    full_range: bool

    @property
    def swscale_matrix(self) -> int:
        """The same matrix in libswscale's numbering."""
        return _SWSCALE_MATRIX[self.matrix]


@dataclass(frozen=True)
class Upright:
    """How stored rows and columns become an upright picture: transposed first, then mirrored."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    def __call__(self, pixels: Pixels) -> Pixels:
        """(H, W, 3) -> (H, W, 3), or (W, H, 3) if transposed; contiguous."""
        if self.transposed:
            pixels = pixels.transpose(1, 0, 2)
        strides = (-1 if self.mirrored_y else 1, -1 if self.mirrored_x else 1)
        return np.ascontiguousarray(pixels[:: strides[0], :: strides[1]])


@dataclass(frozen=True)
class Clip:
    """The properties of a film file that matter for repainting; made by ``open_clip``."""

    path: Path
    index: int
    """Index of the video stream in its container."""
    width: int
    height: int
    """Width and height of an upright frame, in pixels."""
    upright: Upright
    pixel_aspect: Fraction
    """Width of an upright frame's pixel divided by its height."""
    time_base: Fraction
    """Seconds of one tick: time stamps are whole numbers of ticks."""
    origin: Fraction
    """Time on the file's clock at which the film begins, in seconds."""
    rate: Fraction
    """Frames per second; approximate if the rate varies."""
    seconds: float | None
    """Duration in seconds as declared by the file; None if it is not."""
    frames: int
    """Number of frames as declared by the file; 0 if it is not."""
    codec: str
    pixel_format: str
    container: str
    stored: Colors
    colors: Colors
    """Colors of the pixels that ``read_frames`` yields, and of a film made from them."""
    in_decoding_order: bool
    """The file has no time stamps but those of decoding, as an AVI."""
    reordered: bool
    """Frames are displayed in another order than they are decoded in."""
    hdr: str | None
    """``PQ`` or ``HLG`` if the file is HDR, so that the frames are converted."""

    def ticks(self, seconds: float | Fraction) -> int:
        """The first time stamp that is not before ``seconds`` after the film's beginning."""
        exact = Fraction(seconds).limit_denominator(1_000_000)  # 0.4 means 2/5, not the float next to it
        return -int(-(exact + self.origin) // self.time_base)

    def seconds_at(self, ticks: int) -> float:
        """Seconds after the film's beginning."""
        return float(ticks * self.time_base - self.origin)

    def scaled(self, long_edge: int | None) -> tuple[int, int]:
        """Width and height of frames whose longer edge is ``long_edge``; both even unless it is None."""
        if long_edge is None:
            return self.width, self.height
        factor = Fraction(long_edge, max(self.width, self.height))
        return max(2, round(self.width * factor / 2) * 2), max(2, round(self.height * factor / 2) * 2)


def open_clip(path: Path) -> Clip:
    """Open a film file and decode its first frame to determine its properties.

    Raises:
        MetastyleError: the file is not a film, has no video, or is damaged at its start or of unknown codec.
    """
    name = one_line(path)
    with opened(path) as container:
        if _is_picture(container):
            raise MetastyleError(f"{name} is a picture: use 'metastyle stylize'")
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            held = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise MetastyleError(f"{name} has no video: it holds {held}")
        stream = next((s for s in streams if s.frames != 1), streams[0])  # AVIF begins with a still picture
        if stream.codec_context is None:
            raise MetastyleError(f"{name}: its video codec is unknown to this FFmpeg")
        origin = _beginning(container)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        facts: dict[str, Any] = {
            "path": path,
            "index": stream.index,
            "time_base": stream.time_base or Fraction(1, 90000),
            "origin": origin,
            "rate": rate if Fraction(1, 60) <= rate <= 1000 else Fraction(25),
            "seconds": _declared_seconds(container, stream, origin),
            "frames": stream.frames if "mp4" in container.format.name else 0,  # AVI counts ticks
            "codec": stream.codec_context.name,
            "container": container.format.name,
            "in_decoding_order": container.format.name == "avi",
            "reordered": bool(stream.codec_context.has_b_frames),
        }
        aspect = stream.sample_aspect_ratio
        frame = next(decoded(container, stream, Damage()), None)
    if frame is None:
        raise MetastyleError(f"{name}: no frame can be decoded; the file is damaged or truncated")
    upright = _upright(frame)
    stored = _stored_colors(frame, name)
    aspect = aspect if aspect is not None and Fraction(1, 20) < aspect < 20 else Fraction(1)
    sides = (frame.height, frame.width) if upright.transposed else (frame.width, frame.height)
    return Clip(
        **facts,
        width=sides[0],
        height=sides[1],
        upright=upright,
        pixel_aspect=1 / aspect if upright.transposed else aspect,
        pixel_format=frame.format.name,
        stored=stored,
        colors=_resulting_colors(stored, rgb=_is_rgb(frame)),
        hdr=_HDR.get(stored.transfer),
    )


def _is_picture(container: InputContainer) -> bool:
    name = container.format.name
    brand = container.metadata.get("major_brand", "").strip()
    return name.endswith("_pipe") or name in {"image2", "ico"} or brand in {"heic", "heix", "mif1", "avif"}


def _beginning(container: InputContainer) -> Fraction:
    """The time of the first picture or sound, in seconds on the file's clock.

    FFmpeg reports it, too, but rounds to microseconds, which may put the first frame before the beginning.
    """
    starts = [
        stream.start_time * stream.time_base
        for stream in (*container.streams.video, *container.streams.audio)
        if stream.start_time is not None
        and stream.time_base
        and not stream.disposition & Disposition.attached_pic
    ]
    return min(starts, default=Fraction(container.start_time or 0, 1_000_000))


def _declared_seconds(container: InputContainer, stream: Any, origin: Fraction) -> float | None:
    """Seconds from the film's beginning to the end of its pictures."""
    late = stream.start_time * stream.time_base - origin if stream.start_time is not None else Fraction()
    if stream.duration and stream.time_base and stream.duration > 0:
        return float(late + stream.duration * stream.time_base)
    if "matroska" not in container.format.name:
        return None
    stated = _clock(stream.metadata.get("DURATION", ""))
    if stated is None and len(container.streams) == 1 and container.duration:
        stated = container.duration / 1e6
    if stated is None:
        return None
    # FFmpeg writes the last time stamp as the length; others write the length, if they declare their unit.
    if "Lavf" in container.metadata.get("ENCODER", ""):
        return stated - float(origin) if stated > origin else None
    counted = "_STATISTICS_WRITING_APP" in stream.metadata
    return float(late) + stated if counted or abs(origin + late) < _NO_OFFSET else None


def _clock(text: str) -> float | None:
    """Seconds of ``h:mm:ss.fraction``."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def _upright(frame: VideoFrame) -> Upright:
    """From the display matrix: ISO/IEC 14496-12, 6.2.2; nine numbers, by rows a b u c d v x y w."""
    held: Any = frame.side_data  # which PyAV's own hints take for a mapping from text
    side_data = held.get(SideDataType.DISPLAYMATRIX)
    if side_data is None:
        return Upright()
    matrix = np.frombuffer(bytes(side_data), np.int32)
    if len(matrix) != 9:
        return Upright()
    a, b, _, c, d = matrix[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Upright(False, a < 0, d < 0)
    return Upright(True, c < 0, b < 0)


def _stored_colors(frame: VideoFrame, name: str) -> Colors:
    matrix, full = int(frame.colorspace), int(frame.color_range) == ColorRange.JPEG
    pixel_format = frame.format.name
    if _is_rgb(frame):
        matrix, full = _BT709, True
    elif matrix in _RESERVED:
        matrix = _BT709 if frame.height >= _HD_LINES else _BT601
    if pixel_format.startswith(("yuvj", "gray", "mono")) and int(frame.color_range) == 0:
        full = True
    if matrix not in _SWSCALE_MATRIX:
        raise MetastyleError(f"{name}: its color matrix ({matrix} in ITU-T H.273) is not supported")
    return Colors(matrix, int(frame.color_primaries), int(frame.color_trc), full)


def _is_rgb(frame: VideoFrame) -> bool:
    return frame.format.is_rgb or frame.format.has_palette or int(frame.colorspace) == _RGB


def _resulting_colors(stored: Colors, *, rgb: bool) -> Colors:
    if stored.transfer in _HDR:
        return Colors(_BT709, _BT709, _BT709, False)
    return replace(stored, full_range=False) if rgb else stored
