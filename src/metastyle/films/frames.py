"""The frames of a clip in display order: upright, full range, with time stamps.

Only one frame is in memory. HDR (PQ and HLG) is converted to standard dynamic range, BT.709.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop

import numpy as np
from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc, Interpolation, VideoReformatter

from metastyle.errors import MetastyleError
from metastyle.files import one_line
from metastyle.films.clip import Clip, Pixels
from metastyle.films.decode import Damage, decoded, opened

SCALING = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
_LONGEST_GAP = 1800  # seconds without a frame, which only a damaged time stamp has
_SITELESS = {
    "vp8",
    "vp9",
    "av1",
    "libdav1d",
    "libvpx",
    "libvpx-vp9",
    "libaom-av1",
}  # these do not specify the chroma siting
_MOST_TICKS = 2**31 - 1  # between two frames of an MP4


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame, upright."""

    pixels: Pixels
    """(H, W, 3) uint8, full range."""
    pts: int
    """Time of display, in ticks of the clip."""
    duration: int
    """Ticks until the next frame as declared by the file; otherwise an estimate."""


def read_frames(
    clip: Clip,
    damage: Damage,
    *,
    long_edge: int | None = None,
    begin: int | None = None,
    end: int | None = None,
    seek: bool = True,
) -> Generator[Frame, None, None]:
    """The frames of a clip in display order; those that cannot be decoded are left out.

    Args:
        damage: records what is left out; complete at the end of the iteration.
        long_edge: scales frames to this long edge, in pixels.
        begin: time stamp of the first frame; earlier ones are only decoded where necessary.
        end: time stamp before which the frames end.
        seek: start at a key frame before ``begin``, which is faster.
    """
    pixels = _converter(clip, long_edge)
    for frame, pts, duration in _timed(clip, damage, begin if seek else None):
        if begin is not None and pts < begin:
            continue
        if end is not None and pts >= end:
            return
        yield Frame(pixels(frame), pts, duration)


def _converter(clip: Clip, long_edge: int | None) -> Callable[[VideoFrame], Pixels]:
    """Converts the clip's frames, in order, to upright pixels with this long edge."""
    width, height = clip.scaled(long_edge)
    if clip.upright.transposed:
        width, height = height, width
    convert = VideoReformatter()
    sited = _LeftSited() if clip.codec in _SITELESS else None

    def pixels(frame: VideoFrame) -> Pixels:
        rgb = convert.reformat(
            frame if sited is None else sited(frame),
            width=width,
            height=height,
            format="rgba" if _has_alpha(frame) else "rgb24",
            src_colorspace=clip.stored.swscale_matrix,
            dst_colorspace=clip.stored.swscale_matrix,
            src_color_range=ColorRange.JPEG if clip.stored.full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            dst_color_trc=ColorTrc.BT709 if clip.hdr else None,
            dst_color_primaries=ColorPrimaries.BT709 if clip.hdr else None,
            interpolation=SCALING,
            threads=1,
        )
        return clip.upright(_opaque(rgb.to_ndarray().astype(np.uint8, copy=False)))

    return pixels


def _has_alpha(frame: VideoFrame) -> bool:
    return frame.format.has_palette or any(part.is_alpha for part in frame.format.components)


