"""Meta networks: Shen, Yan, Zeng, "Neural Style Transfer via Meta Networks" (CVPR 2018, arXiv 1709.04111).

One pass through a network of 219 million parameters turns the mean and deviation of a painting's VGG-16
features into the filters of an image transformation network:

    w = meta(mean and std of relu1_2, relu2_2, relu3_3, relu4_3 of I_s; theta)
    min over theta   E_{c,s} [ content loss + style loss of N(I_c; w) ]                          (section 3)

A hidden layer has 128 units for each of 14 convolutions, with a linear map from them to its filters and
biases. The first and the last convolution are trained directly; instance normalization has no parameters.

Deviations: the transformation network is ``core.network``'s, as in the table (nearest-neighbor upsampling,
sigmoid at the end), the painting changes with every batch, not with every twentieth, and training starts with
the shipped theta's filters, the same for all paintings, on standardized statistics (``train-baseline shen
--from-scratch`` starts with random weights). The published number includes the 14 convolutions' own filters,
1,660,448 numbers that are always overwritten and not stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from metastyle.core.initialization import STATISTICS, Initialization, Parameters
from metastyle.core.loss_network import STYLE_LAYERS, LossNetwork
from metastyle.core.losses import StyleTarget, content_loss, style_target
from metastyle.core.network import TransformationNetwork, instance_norm_parameters
from metastyle.systems.counts import Count
from metastyle.systems.objective import Objective, Start, total_variation
from metastyle.systems.repainting import repainting
from metastyle.systems.system import Stylize
from metastyle.systems.vgg19 import count
from metastyle.systems.weights import load_trained
from metastyle.weights.vgg16 import load_loss_network

PART = "shen"
CONTENT = "relu3_3"


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
        """(1920,): means of the four layers, then deviations -> parameters by the network's names."""
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
        for name, shape in self.norms.items():  # the identity
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
        """The meta network from ``weights``, a folder, or from the source tree."""
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


class MetaLearning(Objective):
    """relu3_3 x 1, mean and deviation at the four style layers x 50, total variation x 1e-6."""

    learning_rate = 1e-3
    batch_size = 8
    sees = "target"
    precision = "native"
    name = PART

    learned: MetaNetwork

    def __init__(self, loss_network: LossNetwork, meta: MetaNetwork) -> None:
        super().__init__()
        self.loss_network, self.learned = loss_network, meta
        with torch.device("meta"):
            self._form = (TransformationNetwork(),)  # in a tuple, so that it is not part of this module

    @classmethod
    def begin(cls, start: Start) -> Self:
        """A meta network that starts with theta's filters."""
        meta = MetaNetwork()
        if not start.from_scratch:
            begin_with(meta, start.initialization())
        return cls(start.loss_network(), meta.to(start.device))

    def describe(self, painting: Tensor) -> StyleTarget:
        """VGG-16's statistics of a painting."""
        return style_target(self.loss_network, painting)

    def forward(self, photos: Tensor, paintings: Tensor, targets: Sequence[StyleTarget]) -> dict[str, Tensor]:
        """The three terms, means over the described paintings."""
        content = torch.zeros((), device=photos.device)
        style, variation = content, content
        with torch.no_grad():
            wanted = self.loss_network(photos, [CONTENT])[CONTENT]
        for target in targets:
            with torch.autocast(photos.device.type, enabled=False):  # 217M weights that are not updated
                parameters = self.learned(target.statistics)
            found = functional_call(self._form[0], parameters, (photos,)).float()
            features = self.loss_network(found)
            content = content + content_loss(features[CONTENT], wanted)
            style = style + 50 * moment_loss([features[n] for n in STYLE_LAYERS], target.statistics)
            variation = variation + 1e-6 * total_variation(found)
        share = 1 / len(targets)
        return {"content": share * content, "style": share * style, "variation": share * variation}


@torch.no_grad()
def begin_with(meta: MetaNetwork, initialization: Initialization) -> None:
    """Start with theta's filters for every painting, and hidden units on standardized statistics.

    The linear maps start at zero, like Psi's, so that the dependence on the painting is learned.
    """
    theta = initialization.network.state_dict()
    meta.load_state_dict(
        {n: t for n, t in theta.items() if n.split(".")[0] in ("down1", "out")}, strict=False
    )
    for name, linear in zip(meta.generated, meta.maps, strict=True):
        assert isinstance(linear, nn.Linear)
        linear.weight.zero_()
        linear.bias.copy_(torch.cat([theta[f"{name}.weight"].flatten(), theta[f"{name}.bias"]]))
    predictor = initialization.predictor
    if predictor is not None:
        meta.hidden.weight.div_(predictor.std)
        meta.hidden.bias.sub_(meta.hidden.weight @ predictor.mean)


def moment_loss(features: Sequence[Tensor], statistics: Tensor) -> Tensor:
    """Squared errors of channel means and deviations, means over channels, summed over layers.

    ``statistics`` as ``StyleTarget`` has them: all means, then all deviations.
    """
    widths = [f.shape[1] for f in features]
    means, deviations = statistics.chunk(2)
    parts = []
    for f, mean, deviation in zip(
        features, torch.split(means, widths), torch.split(deviations, widths), strict=True
    ):
        f = f.float()
        found = (f.var(dim=(2, 3)) + 1e-8).sqrt()  # the square root has no derivative at zero
        parts += [
            F.mse_loss(f.mean(dim=(2, 3)), mean.expand(len(f), -1)),
            F.mse_loss(found, deviation.expand(len(f), -1)),
        ]
    return torch.stack(parts).sum()


def parameter_count() -> Count:
    """Its parameters, as in Table 1."""
    with torch.device("meta"):
        meta, network = MetaNetwork(), TransformationNetwork()
    norms = count(*[m for m in network.modules() if isinstance(m, nn.InstanceNorm2d)])
    overwritten = count(network) - norms - count(meta.down1, meta.out)
    return Count(
        Shen.name,
        "219.32M",
        count(meta) + overwritten,
        count(meta),
        "the quoted number counts the 14 generated convolutions' own filters, which are never used",
    )
