"""``metastyle video``."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import ExitStack, closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le
from cyclopts import Parameter

from metastyle.cli.adaptation import Adapter, Prepared
from metastyle.cli.contents import frames
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
    Common,
    Learning,
    Memory,
    Pixels,
    Sources,
    Time,
    Whole,
)
from metastyle.cli.output import INTERRUPTED, Display, Speaker, StopRequest, complain, explain, seconds
from metastyle.cli.styles import mixture_name, read_parts
from metastyle.core.settings import Brush, Grain, Strength
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.films.clip import Clip
    from metastyle.films.job import FilmJob
    from metastyle.films.painter import Painter
    from metastyle.films.progress import Progress

MAX_SIZE = 16_384
BY_DEFAULT = ".mp4"
HOLDS_MOST = ".mkv"


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
    fps: Annotated[float, Ge(0.1), Le(1000)] | None = None,
    strength: Strength = 1.0,
    brush: Brush | None = None,
    grain: Grain | None = None,
    keep_color: Annotated[bool, FLAG] = False,
    smoothing: Annotated[float, Ge(0), Le(0.9)] = 0.5,
    frame_by_frame: Annotated[bool, FLAG] = False,
    codec: str | None = None,
    quality: Whole | None = None,
    overwrite: Annotated[bool, FLAG] = False,
    max_memory: Memory | None = None,
    device: str = "auto",
    learning: Learning = Learning(),  # noqa: B008 (frozen)
    sources: Sources = Sources(),  # noqa: B008
    common: Common = Common(),  # noqa: B008
) -> int:
    """Repaint a film in the style of a painting.

    A painting is learned first, on frames of the film, and remembered for the
    next call with it. Sound, subtitles, chapters and time stamps are kept. Ctrl-C
    leaves a film of what is finished; the same command again goes on from there.
    The result lies beside the clip as CLIP-STYLE.mp4 (.mkv where sound or
    subtitles need it).

    For example:

        metastyle video clip.mp4 --style painting.jpg
        metastyle video clip.mov --style painting.safetensors -o new.mp4 --size 1280
        metastyle video clip.mp4 --style painting.jpg --preview 0:12
        metastyle video clip.mp4 --style painting.jpg --from 1:30 --to 1:45
        metastyle video clip.mp4 --style painting.jpg --codec hevc --quality 20
        metastyle video frames/frame%04d.png --style painting.jpg --fps 24

    Args:
        clip: A film; any container and codec that FFmpeg reads. Or its frames, PNG or JPEG:
            a folder, or FRAME%04d.png.
        style: What to paint with, as in 'metastyle stylize'; several are mixed by their weights.
        output: The film (.mp4, .m4v, .mov, .mkv or .webm) or a folder; with --preview, the picture.
        size: Long edge of the result; without it, the clip's own size.
        from_: Begin there: seconds, m:ss or h:mm:ss.
        to: End before there.
        preview: Repaint the frame shown at this time, as a picture; no film is written.
        fps: Frames per second of a film that is given as frames. [default: 25]
        strength: From 0, the clip, to 1, the full style; up to 2 for more than that.
        brush: Size of strokes, the same on a preview and a print: 2 is twice as broad as 1.
        grain: How much flat areas are filled, 0 to 2; without it, as when the style was learned.
        keep_color: Keep the clip's colors, take only the painting's strokes and light.
        smoothing: How much of each frame comes from the one before, moved along; 0 to 0.9.
        frame_by_frame: Paint every frame for itself: sharper, and it flickers.
        codec: h264, hevc, vp9 or av1; without it, what plays everywhere in that container.
        quality: Constant rate factor: less is better and larger; 1 to 51 (h264, hevc) or 63 (vp9, av1).
        overwrite: Replace a result that exists, and unfinished work made with other options.
        max_memory: Working memory for one frame; larger ones are done in strips, seamlessly.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    started = time.perf_counter()
    if from_ is not None and to is not None and to <= from_:
        raise MetastyleError(f"--to is {to:g} s, not after --from, {from_:g} s")
    if is_pipe(clip) or output == str(PIPE):
        raise MetastyleError("films are read from files and written to files: a pipe is neither")
    parts = read_parts(style)
    settings = learning.settings(device)
    look: dict[str, Any] = {"strength": strength, "brush": brush, "grain": grain, "keep_color": keep_color}
    motion: dict[str, Any] = {"smoothing": smoothing, "frame_by_frame": frame_by_frame}

    with needs("video", "repainting films"), ExitStack() as until_done:
        from metastyle.films.clip import open_clip
        from metastyle.films.encode import choose_encoding
        from metastyle.films.sequence import as_film, is_sequence, name_of

        film, called = clip, clip
        if is_sequence(clip):
            called = name_of(clip).with_name(name_of(clip).name + BY_DEFAULT)
            film = until_done.enter_context(as_film(clip, Fraction(fps or 25).limit_denominator(1001)))
        elif fps is not None:
            raise MetastyleError("--fps is for films that are given as frames; others have their own times")
        check_is_file(film)
        opened = open_clip(film)
        _check_begin(opened, from_, preview)
        name = mixture_name(parts)
        out = (
            Path(output)
            if output is not None and not is_folder(output)
            else _beside(opened, called, name, preview)
        )
        if output is not None and is_folder(output):
            out = Path(output) / out.name
        check_output(out, overwrite=overwrite)
        if out.exists() and out.samefile(film):
            raise MetastyleError(f"{out} is the clip itself: choose another name with -o")
        speaker = Speaker(common.json, common.quiet)
        own = frames(clip, opened, from_, to, settings.size)
        if preview is not None:
            check_picture_output(out, overwrite=overwrite)
            with Display(common.quiet) as display:
                taught = Adapter(settings, sources, device, display).prepare(parts, own)
                painter = _painter(taught, device=device, max_memory=max_memory, **look, frame_by_frame=True)
                out.parent.mkdir(parents=True, exist_ok=True)
                record = _preview(opened, preview, out, painter, size, overwrite=overwrite)
            return _conclude(record | {"clip": clip, "output": out}, taught, speaker, started)

        encoding = choose_encoding(out, codec, quality)
        os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder's chatter; errors only
        from metastyle.films.segments import segments_folder
        from metastyle.locks import claimed

        with (
            Display(common.quiet) as display,
            StopRequest() as stop,
            claimed(segments_folder(out), "making this film"),  # before anything is learned for it
        ):
            taught = Adapter(settings, sources, device, display).prepare(parts, own)
            _announce(opened, size, display)
            from metastyle.films.job import FilmJob

            job_grain = taught.style.grain if grain is None else grain

            job = FilmJob(
                opened,
                out,
                encoding,
                identity={"style": _digest(taught, strength), **look, **motion, "grain": job_grain},
                long_edge=size,
                begin=from_,
                end=to,
                overwrite=overwrite,
            )
            # The plan for a frame depends on the budget, and its rounding on the plan.
            budget = job.segments.keep("max_memory", max_memory or _default_budget(device))
            painter = _painter(taught, device=device, max_memory=max_memory or budget, **look, **motion)
            record = _make(job, painter, display, stop)
    return _conclude(record | {"clip": clip, "output": out}, taught, speaker, started)


