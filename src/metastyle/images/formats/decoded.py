"""What decoders hand on: a file's own samples, not yet converted, and which sizes are taken."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.images.stated_colors import Stated

MIN_SIDE = 16
"""Pixels that a picture must have along each side: the loss network halves it three times."""

Samples = NDArray[Any]  # uint8 or uint16, as Picture and check_pixels assert

_quiet_lock = threading.RLock()


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a file holds, upright or not, in its own colors."""

    samples: Samples
    """(H, W) if gray, (H, W, 3) if rgb or lab, (H, W, 4) if cmyk."""
    space: Literal["gray", "rgb", "cmyk", "lab"]
    alpha: Samples | None = None
    """(H, W), of the same type as the samples; not multiplied into them."""
    icc: bytes | None = None
    stated: Stated | None = None
    """Its colors, where no profile but something else says that they are not sRGB."""
    exif: bytes | None = None
    orientation: int = 1
    frames: int = 1
    """Of an animation, of which this is the first; 1 of a picture, and of pages."""
    dpi: tuple[float, float] | None = None

    def with_code_points(self, stated: Stated | None) -> Decoded:
        """With what a file's code points say: a profile says it better, but profiles know no HDR."""
        if stated is None or (self.icc is not None and not stated.hdr):
            return self
        return replace(self, icc=None, stated=stated)


def check_size(size: tuple[int, int], name: str, max_pixels: int | None = None) -> None:
    """Refuse a (width, height) below MIN_SIDE, or above ``max_pixels`` altogether."""
    width, height = size
    if min(size) < MIN_SIDE:
        raise MetastyleError(
            f"{name} is {width}x{height} pixels; a picture needs at least {MIN_SIDE}x{MIN_SIDE}"
        )
    if max_pixels is not None and width * height > max_pixels:
        raise MetastyleError(
            f"{name} is {width}x{height} pixels, {width * height / 1e6:.0f} megapixels; "
            f"at most {max_pixels / 1e6:g} are read"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the decoders' warnings, one thread at a time: Python's filters belong to all threads."""
    with _quiet_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
