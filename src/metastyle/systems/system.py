"""A style-transfer system as the benchmark sees it: it prepares a style, then repaints photographs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from torch import Tensor

Stylize: TypeAlias = Callable[[Tensor], Tensor]
"""A photograph (1, 3, H, W) in [0, 1] -> a picture of the same shape, device and range."""


class System(Protocol):
    """One row of the comparison.

    Any object with these members takes part; nothing is inherited. It is made by a callable that takes
    the ``torch.device`` to compute on; pictures and results are on that device, float32. One that loads what
    a style cost earlier may say so in ``earlier``, the seconds that this took for the style prepared last.
    """

    name: str
    """For tables: ``AdaIN``."""
    parameters: int
    """Numbers that the system has learned and that repainting uses; 0 where there is no model."""
    styles: str
    """How many styles one trained model serves: ``1`` or ``any``."""

    def prepare(self, style: Tensor) -> Stylize:
        """Do everything that one style costs once: adapting, training, encoding.

        ``style`` is a picture (1, 3, H, W) in [0, 1]. The result can be called many times.

        Raises:
            MetastyleError: the system cannot do this style, or its weights are missing.
        """
