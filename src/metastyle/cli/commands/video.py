"""``metastyle video``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le
from cyclopts import Parameter

from metastyle.cli.adaptation import Adapter
from metastyle.cli.extras import needs
from metastyle.cli.inputs import PIPE, is_pipe
from metastyle.cli.options import (
    FLAG,
    AdaptationOptions,
    AdaptationSources,
    Common,
    Memory,
    Pixels,
    Time,
    Whole,
    naming_options,
)
from metastyle.cli.output import Display, Outcome
from metastyle.cli.repaint_film import FilmCall
from metastyle.cli.stop import StopRequest
from metastyle.cli.style_option import read_parts
from metastyle.core.settings import Brush, FrameRate, Grain, Precision, Smoothing, Strength
from metastyle.errors import MetastyleError

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
        grain: Amount of texture in flat areas, 0 to 2; by default 0.6 of what the style
            was adapted with, and none without smoothing.
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
        naming_options(_OPTIONS),
        Display(common.quiet) as display,
        StopRequest() as stop,
    ):
        adapter = Adapter(settings, sources, device, display)
        call = FilmCall(clip, output, parts, adapter, keywords, stop, overwrite)
        return call.film() if preview is None else call.preview(preview)
