"""The parameters of styles: which there are, how they mix, and how a style is strengthened.

Everything here is arithmetic on mappings from the network's parameter names to tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from metastyle.core.checks import check_value
from metastyle.core.initialization import Parameters
from metastyle.core.low_rank import expand, low_rank_shapes, rank_of
from metastyle.core.network import TransformationNetwork, instance_norm_parameters
from metastyle.core.settings import LARGEST_RANK, StyleKind, Weight
from metastyle.errors import MetastyleError


@functools.cache
def parameter_shapes(kind: StyleKind, rank: int = 0) -> dict[str, tuple[int, ...]]:
    """The name and shape of every parameter in a style of this kind; ``rank`` is for ``low_rank``.

    Raises:
        MetastyleError: There is no such kind, or no such rank.
    """
    if kind not in ("all", "low_rank", "instance_norm"):
        raise MetastyleError(f"a style's kind is {kind!r}: use all, low_rank or instance_norm")
    with torch.device("meta"):
        network = TransformationNetwork()
    if kind == "low_rank":
        if not 1 <= rank <= LARGEST_RANK:
            raise MetastyleError(f"a style's rank is {rank}: use 1 to {LARGEST_RANK}")
        return low_rank_shapes(network, rank)
    parameters = dict(network.named_parameters()) if kind == "all" else instance_norm_parameters(network)
    return {name: tuple(p.shape) for name, p in parameters.items()}


def kind_of(parameters: Mapping[str, Tensor]) -> StyleKind:
    """The kind of a style with these parameters, which must be complete."""
    if rank_of(parameters):
        return "low_rank"
    return "all" if parameters.keys() == parameter_shapes("all").keys() else "instance_norm"


def checked_parameters(parameters: Mapping[str, Tensor], kind: StyleKind) -> Parameters:
    """Copies of a style's parameters on the CPU, in the network's order.

    Raises:
        MetastyleError: A parameter is missing, unknown, of the wrong shape, not float32, or not finite.
    """
    shapes = parameter_shapes(kind, rank_of(parameters) if kind == "low_rank" else 0)
    missing, unknown = shapes.keys() - parameters.keys(), parameters.keys() - shapes.keys()
    if missing or unknown:
        what = f"lack {min(missing)}" if missing else f"have {min(unknown)!r}, which the network lacks"
        raise MetastyleError(f"the style's parameters do not fit the network: they {what}")
    for name, shape in shapes.items():
        tensor = parameters[name]
        if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
            raise MetastyleError(
                f"the style's {name} is {tensor.dtype} {tuple(tensor.shape)}: it must be float32 {shape}"
            )
        if not tensor.isfinite().all():
            raise MetastyleError(f"the style's {name} holds numbers that are not finite")
    return {name: parameters[name].detach().to("cpu", copy=True).contiguous() for name in shapes}


def full_parameters(parameters: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> Parameters:
    """All parameters of the network: those of a style, and those of ``base`` that it does not change.

    Args:
        parameters: A style's parameters, of any kind.
        base: All parameters of the initialization that was adapted, on any device.

    Returns:
        float32 tensors on the CPU that need no gradients.
    """
    theta = {name: p.detach().to("cpu", torch.float32) for name, p in base.items()}
    return theta | expand(parameters, theta)


def blending_shares(weights: Sequence[float] | None, count: int) -> list[float]:
    """``weights`` divided by their sum; None means equal shares.

    Raises:
        MetastyleError: Not ``count`` weights, a negative or infinite one, or zeros only.
    """
    weights = [1.0] * count if weights is None else weights
    if not isinstance(weights, Iterable):
        raise MetastyleError(f"weights are {weights!r}: use a list of numbers")
    weights = [check_value("a blending weight", w, Weight) for w in weights]
    if len(weights) != count:
        raise MetastyleError(f"{len(weights)} weights for {count} styles: give one weight per style")
    largest = max(weights)
    if largest == 0:
        raise MetastyleError("all blending weights are 0: at least one must be positive")
    scaled = [w / largest for w in weights]  # divided by the largest first, so that no sum can overflow
    return [w / sum(scaled) for w in scaled]


def blend(styles: Sequence[Mapping[str, Tensor]], shares: Sequence[float]) -> Parameters:
    """The convex combination of parameters with the same names (the paper, section 4.3)."""
    return {
        name: torch.stack([share * p[name] for share, p in zip(shares, styles, strict=True)]).sum(dim=0)
        for name in styles[0]
    }


def strengthen(parameters: Mapping[str, Tensor], base: Mapping[str, Tensor], strength: float) -> Parameters:
    """theta + strength (w - theta): above 1, further away from theta than adaptation went.

    Args:
        parameters: W, all parameters of the network.
        base: Theta, all parameters of the initialization that was adapted to w.
    """
    return {
        name: base[name].detach() + strength * (w - base[name].detach()) for name, w in parameters.items()
    }
