"""Films, as the worker makes them: resumable, with sound; and a preview of three frames."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from metastyle.core.device import pick_device
from metastyle.errors import MetastyleError
from metastyle.films import painter as painters
from metastyle.films.clip import Clip, open_clip
from metastyle.films.encode import choose_encoding
from metastyle.films.frames import frame_at
from metastyle.films.job import FilmJob
from metastyle.films.mux import holds_sound_of
from metastyle.films.temporal import TemporalPainter
from metastyle.images.encode import save_picture
from metastyle.images.picture import Picture
from metastyle.rendering.stylizer import default_budget
from metastyle.studio.tasks import mixture_of
from metastyle.studio.worker import Task
from metastyle.style import Style
from metastyle.weights.tensor_files import tensor_digest

_PLACES = (0.15, 0.5, 0.85)
"""Of a preview's frames, in the part of the clip that is asked for."""


def film(task: Task) -> dict[str, Any]:
    """A clip as a film; interrupted by a kill, it goes on after its last finished segment."""
    asked = task.request
    clip = _clip(task)
    style = _style(task)
    suffix = ".mp4" if holds_sound_of(clip, ".mp4") else ".mkv"
    folder = task.folder / "work" / task.id
    folder.mkdir(exist_ok=True)
    output = folder / f"film{suffix}"
    look = {name: asked[name] for name in ("strength", "brush", "keep_color", "smoothing")}
    grain = style.grain if asked["grain"] is None else asked["grain"]
    job = FilmJob(
        clip,
        output,
        choose_encoding(output, None, None),
        identity={"style": tensor_digest(style.parameters), **look, "grain": grain},
        long_edge=asked["size"],
        begin=asked["begin"],
        end=asked["end"],
        overwrite=True,
    )
    # The plan for a frame depends on the budget, and its rounding on the plan.
    budget = job.segments.keep("max_memory", default_budget(pick_device(task.device)))
    stylizer = style.stylizer(
        device=task.device, max_memory=budget, strength=max(1.0, asked["strength"]), grain=grain
    )
    painter = TemporalPainter(
        stylizer,
        smoothing=asked["smoothing"],
        brush=asked["brush"],
        keep_color=asked["keep_color"],
        strength=min(1.0, asked["strength"]),
    )
    with closing(job.run(painter)) as run:
        for progress in run:
            task.check()
            task.report(
                {
                    "share": progress.share,
                    "frames": progress.frames,
                    "frames_per_second": progress.frames_per_second,
                    "seconds_left": progress.seconds_left,
                }
            )
            if task.stop.is_set():
                break
    notes: list[str] = []
    if task.stop.is_set():
        made = job.rescue()
        if made is None:
            raise MetastyleError("stopped before the first frame was painted")
    else:
        made, notes = output, job.finish()
    result = task.result(suffix)
    made.replace(result)
    return {
        "file": result.name,
        "width": job.format.width,
        "height": job.format.height,
        "bytes": result.stat().st_size,
        "notes": notes,
    }


def preview(task: Task) -> dict[str, Any]:
    """Three frames of the film that is asked for, side by side in one picture."""
    asked = task.request
    clip, style = _clip(task), _style(task)
    stylizer = style.stylizer(device=task.device, strength=max(1.0, asked["strength"]), grain=asked["grain"])
    paint = painters.frame_by_frame(
        stylizer,
        brush=asked["brush"],
        keep_color=asked["keep_color"],
        strength=min(1.0, asked["strength"]),
    )
    begin = asked["begin"] or 0.0
    end = min(asked["end"] or clip.seconds or begin, clip.seconds or begin)
    frames = []
    for index, place in enumerate(_PLACES):
        task.check()
        frame = frame_at(clip, begin + place * max(0.0, end - begin), long_edge=asked["size"])
        frames.append(paint(frame.pixels))
        task.report({"share": (index + 1) / len(_PLACES)})
    path = task.result(".jpg")
    save_picture(Picture(pixels=np.concatenate(frames, axis=1)), path, overwrite=True)
    height, width = frames[0].shape[:2]
    return {"file": path.name, "width": width, "height": height, "bytes": path.stat().st_size}


def describe_clip(path: Path) -> dict[str, Any]:
    """What the page shows of a clip.

    Raises:
        MetastyleError: it is no film that can be read.
    """
    clip = open_clip(path)
    return {
        "width": clip.width,
        "height": clip.height,
        "seconds": clip.seconds,
        "rate": round(float(clip.rate), 3),
    }


def _clip(task: Task) -> Clip:
    return open_clip(task.path(task.request["clip"], "clip"))


def _style(task: Task) -> Style:
    style = mixture_of(task, task.request["styles"])
    if style is None:
        raise MetastyleError("a film needs a style: choose one")
    return style
