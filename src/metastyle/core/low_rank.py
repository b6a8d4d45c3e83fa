"""Low-rank styles: a painting needs only small changes of the network.

Every convolution's weight changes by a product of two thin matrices (Hu et al., "LoRA", 2022, equation 3),

    W = W_theta + s U V,        U (O, r), V (r, I k k),

and the 3,200 instance-norm parameters and the last convolution's bias change freely; the other biases are
undone by the normalization that follows. Rank 2 is 40,303 numbers, a fortieth of the network's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from metastyle.core.network import instance_norm_parameters

SCALE = 4.0
"""s: how far a product changes a weight."""
RATE = 5.0
"""The learning rate for these parameters, relative to that for all parameters."""

_UP, _DOWN = ".up", ".down"
_SHIFT = "out.bias"


def low_rank_shapes(network: nn.Module, rank: int) -> dict[str, tuple[int, ...]]:
    """The name and shape of each parameter of a low-rank style: the norms, the factors, the last bias."""
    shapes = {name: tuple(p.shape) for name, p in instance_norm_parameters(network).items()}
    for name, weight in _convolutions(network).items():
        shapes[name + _UP] = (weight.shape[0], rank)
        shapes[name + _DOWN] = (rank, weight[0].numel())
    return shapes | {_SHIFT: tuple(network.get_parameter(_SHIFT).shape)}


def low_rank_start(network: nn.Module, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
    """The parameters that a low-rank adaptation starts from: U is zero and changes nothing; V is random."""
    own = dict(network.named_parameters())
    start = {}
    for name, shape in low_rank_shapes(network, rank).items():
        if name.endswith(_UP):
            start[name] = torch.zeros(shape, dtype=torch.float32)
        elif name.endswith(_DOWN):
            noise = torch.randn(shape, generator=generator, dtype=torch.float32)
            start[name] = noise / math.sqrt(shape[1])
        else:
            start[name] = own[name].detach().cpu().clone()
    return start


def expand(parameters: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's parameters that a style's stand for; ``base`` holds all parameters of theta."""
    full = {name: p for name, p in parameters.items() if not name.endswith((_UP, _DOWN))}
    for name, up in parameters.items():
        if name.endswith(_UP):
            weight = base[name.removesuffix(_UP)]
            down = parameters[name.removesuffix(_UP) + _DOWN]
            full[name.removesuffix(_UP)] = weight + SCALE * (up @ down).view_as(weight)
    return full


def factors_of(weight: str) -> tuple[str, str]:
    """The names of U and V of the convolution weight with this name."""
    return weight + _UP, weight + _DOWN


def rank_of(parameters: Mapping[str, Tensor]) -> int:
    """The rank of the factors among ``parameters``, taken from the first; 0 if there are none."""
    ups = (p for name, p in parameters.items() if name.endswith(_UP) and p.dim() == 2)
    return next((p.shape[1] for p in ups), 0)


def _convolutions(network: nn.Module) -> dict[str, Tensor]:
    return {
        f"{name}.weight": module.weight
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    }
