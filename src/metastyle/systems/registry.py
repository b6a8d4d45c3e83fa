"""The eight systems of Table 1, and MicroAST, by the names that commands know, each as in its paper.

Everything except the device has a default here. Those that take ``weights``, a folder that
``train-baseline`` wrote to, look there first and then among the weights of the source tree; MicroAST looks
there for its published files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from metastyle.systems import adain, avatar_net, gatys, metastyle, microast, shen, style_swap, wct
from metastyle.systems import johnson as one_style
from metastyle.systems.counts import Count
from metastyle.systems.system import System


def johnson(device: torch.device, weights: Path | None = None, steps: int | None = None) -> System:
    """The network that was trained for a painting; with ``steps``, one is trained while preparing."""
    if steps is None:
        return one_style.TrainedJohnson.load(device, weights)
    return one_style.Johnson.load(device, steps=steps)


SYSTEMS: dict[str, Callable[..., System]] = {
    "gatys": gatys.Gatys.load,
    "johnson": johnson,
    "wct": wct.WCT.load,
    "adain": adain.AdaIN.load,
    "shen": shen.Shen.load,
    "avatar-net": avatar_net.AvatarNet.load,
    "style-swap": style_swap.StyleSwap.load,
    "microast": microast.MicroAST.load,
    "metastyle": metastyle.MetaStyle,
}
"""Calling one with a device loads its weights, and raises MetastyleError where they are missing."""

ROWS = ("gatys", "gatys iterations=60", *(name for name in SYSTEMS if name != "gatys"), "metastyle steps=200")
"""The rows of a comparison by default: all nine systems, Gatys et al. also with few iterations, and ours
also with the paper's longest run."""


def parameter_counts() -> list[Count]:
    """The parameters of all systems, in the paper's order, MicroAST's before ours."""
    modules = (gatys, one_style, wct, adain, shen, avatar_net, style_swap, microast, metastyle)
    return [module.parameter_count() for module in modules]
