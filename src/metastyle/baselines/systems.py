"""The eight systems of Table 1 by the names that commands know, each as its paper has it.

What is needed beyond the device has a default here; whoever wants another number of steps calls the class.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from metastyle.baselines.adain import AdaIN
from metastyle.baselines.avatar_net import AvatarNet
from metastyle.baselines.gatys import Gatys
from metastyle.baselines.johnson import Johnson
from metastyle.baselines.metastyle import MetaStyle
from metastyle.baselines.protocol import System
from metastyle.baselines.shen import Shen
from metastyle.baselines.style_swap import StyleSwap
from metastyle.baselines.wct import WCT

SYSTEMS: dict[str, Callable[[torch.device], System]] = {
    "gatys": Gatys.load,
    "johnson": Johnson.load,
    "wct": WCT.load,
    "adain": AdaIN.load,
    "shen": Shen.load,
    "avatar-net": AvatarNet.load,
    "style-swap": StyleSwap.load,
    "metastyle": MetaStyle,
}
"""Calling one loads its weights, and raises MetastyleError where they are missing."""
