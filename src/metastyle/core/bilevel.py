"""MetaStyle's bilevel problem (the paper, section 3), on one screen.

    outer level   minimize over theta   E_{c,s} [ l(I_c, I_s, M(I_c; w_{s,T})) ]
    inner level   w_{s,0} = Psi(theta, s)
                  w_{s,t} = w_{s,t-1} - delta grad E_c [ l(I_c, I_s, M(I_c; w_{s,t-1})) ]

The inner level sees training contents, the outer level other ("validation") contents, and the
outer gradient passes through the inner steps: exact second order, unless first order is requested.
T = 0 is plain multi-style training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metastyle.core.grain import add_grain
from metastyle.core.initialization import Initialization, Parameters
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import Loss, StyleTarget, perceptual_losses
from metastyle.core.network import instance_norm_parameters
from metastyle.core.settings import CONTENT_WEIGHT, STYLE_WEIGHT

ParameterSet = Literal["all", "instance_norm"]


def inner_update(parameters: Parameters, loss: Tensor, steps: Parameters, second_order: bool) -> Parameters:
    """w_t = w_{t-1} - delta grad l(w_{t-1}) for the parameters in ``steps``; the others stay the same.

    ``steps`` holds delta for each updated parameter, a scalar or a tensor that broadcasts to it. Those that
    need no gradients, as idle ones, stay the same, too.
    With ``second_order`` the result is differentiable through the gradient itself.
    """
    moved = {name: parameters[name] for name in steps if parameters[name].requires_grad}
    gradients = torch.autograd.grad(loss, list(moved.values()), create_graph=second_order)
    return parameters | {
        name: w - steps[name] * g for (name, w), g in zip(moved.items(), gradients, strict=True)
    }


class MetaObjective(nn.Module):
    """The outer loss as one module, so that distributed wrappers see a forward pass to synchronize.

    Args:
        initialization: theta and Psi, which the outer level learns.
        loss_network: frozen features phi.
        inner_steps: T, 0 to 5.
        inner_parameters: those that the inner level updates; in the paper's code, the instance norms.
        step_size: delta, or its initial value if ``learn_step_sizes`` learns one per tensor.
        grain: amount of grain that the network sees in flat areas (``core/grain.py``).
        geometric: average the logarithms of the styles' losses, so that ratios count.
        second_order: differentiate through the inner gradient (exact) or treat it as a constant (FOMAML).
    """

    def __init__(
        self,
        initialization: Initialization,
        loss_network: LossNetwork,
        *,
        inner_steps: int = 1,
        inner_parameters: ParameterSet = "instance_norm",
        step_size: float = 1e-5,
        learn_step_sizes: bool = False,
        second_order: bool = True,
        grain: float = 0.0,
        geometric: bool = False,
        content_weight: float = CONTENT_WEIGHT,
        style_weight: float = STYLE_WEIGHT,
    ) -> None:
        super().__init__()
        self.initialization = initialization
        self.loss_network = loss_network
        self.inner_steps = inner_steps
        self.second_order = second_order
        self.grain = grain
        self.geometric = geometric
        self.weights = (content_weight, style_weight)
        network = initialization.network
        self.moved = list(
            instance_norm_parameters(network)
            if inner_parameters == "instance_norm"
            else [name for name, p in network.named_parameters() if p.requires_grad]
        )
        log_steps = torch.full((len(self.moved),), step_size, dtype=torch.float32).log()
        self.log_step_sizes = nn.Parameter(log_steps, requires_grad=learn_step_sizes)

    def forward(
        self,
        contents: Tensor,
        styles: Sequence[StyleTarget],
        queries: Tensor,
        scales: Tensor | None = None,
        style_weights: Tensor | None = None,
        seed: int = 0,
    ) -> Loss:
        """Mean over styles of the loss of the adapted network on ``queries``, or of its logarithm.

        contents: (B, 3, H, W) in [0, 1], the inner level's photographs, one batch for all styles.
        styles: S style targets.  queries: (B', 3, H, W), the outer level's photographs.
        scales: (S,) divides each style's loss (per-style normalization); None leaves them as they are.
        style_weights: (S,) multiplies beta for each style; None leaves it as it is.
        seed: of the grain that the network sees; the loss compares with photographs without it.
        """
        beta = self.weights[1] * (queries.new_ones(len(styles)) if style_weights is None else style_weights)
        inner = Photographs(contents, self._content(contents), self.grain, seed) if self.inner_steps else None
        outer = Photographs(queries, self._content(queries), self.grain, seed + 1)
        if set(self.moved) <= instance_norm_parameters(self.initialization.network).keys():
            losses = self._adapted(inner, styles, outer, beta)  # all styles in one pass
        else:
            each = [self._adapted(inner, [s], outer, b[None]) for s, b in zip(styles, beta, strict=True)]
            losses = torch.cat(each)
        if scales is not None:
            losses = losses / scales[:, None]
        mean = Loss(*losses.mean(dim=0))
        return mean._replace(total=losses[:, 0].log().mean()) if self.geometric else mean

    def _adapted(
        self, inner: Photographs | None, styles: Sequence[StyleTarget], outer: Photographs, beta: Tensor
    ) -> Tensor:
        """(S, 3): the outer loss of w_T for each style."""
        w = self._starts(styles)  # w_0 = Psi(theta, s)
        for _ in range(self.inner_steps):
            assert inner is not None
            # Parameters of a style only enter its own loss, so the sum's gradient has that of each style.
            loss = self._losses(w, inner, styles, beta)[:, 0].sum()
            w = inner_update(w, loss, self._steps(), self.second_order)
        return self._losses(w, outer, styles, beta)

    def _starts(self, styles: Sequence[StyleTarget]) -> Parameters:
        """w_0 of all styles; parameters that differ between them, or soon will, are stacked to (S, …)."""
        starts = [self.initialization.start(style) for style in styles]
        if len(styles) == 1:
            return starts[0]
        norms = instance_norm_parameters(self.initialization.network)
        return starts[0] | {name: torch.stack([w[name] for w in starts]) for name in norms}

    def _losses(
        self, w: Parameters, photos: Photographs, styles: Sequence[StyleTarget], beta: Tensor
    ) -> Tensor:
        """l(I_c, I_s, M(I_c; w_s)) of each style s, averaged over the photographs: (S, 3)."""
        count, norms = len(photos.clean), instance_norm_parameters(self.initialization.network)
        if len(styles) > 1:
            w = w | {name: w[name].repeat_interleave(count, dim=0) for name in norms}
        seen = torch.cat([photos.seen] * len(styles))
        pictures = functional_call(self.initialization.network, w, (seen,))
        features = self.loss_network(pictures)
        return perceptual_losses(features, photos.content, styles, self.weights[0], beta)

    def _steps(self) -> Parameters:
        return dict(zip(self.moved, self.log_step_sizes.exp(), strict=True))

    def _content(self, photos: Tensor) -> Tensor:
        with torch.no_grad():
            return self.loss_network(photos, [CONTENT_LAYER])[CONTENT_LAYER]  # type: ignore[no-any-return]


class Photographs:
    """A batch of photographs: the network's inputs, and the features that the loss compares with."""

    def __init__(self, clean: Tensor, content: Tensor, grain: float, seed: int) -> None:
        self.clean, self.content = clean, content  # (B, 3, H, W) in [0, 1]; features at relu2_2
        self.seen = add_grain(clean, grain, seed=seed)
