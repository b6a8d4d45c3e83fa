"""A clip becomes a film, frame by frame; decoding, painting and encoding overlap.

The film is made in parts of some seconds, each encoded for itself, and joined in the end without encoding
again. So an interrupted job goes on after its last finished part, and the film comes out as if it had never
been interrupted: the parts are cut at the same frames either way.
"""

from __future__ import annotations

import queue
import threading
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from metastyle.core.surroundings import each_step
from metastyle.errors import MetastyleError
from metastyle.files import check_target, one_line, reason
from metastyle.films.clip import Clip
from metastyle.films.decode import Damage
from metastyle.films.encode import Encoding, Look, PieceWriter
from metastyle.films.frames import Frame, read_frames
from metastyle.films.mux import Part, join
from metastyle.films.painter import Painter
from metastyle.films.progress import Pace, Progress
from metastyle.films.segments import Parts, fingerprint, parts_folder
from metastyle.rendering.stylizer import SMALLEST_SIDE

FRAMES_PER_PART = 60
"""Frames between two places where a job can go on: fewer lose less when interrupted, and take more bytes."""
_WAITING = 3  # frames that wait on either side of the painter
_POLL = 0.1  # seconds


@dataclass(frozen=True)
class _Cut:
    """Follows the last frame of a part on its way to the writer."""

    checksum: int
    undecodable: int
    misplaced: int
    state: bytes


@dataclass(frozen=True)
class _End:
    complete: bool


