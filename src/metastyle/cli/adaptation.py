"""The styles of a call: adapted to paintings, with progress and a preview, or read from files."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metastyle.cli.contents import cached_for_others, contents_of
from metastyle.cli.inputs import source
from metastyle.cli.options import AdaptationSources
from metastyle.cli.output import Display
from metastyle.cli.style_option import Part, weights_of

if TYPE_CHECKING:
    from metastyle.core.adaptation import AdaptationStep
    from metastyle.core.settings import AdaptationSettings
    from metastyle.images.contents import Contents
    from metastyle.images.picture import Picture
    from metastyle.style import Style

PREVIEW_EVERY = 4.0
"""Seconds between two previews."""
PREVIEW_SIZE = 512
"""Longer edge of a preview."""


@dataclass(frozen=True)
class Prepared:
    """A ready style, and how it was made."""

    style: Style
    seconds: float
    how: str
    """``adapted``, ``cached`` (an earlier call adapted it), ``read`` from a style file, or ``mixed``."""

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


@dataclass(frozen=True)
class Adapter:
    """Everything that an adaptation needs except the painting."""

    settings: AdaptationSettings
    sources: AdaptationSources
    device: str
    display: Display

    def prepare(
        self, parts: Sequence[Part], own: Contents | None = None, match_color: Picture | None = None
    ) -> Prepared:
        """The style of one part, or the mixture of several: style files are read, paintings adapted to.

        Args:
            own: the pictures that the call repaints, to adapt on unless ``--content`` names others; None
                means procedural pictures.
            match_color: a photograph whose colors are given to paintings first.
        """
        from metastyle import api

        prepared = [
            self.adapt_to(part.path, own=own, match_color=match_color) if part.is_painting else _read(part)
            for part in parts
        ]
        if len(prepared) == 1:
            return prepared[0]
        started = time.perf_counter()
        mixture = api.blend([one.style for one in prepared], weights_of(parts))
        spent = sum(one.seconds for one in prepared) + time.perf_counter() - started
        return Prepared(mixture, spent, "mixed")

    def adapt_to(
        self,
        painting: Path,
        *,
        on_step: Callable[[AdaptationStep], bool] = lambda step: True,
        own: Contents | None = None,
        match_color: Picture | None = None,
        start: Path | None = None,
    ) -> Prepared:
        """The style of a painting, which an earlier call may have cached.

        Args:
            on_step: returns False to stop after the step.
            start: a style file to start from.
        """
        from metastyle import api
        from metastyle.weights.cache import default_cache_dir

        started = time.perf_counter()
        name = Part(painting).name
        steps = 0

        def after(step: AdaptationStep) -> bool:
            nonlocal steps
            steps = step.step
            self.display.step(name, step)
            return on_step(step)

        self.display.update(f"adapting to {name}", 0.0, "preparing")
        contents = contents_of(self.sources.content, own, self.settings.pool, self.display)
        style = api.adapt(
            source(painting),
            contents=contents,
            match_color=match_color,
            start=start,
            settings=self.settings,
            device=self.device,
            loss_network=self.sources.loss_network,
            cache=default_cache_dir(),
            refresh_cache=self.sources.adapt_again or self.sources.learn_again,
            offline=self.sources.offline,
            on_download=self.display.download,
            on_step=after,
        )
        how = "adapted" if steps or not self.settings.steps else "cached"
        if how == "cached":
            self.display.update(f"adapting to {name}", 1.0, "cached by an earlier call")
            if line := cached_for_others(name, style.settings, contents):
                self.display.note(line)
        return Prepared(style, time.perf_counter() - started, how)


def _read(part: Part) -> Prepared:
    from metastyle import api

    started = time.perf_counter()
    return Prepared(api.load(part.path), time.perf_counter() - started, "read")


class Preview:
    """A picture file with a photograph as repainted so far, updated every few seconds."""

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
