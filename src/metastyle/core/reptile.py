"""Reptile: the outer level where the inner level is a whole adaptation, as users run it.

    w_{s,0} = Psi(theta, s)
    w_{s,K} = w_{s,0} after the K steps of core/adaptation.py
    theta <- theta + epsilon E_s [w_{s,K} - w_{s,0}]

Nichol, Achiam, Schulman, "On First-Order Meta-Learning Algorithms" (2018), section 3. Written as a gradient,
it is that of E_s <w_{s,0}, w_{s,0} - w_{s,K}> in which the second factor counts as a constant. So Psi gets
its gradient, too, and theta's plain gradient step with rate epsilon is the update above.

A deliberate deviation from the paper, whose inner level takes plain gradient steps (``core/bilevel.py``):
a late phase of training, for a start from which the steps that users take lead further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.func import functional_call

from metastyle.core.adaptation import Adaptation
from metastyle.core.bilevel import MetaObjective
from metastyle.core.grain import add_grain
from metastyle.core.initialization import Initialization, Parameters
from metastyle.core.loss_network import LossNetwork
from metastyle.core.losses import Loss, StyleTarget
from metastyle.core.settings import AdaptationSettings

_REPORTED = 4
"""Number of last steps whose mean loss is reported."""


class Reptile(MetaObjective):
    """A module whose gradient moves theta and Psi towards the results of adaptations.

    Args:
        settings: of the adaptations; its seed and size are not used.
    """

    def __init__(
        self, initialization: Initialization, loss_network: LossNetwork, settings: AdaptationSettings
    ) -> None:
        super().__init__(
            initialization,
            loss_network,
            inner_steps=0,
            grain=settings.grain,
            content_weight=settings.content_weight,
            style_weight=settings.style_weight,
        )
        self.settings = settings

    def forward(
        self,
        contents: Tensor,
        styles: Sequence[StyleTarget],
        queries: Tensor,
        scales: Tensor | None = None,
        style_weights: Tensor | None = None,
        seed: int = 0,
    ) -> Loss:
        """``total`` is E_s <w_{s,0}, w_{s,0} - w_{s,K}>, only its gradient matters; the others are losses.

        The arguments are those of ``MetaObjective``, but adaptations draw their contents from ``queries``,
        and balance beta themselves. The losses are means over the last steps of the adaptations.
        """
        adapted = [self._adapted_to(style, queries, seed + index) for index, style in enumerate(styles)]
        starts = [self.initialization.start(style) for style in styles]
        seen = add_grain(queries[:1], self.grain, seed=seed)
        for start in starts:  # the pass that the penalty on spikes looks at
            functional_call(self.initialization.network, start, (seen,))
        moves = [move_towards(w, start) for (w, _), start in zip(adapted, starts, strict=True)]
        losses = torch.stack([last for _, last in adapted])
        if scales is not None:
            losses = losses / scales[:, None]
        content, style_loss = losses.mean(0)
        return Loss(torch.stack(moves).mean(), content, style_loss)

    def _adapted_to(self, style: StyleTarget, contents: Tensor, seed: int) -> tuple[Parameters, Tensor]:
        """w_{s,K}, and the mean content and style loss of the last steps."""
        # At their own size: adaptations reduce what is larger.
        settings = replace(self.settings, seed=seed, size=max(64, contents.shape[-1]))
        # Adaptations choose the type of their convolutions themselves, whatever the training's.
        with torch.autocast(contents.device.type, enabled=False):
            run = Adaptation(
                self.initialization, self.loss_network, style, contents, settings, contents.device.type
            )
            last = [(step.content, step.style) for step in run][-_REPORTED:]
        return run.parameters, contents.new_tensor(last).mean(0)


def move_towards(adapted: Parameters, start: Parameters) -> Tensor:
    """<w_0, w_0 - w_K> with a constant second factor: its gradient in w_0 is w_0 - w_K."""
    terms = [(w * (w - adapted[name].to(w)).detach()).sum() for name, w in start.items()]
    return torch.stack(terms).sum()
