"""A network whose instance normalization uses recorded statistics: only convolutions, and no flicker.

Instance normalization takes the mean and variance of each channel from the picture that it normalizes. In a
film they change with every frame, and all colors with them: one part of the picture flickers because of what
happens in another. With statistics recorded once per shot, equal parts of two frames give equal results, and
each normalization is a fixed affine map,

    gamma * (w * x + b - mean) / sqrt(variance + eps) + beta = (s w) * x + (s (b - mean) + beta),
    s = gamma / sqrt(variance + eps),

which is folded into the preceding convolution. Padding comes before a convolution and is not affected.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from metastyle.core.checks import check_value
from metastyle.core.device import pick_device
from metastyle.core.grain import check_grain
from metastyle.core.network import STRIDE, Conv, Residual, TransformationNetwork
from metastyle.core.settings import Precision
from metastyle.core.surroundings import own_surroundings
from metastyle.errors import MetastyleError
from metastyle.rendering.convolutions import Layers
from metastyle.rendering.streaming import stream
from metastyle.rendering.strips import Source
from metastyle.rendering.stylizer import DTYPES, Stylizer, check_pixels, out_of_memory

STRIP_BYTES = 4 << 20
"""Bytes of one layer's result that a processor computes at a time, in float32; more was hardly faster."""

GPU_STRIP_BYTES = 256 << 20


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics for the fifteen instance normalizations of a network, in the network's order."""

    means: tuple[Tensor, ...]
    """(C,) each, float64."""
    variances: tuple[Tensor, ...]
    """(C,) each, float64, biased, as instance normalization uses them."""


def frame_statistics(stylizer: Stylizer, pixels: np.ndarray, *, exposure: float = 1.0) -> Statistics:
    """The statistics of one frame, (H, W, 3) uint8 or uint16, under the stylizer's network."""
    moments = stylizer.measure(pixels, exposure=exposure)
    return Statistics(tuple(m.mean for m in moments), tuple(m.variance() for m in moments))


