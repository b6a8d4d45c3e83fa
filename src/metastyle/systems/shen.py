"""Meta networks: Shen, Yan, Zeng, "Neural Style Transfer via Meta Networks" (CVPR 2018, arXiv 1709.04111).

One pass through a network of 219 million parameters turns the mean and deviation of a painting's VGG-16
features into the filters of an image transformation network:

    w = meta(mean and std of relu1_2, relu2_2, relu3_3, relu4_3 of I_s; theta)
    min over theta   E_{c,s} [ content loss + style loss of N(I_c; w) ]                          (section 3)

A hidden layer has 128 units for each of 14 convolutions, each of which has a linear map of its own from
those to its filters and biases. The first and the last convolution are learned directly, instance
normalization has no parameters.

Deviations: the transformation network is ``core.network``'s, as in the table (nearest-neighbor upsampling,
sigmoid at the end), every batch has another painting, not every twentieth, and training begins at the
shipped theta's filters, the same for all paintings, on standardized statistics (``train-baseline shen
--from-scratch`` begins with random numbers). The published number counts
the 14 convolutions' own filters too, 1,660,448 numbers that are always overwritten: they are not kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from metastyle.core.initialization import STATISTICS, Parameters
from metastyle.core.loss_network import LossNetwork
from metastyle.core.losses import style_target
from metastyle.core.network import TransformationNetwork, instance_norm_parameters
from metastyle.systems.networks import repainting
from metastyle.systems.protocol import Stylize
from metastyle.systems.vgg19 import count
from metastyle.systems.weights import load_trained
from metastyle.weights.vgg16 import load_loss_network

PART = "shen"


class MetaNetwork(nn.Module):
    """1,920 statistics of a painting -> all parameters of a transformation network: 217,655,811 numbers.

    ``width`` is the number of hidden units for each generated convolution.
    """

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        network = TransformationNetwork()
        self.width = width
        self.down1, self.out = network.down1, network.out
        convolutions = [name for name, m in network.named_modules() if isinstance(m, nn.Conv2d)]
        self.generated = [name for name in convolutions if name not in ("down1", "out")]
        parameters = dict(network.named_parameters())
        self.shapes = {n: parameters[f"{n}.weight"].shape for n in self.generated}
        self.norms = {name: p.shape for name, p in instance_norm_parameters(network).items()}
        self.hidden = nn.Linear(STATISTICS, width * len(self.generated))
        self.maps = nn.ModuleList(
            nn.Linear(width, shape.numel() + shape[0]) for shape in self.shapes.values()
        )

    def forward(self, statistics: Tensor) -> Parameters:
        """(1920,): means of the four layers, then deviations -> parameters by the network's own names."""
        units = torch.relu(self.hidden(statistics)).view(-1, self.width)
        parameters: Parameters = {
            f"{name}.{kind}": getattr(getattr(self, name), kind)
            for name in ("down1", "out")
            for kind in ("weight", "bias")
        }
        for (name, shape), unit, linear in zip(self.shapes.items(), units, self.maps, strict=True):
            numbers = linear(unit)
            parameters[f"{name}.weight"] = numbers[: shape.numel()].view(shape)
            parameters[f"{name}.bias"] = numbers[shape.numel() :]
        for name, shape in self.norms.items():  # without any effect
            parameters[name] = (torch.ones if name.endswith("weight") else torch.zeros)(shape).to(statistics)
        return parameters


class Shen:
    """A painting's network in one pass; repainting costs what Johnson et al.'s does."""

    name = "Shen et al."
    styles = "any"

    def __init__(self, meta: MetaNetwork, loss_network: LossNetwork) -> None:
        self.meta, self.loss_network = meta, loss_network
        self.parameters = count(meta)

    @classmethod
    def load(cls, device: torch.device, weights: Path | None = None) -> Self:
        """The meta network from ``weights``, a folder, or from the package."""
        with torch.device("meta"):
            meta = MetaNetwork()
        meta = load_trained(meta, PART, weights)
        return cls(meta.to(device), load_loss_network().to(device))

    @torch.no_grad()
    def prepare(self, style: Tensor) -> Stylize:
        """Describe the painting and generate its network."""
        with torch.device("meta"):
            network = TransformationNetwork()
        parameters = self.meta(style_target(self.loss_network, style).statistics)
        network.load_state_dict(parameters, assign=True)
        return repainting(network, style.device)
