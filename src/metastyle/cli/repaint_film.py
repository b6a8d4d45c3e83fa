"""One call of ``metastyle video``, from its clip to the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metastyle.cli.adaptation import Adapter, Prepared
from metastyle.cli.errors import INTERRUPTED, USAGE, explain
from metastyle.cli.inputs import check_is_file, check_output, check_picture_output, is_folder
from metastyle.cli.output import Display, Outcome, seconds
from metastyle.cli.stop import StopRequest
from metastyle.cli.style_option import Part, mixture_name

if TYPE_CHECKING:
    from metastyle.films.film import Film, Footage
    from metastyle.films.progress import Progress
    from metastyle.style import Style


@dataclass
class FilmCall:
    """The request, and its style once that is ready."""

    clip: Path
    output: str | None
    parts: list[Part]
    adapter: Adapter
    keywords: dict[str, Any]
    stop: StopRequest
    overwrite: bool
    prepared: list[Prepared] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        from metastyle.films.sequence import is_sequence

        if self.output is not None and not is_folder(self.output):
            check_output(Path(self.output), overwrite=self.overwrite)
        if not is_sequence(self.clip):
            check_is_file(self.clip)
        self.name = mixture_name(self.parts)

    def film(self) -> Outcome:
        """Repaint the film; if interrupted, keep what is finished."""

        def adapted(footage: Footage) -> Style:
            style = self._adapted(footage)
            self.stop.armed = True  # from here on there is something worth keeping
            return style

        def on_progress(progress: Progress) -> bool:
            _show(progress, self.adapter.display)
            return not self.stop.asked

        film, error = _film(
            self.clip,
            adapted,
            out=self.output,
            style_name=self.name,
            overwrite=self.overwrite,
            on_progress=on_progress,
            **self.keywords,
        )
        return _film_outcome(self.clip, film, error, self.prepared[0], self.started)

    def preview(self, at: float) -> Outcome:
        """Repaint the frame shown at ``at`` seconds, as a picture."""
        record = _preview(
            self.clip, self._adapted, self.keywords, at, self.output, self.name, overwrite=self.overwrite
        )
        return _outcome(record, self.prepared[0], self.started)

    def _adapted(self, footage: Footage) -> Style:
        self.prepared.append(self.adapter.prepare(self.parts, footage.contents(self.adapter.settings.size)))
        return self.prepared[0].style


def _film(
    clip: Path, adapted: Callable[[Footage], Style], **keywords: Any
) -> tuple[Film, BaseException | None]:
    """The film, and what stopped it, except for Ctrl-C."""
    from metastyle import api
    from metastyle.films.film import FilmFailedError, FilmInterrupted

    try:
        return api.film(clip, adapted, **keywords), None
    except FilmFailedError as failure:
        return failure.film, failure.__cause__
    except FilmInterrupted as interruption:
        return interruption.film, None


def _preview(
    clip: Path,
    adapted: Callable[[Footage], Style],
    keywords: dict[str, Any],
    at: float,
    output: str | None,
    name: str,
    *,
    overwrite: bool,
) -> dict[str, Any]:
    """Repaint one frame, as a picture."""
    from metastyle.films.film import beside_clip, paint_frame
    from metastyle.films.settings import FilmSettings
    from metastyle.images.encode import save_picture

    beside = beside_clip(clip, name)
    minutes, rest = divmod(at, 60)
    out = beside.with_name(f"{beside.name}-{minutes:.0f}m{rest:g}s.png")
    if output is not None:
        out = Path(output) / out.name if is_folder(output) else Path(output)
    check_picture_output(out, overwrite=overwrite)
    picture, begins = paint_frame(clip, adapted, FilmSettings(**keywords), at)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_picture(picture, out, overwrite=overwrite)
    width, height = picture.size
    return {"clip": clip, "output": out, "width": width, "height": height, "at": begins}


def _film_outcome(
    clip: Path, film: Film, error: BaseException | None, prepared: Prepared, started: float
) -> Outcome:
    record: dict[str, Any] = {
        "clip": clip,
        "width": film.width,
        "height": film.height,
        "codec": film.codec,
        "frames": film.frames,
        "frames_before": film.frames_before,
        "film_seconds": None if film.seconds is None else round(film.seconds, 3),
        "frames_per_second": None if film.frames_per_second is None else round(film.frames_per_second, 3),
        "notes": list(film.notes),
        "output": film.path,
    }
    problems = list(film.notes)
    if film.complete:
        if film.damage is not None:
            problems.append(f"{film.damage}; {film.path} has everything that could be read")
        return _outcome(record, prepared, started, problem=film.damage, problems=problems)
    problem = None if error is None else explain(error)[0]
    if problem is not None:
        problems.append(problem)
    if film.path is not None:
        problems.append(
            f"stopped after {film.frames} frames: {film.path} has them; the same command resumes from there"
        )
    elif problem is None:
        problems.append("stopped before the first frame was painted")
    return _outcome(record, prepared, started, problem=problem, problems=problems, interrupted=True)


def _outcome(
    record: dict[str, Any],
    prepared: Prepared,
    started: float,
    *,
    problem: str | None = None,
    problems: list[str] | None = None,
    interrupted: bool = False,
) -> Outcome:
    took = round(time.perf_counter() - started, 3)
    frames = f"  {record['frames']} frames" if "frames" in record else ""
    pace = f"  {record['frames_per_second']:.3g} frames/s" if record.get("frames_per_second") else ""
    line = f"{record['output']}  {record['width']}x{record['height']}{frames}{pace}  {seconds(took)}"
    code = (USAGE if problem else INTERRUPTED) if interrupted else 1 if problem else 0
    return Outcome(
        command="video",
        outputs=[record] if record["output"] is not None else [],
        errors=[{"clip": record["clip"], "error": problem}] if problem else [],
        details={"style": prepared.record(), "interrupted": interrupted, "seconds": took},
        lines=[] if interrupted else [line],
        problems=problems or [],
        code=code,
    )


def _show(progress: Progress, display: Display) -> None:
    note = f"{progress.frames} frames  {progress.frames_per_second:.3g} frames/s"
    if progress.seconds_left is not None:
        note += f"  {seconds(progress.seconds_left)} left"
    else:
        note += f"  {seconds(progress.seconds)} of film"
    display.update("repainting", progress.share or 0.0, note)