def _painter(
    taught: Prepared,
    *,
    device: str,
    max_memory: int | None,
    strength: float,
    brush: Brush | None,
    grain: float | None,
    keep_color: bool,
    smoothing: float = 0.0,
    frame_by_frame: bool = False,
) -> Painter:
    """What every frame of the film goes through; made once for a film."""
    from metastyle.films import painter as painters
    from metastyle.films import temporal as still

    stylizer = taught.style.stylizer(
        device=device, max_memory=max_memory, strength=max(1.0, strength), grain=grain
    )
    look: dict[str, Any] = {"brush": brush, "keep_color": keep_color, "strength": min(1.0, strength)}
    if frame_by_frame:
        return painters.frame_by_frame(stylizer, **look)
    return still.TemporalPainter(stylizer, smoothing=smoothing, **look)


def _make(job: FilmJob, painter: Painter, display: Display, stop: StopRequest) -> dict[str, Any]:
    """Paint and join; interrupted, or failing half-way, keep what there is."""
    if job.frames_before:
        display.note(f"going on after {job.frames_before} frames that are finished")
    last: Progress | None = None
    error: BaseException | None = None
    stop.armed = True
    began = time.perf_counter()
    try:
        with closing(job.run(painter)) as run:
            for last in run:
                _show(last, display)
                if stop.asked:
                    break
    except (MetastyleError, OSError, MemoryError, KeyboardInterrupt) as caught:
        error = caught
    stop.armed = False  # joining takes moments; Ctrl-C may end it at once
    record: dict[str, Any] = {
        "clip": job.clip.path,
        "width": job.format.width,
        "height": job.format.height,
        "codec": job.encoding.codec,
        "frames": last.frames if last else job.frames_before,
        "frames_before": job.frames_before,
        "film_seconds": round(last.seconds, 3) if last else None,
        "frames_per_second": round((last.frames - job.frames_before) / (time.perf_counter() - began), 3)
        if last
        else None,
        "notes": [],
        "problem": None,
        "interrupted": False,
    }
    if error is None and not stop.asked:
        record["notes"] = job.finish()
        record["problem"] = job.damage.sentence(job.clip.path)
        return record
    if error is not None and not isinstance(error, KeyboardInterrupt):
        record["problem"] = explain(error)[0]
    record["interrupted"] = True
    kept = None
    try:
        kept = job.rescue()
    except (MetastyleError, OSError) as unkept:
        complain(explain(unkept)[0])
    if kept is None and job.segments.finished:
        kept = job.segments.folder
    record["kept"] = kept
    return record


