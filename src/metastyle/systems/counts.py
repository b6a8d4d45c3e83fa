"""How the parameters of Table 1 are counted: from the definitions, without allocating memory for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metastyle.core.network import TransformationNetwork
from metastyle.systems.vgg19 import count


@dataclass(frozen=True)
class Count:
    """One system's parameters."""

    system: str
    quoted: str
    """The number in the paper's Table 1; empty where it has none."""
    counted: int
    """What the definition has, counted in the way that the quoted number is."""
    used: int
    """What passes through memory to repaint one photograph in a prepared or any style."""
    note: str


def transformation_network() -> int:
    """Parameters of the network that Johnson et al. and MetaStyle repaint with."""
    with torch.device("meta"):
        return count(TransformationNetwork())
