"""The exponential moving average of the weights, which a run validates and writes."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from metastyle.training.checkpoint import prefixed, under
from metastyle.training.schedule import ema_decay


class Ema:
    """The average of a network's weights, if one is kept.

    Attributes:
        weights: the average; the network itself if ``decay`` is 0.
    """

    def __init__(self, learned: nn.Module, decay: float) -> None:
        self._learned, self._decay = learned, decay
        self.weights = copy.deepcopy(learned) if decay else learned

    def start(self) -> None:
        """Begin with the network's weights as they are."""
        self.weights.load_state_dict(self._learned.state_dict())

    @torch.no_grad()
    def update(self, iteration: int) -> None:
        """Follow the weights after ``iteration`` updates."""
        if self._decay:
            decay = ema_decay(self._decay, iteration)
            for mean, p in zip(self.weights.parameters(), self._learned.parameters(), strict=True):
                mean.lerp_(p, 1 - decay)

    def tensors(self) -> dict[str, Tensor]:
        """``average.*``; nothing if no average is kept."""
        return prefixed("average", self.weights.state_dict()) if self._decay else {}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore what ``tensors`` returned; ``tensors`` may hold more."""
        if self._decay:
            self.weights.load_state_dict(under("average", tensors))