def _preview(
    clip: Clip, at: float, out: Path, painter: Painter, size: int | None, *, overwrite: bool
) -> dict[str, Any]:
    from metastyle.films.frames import frame_at
    from metastyle.images.encode import save_picture
    from metastyle.images.picture import Picture

    frame = frame_at(clip, at, long_edge=size)
    pixels = painter(frame.pixels)
    save_picture(Picture(pixels=pixels), out, overwrite=overwrite)
    height, width = pixels.shape[:2]
    return {"clip": clip.path, "width": width, "height": height, "at": clip.seconds_at(frame.pts)}


def _conclude(record: dict[str, Any], taught: Prepared, speaker: Speaker, started: float) -> int:
    interrupted, problem = record.pop("interrupted", False), record.pop("problem", None)
    kept = record.pop("kept", None)
    took = round(time.perf_counter() - started, 3)
    code = 0
    if interrupted:
        code = INTERRUPTED if problem is None else 2
        if kept is not None:
            record["output"] = kept
    elif problem is not None:
        code = 1
    speaker.document(
        {
            "command": "video",
            "style": taught.record(),
            "outputs": [] if interrupted and kept is None else [record],
            "interrupted": interrupted,
            "errors": [{"clip": record["clip"], "error": problem}] if problem else [],
            "seconds": took,
            "exit_code": code,
        }
    )
    for note in record.get("notes", []):
        complain(note)
    if interrupted:
        if problem:
            complain(problem)
        if kept is not None:
            complain(
                f"stopped after {record['frames']} frames: {kept} holds them;"
                " the same command again goes on from there"
            )
        elif not problem:
            complain("stopped before the first frame was painted")
        return code
    pace = f"  {record['frames_per_second']:.3g} frames/s" if record.get("frames_per_second") else ""
    frames = f"  {record['frames']} frames" if "frames" in record else ""
    speaker.line(f"{record['output']}  {record['width']}x{record['height']}{frames}{pace}  {seconds(took)}")
    if problem:
        complain(f"{problem}; {record['output']} holds what could be read")
    return code


def _show(progress: Progress, display: Display) -> None:
    note = f"{progress.frames} frames  {progress.frames_per_second:.3g} frames/s"
    if progress.seconds_left is not None:
        note += f"  {seconds(progress.seconds_left)} left"
    else:
        note += f"  {seconds(progress.seconds)} of film"
    display.update("repainting", progress.share or 0.0, note)


def _announce(clip: Clip, size: int | None, display: Display) -> None:
    """What will be otherwise than in the clip."""
    if clip.hdr:
        display.note(f"the clip is HDR ({clip.hdr}): the film will have standard dynamic range (BT.709)")
    width, height = clip.scaled(size)
    if width % 2 or height % 2:
        display.note(
            f"{width}x{height} becomes {width - width % 2}x{height - height % 2}:"
            " films have even sides, so the last row or column is left out"
        )


def _check_begin(clip: Clip, begin: float | None, preview: float | None) -> None:
    for option, value in (("--from", begin), ("--preview", preview)):
        if value is not None and clip.seconds is not None and value >= clip.seconds:
            raise MetastyleError(f"{option} is {value:g} s, and {clip.path} is {clip.seconds:.1f} s long")


def _beside(clip: Clip, called: Path, style: str, preview: float | None) -> Path:
    """Where the result goes without -o: a container like the clip's, if its sound can go along."""
    from metastyle.films.encode import CONTAINERS
    from metastyle.films.mux import holds_sound_of

    stem = f"{called.stem}-{style}"
    if preview is not None:
        minutes, rest = divmod(preview, 60)
        return called.with_name(f"{stem}-{minutes:.0f}m{rest:g}s.png")
    own = called.suffix.lower()
    suffix = own if own in CONTAINERS else BY_DEFAULT
    if not holds_sound_of(clip, suffix) and holds_sound_of(clip, HOLDS_MOST):
        suffix = HOLDS_MOST
    return called.with_name(stem + suffix)


def _digest(taught: Prepared, strength: float) -> str:
    """Of the numbers that the film is painted with."""
    digest = hashlib.blake2b(digest_size=16)
    for name, values in sorted(taught.style.network(max(1.0, strength)).state_dict().items()):
        digest.update(name.encode() + values.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _default_budget(device: str) -> int:
    from metastyle.core.device import pick_device
    from metastyle.rendering.stylizer import default_budget

    return default_budget(pick_device(device))
