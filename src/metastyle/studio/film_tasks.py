"""Films, as the worker makes them: resumable, with sound; and a preview of three frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import metastyle
from metastyle.errors import MetastyleError
from metastyle.films.film import FilmFailedError, describe, paint_frame
from metastyle.films.progress import Progress
from metastyle.films.settings import FilmSettings
from metastyle.images.encode import save_picture
from metastyle.images.picture import Picture
from metastyle.studio.task import Task
from metastyle.studio.tasks import mixture_of
from metastyle.style import Style

_KEYWORDS = ("size", "begin", "end", "strength", "brush", "grain", "keep_color", "smoothing")
_PLACES = (0.15, 0.5, 0.85)
"""Positions of a preview's frames, as shares of the requested range of the clip."""


def film(task: Task) -> dict[str, Any]:
    """A clip as a film; after a kill, it resumes after its last finished segment."""
    style = _style(task)
    folder = task.folder / "work" / task.id
    folder.mkdir(exist_ok=True)

    def on_progress(progress: Progress) -> bool:
        task.check()
        task.report(
            {
                "share": progress.share,
                "frames": progress.frames,
                "frames_per_second": progress.frames_per_second,
                "seconds_left": progress.seconds_left,
            }
        )
        return not task.stop.is_set()

    try:
        made = metastyle.film(
            _clip(task),
            style,
            out=folder,
            style_name="film",
            **_keywords(task),
            overwrite=True,
            device=task.device,
            on_progress=on_progress,
        )
    except FilmFailedError as error:
        raise error.__cause__ or error from None  # the worker writes its message, as for every job
    if made.path is None or not made.path.is_file():
        raise MetastyleError(made.notes[0] if made.notes else "stopped before the first frame was painted")
    result = task.result(made.path.suffix)
    made.path.replace(result)
    return {
        "file": result.name,
        "width": made.width,
        "height": made.height,
        "bytes": result.stat().st_size,
        "notes": list(made.notes),
    }


def preview(task: Task) -> dict[str, Any]:
    """Three frames of the film that is asked for, side by side in one picture."""
    style, path = _style(task), _clip(task)
    settings = FilmSettings(**_keywords(task), device=task.device)
    seconds = describe(path).seconds
    begin = settings.begin or 0.0
    end = min(settings.end or seconds or begin, seconds or begin)
    frames = []
    for index, place in enumerate(_PLACES):
        task.check()
        frame, _ = paint_frame(path, lambda _: style, settings, begin + place * max(0.0, end - begin))
        frames.append(frame.pixels)
        task.report({"share": (index + 1) / len(_PLACES)})
    result = task.result(".jpg")
    save_picture(Picture(pixels=np.concatenate(frames, axis=1)), result, overwrite=True)
    height, width = frames[0].shape[:2]
    return {"file": result.name, "width": width, "height": height, "bytes": result.stat().st_size}


def describe_clip(path: Path) -> dict[str, Any]:
    """What the page shows of a clip.

    Raises:
        MetastyleError: it is not a readable film.
    """
    clip = describe(path)
    return {
        "width": clip.width,
        "height": clip.height,
        "seconds": clip.seconds,
        "rate": round(float(clip.rate), 3),
    }


def _clip(task: Task) -> Path:
    return task.path(task.request["clip"], "clip")


def _keywords(task: Task) -> dict[str, Any]:
    """The keywords of ``metastyle.film`` that the page sends."""
    return {name: task.request[name] for name in _KEYWORDS}


def _style(task: Task) -> Style:
    style = mixture_of(task, task.request["styles"])
    if style is None:
        raise MetastyleError("a film needs a style: choose one")
    return style
