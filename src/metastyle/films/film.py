"""A film in one call: from a clip and a style to the finished or the unfinished film."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from metastyle.core.checks import SettingError
from metastyle.core.device import pick_device
from metastyle.errors import MetastyleError
from metastyle.files import one_line, reason
from metastyle.films import animation
from metastyle.films.clip import Clip, open_clip
from metastyle.films.encode import CONTAINERS, choose_encoding
from metastyle.films.frames import frame_at, sample_frames
from metastyle.films.job import FilmJob, check_film
from metastyle.films.painter import Painter
from metastyle.films.progress import Progress
from metastyle.films.segments import segments_folder
from metastyle.films.sequence import as_film, is_sequence, name_of
from metastyle.films.settings import FilmSettings
from metastyle.films.sound import holds_sound_of
from metastyle.images.contents import MOST_PHOTOS, Contents, shorter_side
from metastyle.images.origin import digest
from metastyle.images.picture import Picture
from metastyle.locks import claimed
from metastyle.rendering.stylizer import default_budget
from metastyle.style import Style

DEFAULT_CONTAINER = ".mp4"
ROOMIEST_CONTAINER = ".mkv"
"""The container for sound and subtitles that no other one supports."""
DEFAULT_FPS = 25.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Film:
    """The outcome of a call that makes a film."""

    path: Path | None
    """The film. If it is not complete: where its finished frames are; None if there are none."""
    complete: bool
    """Whether it is finished; otherwise the same call resumes it."""
    width: int
    height: int
    codec: str
    frames: int
    """Number of frames, including those of an earlier, interrupted run."""
    frames_before: int
    """Number of frames that an earlier, interrupted run had finished."""
    seconds: float | None
    """Seconds of the film that are painted; None if there was nothing left to paint."""
    frames_per_second: float | None
    """Mean speed; None if there was nothing left to paint."""
    notes: tuple[str, ...] = ()
    """A line for everything that the film lacks of its clip, such as sound that its container cannot hold."""
    damage: str | None = None
    """One line about the parts of the clip that could not be read."""


class FilmFailedError(MetastyleError):
    """A film could not be finished; ``film`` describes what is finished, and ``__cause__`` is the reason."""

    def __init__(self, film: Film, cause: BaseException) -> None:
        super().__init__(str(cause) if isinstance(cause, MetastyleError) else reason(cause))
        self.film = film


class FilmInterrupted(KeyboardInterrupt):
    """Ctrl-C while a film was being made; ``film`` describes what is finished."""

    def __init__(self, film: Film) -> None:
        super().__init__()
        self.film = film


@dataclass(frozen=True)
class Footage:
    """The part of a clip that is repainted, on which a painting is adapted to."""

    clip: Clip
    given: Path
    """The caller's path: a film, or a folder or pattern of numbered pictures."""
    begin: float | None
    end: float | None

    def contents(self, size: int) -> Contents:
        """Its frames, to adapt on in crops of ``size`` pixels.

        They are identified by the path and the size of the clip, so that another excerpt is painted in the
        same style; numbered pictures are identified by their folder or pattern alone.
        """

        def read() -> list[Picture]:
            shown = sample_frames(
                self.clip, MOST_PHOTOS, begin=self.begin, end=self.end, shorter=shorter_side(size)
            )
            return [Picture(frame.pixels, name=self.clip.path.name) for frame in shown]

        given = self.given
        return Contents(
            read,
            place=_json_digest(
                ["film", str(given.resolve()), given.stat().st_size if given.is_file() else 0]
            ),
            stand=_json_digest([self.begin, self.end]),
            differing="another excerpt of this film",
        )


def make_film(
    clip: Path,
    adapted: Callable[[Footage], Style],
    settings: FilmSettings,
    *,
    out: str | Path | None = None,
    style_name: str = "film",
    overwrite: bool = False,
    on_progress: Callable[[Progress], bool | None] | None = None,
) -> Film:
    """Repaint a clip; ``metastyle.film`` describes the keywords.

    adapted: returns the style; called after all checks, when no other run is making the film.

    Raises:
        FilmFailedError: painting failed halfway. FilmInterrupted: Ctrl-C was pressed.
        MetastyleError: the clip cannot be read, the film cannot be written, or it is being made already.
    """
    with _opened(clip, settings) as footage:
        target = film_path(footage, out, style_name)
        encoding = choose_encoding(target, settings.codec, settings.quality)
        check_film(footage.clip, target, settings.size, overwrite=overwrite)
        with claimed(segments_folder(target), "making this film"):
            style = adapted(footage)
            _announce(footage.clip, settings.size)
            job = FilmJob(
                footage.clip,
                target,
                encoding,
                identity=settings.identity(style),
                long_edge=settings.size,
                begin=settings.begin,
                end=settings.end,
                overwrite=overwrite,
            )
            # Rounding depends on the strips of a frame, which depend on the memory.
            budget = settings.max_memory or default_budget(pick_device(settings.device))
            budget = settings.max_memory or job.segments.keep("max_memory", budget)
            return _run(job, settings.painter(style, budget), on_progress)


def describe(clip: Path) -> Clip:
    """The properties of a clip: a film file, numbered pictures, or an animation.

    Raises:
        MetastyleError: it cannot be read.
    """
    with _opened(clip, FilmSettings()) as footage:
        return footage.clip


