"""Shot detection: where one shot of a film ends and the next begins.

After a cut, no part of a frame stays in place, and the whole does not reappear elsewhere. Two frames, reduced
to 64 pixels, therefore belong to one shot if one of these holds:

- A few blocks still match in place, as in fast action in front of a static background.
- The second frame looks like the first one shifted, as in pans and shakes: the highest normalized
  cross-correlation of their brightness over all shifts, by Fourier transform, is high.

Both ignore small changes of gain and offset, and thus flicker and fades. The threshold rises with the changes
that are currently usual in the film. A frame is classified when the next one is known: a flash differs from
the frame before it, but the frame after it does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
Floats = NDArray[np.float32]

SIZE = 64
"""Pixels along the longer side of the compared pictures."""

BLOCK = 8
"""Side of the blocks that are compared in place, in pixels."""

GRAIN = 1e-4
"""Variance (of a standard deviation of 0.01) below which a block has no structure."""

# Thresholds chosen on real clips and on pairs of unrelated pictures.
ALIKE = 0.12
"""Share of the blocks that may match in place across a cut."""
STRUCTURE = 0.45
"""Loss of correlation at the best shift, 0 to 1, below which there is no cut."""
UNUSUAL = 1.4
"""Ratio to the usual loss, up to a loss of 0.7, below which there is no cut, either."""
MEMORY = 12
"""Number of frames over which the usual loss, a median, is taken."""
COLOR = 0.25
"""Distance of the color distributions, 0 to 1, above which there is a cut even between blank frames."""


class Event(Enum):
    """The relation of a frame to the ones before it."""

    SAME = "same"
    """It continues the shot."""
    NEW = "new"
    """It differs: a cut or a flash, as the next frame will tell."""
    BACK = "back"
    """The frame before it was a flash; this one continues the shot before that."""


class ShotDetector:
    """Compares each frame with the ones before it; ``state`` has what later frames depend on."""

    def __init__(self) -> None:
        self._reference: _Thumbnail | None = None
        self._doubtful: _Thumbnail | None = None  # a NEW frame behind the reference
        self._usual: deque[float] = deque(maxlen=MEMORY)

    def observe(self, small: Floats) -> Event:
        """Classify the next frame, reduced by ``reduced``; the first one is NEW."""
        frame = _Thumbnail(small)
        doubtful, self._doubtful = self._doubtful, None
        if doubtful is not None:
            if self._of_one_shot(self._reference, frame):
                self._reference = frame
                return Event.BACK
            self._reference = doubtful
        before = self._reference
        if self._of_one_shot(before, frame):
            self._reference = frame
            return Event.SAME
        if before is None or before.shape != frame.shape:
            self._reference = frame  # even a flash keeps the size
        else:
            self._doubtful = frame
        return Event.NEW

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that later frames depend on, as arrays by name."""
        thumbnails = {"reference": self._reference, "doubtful": self._doubtful}
        arrays = {name: t.small for name, t in thumbnails.items() if t is not None}
        return {"usual": np.array(self._usual, np.float64), **arrays}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Resume from a ``state``."""
        self._usual = deque(state["usual"].tolist(), maxlen=MEMORY)
        self._reference, self._doubtful = (
            _Thumbnail(state[name]) if name in state else None for name in ("reference", "doubtful")
        )

    def _of_one_shot(self, a: _Thumbnail | None, b: _Thumbnail) -> bool:
        if a is None or a.shape != b.shape:
            return False
        usual = float(np.median(self._usual)) if self._usual else 0.0
        lost = _lost_correlation(a, b)
        self._usual.append(lost)
        if _alike(a, b) > ALIKE:
            return True
        if lost > max(STRUCTURE, min(0.7, UNUSUAL * usual)):
            return False
        return color_distance(a.small, b.small) <= COLOR


def color_distance(a: Pixels, b: Pixels) -> float:
    """The earth mover's distance, per channel, of two sets of the same number of colors (..., 3)."""
    return float(np.abs(np.sort(a.reshape(-1, 3), axis=0) - np.sort(b.reshape(-1, 3), axis=0)).mean())


class _Thumbnail:
    """The features of a frame that are compared."""

    def __init__(self, small: Floats) -> None:
        self.small = small
        self.shape = small.shape
        gray = small @ np.array([0.299, 0.587, 0.114], np.float32)
        self.blocks = _blocks(gray)
        # Without slow gradients, which survive cuts if a film is lit from above.
        gray = gray - _box(gray, 8)
        # Faded at the borders, where a shifted frame has other content.
        window = np.outer(*(np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 0.5 for n in gray.shape))
        self.spectrum = np.fft.rfft2(gray * window)
        self.energy = float(np.square(gray * window).sum())


def _lost_correlation(a: _Thumbnail, b: _Thumbnail) -> float:
    """1 - the correlation at the best shift."""
    product = np.fft.irfft2(a.spectrum * np.conj(b.spectrum), a.shape[:2])
    noise = GRAIN * a.shape[0] * a.shape[1]
    energy = (a.energy + b.energy) / 2
    return 1.0 - min(1.0, float((product.max() + noise) / (energy + noise)))


def _alike(a: _Thumbnail, b: _Thumbnail) -> float:
    """Share of the blocks whose structure correlates, and whose brightness is about the same."""
    means_a, means_b = a.blocks.mean(1), b.blocks.mean(1)
    p, q = a.blocks - means_a[:, None], b.blocks - means_b[:, None]
    correlation = ((p * q).mean(1) + GRAIN) / ((p * p + q * q).mean(1) / 2 + GRAIN)
    return float(((correlation > 0.7) & (np.abs(means_a - means_b) < 0.15)).mean())


def _blocks(gray: Floats) -> Floats:
    """(blocks, BLOCK²); remainders at the far borders are ignored."""
    side = min(BLOCK, *gray.shape)
    height, width = (n // side for n in gray.shape)
    cut = gray[: height * side, : width * side].reshape(height, side, width, side)
    return cut.transpose(0, 2, 1, 3).reshape(height * width, side * side)


def reduced(pixels: Pixels) -> Floats:
    """Block averages, at most SIZE pixels along the longer side, (h, w, 3) in [0, 1]."""
    thinned = max(1, max(pixels.shape[:2]) // (4 * SIZE))  # about 16 samples per block are enough
    pixels = pixels[::thinned, ::thinned]
    side = -(-max(pixels.shape[:2]) // SIZE)
    vertical, horizontal = (min(side, n) for n in pixels.shape[:2])
    height, width = pixels.shape[0] // vertical, pixels.shape[1] // horizontal
    cut = pixels[: height * vertical, : width * horizontal]
    blocks = cut.reshape(height, vertical, width, horizontal, 3)
    scale = np.float32(1 / np.iinfo(pixels.dtype).max)
    means: Floats = blocks.mean((1, 3), dtype=np.float32) * scale
    return means


def _box(values: Floats, radius: int) -> Floats:
    """Averages over squares of (2 radius + 1)², with replicated borders."""
    padded = np.pad(values, radius + 1, mode="edge").cumsum(0, np.float64).cumsum(1)
    n = 2 * radius + 1
    sums = padded[n:, n:] - padded[:-n, n:] - padded[n:, :-n] + padded[:-n, :-n]
    result: Floats = (sums[: values.shape[0], : values.shape[1]] / n**2).astype(np.float32)
    return result