def average(statistics: Sequence[Statistics], weights: Sequence[float] | None = None) -> Statistics:
    """The average of the statistics of several frames; weights are divided by their sum.

    The variance is that within frames; the spread of the frames' means is not included, so that an average
    frame keeps its contrast.

    Raises MetastyleError if there are none.
    """
    if not statistics:
        raise MetastyleError("no frames to take statistics from: give at least one")
    shares = np.asarray(weights if weights is not None else [1.0] * len(statistics), np.float64)
    shares = shares / shares.sum()

    def mean(values: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        each = zip(*values, strict=True)
        return tuple(
            torch.stack([v * float(share) for v, share in zip(layer, shares, strict=True)]).sum(0)
            for layer in each
        )

    return Statistics(mean(s.means for s in statistics), mean(s.variances for s in statistics))


class FoldedNetwork:
    """A copy of a network with the normalization by recorded statistics folded into its convolutions.

    The instance normalizations of ``network`` are identities; its ``forward`` is otherwise unchanged.
    """

    def __init__(self, network: TransformationNetwork, statistics: Statistics) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._layers: list[_Layer] = []
        for owner, conv_name, norm_name in _pairs(self.network):
            conv, norm = getattr(owner, conv_name), getattr(owner, norm_name)
            assert isinstance(conv, Conv) and isinstance(norm, nn.InstanceNorm2d) and conv.bias is not None
            numbers = (conv.weight, conv.bias, norm.weight, norm.bias)
            weight, bias, gamma, beta = (number.detach().cpu().double() for number in numbers)
            self._layers.append(_Layer(conv, weight, bias, gamma, beta, norm.eps))
            setattr(owner, norm_name, nn.Identity())
        self.refold(statistics)

    def refold(self, statistics: Statistics) -> None:
        """Replace the network's weights, in place, by those for ``statistics``."""
        for layer, mean, variance in zip(self._layers, statistics.means, statistics.variances, strict=True):
            scale = layer.gamma / torch.sqrt(variance.cpu().double() + layer.eps)
            assert layer.conv.bias is not None
            layer.conv.weight.copy_(layer.weight * scale[:, None, None, None])
            layer.conv.bias.copy_(scale * (layer.bias - mean.cpu().double()) + layer.beta)


@dataclass(frozen=True, eq=False)
class _Layer:
    """A convolution and, in float64, the parameters of it and of the normalization after it."""

    conv: Conv
    weight: Tensor
    bias: Tensor
    gamma: Tensor
    beta: Tensor
    eps: float


def _pairs(network: TransformationNetwork) -> list[tuple[nn.Module, str, str]]:
    """Each convolution and the normalization after it: owner and both names, in the network's order."""
    pairs: list[tuple[nn.Module, str, str]] = []
    pairs += [(network, name, f"{name}_norm") for name in ("down1", "down2", "down3")]
    for block in network.residuals:
        assert isinstance(block, Residual)
        pairs += [(block, "conv1", "norm1"), (block, "conv2", "norm2")]
    return pairs + [(network, name, f"{name}_norm") for name in ("up1", "up2")]


class FrozenStylizer:
    """Stylizes the frames of one shot with the statistics of some of them.

    frames: the frames whose average statistics are used, (H, W, 3) uint8 or uint16 each.
    device, precision, grain: as for ``Stylizer``.

    With the statistics of a single frame, that frame is rendered as by ``Stylizer``. Only a few rows are in
    memory: on a processor 46 MB for 640x360, 60 MB for 1920x1080, in addition to torch itself.
    """

    def __init__(
        self,
        network: TransformationNetwork,
        frames: Iterable[np.ndarray] = (),
        *,
        statistics: Statistics | None = None,
        device: str = "auto",
        precision: Precision = "float32",
        grain: float = 0.0,
    ) -> None:
        check_grain(grain)
        check_value("precision", precision, Precision)
        if statistics is None:
            stylizer = Stylizer(network, device=device, precision=precision, grain=grain)
            statistics = average([frame_statistics(stylizer, pixels) for pixels in frames])
        self.device = pick_device(device)
        self.dtype = DTYPES[precision]
        self.statistics, self.grain = statistics, grain
        with out_of_memory(self.device):
            self._folded = FoldedNetwork(network, statistics)
            self._folded.network.to(self.device)
        self._layers: dict[bool, Layers] = {}

    @own_surroundings()
    def follow(self, statistics: Statistics) -> None:
        """Use other statistics from now on; much cheaper than making a new ``FrozenStylizer``."""
        self.statistics = statistics
        self._folded.refold(statistics)
        for layers in self._layers.values():
            layers.load(self._folded.network)

    @own_surroundings()
    def render(
        self, pixels: np.ndarray, *, origin: tuple[int, int] = (0, 0), exposure: float = 1.0
    ) -> np.ndarray:
        """Stylize (H, W, 3) uint8 or uint16, from 16x16 to 100 megapixels; same shape and type.

        origin: row and column at which the picture begins in the plane of grain.
        exposure: share of the grain that the picture gets, 0 to 1.
        """
        check_pixels(pixels)
        result = np.empty_like(pixels, order="C")
        transposed = pixels.shape[1] > pixels.shape[0]  # rows along the shorter side
        source, target = (a.transpose(1, 0, 2) if transposed else a for a in (pixels, result))
        with out_of_memory(self.device):
            if transposed not in self._layers:
                self._layers[transposed] = Layers(self._folded.network, self.dtype, transposed=transposed)
            grain = exposure * self.grain
            picture = Source(source, self.device, grain=grain, origin=origin, transposed=transposed)
            stream(self._layers[transposed], picture, target, self._strip_rows(picture.width))
        return result

    def _strip_rows(self, width: int) -> int:
        size = STRIP_BYTES if self.device.type == "cpu" else GPU_STRIP_BYTES
        return max(16, size // (128 * width) // STRIDE * STRIDE)
