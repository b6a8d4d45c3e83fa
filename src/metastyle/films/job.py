"""The work on one film: its finished segments, the next frames, and the result.

A film is made in segments of a few seconds, which are encoded independently and joined at the end without
re-encoding. An interrupted job resumes after its last finished segment and makes the same film as an
uninterrupted one, because segments always end at the same frames.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from metastyle.core.surroundings import each_step
from metastyle.errors import MetastyleError
from metastyle.files import check_target, one_line, reason
from metastyle.films.clip import Clip, Pixels
from metastyle.films.decode import Damage
from metastyle.films.encode import Encoding, FilmFormat, SegmentWriter
from metastyle.films.frames import Frame, read_frames
from metastyle.films.mux import SegmentFile, join
from metastyle.films.painter import Painter
from metastyle.films.pipeline import handled_behind, made_ahead
from metastyle.films.progress import Pace, Progress
from metastyle.films.segments import Segments, fingerprint, segments_folder
from metastyle.rendering.stylizer import SMALLEST_SIDE

FRAMES_PER_SEGMENT = 60
"""Frames between two points where a job can resume: fewer lose less work but take more bytes."""
_WAITING = 3  # frames queued before and after the painter


@dataclass(frozen=True, eq=False)
class _Decoded:
    """A frame to be painted, and what the next run must know about it if it ends a segment."""

    frame: Frame
    checksum: int
    undecodable: int
    misplaced: int


@dataclass(frozen=True, eq=False)
class _Painted:
    pixels: Pixels
    pts: int
    duration: int


@dataclass(frozen=True, eq=False)
class _SegmentEnd:
    """Sent to the encoder after the last frame of a segment."""

    last: _Decoded
    state: bytes


def check_film(clip: Clip, output: Path, long_edge: int | None, *, overwrite: bool) -> None:
    """Refuse a film that could not be made of ``clip``, before any work is done for it.

    Raises:
        MetastyleError: the frames would be too small, or the output exists or cannot be written.
    """
    width, height = clip.scaled(long_edge)
    if min(width, height) < SMALLEST_SIDE:
        raise MetastyleError(
            f"frames of {width}x{height} pixels: each side must have at least {SMALLEST_SIDE}"
        )
    if output.parent.is_dir():  # a missing folder is made later
        check_target(output, overwrite=overwrite)
    if output.exists() and output.samefile(clip.path):
        raise MetastyleError(f"{one_line(output)} is the clip itself: choose another name")


class FilmJob:
    """The work on one film: ``run`` it to the end and ``finish``, or stop and ``rescue`` what is finished.

    Only one job may run for an output; the caller holds ``claimed(segments_folder(output), ...)``.

    output: checked by ``choose_encoding``. Unfinished work is in OUTPUT.parts next to it.
    identity: everything that the painter depends on (style, strength, ...), to recognize unfinished work
        of this job.
    begin, end: seconds after the clip's beginning; frames from ``begin`` on and before ``end`` are painted.
    overwrite: whether an existing output, and segments of a different job, may be replaced.

    Raises:
        MetastyleError: the output exists or cannot be written, or other unfinished work is in the way.
    """

    def __init__(
        self,
        clip: Clip,
        output: Path,
        encoding: Encoding,
        *,
        identity: Mapping[str, Any],
        long_edge: int | None = None,
        begin: float | None = None,
        end: float | None = None,
        overwrite: bool = False,
        frames_per_segment: int = FRAMES_PER_SEGMENT,
    ) -> None:
        check_film(clip, output, long_edge, overwrite=overwrite)
        self.clip, self.output, self.encoding = clip, output, encoding
        self.format = FilmFormat.of(clip, long_edge)
        self.damage = Damage()
        self._long_edge, self._overwrite, self._frames_per_segment = long_edge, overwrite, frames_per_segment
        self._begin = None if begin is None else clip.ticks(begin)
        self._end = None if end is None else clip.ticks(end)
        self.segments = Segments(
            segments_folder(output),
            {
                "clip": fingerprint(clip.path),
                **identity,
                "size": long_edge,
                "from": begin,
                "to": end,
                "codec": encoding.codec,
                "quality": encoding.quality,
                "frames per part": frames_per_segment,  # the name of segments in earlier versions
                "FFmpeg": f"{av.__version__}, {av.library_versions['libavcodec']}",
            },
            fresh=overwrite,
        )
        self.frames_before = sum(finished.segment.frames for finished in self.segments.finished)
        """Number of frames that an earlier run has finished."""
        self._unfinished: SegmentFile | None = None

    @each_step
    def run(self, painter: Painter) -> Generator[Progress, None, None]:
        """Paint the unfinished frames, while the next ones are decoded and the last ones encoded.

        Closing the iterator stops after the current frame.

        Raises:
            MetastyleError: there is nothing to paint, the disk is full, or the clip has changed.
        """
        self._begin_folder()
        if self.segments.finished:
            painter.restore(self.segments.state())
        self._unfinished = None
        try:
            with (
                handled_behind(self._encode, most=_WAITING, name="film writer") as give,
                made_ahead(self._decode(), most=_WAITING, name="film reader") as frames,
            ):
                yield from self._paint(painter, frames, give)
        finally:
            if not (self.segments.finished or self._unfinished):
                self.segments.remove()
        if not self.segments.finished:
            raise MetastyleError(f"{one_line(self.clip.path)} has no frames in the chosen range")

    def finish(self) -> list[str]:
        """Join the segments into the film and remove them.

        Returns:
            A line for everything that the film lacks of the clip.
        """
        segments = self.segments.all()
        notes = self._join(segments, self.output, overwrite=self._overwrite, cut=self._end is not None)
        if self.segments.keep("rescued", False):
            self._rescued().unlink(missing_ok=True)
        self.segments.remove()
        return notes

    def rescue(self) -> Path | None:
        """A playable film of the frames painted so far; None if there are none.

        It is named OUTPUT.unfinished plus the extension, and is removed when the film is finished.
        """
        segments = self.segments.all() + ([self._unfinished] if self._unfinished else [])
        if not segments:
            return None
        path = self._rescued()
        ours = self.segments.keep("rescued", not path.exists())
        self._join(segments, path, overwrite=ours, cut=True)
        return path

    def _rescued(self) -> Path:
        return self.output.with_name(f"{self.output.stem}.unfinished{self.output.suffix}")

    def _join(self, segments: list[SegmentFile], path: Path, *, overwrite: bool, cut: bool) -> list[str]:
        return join(
            segments,
            self.clip,
            path,
            self.encoding,
            overwrite=overwrite,
            begin=segments[0].segment.first if self._begin is not None else None,
            end=segments[-1].segment.end if cut else None,
        )

    def _decode(self) -> Generator[_Decoded, None, None]:
        """The unfinished frames, verified to follow the last finished one."""
        options: dict[str, Any] = {"long_edge": self._long_edge, "end": self._end}
        if not self.segments.finished:
            yield from self._checked(read_frames(self.clip, self.damage, begin=self._begin, **options))
            return
        last = self.segments.finished[-1]
        self.damage.undecodable, self.damage.misplaced = last.undecodable, last.misplaced
        frames = read_frames(self.clip, self.damage, begin=last.segment.last, **options)
        known = next(frames, None)
        if known is None or _checksum(known) != last.checksum:
            # After seeking, this clip decodes differently than before: decode it from its beginning.
            self.damage.undecodable = self.damage.misplaced = 0
            frames = read_frames(self.clip, self.damage, begin=self._begin, seek=False, **options)
            for _ in range(self.frames_before):
                known = next(frames, None)
            if known is None or _checksum(known) != last.checksum:
                raise MetastyleError(
                    f"{one_line(self.clip.path)} does not decode to the same frames as before the"
                    f" interruption: delete {one_line(self.segments.folder)} and start again"
                )
        yield from self._checked(frames)

    def _checked(self, frames: Generator[Frame, None, None]) -> Iterator[_Decoded]:
        for frame in frames:
            yield _Decoded(frame, _checksum(frame), self.damage.undecodable, self.damage.misplaced)

    def _paint(
        self,
        painter: Painter,
        frames: Iterator[_Decoded],
        give: Callable[[_Painted | _SegmentEnd], None],
    ) -> Iterator[Progress]:
        count, last = self.frames_before, None
        pace = Pace(self.clip, self._begin, self._end)
        for last in frames:
            frame = last.frame
            painted = painter(frame.pixels)
            if painted.shape != frame.pixels.shape or painted.dtype != np.uint8:
                raise ValueError(f"a frame became {painted.shape} of {painted.dtype}")
            give(_Painted(painted, frame.pts, frame.duration))
            count += 1
            if count % self._frames_per_segment == 0:
                give(_SegmentEnd(last, painter.state()))
            yield pace.after(frame, count)
        if last is not None and count % self._frames_per_segment:
            give(_SegmentEnd(last, painter.state()))

    def _encode(self, items: Iterator[_Painted | _SegmentEnd]) -> None:
        """Write segments, including an incomplete last one, which can be rescued."""
        writer: SegmentWriter | None = None
        try:
            for item in items:
                if isinstance(item, _Painted):
                    writer = writer or SegmentWriter(self.segments.current, self.format, self.encoding)
                    writer.add(item.pixels, item.pts, item.duration)
                else:
                    assert writer is not None
                    segment, writer = writer.close(), None
                    self.segments.add(
                        segment,
                        checksum=item.last.checksum,
                        undecodable=item.last.undecodable,
                        misplaced=item.last.misplaced,
                        state=item.state,
                    )
            if writer is not None:
                self._unfinished = SegmentFile(self.segments.current, writer.close())
        except BaseException as error:
            if writer is not None:
                writer.abandon()
            if isinstance(error, OSError | FFmpegError):
                kept = "; what is finished is kept there, and the same call resumes it"
                raise MetastyleError(
                    f"{one_line(self.segments.folder)} cannot be written: {reason(error)}"
                    + (kept if self.segments.finished else "")
                ) from error
            raise

    def _begin_folder(self) -> None:
        try:
            self.segments.begin()
        except OSError as error:
            raise MetastyleError(
                f"{one_line(self.segments.folder)} cannot be written: {reason(error)}"
            ) from None


def _checksum(frame: Frame) -> int:
    return zlib.crc32(np.ascontiguousarray(frame.pixels).tobytes())
