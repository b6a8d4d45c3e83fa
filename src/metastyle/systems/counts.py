"""Parameter counts of Table 1, from the definitions, without allocating memory."""

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
    """The number in the paper's Table 1; empty if it has none."""
    counted: int
    """The number in the definition, counted like the quoted one."""
    used: int
    """The number used to repaint a photograph in a prepared or any style."""
    note: str


def transformation_network() -> int:
    """Parameters of the network that Johnson et al. and MetaStyle repaint with."""
    with torch.device("meta"):
        return count(TransformationNetwork())
