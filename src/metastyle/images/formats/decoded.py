"""The result of a format reader: samples as stored in the file, before any color conversion."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from metastyle.images.picture import Samples

if TYPE_CHECKING:
    from metastyle.images.stated_colors import Stated

_quiet_lock = threading.RLock()


@dataclass(frozen=True, eq=False)
class Decoded:
    """The samples of a file, upright or not, in its own colors."""

    samples: Samples
    """(H, W) if gray, (H, W, 3) if rgb or lab, (H, W, 4) if cmyk."""
    space: Literal["gray", "rgb", "cmyk", "lab"]
    alpha: Samples | None = None
    """(H, W), of the same type as the samples; not premultiplied."""
    icc: bytes | None = None
    stated: Stated | None = None
    """Its colors, if the file declares them in other ways than a profile, and they are not sRGB."""
    exif: bytes | None = None
    orientation: int = 1
    frames: int = 1
    """The number of frames of an animation, of which this is the first; otherwise 1."""
    pages: int = 1
    """The number of pages of a document, of which this is one; otherwise at most 1."""
    dpi: tuple[float, float] | None = None

    def with_code_points(self, stated: Stated | None) -> Decoded:
        """A copy with the colors of the file's code points, unless it has a profile and is not HDR."""
        if stated is None or (self.icc is not None and not stated.hdr):
            return self
        return replace(self, icc=None, stated=stated)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the decoders' warnings, one thread at a time: all threads share Python's filters."""
    with _quiet_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
