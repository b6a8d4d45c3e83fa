"""More paintings out of each painting: crops in other colors and sizes.

A predicted start has to generalize to palettes that no training painting has. Every augmentation is
a separate painting with its own Gram matrices. It depends only on the painting's name and its number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_LUMA = np.array([0.299, 0.587, 0.114])
# Orthonormal chroma directions, both orthogonal to gray: across and along yellow-blue.
_CHROMA = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])


@dataclass(frozen=True)
class Augmentation:
    """How a painting is cropped and recolored."""

    side: int
    """Shorter side of the whole painting, in pixels."""
    part: float
    """Share of each edge that the crop keeps."""
    left: float
    """Position of the crop: 0 is at the left or top edge, 1 at the right or bottom one."""
    top: float
    turn: float
    """Angle by which colors rotate around the gray axis, in radians."""
    saturation: float
    gamma: float

    def __str__(self) -> str:
        numbers = (self.part, self.left, self.top, self.turn, self.saturation, self.gamma)
        # Part of the names of cached targets, so it must not change.
        return f"side {self.side}, view " + " ".join(f"{x:.6f}" for x in numbers)

    def colored(self, pixels: Pixels) -> Pixels:
        """(H, W, 3) sRGB with the hue rotated and the saturation scaled at the same luma, then a gamma."""
        color = pixels / 255.0
        luma = (color @ _LUMA)[..., None]
        a, b = np.moveaxis((color - luma) @ _CHROMA.T, -1, 0) * self.saturation
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        turned = np.stack([cos * a - sin * b, sin * a + cos * b], axis=-1) @ _CHROMA
        turned += luma - (turned @ _LUMA)[..., None]
        return np.round(255 * turned.clip(0, 1) ** self.gamma).astype(np.uint8)


def augmentation(rank: int, number: int, sides: tuple[int, int]) -> Augmentation:
    """Augmentation ``number`` (from 1) of the painting with this ``rank``, its side within ``sides``."""
    rng = np.random.default_rng((rank, number))
    part, left, top = rng.uniform(0.5, 1), rng.uniform(), rng.uniform()
    turn, saturation, gamma = (
        rng.uniform(-math.pi, math.pi),
        rng.uniform(0.4, 1.6),
        math.exp(rng.normal(0, 0.3)),
    )
    return Augmentation(int(rng.integers(sides[0], sides[1] + 1)), part, left, top, turn, saturation, gamma)
