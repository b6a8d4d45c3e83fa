"""Where one shot of a film ends and the next begins.

Two frames are of one shot if the second looks like the first moved: the highest normalised cross-correlation
of their brightness over all shifts (by Fourier transform of frames some 64 pixels across) is near 1 for pans
and shakes, and blind to flicker and fades, which change gain and offset only. Where a frame is too
flat to be correlated (black, a blank sky), its distribution of colours decides. Both are compared with what
was usual in the shot so far, so that fast action needs more to be called a cut. A frame is judged when the
next one is there: a flash differs from the frame before it, but the frame after it does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Pixels = NDArray[Any]
Floats = NDArray[np.float32]

SIZE = 64
"""Pixels along the longer side of what is compared."""


@dataclass(frozen=True)
class ShotSettings:
    """When a difference is a cut."""

    structure: float = 0.45
    """Loss of correlation above which frames are of different shots, if it is also unusual."""
    color: float = 0.12
    """Distance of the colour distributions (0 to 1) that says so where frames have little structure."""
    unusual: float = 2.5
    """How many times the shot's usual difference a cut must exceed."""
    memory: int = 12
    """Frames whose differences make up what is usual."""


def with_cuts(
    frames: Iterable[T], pixels: Callable[[T], Pixels], settings: ShotSettings | None = None
) -> Iterator[tuple[T, bool]]:
    """Each frame, and whether a shot begins with it (the first does); one frame behind its source.

    ``pixels``: a frame's (H, W, 3) uint8 or uint16, of any size.
    """
    detector = _Detector(settings or ShotSettings())
    waiting: list[tuple[T, _Thumbnail]] = []
    for frame in frames:
        thumbnail = _Thumbnail(pixels(frame))
        for earlier, its_own in waiting:
            yield earlier, detector.judge(its_own, thumbnail)
        waiting = [(frame, thumbnail)]
    for frame, thumbnail in waiting:
        yield frame, detector.judge(thumbnail, None)


class _Thumbnail:
    """What is compared of a frame."""

    def __init__(self, pixels: Pixels) -> None:
        small = _reduced(pixels)
        self.shape = small.shape
        self.sorted = np.sort(small.reshape(-1, 3), axis=0)
        grey = small @ np.array([0.299, 0.587, 0.114], np.float32)
        # Structure only: slow gradients survive every cut of a film that is lit from above.
        grey = grey - _box(grey, 8)
        # Faded at the borders, where a shifted frame shows something else.
        window = np.outer(*(np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 0.5 for n in grey.shape))
        self.spectrum = np.fft.rfft2(grey * window)
        self.energy = float(np.square(grey * window).sum())
        self.pixels = grey.size


class _Detector:
    def __init__(self, settings: ShotSettings) -> None:
        self._settings = settings
        self._reference: _Thumbnail | None = None
        self._usual: deque[tuple[float, float]] = deque(maxlen=settings.memory)

    def judge(self, frame: _Thumbnail, following: _Thumbnail | None) -> bool:
        """Whether a shot begins with ``frame``."""
        if self._reference is None or self._reference.shape != frame.shape:
            return self._begin(frame)
        difference = _difference(self._reference, frame)
        if not self._is_cut(difference):
            self._usual.append(difference)
            self._reference = frame
            return False
        if following is not None and following.shape == frame.shape:
            if not self._is_cut(_difference(self._reference, following)):
                return False  # a flash; the frames after it are compared with the one before it
        return self._begin(frame)

    def _begin(self, frame: _Thumbnail) -> bool:
        self._reference = frame
        self._usual.clear()
        return True

    def _is_cut(self, difference: tuple[float, float]) -> bool:
        settings = self._settings
        structure, color = difference
        usual_structure, usual_color = np.median(self._usual, axis=0) if self._usual else (0.0, 0.0)
        if structure > max(settings.structure, min(0.9, settings.unusual * usual_structure)):
            return True
        return color > max(settings.color, settings.unusual * usual_color) and structure > FLAT


FLAT = 0.25


def _difference(a: _Thumbnail, b: _Thumbnail) -> tuple[float, float]:
    """Loss of correlation at the best shift, and distance of the colour distributions, 0 to 1 each."""
    product = np.fft.irfft2(a.spectrum * np.conj(b.spectrum), a.shape[:2])
    noise = 1e-4 * a.pixels  # of a standard deviation of 0.01: below it there is nothing to correlate
    correlation = (float(product.max()) + noise) / (np.sqrt(a.energy * b.energy) + noise)
    return 1 - min(1.0, correlation), float(np.abs(a.sorted - b.sorted).mean())


def _reduced(pixels: Pixels) -> Floats:
    """Block averages, at most SIZE pixels along the longer side, in [0, 1]."""
    step = -(-max(pixels.shape[:2]) // SIZE)
    height, width = (max(1, n // step) for n in pixels.shape[:2])
    cut = pixels[: height * step, : width * step]
    blocks = cut.reshape(height, min(step, len(cut)), width, -1, 3)
    scale = np.float32(1 / np.iinfo(pixels.dtype).max)
    means: Floats = blocks.mean((1, 3), dtype=np.float32) * scale
    return means


def _box(values: Floats, radius: int) -> Floats:
    """Averages over squares of (2 radius + 1)², the borders replicated."""
    padded = np.pad(values, radius + 1, mode="edge").cumsum(0, np.float64).cumsum(1)
    n = 2 * radius + 1
    sums = padded[n:, n:] - padded[:-n, n:] - padded[n:, :-n] + padded[:-n, :-n]
    result: Floats = (sums[: values.shape[0], : values.shape[1]] / n**2).astype(np.float32)
    return result
