"""Stroke size independent of the picture's size.

A network paints strokes of a fixed size in pixels: on a picture twice as large they look half as large, and a
print does not look like its preview. Here strokes belong to a *working size*. The picture is painted at the
working size and again at its own size, and the second rendering only contributes details finer than a pixel
of the first:

    result = fine + up(coarse - down(fine)),        down(result) = coarse, up to the filters' errors.

This is a Laplacian pyramid of two levels (Burt and Adelson 1983), each painted at its own scale. Gatys et
al., "Controlling Perceptual Factors in Neural Style Transfer" (2017), section 6, go from coarse to fine by
optimization. The closest equivalent for a network, repainting the enlarged coarse picture, loses the
photograph's detail and makes blotches in flat areas.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metastyle.core.checks import check_value
from metastyle.core.settings import Brush
from metastyle.errors import MetastyleError
from metastyle.images.picture import Picture, Samples, resize
from metastyle.rendering.stylizer import SMALLEST_SIDE

WORKING_EDGE = 1024
"""Long edge of the picture on which strokes of brush 1 are as large as the network paints them."""

_SHORTEST = 64
_ROWS = 256


class Renderer(Protocol):
    """A ``Stylizer``, or anything that renders like one."""

    def render(self, pixels: Samples, *, progress: Callable[[float], None] | None = None) -> Samples: ...


def check_brush(brush: float | None) -> None:
    """Raise MetastyleError unless ``brush`` is None or from 0.25 to 8."""
    check_value("brush", brush, Brush | None)


def working_edge(height: int, width: int, brush: float | None) -> int:
    """Long edge, in pixels, at which strokes are painted on a picture of this size.

    With a ``brush`` it is 1024 / brush whatever the picture. Without one, pictures up to 1024 pixels are
    painted at their own size, and larger ones as with brush 1, except that a panorama's short side keeps
    64 pixels.
    """
    if brush is not None:
        return round(WORKING_EDGE / brush)
    long, short = max(height, width), min(height, width)
    return min(long, max(WORKING_EDGE, math.ceil(_SHORTEST * long / short)))


def render_with_brush(
    stylizer: Renderer,
    pixels: Samples,
    brush: float | None = None,
    *,
    progress: Callable[[float], None] | None = None,
) -> Samples:
    """Stylize (H, W, 3) uint8 or uint16 with strokes of the given size; same shape and type.

    Args:
        brush: relative size of strokes, 0.25 to 8; see ``working_edge``.
        progress: called with the finished share, up to 1.0.
    """
    check_brush(brush)
    height, width = pixels.shape[:2]
    edge = working_edge(height, width, brush)
    if edge == max(height, width):
        return stylizer.render(pixels, progress=progress)
    short = round(min(height, width) * edge / max(height, width))
    if short < SMALLEST_SIDE:
        raise MetastyleError(
            f"a picture of {width}x{height} pixels would be painted at {edge}x{short}: use a smaller brush,"
            f" so that each side keeps {SMALLEST_SIDE}"
        )
    reduced = _resize(pixels, edge)
    own, working = height * width, reduced.shape[0] * reduced.shape[1]
    first = 1.0 if edge > max(height, width) else working / (own + working)
    coarse = stylizer.render(reduced, progress=_part(progress, 0.0, first))
    if edge > max(height, width):
        return _exactly(coarse, height, width)
    fine = stylizer.render(pixels, progress=_part(progress, first, 1.0))
    _add_enlarged(fine, coarse.astype(np.float32) - _exactly(fine, *coarse.shape[:2]))
    return fine


def _add_enlarged(pixels: Samples, difference: NDArray[np.float32]) -> None:
    """Add ``difference`` (h, w, 3), enlarged to (H, W), to ``pixels`` (H, W, 3) in place."""
    height, width = pixels.shape[:2]
    planes = [Image.fromarray(np.ascontiguousarray(difference[..., c])) for c in range(3)]
    scale = difference.shape[0] / height
    for top in range(0, height, _ROWS):
        rows = pixels[top : top + _ROWS]
        # The filter reads beyond the box, so that strips join without a seam.
        box = (0.0, top * scale, difference.shape[1], min((top + len(rows)) * scale, difference.shape[0]))
        for c, plane in enumerate(planes):
            enlarged = plane.resize((width, len(rows)), Image.Resampling.BICUBIC, box=box)
            sums = rows[..., c] + np.asarray(enlarged)
            rows[..., c] = np.rint(sums.clip(0, np.iinfo(pixels.dtype).max))


def _resize(pixels: Samples, long_edge: int) -> Samples:
    return resize(Picture(pixels=pixels), long_edge).pixels


def _exactly(pixels: Samples, height: int, width: int) -> Samples:
    """Reduce or enlarge to exactly (height, width); ``resize`` may round a side to a pixel more or less."""
    resized = _resize(pixels, max(height, width))
    if resized.shape[:2] == (height, width):
        return resized
    rows = np.arange(height).clip(max=resized.shape[0] - 1)
    columns = np.arange(width).clip(max=resized.shape[1] - 1)
    return np.ascontiguousarray(resized[rows][:, columns])


def _part(
    progress: Callable[[float], None] | None, start: float, end: float
) -> Callable[[float], None] | None:
    return None if progress is None else lambda share: progress(start + share * (end - start))
