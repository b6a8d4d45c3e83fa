"""Per-style normalization: the style loss of unprocessed photographs for a painting.

Gram losses of different paintings differ by two orders of magnitude, so a few paintings would dominate a
plain average. Divided by this number, every painting starts near 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metastyle.core.losses import StyleTarget


@dataclass(frozen=True)
class PhotoGrams:
    """First and second moments of the Gram matrices of photographs."""

    means: tuple[Tensor, ...]
    """E_c G_c at each style layer, (C, C)."""
    variance: float
    """Sum over layers of the mean over entries of Var_c G_c."""

    @classmethod
    def estimate(cls, photos: Sequence[Sequence[Tensor]]) -> PhotoGrams:
        """Estimate the moments from one list of Gram matrices (C, C) per photograph."""
        layers = [torch.stack(grams) for grams in zip(*photos, strict=True)]
        means = tuple(layer.mean(0) for layer in layers)
        variance = sum(
            (layer - mean).square().mean().item() for layer, mean in zip(layers, means, strict=True)
        )
        return cls(means, variance)

    def expected_loss(self, target: StyleTarget, style_weight: float) -> Tensor:
        """E_c beta ||G_s - G_c||^2 = beta (||G_s - E G||^2 + Var G); norms are means over entries."""
        distance = torch.stack(
            [(g - m).square().mean() for g, m in zip(target.grams, self.means, strict=True)]
        ).sum()
        return style_weight * (distance + self.variance)
