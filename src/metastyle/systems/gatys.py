"""Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks" (CVPR 2016).

The picture itself is optimized, by L-BFGS:

    x = argmin_x  alpha L_content(x, photo) + beta L_style(x, style)                             (eq. 7)

Two objectives. ``vgg16`` is the perceptual loss that MetaStyle and Johnson et al. minimize (VGG-16, relu2_2
against relu1_2, relu2_2, relu3_3, relu4_3, 1 : 1e5): its minimum is the reference of the comparison.
``vgg19`` is the paper's: relu4_2 against relu1_1 to relu5_1 of the normalized VGG-19 (section 3).

Deviations: optimization starts from the photograph, not from noise. A penalty keeps the picture near
[0, 1], so that clamping at the end changes little. Max pooling is used, with which the published weights
were trained. The loss weights of ``vgg19`` are ours, because losses are means here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import content_loss, gram_matrix, perceptual_loss, style_loss, style_target
from metastyle.core.quick import quick_loss_network
from metastyle.errors import MetastyleError
from metastyle.systems.counts import Count
from metastyle.systems.system import Stylize
from metastyle.systems.vgg19 import Encoder
from metastyle.weights.vgg16 import load_loss_network

VGG19_CONTENT = "relu4_2"
VGG19_STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
VGG19_STYLE_WEIGHT = 1e5
RANGE_WEIGHT = 1e3
"""The weight of the mean squared distance from [0, 1]."""
ITERATIONS = 500
TOLERANCE = 1e-4
"""Optimization ends where an iteration lowers the loss by less than this share, on the average of ten."""
_AT_ONCE = 10  # iterations between two checks of the loss, which cost one evaluation each

Objective = Callable[[Tensor], Tensor]
"""The loss of a picture (1, 3, H, W)."""


class Gatys:
    """The system without a model: every picture is optimized."""

    name = "Gatys et al."
    styles = "any"
    parameters = 0

    def __init__(
        self,
        network: LossNetwork | Encoder,
        iterations: int = ITERATIONS,
        after: Callable[[int, float], None] | None = None,
    ) -> None:
        """``after`` is called after each evaluation, with the number of evaluations so far and the loss."""
        if iterations < 1:
            raise MetastyleError(f"Gatys et al. with {iterations} iterations: use 1 or more")
        self.network, self.iterations, self.after = network, iterations, after
        if isinstance(network, Encoder):
            self.name += ", VGG-19"
        if iterations < ITERATIONS:
            self.name += f", {iterations} iterations"

    @classmethod
    def load(
        cls,
        device: torch.device,
        objective: Literal["vgg16", "vgg19"] = "vgg16",
        iterations: int = ITERATIONS,
    ) -> Gatys:
        """The system with the network's published weights, downloaded if missing.

        iterations: of L-BFGS, at most; with fewer than ``ITERATIONS``, the name says so.
        """
        if objective == "vgg19":
            return cls(Encoder.load(5).to(device), iterations)
        network = load_loss_network()
        if device.type == "cpu":
            return cls(quick_loss_network(network, torch.float32), iterations)
        return cls(network.to(device), iterations)

    def prepare(self, style: Tensor) -> Stylize:
        """Gram matrices of the style."""
        make = vgg19_objective if isinstance(self.network, Encoder) else vgg16_objective
        with torch.no_grad():
            objective_for = make(self.network, style)  # type: ignore[arg-type]

        def stylize(photo: Tensor) -> Tensor:
            with torch.no_grad():
                objective = objective_for(photo)
            return minimize(objective, photo, self.iterations, self.after)

        return stylize


def vgg16_objective(network: LossNetwork, style: Tensor) -> Callable[[Tensor], Objective]:
    """MetaStyle's perceptual loss, for a style and then for a photograph."""
    target = style_target(network, style)

    def objective_for(photo: Tensor) -> Objective:
        content = network(photo, [CONTENT_LAYER])[CONTENT_LAYER]
        return lambda x: perceptual_loss(network(x), content, target).total

    return objective_for


def vgg19_objective(encoder: Encoder, style: Tensor) -> Callable[[Tensor], Objective]:
    """The paper's layers, for a style and then for a photograph."""
    grams = [gram_matrix(f)[0] for f in encoder(style, VGG19_STYLE).values()]

    def objective_for(photo: Tensor) -> Objective:
        content = encoder(photo, [VGG19_CONTENT])[VGG19_CONTENT]

        def objective(x: Tensor) -> Tensor:
            features = encoder(x, [*VGG19_STYLE, VGG19_CONTENT])
            found = [gram_matrix(features[layer]) for layer in VGG19_STYLE]
            return content_loss(features[VGG19_CONTENT], content) + VGG19_STYLE_WEIGHT * style_loss(
                found, grams
            )

        return objective

    return objective_for


def minimize(
    objective: Objective,
    start: Tensor,
    iterations: int,
    after: Callable[[int, float], None] | None = None,
) -> Tensor:
    """Minimize by L-BFGS (strong Wolfe line search, a history of 20) from ``start``: a picture in [0, 1].

    Ends after ``iterations``, or where they lower the loss by less than ``TOLERANCE`` each.

    Raises:
        MetastyleError: the loss is not finite.
    """
    x = start.detach().clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [x],
        history_size=20,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    evaluations = 0

    def closure() -> Tensor:
        nonlocal evaluations
        optimizer.zero_grad()
        loss = objective(x) + RANGE_WEIGHT * F.mse_loss(x, x.clamp(0, 1))
        loss.backward()  # type: ignore[no-untyped-call]
        evaluations += 1
        if after is not None:
            after(evaluations, loss.item())
        return loss

    before, done = float("inf"), 0
    while done < iterations:
        count = min(_AT_ONCE, iterations - done)
        optimizer.param_groups[0].update(max_iter=count, max_eval=2 * count + 1)
        loss = optimizer.step(closure).item()  # type: ignore[no-untyped-call]  # of the point it starts from
        if not (torch.isfinite(x).all() and math.isfinite(loss)):
            raise MetastyleError(f"L-BFGS diverged after {evaluations} evaluations, from a loss of {loss:g}")
        now = optimizer.state[x]["n_iter"]
        if now == done or before - loss < TOLERANCE * _AT_ONCE * abs(loss):
            break
        before, done = loss, now
    return x.detach().clamp(0, 1)


def parameter_count() -> Count:
    """Its parameters, as in Table 1."""
    return Count(Gatys.name, "", 0, 0, "no model: the picture is optimized")
