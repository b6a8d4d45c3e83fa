"""The starting point of adaptation: w_0 = Psi(theta, s).

The paper leaves Psi open in section 2.2 and takes the identity in section 3. Ours, a deliberate
deviation, adds to the 3,200 instance-norm parameters an offset that is predicted from the painting's
VGG statistics. The offset is zero at the start of training, so the identity is a special case. Offsets of
idle parameters, which only rounding noise would train, are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metastyle.core.losses import StyleTarget
from metastyle.core.network import TransformationNetwork, idle_parameters, instance_norm_parameters

Parameters = dict[str, Tensor]

STATISTICS = 2 * (64 + 128 + 256 + 512)


class StylePredictor(nn.Module):
    """Predicts offsets of the instance-norm parameters from 1,920 statistics of a painting.

    It has 658,688 parameters. Statistics are standardized by their mean and deviation over the training
    paintings.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, outputs: int = 3200, hidden: int = 128) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(STATISTICS, dtype=torch.float32))
        self.register_buffer("std", torch.ones(STATISTICS, dtype=torch.float32))
        self.encode = nn.Linear(STATISTICS, hidden, dtype=torch.float32)
        self.decode = nn.Linear(hidden, outputs, dtype=torch.float32)
        nn.init.zeros_(self.decode.weight)
        nn.init.zeros_(self.decode.bias)

    def forward(self, statistics: Tensor) -> Tensor:
        """(1920,) -> (3200,)."""
        standardized = (statistics - self.mean) / self.std
        return self.decode(torch.relu(self.encode(standardized)))  # type: ignore[no-any-return]


class Initialization(nn.Module):
    """theta, and the predictor behind Psi if there is one: everything that meta-training learns."""

    def __init__(
        self, network: TransformationNetwork | None = None, predictor: StylePredictor | None = None
    ) -> None:
        super().__init__()
        self.network = network if network is not None else TransformationNetwork()
        self.predictor = predictor

    def start(self, target: StyleTarget) -> Parameters:
        """w_0 = Psi(theta, s): all parameters of the network for one painting, differentiable in theta.

        Without a predictor this is theta itself, whatever the painting.
        """
        parameters: Parameters = dict(self.network.named_parameters())
        if self.predictor is None:
            return parameters
        norms = instance_norm_parameters(self.network)
        offsets = self.predictor(target.statistics).split([p.numel() for p in norms.values()])
        idle = idle_parameters(self.network)
        moved = zip(norms.items(), offsets, strict=True)
        return parameters | {name: p + o for (name, p), o in moved if name not in idle}
