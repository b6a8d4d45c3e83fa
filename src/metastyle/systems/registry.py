"""The eight systems of Table 1 by the names that commands know, each as its paper has it.

What is needed beyond the device has a default here. Those that take ``weights``, a folder that
``train-baseline`` wrote to, look there first and then in the package.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from metastyle.systems.adain import AdaIN
from metastyle.systems.avatar_net import AvatarNet
from metastyle.systems.gatys import Gatys
from metastyle.systems.johnson import Johnson, TrainedJohnson
from metastyle.systems.metastyle import MetaStyle
from metastyle.systems.protocol import System
from metastyle.systems.shen import Shen
from metastyle.systems.style_swap import StyleSwap
from metastyle.systems.wct import WCT


def johnson(device: torch.device, weights: Path | None = None, steps: int | None = None) -> System:
    """The network that was trained for a painting; with ``steps``, one is trained on the spot."""
    return TrainedJohnson.load(device, weights) if steps is None else Johnson.load(device, steps=steps)


SYSTEMS: dict[str, Callable[..., System]] = {
    "gatys": Gatys.load,
    "johnson": johnson,
    "wct": WCT.load,
    "adain": AdaIN.load,
    "shen": Shen.load,
    "avatar-net": AvatarNet.load,
    "style-swap": StyleSwap.load,
    "metastyle": MetaStyle,
}
"""Calling one with a device loads its weights, and raises MetastyleError where they are missing."""

ROWS = (*SYSTEMS, "metastyle steps=200")
"""What a comparison shows unless it is told otherwise: the eight, and ours with the paper's longest run."""
