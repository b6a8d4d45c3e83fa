"""Learning a painting with the progress shown, a preview written, and Ctrl-C heeded; or reading a style."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metastyle.cli.contents import learning_contents, remembered_otherwise
from metastyle.cli.inputs import source
from metastyle.cli.options import Learning, Sources
from metastyle.cli.output import Display
from metastyle.cli.styles import Part, weights_of

if TYPE_CHECKING:
    from metastyle.core.adaptation import AdaptationStep
    from metastyle.images.contents import Contents
    from metastyle.images.picture import Picture
    from metastyle.style import Style

PREVIEW_EVERY = 4.0
"""Seconds between two previews."""
PREVIEW_SIZE = 512
"""Longer edge of a preview."""


@dataclass(frozen=True)
class Taught:
    """A style, and how it was come by."""

    style: Style
    seconds: float
    how: str
    """``adapted``, ``remembered`` (the same was learned before), ``read`` from a style file, or ``mixed``."""

    def record(self) -> dict[str, Any]:
        """For ``--json``."""
        style = self.style
        last = style.curve[-1] if style.curve else None
        return {
            "painting": style.painting,
            "painting_sha256": style.painting_sha256,
            "parameters": style.kind,
            "how": self.how,
            "contents": style.settings.get("contents"),
            "seconds": round(self.seconds, 3),
            "steps": len(style.curve),
            "losses": {"total": last[1], "content": last[2], "style": last[3]} if last else None,
        }


def obtain(
    parts: Sequence[Part],
    learning: Learning,
    sources: Sources,
    device: str,
    display: Display,
    own: Contents | None = None,
    match_color: Picture | None = None,
) -> Taught:
    """The style of one part, or the mixture of several: style files are read, paintings learned.

    ``own`` is what the call paints, to learn on; ``match_color`` a photograph whose colors paintings are
    given before they are learned.
    """
    taught = [_obtain_one(part, learning, sources, device, display, own, match_color) for part in parts]
    if len(taught) == 1:
        return taught[0]
    from metastyle import api

    started = time.perf_counter()
    mixture = api.blend([one.style for one in taught], weights_of(parts))
    return Taught(mixture, sum(t.seconds for t in taught) + time.perf_counter() - started, "mixed")


def _obtain_one(
    part: Part,
    learning: Learning,
    sources: Sources,
    device: str,
    display: Display,
    own: Contents | None,
    match_color: Picture | None,
) -> Taught:
    if part.is_painting:
        return teach(part.path, learning, sources, device, display, own=own, match_color=match_color)
    from metastyle import api

    started = time.perf_counter()
    return Taught(api.load(part.path), time.perf_counter() - started, "read")


def teach(
    painting: Path,
    learning: Learning,
    sources: Sources,
    device: str,
    display: Display,
    on_step: Callable[[AdaptationStep], bool] = lambda step: True,
    own: Contents | None = None,
    match_color: Picture | None = None,
    start: Path | None = None,
) -> Taught:
    """Learn a painting, or remember it; ``on_step`` returns False to stop there.

    ``own`` is what to learn on where ``sources`` name nothing else; None means procedural pictures.
    ``start``: go on from it.
    """
    from metastyle import api
    from metastyle.weights.weight_file import default_cache_dir

    started = time.perf_counter()
    name = Part(painting).name
    steps = 0

    def after(step: AdaptationStep) -> bool:
        nonlocal steps
        steps = step.step
        display.step(name, step)
        return on_step(step)

    settings = learning.settings(device)
    display.update(f"learning {name}", 0.0, "getting ready")
    contents = learning_contents(sources.content, own, settings.pool, display)
    style = api.adapt(
        source(painting),
        contents=contents,
        match_color=match_color,
        start=start,
        settings=settings,
        device=device,
        loss_network=sources.loss_network,
        cache=default_cache_dir(),
        refresh_cache=sources.learn_again,
        offline=sources.offline,
        on_download=display.download,
        on_step=after,
    )
    how = "adapted" if steps or not settings.steps else "remembered"
    if how == "remembered":
        display.update(f"learning {name}", 1.0, "remembered from an earlier call")
        if line := remembered_otherwise(name, style.settings, contents):
            display.note(line)
    return Taught(style, time.perf_counter() - started, how)


class Preview:
    """A photograph, repainted every few seconds with what has been learned so far, in one picture file."""

    def __init__(self, photo: Path, out: Path) -> None:
        from metastyle.images.convert import to_tensor
        from metastyle.images.decode import open_picture
        from metastyle.images.picture import resize

        picture = resize(open_picture(photo), PREVIEW_SIZE)
        height, width = (side - side % 4 for side in picture.pixels.shape[:2])
        self._photo = to_tensor(picture.pixels[:height, :width])
        self._out = out
        self._due = 0.0

    def __call__(self, step: AdaptationStep) -> None:
        from metastyle.images.convert import from_tensor
        from metastyle.images.encode import save_picture
        from metastyle.images.picture import Picture

        if step.step < step.steps and time.monotonic() < self._due:
            return
        pixels = from_tensor(step.preview(self._photo))
        save_picture(Picture(pixels=pixels), self._out, overwrite=True)
        self._due = time.monotonic() + PREVIEW_EVERY
