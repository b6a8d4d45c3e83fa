"""Many photographs, one after another: results, failures, and new arrivals."""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from metastyle.cli.errors import BUG, explain
from metastyle.cli.inputs import PIPE, Job, source
from metastyle.cli.output import Display, Speaker, seconds
from metastyle.cli.results import RenderArguments, paint_together, write_one
from metastyle.cli.streams import STDERR
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.images.picture import Picture

S = TypeVar("S")
T = TypeVar("T")

WATCH_EVERY = 1.0
"""Seconds between two listings of watched folders."""
WRITERS = 4
"""Most photographs that are encoded and written at the same time."""


class Painted(NamedTuple):
    """A repainted photograph, or the error instead."""

    job: Job
    result: Picture | Exception
    seconds: float = 0.0


@dataclass
class Batch:
    """The repainting of photographs, and its outcome."""

    display: Display
    speaker: Speaker
    debug: bool = False
    written: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    bug: bool = False
    """Whether one failed because of a bug."""
    opened: tuple[Path, Picture] | None = None
    """The first photograph, opened to check that it can be read, until it is repainted."""

    def readable(self, jobs: list[Job]) -> list[Job]:
        """The jobs starting at the first readable photograph; those before it have failed."""
        for index, job in enumerate(jobs):
            try:
                self.opened = (job.photo, self.open(job.photo))
            except Exception as error:
                self._failed(job.photo, error)
            else:
                return jobs[index:]
        return []

    def repaint(
        self, jobs: list[Job], arguments: RenderArguments, *, overwrite: bool, together: int = 1
    ) -> None:
        """Repaint them all, in order; one that fails does not stop the others.

        While photographs are painted, the next are read and the previous are written. Painted photographs are
        always written completely, whatever ends this.

        Args:
            together: photographs per call, of which a GPU paints those of one size together. Twice as many
                are in memory.
        """
        what = "repainting" if len(jobs) == 1 else f"repainting {len(jobs)} photographs"
        reading = _ahead(self._take, [job.photo for job in jobs], together)
        writing: Future[None] = Future()
        writing.set_result(None)
        try:
            for first in range(0, len(jobs), together):
                group = jobs[first : first + together]
                progress = self._progress(what, first, group, len(jobs))
                progress(0.0)
                painted = _paint_group([_opened(job, next(reading)) for job in group], arguments, progress)
                if any(isinstance(one.result, Exception) for one in painted):
                    progress(1.0)
                writing.result()
                writing = _begin(self._write, painted, arguments.look, overwrite)
        finally:
            writing.result()

    def _progress(self, what: str, first: int, group: list[Job], count: int) -> Callable[[float], None]:
        name = "photograph" if group[-1].photo == PIPE else group[-1].photo.name
        return lambda share: self.display.update(what, (first + share * len(group)) / count, name)

    def _write(self, painted: list[Painted], look: str, overwrite: bool) -> None:
        def write(one: Painted) -> dict[str, Any] | Exception:
            if isinstance(one.result, Exception):
                return one.result
            try:
                return write_one(one.job, one.result, one.seconds, look, overwrite=overwrite)
            except Exception as error:
                return error

        with ThreadPoolExecutor(min(len(painted), WRITERS)) as pool:
            for one, done in zip(painted, pool.map(write, painted), strict=True):
                if isinstance(done, Exception):
                    self._failed(one.job.photo, done)
                else:
                    self._done(done)

    def repaint_with_ray(
        self, jobs: list[Job], arguments: RenderArguments, workers: int, *, overwrite: bool
    ) -> None:
        """``repaint`` in ``workers`` processes of a Ray cluster, or of this machine."""
        from metastyle.cli.workers import repaint_all

        what = f"repainting {len(jobs)} photographs with {workers} workers"
        for count, result in enumerate(repaint_all(jobs, arguments, workers, overwrite=overwrite), start=1):
            if "error" in result:
                self.failed[Path(result["photo"])] = result["error"]
                self.bug = self.bug or result["bug"]
            else:
                self._done(result)
            self.display.update(what, count / len(jobs), Path(result["photo"]).name)

    def _failed(self, photo: Path, error: Exception) -> None:
        if self.debug:
            traceback.print_exception(error, file=STDERR)
        line, code = explain(error)
        self.failed[photo] = line if isinstance(error, MetastyleError) else f"{photo}: {line}"
        self.bug = self.bug or code == BUG

    def _done(self, record: dict[str, Any]) -> None:
        self.written.append(record)
        size = f"{record['width']}x{record['height']}"
        self.speaker.line(f"{record['output']}  {size}  {seconds(record['seconds'])}")

    def open(self, photo: Path) -> Picture:
        from metastyle.images.decode import open_picture

        return open_picture(source(photo))

    def _take(self, photo: Path) -> Picture:
        """Open a photograph, unless it is open already."""
        if self.opened is not None and self.opened[0] == photo:
            picture, self.opened = self.opened[1], None
            return picture
        return self.open(photo)


def _opened(job: Job, reading: Future[Picture]) -> tuple[Job, Picture | Exception]:
    try:
        return job, reading.result()
    except Exception as error:
        return job, error


def _paint_group(
    group: list[tuple[Job, Picture | Exception]],
    arguments: RenderArguments,
    progress: Callable[[float], None],
) -> list[Painted]:
    """Paint photographs in one call; if that fails, one by one."""
    readable = [photo for _, photo in group if not isinstance(photo, Exception)]
    try:
        pictures, spent = paint_together(readable, arguments, progress) if readable else ([], 0.0)
    except Exception as error:
        if len(group) == 1:
            return [Painted(group[0][0], error)]
        return [_paint_group([one], arguments, lambda share: None)[0] for one in group]
    done = iter(pictures)
    return [
        Painted(job, photo)
        if isinstance(photo, Exception)
        else Painted(job, next(done), spent / len(readable))
        for job, photo in group
    ]


def _begin(do: Callable[..., T], *arguments: Any, daemon: bool = False) -> Future[T]:
    """Run ``do`` in its own thread; at exit, the program does not wait for a ``daemon``."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(do(*arguments))
        except BaseException as error:  # raised where the result is requested
            future.set_exception(error)

    threading.Thread(target=run, daemon=daemon).start()
    return future


def _ahead(do: Callable[[S], T], items: Iterable[S], count: int) -> Iterator[Future[T]]:
    """``do`` for each item, in order, started ``count`` items ahead."""
    begun: deque[Future[T]] = deque()
    for item in items:
        begun.append(_begin(do, item, daemon=True))
        if len(begun) > count:
            yield begun.popleft()
    yield from begun


def arrivals(list_jobs: Callable[[], list[Job]], seen: set[Path]) -> Iterator[list[Job]]:
    """Endless jobs for photographs that arrive or change in watched folders.

    A file is taken when its size and time have not changed for one interval, so that a file which is
    still being copied is left alone.

    Args:
        list_jobs: lists the jobs at present.
        seen: finished photographs.
    """
    before = {path: _stamp(path) for path in seen}
    taken = dict(before)
    while True:
        time.sleep(WATCH_EVERY)
        jobs = list_jobs()
        now = {job.photo: _stamp(job.photo) for job in jobs}
        ready = [j for j in jobs if now[j.photo] == before.get(j.photo) != taken.get(j.photo)]
        before = now
        taken |= {job.photo: now[job.photo] for job in ready}
        if ready:
            yield ready


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:  # gone again
        return None
    return status.st_size, status.st_mtime_ns
