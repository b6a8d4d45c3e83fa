"""Painters: what turns the frames of a clip into those of a film."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from metastyle.films.clip import Pixels
from metastyle.images import color
from metastyle.rendering.brush import render_with_brush
from metastyle.rendering.stylizer import Stylizer


class Painter(Protocol):
    """Paints the frames of one film in their order.

    What it carries from frame to frame passes through ``state`` and ``restore``, because an interrupted job
    must resume as if the painter had seen all earlier frames: it is asked for its state after every segment.
    """

    def __call__(self, pixels: Pixels) -> Pixels:
        """(H, W, 3) uint8 in, the same out."""
        ...

    def state(self) -> bytes:
        """Everything that later frames depend on."""
        ...

    def restore(self, state: bytes) -> None:
        """Go on from a state."""
        ...


class FrameByFrame:
    """Paints every frame independently."""

    def __init__(self, paint: Callable[[Pixels], Pixels]) -> None:
        self._paint = paint

    def __call__(self, pixels: Pixels) -> Pixels:
        return self._paint(pixels)

    def state(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        pass


def frame_by_frame(
    stylizer: Stylizer, *, brush: float | None = None, keep_color: bool = False, strength: float = 1.0
) -> Painter:
    """The painter that does with every frame what ``Style.render`` does with a photograph.

    strength: 0 to 1; for more than 1, the stylizer is made of a strengthened style.
    """
    color.check_strength(strength)

    def paint(pixels: Pixels) -> Pixels:
        painted = render_with_brush(stylizer, pixels, brush)
        if keep_color:
            painted = color.keep_color(pixels, painted)
        return color.mix(pixels, painted, strength).astype(np.uint8, copy=False)

    return FrameByFrame(paint)
