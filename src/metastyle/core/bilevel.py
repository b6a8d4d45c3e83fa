"""MetaStyle's bilevel problem (the post, section 3), one screen.

    outer level   minimise over theta   E_{c,s} [ l(I_c, I_s, M(I_c; w_{s,T})) ]
    inner level   w_{s,0} = Psi(theta, s)
                  w_{s,t} = w_{s,t-1} - delta grad E_c [ l(I_c, I_s, M(I_c; w_{s,t-1})) ]

The inner level sees training contents, the outer level other ("validation") contents, and the
outer gradient passes through the inner steps: exact second order, unless first order is asked for.
T = 0 is plain multi-style training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metastyle.core.initialisation import Initialisation, Parameters
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import CONTENT_WEIGHT, STYLE_WEIGHT, Loss, StyleTarget, perceptual_loss
from metastyle.core.network import instance_norm_parameters

ParameterSet = Literal["all", "instance_norm"]


def inner_update(parameters: Parameters, loss: Tensor, steps: Parameters, second_order: bool) -> Parameters:
    """w_t = w_{t-1} - delta grad l(w_{t-1}) for the parameters that ``steps`` names; the rest stay.

    ``steps`` holds delta for each moved parameter, a scalar or a tensor that broadcasts to it.
    With ``second_order`` the result is differentiable through the gradient itself.
    """
    moved = {name: parameters[name] for name in steps}
    gradients = torch.autograd.grad(loss, list(moved.values()), create_graph=second_order)
    return parameters | {
        name: w - steps[name] * g for (name, w), g in zip(moved.items(), gradients, strict=True)
    }


class MetaObjective(nn.Module):
    """The outer loss as one module, so that distributed wrappers see a forward pass to synchronise.

    Args:
        initialisation: theta and Psi, what the outer level learns.
        loss_network: frozen features phi.
        inner_steps: T, 0 to 5.
        inner_parameters: what the inner level moves; the paper's code moves the instance-norm ones.
        step_size: delta, or its start where ``learn_step_sizes`` makes it one positive number a tensor.
        second_order: differentiate through the inner gradient (exact) or treat it as a constant (FOMAML).
    """

    def __init__(
        self,
        initialisation: Initialisation,
        loss_network: LossNetwork,
        *,
        inner_steps: int = 1,
        inner_parameters: ParameterSet = "instance_norm",
        step_size: float = 1e-5,
        learn_step_sizes: bool = False,
        second_order: bool = True,
        content_weight: float = CONTENT_WEIGHT,
        style_weight: float = STYLE_WEIGHT,
    ) -> None:
        super().__init__()
        self.initialisation = initialisation
        self.loss_network = loss_network
        self.inner_steps = inner_steps
        self.second_order = second_order
        self.weights = (content_weight, style_weight)
        network = initialisation.network
        self.moved = list(
            instance_norm_parameters(network)
            if inner_parameters == "instance_norm"
            else dict(network.named_parameters())
        )
        log_steps = torch.full((len(self.moved),), step_size, dtype=torch.float32).log()
        self.log_step_sizes = nn.Parameter(log_steps, requires_grad=learn_step_sizes)

    def forward(
        self, contents: Tensor, styles: Sequence[StyleTarget], queries: Tensor, scales: Tensor | None = None
    ) -> Loss:
        """Mean over styles of the loss that the adapted network has on ``queries``.

        contents: (B, 3, H, W) in [0, 1], the inner level's photographs, one batch for all styles.
        styles: S painted targets.  queries: (B', 3, H, W), the outer level's photographs.
        scales: (S,) divides each style's loss (per-style normalisation); None leaves them as they are.
        """
        content_features = self._content(contents) if self.inner_steps else None
        query_features = self._content(queries)
        losses = []
        for style in styles:
            w = self.initialisation.start(style)
            for _ in range(self.inner_steps):
                assert content_features is not None
                w = inner_update(
                    w,
                    self._loss(w, contents, content_features, style).total,
                    self._steps(),
                    self.second_order,
                )
            losses.append(torch.stack(self._loss(w, queries, query_features, style)))
        stacked = torch.stack(losses)  # (S, 3)
        if scales is not None:
            stacked = stacked / scales[:, None]
        return Loss(*stacked.mean(dim=0))

    def _loss(self, w: Parameters, photos: Tensor, content: Tensor, style: StyleTarget) -> Loss:
        """l(I_c, I_s, M(I_c; w)), averaged over the photographs."""
        pictures = functional_call(self.initialisation.network, w, (photos,))
        return perceptual_loss(self.loss_network(pictures), content, style, *self.weights)

    def _steps(self) -> Parameters:
        return dict(zip(self.moved, self.log_step_sizes.exp(), strict=True))

    def _content(self, photos: Tensor) -> Tensor:
        with torch.no_grad():
            return self.loss_network(photos, [CONTENT_LAYER])[CONTENT_LAYER]  # type: ignore[no-any-return]
