"""``metastyle video``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le
from cyclopts import Parameter

from metastyle.cli.adaptation import Adapter, Prepared
from metastyle.cli.errors import INTERRUPTED, USAGE, explain
from metastyle.cli.extras import needs
from metastyle.cli.inputs import (
    PIPE,
    check_is_file,
    check_output,
    check_picture_output,
    is_folder,
    is_pipe,
)
from metastyle.cli.options import (
    FLAG,
    AdaptationOptions,
    AdaptationSources,
    Common,
    Memory,
    Pixels,
    Time,
    Whole,
)
from metastyle.cli.output import Display, Outcome, seconds
from metastyle.cli.stop import StopRequest
from metastyle.cli.styles import Part, mixture_name, read_parts
from metastyle.core.settings import Brush, FrameRate, Grain, Precision, SettingError, Smoothing, Strength
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.films.film import Film, Footage
    from metastyle.films.progress import Progress
    from metastyle.style import Style

MAX_SIZE = 16_384
_OPTIONS = {"begin": "--from", "end": "--to", "at": "--preview"}
"""Keywords of the library whose options have other names."""


def video(
    clip: Annotated[Path, Parameter(metavar="CLIP")],
    /,
    *,
    style: Annotated[
        list[str], Parameter(name=["--style", "-s"], metavar="STYLE[:WEIGHT]", negative_iterable="")
    ],
    output: Annotated[str | None, Parameter(name=["--output", "-o"], metavar="FILE")] = None,
    size: Annotated[Pixels, Ge(16), Le(MAX_SIZE)] | None = None,
    from_: Annotated[Time | None, Parameter(name="--from")] = None,
    to: Time | None = None,
    preview: Time | None = None,
    fps: FrameRate | None = None,
    strength: Strength = 1.0,
    brush: Brush | None = None,
    grain: Grain | None = None,
    keep_color: Annotated[bool, FLAG] = False,
    smoothing: Smoothing = 0.5,
    frame_by_frame: Annotated[bool, FLAG] = False,
    codec: str | None = None,
    quality: Whole | None = None,
    overwrite: Annotated[bool, FLAG] = False,
    max_memory: Memory | None = None,
    precision: Precision = "float32",
    device: str = "auto",
    adaptation: AdaptationOptions = AdaptationOptions(),  # noqa: B008 (frozen)
    sources: AdaptationSources = AdaptationSources(),  # noqa: B008
    common: Common = Common(),  # noqa: B008
) -> Outcome:
    """Repaint a film in the style of a painting.

    The network is first adapted to a painting, on frames of the film, and the
    style is cached for the next call with it. Sound, subtitles, chapters and time
    stamps are kept. Ctrl-C leaves a film of the finished frames; the same command
    resumes from there. The film is written next to the clip, as CLIP-STYLE.mp4
    (.mkv if sound or subtitles need it).

    For example:

        metastyle video clip.mp4 --style painting.jpg
        metastyle video clip.mov --style painting.safetensors -o new.mp4 --size 1280
        metastyle video clip.mp4 --style painting.jpg --preview 0:12
        metastyle video clip.mp4 --style painting.jpg --from 1:30 --to 1:45
        metastyle video clip.mp4 --style painting.jpg --codec hevc --quality 20
        metastyle video frames/frame%04d.png --style painting.jpg --fps 24

    Args:
        clip: A film, in any container and codec that FFmpeg reads, or its frames, PNG or JPEG:
            a folder, or FRAME%04d.png.
        style: The style, as in 'metastyle stylize'; several are blended by their weights.
        output: The film (.mp4, .m4v, .mov, .mkv or .webm) or a folder; with --preview, the picture.
        size: Long edge of the result; by default the clip's own size.
        from_: Where to begin: seconds, m:ss or h:mm:ss.
        to: Where to end; the frame shown at that time is not included.
        preview: Repaint the frame shown at this time, as a picture; no film is written.
        fps: Frames per second of a film that is given as frames. [default: 25]
        strength: 0 is the clip, 1 the full style; values up to 2 exaggerate it.
        brush: Stroke size relative to the frame, 0.25 to 8: 2 is twice as broad as 1.
        grain: Amount of texture in flat areas, 0 to 2; by default, as the style was
            adapted, and none without smoothing.
        keep_color: Keep the clip's colors; take only strokes and lightness from the style.
        smoothing: Share of the previous result, moved along, in each frame; 0 to below 1.
        frame_by_frame: Paint every frame independently: sharper, but with flicker.
        codec: h264, hevc, vp9 or av1; by default, what plays everywhere in that container.
        quality: Constant rate factor, 1 to 51 (h264, hevc) or 63 (vp9, av1); lower is better and larger.
        overwrite: Replace an existing result, and unfinished work with other options.
        max_memory: Working memory for one frame; larger ones are repainted in strips, without seams.
        precision: bfloat16 is faster on hardware that supports it; results differ by a few levels.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    if is_pipe(clip) or output == str(PIPE):
        raise MetastyleError("films are read from files and written to files, not pipes: give file names")
    parts = read_parts(style)
    settings = adaptation.settings(device)
    keywords: dict[str, Any] = {
        "size": size,
        "begin": from_,
        "end": to,
        "fps": fps,
        "strength": strength,
        "brush": brush,
        "grain": grain,
        "keep_color": keep_color,
        "smoothing": smoothing,
        "frame_by_frame": frame_by_frame,
        "codec": codec,
        "quality": quality,
        "max_memory": max_memory,
        "precision": precision,
        "device": device,
    }
    with (
        needs("video", "repainting films"),
        _names_of_options(),
        Display(common.quiet) as display,
        StopRequest() as stop,
    ):
        adapter = Adapter(settings, sources, device, display)
        call = _Call(clip, output, parts, adapter, keywords, stop, overwrite)
        return call.film() if preview is None else call.preview(preview)


@dataclass
class _Call:
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


@contextmanager
def _names_of_options() -> Iterator[None]:
    """Errors about a keyword of the library name its option instead."""
    try:
        yield
    except SettingError as error:
        option = _OPTIONS.get(error.name, "--" + error.name.replace("_", "-"))
        raise SettingError(option, error.value, error.expected) from None


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
