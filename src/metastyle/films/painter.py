"""Painters, which turn the frames of a clip into those of a film."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from metastyle.films.clip import Pixels
from metastyle.images import color
from metastyle.rendering.brush import render_with_brush
from metastyle.rendering.stylizer import Stylizer


class Painter(Protocol):
    """Paints the frames of one film, in order.

    Everything that it carries from frame to frame is in its ``state``, which is saved after every segment, so
    that an interrupted job can resume as if the painter had seen all earlier frames.
    """

    def __call__(self, pixels: Pixels) -> Pixels:
        """(H, W, 3) uint8 -> (H, W, 3) uint8."""
        ...

    def state(self) -> bytes:
        """Everything that later frames depend on."""
        ...

    def restore(self, state: bytes) -> None:
        """Resume from a state."""
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
    """A painter that treats every frame as ``Style.render`` treats a photograph.

    strength: 0 to 1; above 1, the stylizer itself is strengthened.
    """
    color.check_strength(strength)

    def paint(pixels: Pixels) -> Pixels:
        painted = render_with_brush(stylizer, pixels, brush)
        if keep_color:
            painted = color.keep_color(pixels, painted)
        return color.mix(pixels, painted, strength).astype(np.uint8, copy=False)

    return FrameByFrame(paint)
