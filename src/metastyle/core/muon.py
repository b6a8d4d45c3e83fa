"""Muon: momentum whose steps change all directions of a matrix equally fast.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). A kernel (K, C, k, k) is
seen as a matrix of K rows. Where Adam divides each number's momentum by the number's usual size, Muon
replaces the momentum U S V^T by U V^T: the directions in which the loss is flat change as fast as the steep
ones. The product is found without a decomposition, by a Newton-Schulz iteration.

Deviation: a step is scaled to a root mean square of 1 times the learning rate, which is about Adam's, so
that their learning rates compare (after Liu et al., "Muon is scalable for LLM training", 2025).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.7
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial a x + b x^3 + c x^5, which moves singular values from (0, 1] to about 1."""
ITERATIONS = 5
"""How often the polynomial is applied."""


class Muon(torch.optim.Optimizer):
    """Moves kernels and matrices, parameters of two or more dimensions, along orthogonalized momentum.

    Args:
        lr: the learning rate, the root mean square of a step's changes.
        momentum: the share of the earlier gradients' sum that is kept at each step.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = MOMENTUM) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step along the gradients; ``closure`` is not called."""
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                sum_ = state["momentum"].mul_(group["momentum"]).add_(gradient)
                ahead = gradient.add(sum_, alpha=group["momentum"])  # Nesterov's
                direction = orthogonalized(ahead.flatten(1)).view_as(parameter)
                parameter.add_(direction, alpha=-group["lr"] * _unit_root_mean_square(direction))


def orthogonalized(matrix: Tensor) -> Tensor:
    """U V^T, about, of a matrix U S V^T: float32 (rows, columns), with singular values of 0.7 to 1.2.

    The iteration X <- (a I + b X X^T + c (X X^T)^2) X multiplies the first X by polynomials of one symmetric
    matrix, its G = X X^T. So it runs on the smaller side's squares alone: X_n = Q_n X with

        A = Q G Q,   Q <- (a I + b A + c A^2) Q.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalized(matrix.mT).mT
    a, b, c = COEFFICIENTS
    x = matrix / matrix.norm().clamp(min=1e-12)
    gram = x @ x.mT
    identity = torch.eye(len(x), dtype=x.dtype, device=x.device)
    q = identity
    for _ in range(ITERATIONS):
        square = q @ gram @ q
        q = (a * identity + b * square + c * square @ square) @ q
    result: Tensor = q @ x
    return result


def _unit_root_mean_square(direction: Tensor) -> float:
    """What brings a matrix of orthonormal rows, or columns, to a root mean square of 1."""
    rows, columns = direction.flatten(1).shape
    return math.sqrt(max(rows, columns))
