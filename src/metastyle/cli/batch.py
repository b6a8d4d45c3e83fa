"""Many photographs, one after the other: what each becomes, what failed, and which arrive meanwhile."""

from __future__ import annotations

import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from metastyle.cli.inputs import PIPE, Job, source
from metastyle.cli.output import BUG, Display, Speaker, explain, seconds
from metastyle.cli.streams import STDERR, STDOUT
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.images.picture import Picture
    from metastyle.style import Style

S = TypeVar("S")
T = TypeVar("T")

WATCH_EVERY = 1.0
"""Seconds between two looks at watched folders."""


@dataclass(frozen=True)
class Paint:
    """What every photograph is repainted with: ``api.render_regions``'s arguments."""

    background: Style | None
    regions: list[tuple[Picture, Style | None]]
    feather: float
    options: dict[str, Any]
    look: str
    """Digest of all of this, to be written into results."""


@dataclass
class Batch:
    """Photographs being repainted, and what became of them."""

    display: Display
    speaker: Speaker
    debug: bool = False
    written: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    bug: bool = False
    """Whether one failed for no reason that anybody thought of."""

    def readable(self, jobs: list[Job]) -> list[Job]:
        """Without the unreadable photographs that come first: one that can be read is enough to begin."""
        for index, job in enumerate(jobs):
            try:
                self.open(job.photo)
            except Exception as error:
                self._failed(job.photo, error)
            else:
                return jobs[index:]
        return []

    def repaint(self, jobs: list[Job], paint: Paint, *, overwrite: bool) -> None:
        """Repaint them all, in order; one that fails does not stop the others.

        While one is painted, the next is read and the one before is written. What has been painted is
        written whole, whatever ends this.
        """
        what = "repainting" if len(jobs) == 1 else f"repainting {len(jobs)} photographs"
        opened = _ahead(self.open, [job.photo for job in jobs])
        writing: Future[None] = Future()
        writing.set_result(None)
        try:
            for index, job in enumerate(jobs):
                name = "photograph" if job.photo == PIPE else job.photo.name
                progress = self.display.share(what, index, len(jobs), name)
                progress(0.0)
                try:
                    painted, spent = paint_one(next(opened).result(), paint, progress)
                except Exception as error:  # whatever is wrong with one, the others are done
                    writing.result()
                    self._failed(job.photo, error)
                    progress(1.0)
                else:
                    writing.result()
                    writing = _begin(self._write, job, painted, spent, paint.look, overwrite)
        finally:
            writing.result()

    def _write(self, job: Job, painted: Picture, spent: float, look: str, overwrite: bool) -> None:
        try:
            record = write_one(job, painted, spent, look, overwrite=overwrite)
        except Exception as error:
            self._failed(job.photo, error)
        else:
            self._done(record)

    def repaint_with_ray(self, jobs: list[Job], paint: Paint, workers: int, *, overwrite: bool) -> None:
        """``repaint`` in ``workers`` processes of a Ray cluster, or of this machine."""
        from metastyle.cli.workers import repaint_all

        what = f"repainting {len(jobs)} photographs with {workers} workers"
        for count, result in enumerate(repaint_all(jobs, paint, workers, overwrite=overwrite), start=1):
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


def _begin(do: Callable[..., T], *arguments: Any, in_vain: bool = False) -> Future[T]:
    """Do it in a thread of its own. The program may end without it if it would then be done ``in_vain``."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(do(*arguments))
        except BaseException as error:  # raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, daemon=in_vain).start()
    return future


def _ahead(do: Callable[[S], T], items: Iterable[S]) -> Iterator[Future[T]]:
    """``do`` for each item, in order; begun for the next one when one is asked for."""
    begun: deque[Future[T]] = deque()
    for item in items:
        begun.append(_begin(do, item, in_vain=True))
        if len(begun) > 1:
            yield begun.popleft()
    yield from begun


def repaint_one(job: Job, photo: Picture, paint: Paint, *, overwrite: bool) -> dict[str, Any]:
    """Repaint and write one photograph; what there is to say about it."""
    return write_one(job, *paint_one(photo, paint), paint.look, overwrite=overwrite)


def paint_one(
    photo: Picture, paint: Paint, progress: Callable[[float], None] | None = None
) -> tuple[Picture, float]:
    """The photograph repainted, and the seconds that it took."""
    from metastyle import api

    started = time.perf_counter()
    (painted,) = api.render_regions(
        [photo], paint.background, paint.regions, paint.feather, progress=progress, **paint.options
    )
    return painted, time.perf_counter() - started


def write_one(job: Job, painted: Picture, spent: float, look: str, *, overwrite: bool) -> dict[str, Any]:
    """Write what took ``spent`` seconds to paint; what there is to say about it."""
    from metastyle.images.encode import save_picture
    from metastyle.images.origin import Origin, photo_digest, place_digest, stamp

    started = time.perf_counter()
    origin = Origin(photo_digest(source(job.photo)), place_digest(job.photo), look)
    painted = replace(painted, exif=stamp(painted.exif, origin))
    if job.output == PIPE:
        # Through a file: what writes pictures also checks them, names them and keeps their profile.
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "result.png"
            save_picture(painted, file)
            STDOUT.deliver(file.read_bytes())
    else:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        save_picture(painted, job.output, overwrite=overwrite)
    height, width = painted.pixels.shape[:2]
    return {
        "photo": job.photo,
        "output": job.output,
        "width": width,
        "height": height,
        "seconds": round(spent + time.perf_counter() - started, 3),
    }


def arrivals(look: Callable[[], list[Job]], seen: set[Path]) -> Iterator[list[Job]]:
    """Jobs for photographs that arrive in watched folders, for ever, and for those that change.

    ``look`` lists what is to be done now. A file is taken when its size and time have stayed the same for
    one interval, so that one which is still being copied is left alone; ``seen`` are done with already.
    """
    before = {path: _stamp(path) for path in seen}
    taken = dict(before)
    while True:
        time.sleep(WATCH_EVERY)
        jobs = look()
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