class FilmJob:
    """One film in the making. ``run`` it to the end and ``finish``, or stop and ``rescue`` what there is.

    Only one job for an output may be under way: ``claimed(parts_folder(output), ...)`` sees to that.

    output: of a kind that ``choose_encoding`` has agreed to. Unfinished work lies in OUTPUT.parts beside it.
    identity: what the painter depends on (style, strength, ...), to tell whether work that lies there
        belongs to this job.
    begin, end: seconds after the clip's beginning; frames from ``begin`` on and before ``end`` are painted.
    overwrite: whether an existing output may be replaced, and parts of a different job thrown away.

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
        frames_per_part: int = FRAMES_PER_PART,
    ) -> None:
        width, height = clip.scaled(long_edge)
        if min(width, height) < SMALLEST_SIDE:
            raise MetastyleError(
                f"frames of {width}x{height} pixels: each side must have at least {SMALLEST_SIDE}"
            )
        check_target(output, overwrite=overwrite)
        if output.exists() and output.samefile(clip.path):
            raise MetastyleError(f"{one_line(output)} is the clip itself: choose another name with -o")
        self.clip, self.output, self.encoding = clip, output, encoding
        self.look = Look.of(clip, long_edge)
        self.damage = Damage()
        self._long_edge, self._overwrite, self._frames_per_part = long_edge, overwrite, frames_per_part
        self._begin = None if begin is None else clip.ticks(begin)
        self._end = None if end is None else clip.ticks(end)
        self.parts = Parts(
            parts_folder(output),
            {
                "clip": fingerprint(clip.path),
                **identity,
                "size": long_edge,
                "from": begin,
                "to": end,
                "codec": encoding.codec,
                "quality": encoding.quality,
                "frames per part": frames_per_part,
                "FFmpeg": f"{av.__version__}, {av.library_versions['libavcodec']}",
            },
            fresh=overwrite,
        )
        self.frames_before = sum(finished.piece.frames for finished in self.parts.finished)
        """Frames that an earlier run has finished."""
        self._partial: Part | None = None
        self._failure: BaseException | None = None
        self._stop = threading.Event()

    @each_step
    def run(self, painter: Painter) -> Generator[Progress, None, None]:
        """Paint what is not finished yet. Closing the iterator stops after the current frame.

        Raises:
            MetastyleError: nothing to paint, the disk is full, the clip has changed.
        """
        self._begin_folder()
        if self.parts.finished:
            painter.restore(self.parts.state())
        self._stop.clear()
        self._partial, self._failure = None, None
        inbox: queue.Queue[Any] = queue.Queue(_WAITING)
        outbox: queue.Queue[Any] = queue.Queue(_WAITING)
        reader = threading.Thread(target=self._read, args=(inbox,), name="film reader", daemon=True)
        writer = threading.Thread(target=self._write, args=(outbox,), name="film writer", daemon=True)
        reader.start()
        writer.start()
        complete = False
        try:
            yield from self._paint(painter, inbox, outbox)
            complete = True
        finally:
            self._stop.set()
            while writer.is_alive():  # not put() alone: the writer may have failed and gone
                with suppress(queue.Full):
                    outbox.put(_End(complete), timeout=_POLL)
                    break
            writer.join()
            reader.join()
            if not (self.parts.finished or self._partial):
                self.parts.remove()
        self._raise_failure()
        if not self.parts.finished:
            raise MetastyleError(f"{one_line(self.clip.path)} has no frame between --from and --to")

    def finish(self) -> list[str]:
        """Join the parts into the film and remove them; what the film lacks of the clip, a line for each."""
        parts = self.parts.all()
        notes = self._join(parts, self.output, overwrite=self._overwrite, cut=self._end is not None)
        if self.parts.keep("rescued", False):
            self._rescued().unlink(missing_ok=True)
        self.parts.remove()
        return notes

    def rescue(self) -> Path | None:
        """A playable film of what has been painted so far; None if that is nothing.

        It is called OUTPUT.unfinished and the extension, and is replaced by the film when the job is done.
        """
        parts = self.parts.all() + ([self._partial] if self._partial else [])
        if not parts:
            return None
        path = self._rescued()
        mine = self.parts.keep("rescued", not path.exists())
        self._join(parts, path, overwrite=mine, cut=True)
        return path

    def _rescued(self) -> Path:
        return self.output.with_name(f"{self.output.stem}.unfinished{self.output.suffix}")

    def _join(self, parts: list[Part], path: Path, *, overwrite: bool, cut: bool) -> list[str]:
        return join(
            parts,
            self.clip,
            path,
            self.encoding,
            overwrite=overwrite,
            begin=parts[0].piece.first if self._begin is not None else None,
            end=parts[-1].piece.end if cut else None,
        )

    def _paint(
        self, painter: Painter, inbox: queue.Queue[Any], outbox: queue.Queue[Any]
    ) -> Iterator[Progress]:
        count, last = self.frames_before, None
        pace = Pace(self.clip, self._begin, self._end)
        while (item := self._take(inbox)) is not None:
            frame, checksum, undecodable, misplaced = item
            painted = painter(frame.pixels)
            if painted.shape != frame.pixels.shape or painted.dtype != np.uint8:
                raise ValueError(f"a frame became {painted.shape} of {painted.dtype}")
            self._give(outbox, (painted, frame.pts, frame.duration))
            count += 1
            last = (checksum, undecodable, misplaced)
            if count % self._frames_per_part == 0:
                self._give(outbox, _Cut(*last, painter.state()))
                last = None
            yield pace.after(frame, count)
        if last is not None:
            self._give(outbox, _Cut(*last, painter.state()))

    def _read(self, inbox: queue.Queue[Any]) -> None:
        try:
            with closing(self._frames()) as frames:
                for frame in frames:
                    item = (frame, _checksum(frame), self.damage.undecodable, self.damage.misplaced)
                    if not self._offer(inbox, item):
                        return
            self._offer(inbox, None)
        except BaseException as error:
            self._offer(inbox, error)

    def _frames(self) -> Generator[Frame, None, None]:
        """The frames that are not finished yet, and are known to follow the last finished one."""
        read: dict[str, Any] = {"long_edge": self._long_edge, "end": self._end}
        if not self.parts.finished:
            yield from read_frames(self.clip, self.damage, begin=self._begin, **read)
            return
        last = self.parts.finished[-1]
        self.damage.undecodable, self.damage.misplaced = last.undecodable, last.misplaced
        frames = read_frames(self.clip, self.damage, begin=last.piece.last, **read)
        known = next(frames, None)
        if known is None or _checksum(known) != last.checksum:
            # After a jump this clip does not decode as it did before: all of it is decoded once more.
            self.damage.undecodable = self.damage.misplaced = 0
            frames = read_frames(self.clip, self.damage, begin=self._begin, seek=False, **read)
            for _ in range(self.frames_before):
                known = next(frames, None)
            if known is None or _checksum(known) != last.checksum:
                raise MetastyleError(
                    f"{one_line(self.clip.path)} does not give the frames that it gave before the"
                    f" interruption: delete {one_line(self.parts.folder)} and begin again"
                )
        yield from frames

    def _write(self, outbox: queue.Queue[Any]) -> None:
        piece: PieceWriter | None = None
        try:
            while True:
                item = outbox.get()
                if isinstance(item, _End):
                    break
                if isinstance(item, _Cut):
                    assert piece is not None
                    written, piece = piece.close(), None
                    self.parts.add(
                        written,
                        checksum=item.checksum,
                        undecodable=item.undecodable,
                        misplaced=item.misplaced,
                        state=item.state,
                    )
                    continue
                if piece is None:
                    piece = PieceWriter(self.parts.current, self.look, self.encoding)
                piece.add(*item)
            if piece is not None:
                self._partial = Part(self.parts.current, piece.close())
        except BaseException as error:
            self._failure = error
            self._stop.set()
            if piece is not None:
                piece.abandon()

    def _begin_folder(self) -> None:
        try:
            self.parts.begin()
        except OSError as error:
            raise MetastyleError(
                f"{one_line(self.parts.folder)} cannot be written: {reason(error)}"
            ) from None

    def _take(self, inbox: queue.Queue[Any]) -> Any:
        """The next thing from the reader; its error is raised here."""
        while True:
            self._raise_failure()
            with suppress(queue.Empty):
                item = inbox.get(timeout=_POLL)
                if isinstance(item, BaseException):
                    raise item
                return item

    def _give(self, outbox: queue.Queue[Any], item: Any) -> None:
        while True:
            self._raise_failure()
            with suppress(queue.Full):
                outbox.put(item, timeout=_POLL)
                return

    def _offer(self, inbox: queue.Queue[Any], item: Any) -> bool:
        while not self._stop.is_set():
            with suppress(queue.Full):
                inbox.put(item, timeout=_POLL)
                return True
        return False

    def _raise_failure(self) -> None:
        error = self._failure
        if isinstance(error, OSError | FFmpegError):
            raise MetastyleError(
                f"{one_line(self.parts.folder)} cannot be written: {reason(error)};"
                " what is finished is kept there, and the same command goes on with it"
            ) from error
        if error is not None:
            raise error


def _checksum(frame: Frame) -> int:
    return zlib.crc32(np.ascontiguousarray(frame.pixels).tobytes())
