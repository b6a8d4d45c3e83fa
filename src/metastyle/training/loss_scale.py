"""Per-style normalization: the style loss of unprocessed photographs for a painting.

Gram losses of different paintings differ by two orders of magnitude, so a few paintings would dominate a
plain average. Divided by this number, every painting starts near 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metastyle.core.losses import StyleTarget, balanced_style_weight
from metastyle.training.checkpoint import prefixed, under
from metastyle.training.config import ObjectiveConfig


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

    # ---- in checkpoints

    def tensors(self) -> dict[str, Tensor]:
        """``photos.*``, the means."""
        return prefixed("photos", {str(k): mean for k, mean in enumerate(self.means)})

    def numbers(self) -> dict[str, Any]:
        """``photo_variance``."""
        return {"photo_variance": self.variance}

    @classmethod
    def restored(
        cls, tensors: dict[str, Tensor], numbers: Mapping[str, Any], device: torch.device
    ) -> PhotoGrams | None:
        """What ``tensors`` and ``numbers`` returned; None if a checkpoint has none."""
        means = under("photos", tensors)
        if not means:
            return None
        return cls(tuple(means[str(k)].to(device) for k in range(len(means))), numbers["photo_variance"])


def scales(
    targets: Sequence[StyleTarget], photos: PhotoGrams | None, objective: ObjectiveConfig
) -> tuple[Tensor | None, Tensor]:
    """The divisor of each painting's loss, None without ``photos``, and the factor of its beta."""
    factors = torch.stack([balanced_style_weight(target, objective.balance) for target in targets])
    if photos is None:
        return None, factors
    untouched = torch.stack([photos.expected_loss(target, objective.style_weight) for target in targets])
    return untouched * factors, factors