def paint_frame(
    clip: Path, adapted: Callable[[Footage], Style], settings: FilmSettings, at: float
) -> tuple[Picture, float]:
    """The frame that is shown ``at`` seconds, painted independently, and the second at which it begins.

    Raises:
        MetastyleError: the clip cannot be read, or has no frame there.
    """
    with _opened(clip, settings) as footage:
        _check_second(footage.clip, "at", at)
        style = adapted(footage)
        single = replace(settings, frame_by_frame=True, grain=settings.grain_of(style))
        painter = single.painter(style, settings.max_memory)
        frame = frame_at(footage.clip, at, long_edge=settings.size)
        return Picture(painter(frame.pixels)), footage.clip.seconds_at(frame.pts)


def film_path(footage: Footage, out: str | Path | None, style_name: str) -> Path:
    """The path of the film: ``out``, or CLIP-STYLE in the folder ``out`` or next to the clip.

    Without a name, the film has the clip's container if that can be written and hold its sound.
    """
    if out is not None and not (str(out).endswith(("/", os.sep)) or Path(out).is_dir()):
        return Path(out)
    beside = beside_clip(footage.given, style_name)
    own = "" if is_sequence(footage.given) else footage.given.suffix.lower()
    suffix = own if own in CONTAINERS else DEFAULT_CONTAINER
    if not holds_sound_of(footage.clip, suffix) and holds_sound_of(footage.clip, ROOMIEST_CONTAINER):
        suffix = ROOMIEST_CONTAINER
    beside = beside.with_name(beside.name + suffix)
    return beside if out is None else Path(out) / beside.name


def beside_clip(clip: Path, style_name: str) -> Path:
    """CLIP-STYLE, without an extension, next to the clip or its numbered pictures."""
    name = name_of(clip) if is_sequence(clip) else clip.with_name(clip.stem)
    plain = "".join(c if c.isprintable() else "-" for c in re.sub(r"[/\\:]", "-", style_name))
    return name.with_name(f"{name.name}-{plain}")


@contextmanager
def _opened(clip: Path, settings: FilmSettings) -> Iterator[Footage]:
    """The clip, or a temporary film of its numbered pictures or of an animation."""
    if is_sequence(clip):
        rate = Fraction(settings.fps or DEFAULT_FPS).limit_denominator(1001)
        with as_film(clip, rate) as film:
            yield _footage(film, clip, settings)
    elif settings.fps is not None:
        raise SettingError("fps", settings.fps, "it for numbered pictures; a film has its own time stamps")
    elif animation.is_animation(clip):
        with animation.as_film(clip) as film:
            yield _footage(film, clip, settings)
    else:
        yield _footage(clip, clip, settings)


def _footage(film: Path, given: Path, settings: FilmSettings) -> Footage:
    clip = open_clip(film)
    if settings.begin is not None:
        _check_second(clip, "begin", settings.begin)
    return Footage(clip, given, settings.begin, settings.end)


def _check_second(clip: Clip, name: str, second: float) -> None:
    if clip.seconds is not None and second >= clip.seconds:
        raise SettingError(
            name, second, f"less than {clip.seconds:.1f} s, the length of {one_line(clip.path)}"
        )


def _announce(clip: Clip, size: int | None) -> None:
    """Log how the film will differ from the clip."""
    if clip.hdr:
        logger.warning("the clip is HDR (%s): the film will have standard dynamic range (BT.709)", clip.hdr)
    width, height = clip.scaled(size)
    if width % 2 or height % 2:
        logger.warning(
            "%dx%d becomes %dx%d: films have even sides, so the last row or column is dropped",
            *(width, height, width - width % 2, height - height % 2),
        )


def _run(job: FilmJob, painter: Painter, on_progress: Callable[[Progress], bool | None] | None) -> Film:
    """Paint and join; if stopped or failed halfway, keep what is finished."""
    if job.frames_before:
        logger.warning("resuming after %d finished frames", job.frames_before)
    last: Progress | None = None
    stopped = False
    began = time.perf_counter()
    try:
        with closing(job.run(painter)) as run:
            for last in run:
                if on_progress is not None and on_progress(last) is False:
                    stopped = True
                    break
    except KeyboardInterrupt:
        raise FilmInterrupted(_rescued(job, _film(job, last, began))) from None
    except (MetastyleError, OSError, MemoryError) as error:
        raise FilmFailedError(_rescued(job, _film(job, last, began)), error) from error
    film = _film(job, last, began)
    if stopped:
        return _rescued(job, film)
    notes = job.finish()
    damage = job.damage.sentence(job.clip.path)
    return replace(film, path=job.output, complete=True, notes=tuple(notes), damage=damage)


def _film(job: FilmJob, last: Progress | None, began: float) -> Film:
    elapsed = time.perf_counter() - began
    return Film(
        path=None,
        complete=False,
        width=job.format.width,
        height=job.format.height,
        codec=job.encoding.codec,
        frames=last.frames if last else job.frames_before,
        frames_before=job.frames_before,
        seconds=last.seconds if last else None,
        frames_per_second=(last.frames - job.frames_before) / elapsed if last else None,
    )


def _rescued(job: FilmJob, film: Film) -> Film:
    """Make the unfinished film playable; if that fails, a note says why."""
    notes: tuple[str, ...] = ()
    kept = None
    try:
        kept = job.rescue()
    except MetastyleError as error:
        notes = (str(error),)
    except OSError as error:
        notes = (f"{one_line(job.output)}: {reason(error)}",)
    if kept is None and job.segments.finished:
        kept = job.segments.folder
    return replace(film, path=kept, notes=notes)


def _json_digest(record: list[Any]) -> str:
    return digest(json.dumps(record).encode())
