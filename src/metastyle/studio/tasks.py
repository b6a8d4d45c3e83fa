"""What the worker can do: the library's own calls, with progress."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import metastyle
from metastyle import api
from metastyle.core.adaptation import AdaptationStep
from metastyle.core.device import hardware_of, pick_device
from metastyle.core.grain import PAINTED
from metastyle.core.settings import default_settings
from metastyle.images.contents import Contents
from metastyle.images.decode import open_picture
from metastyle.images.encode import save_picture
from metastyle.images.picture import Picture, resize
from metastyle.studio.graphs import flatten, to_float16
from metastyle.studio.pace import measured
from metastyle.studio.task import Task
from metastyle.weights.builtin_styles import builtin_path

EVERY = 1.0
"""Seconds between two states of an adaptation that are sent to the page."""
_TELLING = 0.03
"""The finished share of a picture from which on the time left can be estimated."""
_KEYWORDS = ("size", "strength", "brush", "grain", "keep_color")


def adapt(task: Task) -> dict[str, Any]:
    """Adapt to a painting; the current parameters are written about once a second."""
    asked = task.request
    painting = open_picture(task.path(asked["painting"], "picture"))
    hardware = hardware_of(pick_device(task.device))
    settings = default_settings(hardware, asked["effort"])
    changes = {name: asked[name] for name in ("steps", "grain", "style_size") if asked.get(name) is not None}
    settings = api.settings_from(settings, changes)
    start = style_of(task, asked["start"]) if asked.get("start") else None
    began = last = time.monotonic()
    revision = 0
    ends: list[AdaptationStep] = []

    def send(parameters: Mapping[str, Any], **known: Any) -> None:
        nonlocal revision, last
        task.keep(task.parameters, to_float16(flatten(parameters)))
        revision, last = revision + 1, time.monotonic()
        task.report(
            {"revision": revision, "grain": PAINTED * settings.grain, "steps": settings.steps, **known}
        )

    task.report({"revision": 0, "step": 0, "steps": settings.steps})

    def on_step(step: AdaptationStep) -> bool:
        task.check()
        ends[1:] = [step]
        known = {
            "step": step.step,
            "total": step.total,
            "content": step.content,
            "style": step.style,
            "seconds_left": step.seconds_left,
        }
        if time.monotonic() - last >= EVERY or step.step == step.steps:
            send(step.parameters(), **known)
        return not task.stop.is_set()

    photos = [open_picture(task.path(photo, "picture")) for photo in asked["photos"]]
    style = metastyle.adapt(
        painting,
        contents=Contents(lambda: photos),
        start=start,
        settings=settings,
        device=task.device,
        on_start=lambda first: send(first, step=0),
        on_step=on_step,
    )
    pace = measured(hardware, settings, ends[0], ends[-1], time.monotonic() - began) if ends else None
    style = replace(style, painting=asked["name"])
    path = task.path(task.id, "style")
    style.save(path, overwrite=True)
    task.parameters.unlink(missing_ok=True)
    known = {"steps": len(style.curve), "grain": style.grain, "kind": style.kind, "pace": pace}
    return {"style": task.id, **known}


def paint(task: Task) -> dict[str, Any]:
    """A photograph at full size: strips, brush, masks, colors, alpha, profile and metadata."""
    asked = task.request
    photo = open_picture(task.path(asked["photo"], "picture"))
    background = mixture_of(task, asked["styles"])
    regions = [
        (open_picture(task.path(region["mask"], "picture")), mixture_of(task, region["styles"]))
        for region in asked["regions"]
    ]
    began = time.monotonic()

    def progress(share: float) -> None:
        task.check()
        seconds = time.monotonic() - began
        known = share >= _TELLING
        task.report({"share": share, "seconds_left": seconds / share * (1 - share) if known else None})

    keywords = {name: asked[name] for name in _KEYWORDS if asked.get(name) is not None}
    (painted,) = api.render_regions(
        [photo], background, regions, progress=progress, device=task.device, **keywords
    )
    path = task.result(f".{asked['format']}")
    save_picture(painted, path, overwrite=True, quality=asked.get("quality"))
    width, height = painted.size
    return {"file": path.name, "width": width, "height": height, "bytes": path.stat().st_size}


def style_of(task: Task, style_id: str) -> metastyle.Style:
    """A built-in style by its name, or one of the studio's own."""
    return metastyle.load(builtin_path(style_id) or task.path(style_id, "style"))


def mixture_of(task: Task, styles: list[dict[str, Any]]) -> metastyle.Style | None:
    """Styles mixed by their weights; without any, the photograph stays unchanged."""
    used = [one for one in styles if one["weight"] > 0]
    if not used:
        return None
    loaded = [style_of(task, one["style"]) for one in used]
    if len(loaded) == 1:
        return loaded[0]
    return metastyle.blend(loaded, [one["weight"] for one in used])


def preview_of(path: Path, long_edge: int, most_pixels: int) -> tuple[Picture, Picture]:
    """A picture, decoded by the library's own guards, and the same reduced to what a page can show."""
    picture = open_picture(path, max_pixels=most_pixels)
    reduced = picture if max(picture.size) <= long_edge else resize(picture, long_edge)
    return picture, replace(reduced, icc=None, exif=None)