def _opaque(pixels: Pixels) -> Pixels:
    """(H, W, 3), from (H, W, 4) over white; the alpha of a frame that would be invisible is ignored."""
    colors, alpha = pixels[..., :3], pixels[..., 3:]
    if not alpha.any() or alpha.min() == 255:
        return colors
    over_white = 255 * 255 - alpha.astype(np.uint16) * (255 - colors)
    return ((over_white + 127) // 255).astype(np.uint8)


def frame_at(clip: Clip, seconds: float, *, long_edge: int | None = None) -> Frame:
    """The frame shown ``seconds`` after the beginning.

    Raises:
        MetastyleError: the film ends before that.
    """
    wanted, found = clip.ticks(seconds), None
    with closing(_timed(clip, Damage(), wanted)) as frames:
        for _, pts, duration in frames:
            if found is None or pts <= wanted:
                found = (pts, pts + duration)
            if pts >= wanted:
                break
    if found is None or found[1] + clip.ticks(0.5) - clip.ticks(0) < wanted:
        raise MetastyleError(f"{one_line(clip.path)} has no frame at {seconds:g} s: {_duration(clip)}")
    with closing(read_frames(clip, Damage(), long_edge=long_edge, begin=found[0])) as one:
        return next(one)


def sample_frames(
    clip: Clip, count: int, *, begin: float | None = None, end: float | None = None, shorter: int
) -> list[Frame]:
    """Up to ``count`` frames, evenly spread from ``begin`` to ``end``, shorter sides at most ``shorter``.

    Each is the last key frame before its time: cheap, and encoders place key frames where shots begin. If
    that is outside the range or was taken already, the exact frame is used.

    begin, end: seconds; None is the beginning and the end. If a film does not declare its duration, frames
        are ten seconds apart; if it cannot be searched without reading all of it, a second.
    """
    low = min(shorter, clip.width, clip.height)
    long_edge = round(low * max(clip.width, clip.height) / min(clip.width, clip.height))
    start, stop = begin or 0.0, clip.seconds if end is None else min(end, clip.seconds or end)
    spacing = 10.0 if stop is None else max(0.0, stop - start) / count
    if not _can_seek(clip, clip.ticks(start + spacing)):
        spacing = min(spacing, 1.0)
    first, last = clip.ticks(start), None if stop is None else clip.ticks(stop)
    pixels, found, earliest = _converter(clip, long_edge), list[Frame](), first
    for index in range(count):
        wanted = max(earliest, clip.ticks(start + (index + 0.5) * spacing))
        shown: tuple[VideoFrame, int, int] | None = None
        with closing(_timed(clip, Damage(), wanted)) as timed:
            for place, (frame, pts, duration) in enumerate(timed):
                if (last is not None and pts >= last) or (shown and pts > wanted):
                    break
                if pts >= earliest:
                    shown = frame, pts, duration
                if shown and (pts >= wanted or (place == 0 and frame.key_frame)):
                    break
        if shown:
            found.append(Frame(pixels(shown[0]), *shown[1:]))
            earliest = shown[1] + 1
    return found


class _LeftSited:
    """Marks frames as having chroma at the left of each two by two pixels; libswscale assumes the center."""

    def __init__(self) -> None:
        self._layout: tuple[int, int, str] | None = None
        self._graph = Graph()

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        layout = (frame.width, frame.height, frame.format.name)
        if layout != self._layout:
            self._layout, self._graph = layout, Graph()
            self._graph.link_nodes(
                self._graph.add_buffer(
                    width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1)
                ),
                self._graph.add("setparams", "chroma_location=left"),
                self._graph.add("buffersink"),
            ).configure()
        self._graph.push(frame)
        marked = self._graph.pull()
        assert isinstance(marked, VideoFrame)
        return marked


def _timed(
    clip: Clip, damage: Damage, begin: int | None
) -> Generator[tuple[VideoFrame, int, int], None, None]:
    """Frames with increasing time stamps, and durations."""
    if begin is not None and not _can_seek(clip, begin):
        begin = None
    nominal = max(1, round(1 / (clip.rate * clip.time_base)))
    longest = min(int(_LONGEST_GAP / clip.time_base), _MOST_TICKS)
    last: int | None = None
    last_duration = nominal
    times: list[int] | None = [] if clip.in_decoding_order else None
    with opened(clip.path) as container:
        for frame in decoded(container, container.streams[clip.index], damage, begin, times):
            pts = heappop(times) if times else frame.pts if frame.pts is not None else frame.dts
            if pts is None:
                pts = last + last_duration if last is not None else clip.ticks(0)
            if last is not None and not last < pts <= last + longest:
                damage.misplaced += 1
                continue
            duration = frame.duration if 0 < (frame.duration or 0) <= longest else nominal
            last, last_duration = pts, duration
            yield frame, pts, duration
    if last is None or clip.seconds is None:
        return
    over = clip.seconds_at(last + last_duration)
    early = over < clip.seconds - max(0.5, 3 * last_duration * float(clip.time_base))
    # The number of frames is more reliable than the time: the last one may be shown for long.
    if damage.packets < clip.frames if clip.frames and begin is None else early:
        damage.ends = f"it ends after {over:.1f} of {clip.seconds:.1f} s"


def _can_seek(clip: Clip, begin: int) -> bool:
    """Whether seeking leads to a frame at or before ``begin``, as it should."""
    if (
        clip.in_decoding_order and clip.reordered
    ):  # after a jump, some decoders leave out frames that precede the key frame
        return False
    try:
        with opened(clip.path) as container:
            stream = container.streams[clip.index]
            frame = next(decoded(container, stream, damage := Damage(), begin), None)
            return (
                frame is not None and frame.pts is not None and frame.pts <= begin and not damage.undecodable
            )
    except FFmpegError:
        return False


def _duration(clip: Clip) -> str:
    return f"it is {clip.seconds:.1f} s long" if clip.seconds is not None else "it ends before that"
