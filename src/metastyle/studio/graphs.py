"""The networks as ONNX graphs whose parameters are inputs: one graph renders every style.

A style's parameters travel as one vector, every parameter of the network in the network's own order
(``flatten``), so that mixing styles is arithmetic on an input.

- ``stylize``: parameters and picture -> painted picture, normalized with the picture's own statistics.
- ``measure``: the same inputs -> what the fifteen normalizations divide by.
- ``frozen``: as ``stylize``, for parameters that have taken such statistics over (``rendering/frozen.py``).
- ``describe``: painting -> the 3,200 instance-norm parameters of w_0 = Psi(theta, s), and the painting's Gram
  matrices. Holds VGG-16 and Psi.

They are written operator by operator: torch's exporter needs minutes of processor time for them, this module
milliseconds, so they are never stored. Tests compare every graph with the modules that Python runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metastyle.core.initialization import Initialization
from metastyle.core.loss_network import STYLE_LAYERS, LossNetwork
from metastyle.core.network import Residual, TransformationNetwork, idle_parameters, instance_norm_parameters
from metastyle.studio.graph_builder import Builder
from metastyle.studio.graph_convolutions import by_rows, doubled, winograd

PARAMETERS, PICTURE, PAINTED = "parameters", "picture", "painted"
STATISTICS, PAINTING, NORMS = "statistics", "painting", "norms"
GRAMS = ("gram1", "gram2", "gram3", "gram4")

_WORTH_TILES = (128, 64)
"""Channels of VGG-16's convolutions from which on Winograd's form takes less time; below, it takes memory."""


@dataclass(frozen=True)
class Segment:
    """Where a parameter is in the vector of all parameters."""

    name: str
    shape: tuple[int, ...]
    offset: int
    """Of its first number."""

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.shape, dtype=np.int64))


@cache
def network_form() -> TransformationNetwork:
    """The architecture without numbers."""
    with torch.device("meta"):
        return TransformationNetwork()


@cache
def layout() -> tuple[Segment, ...]:
    """Every parameter of the network, in the network's own order."""
    segments, offset = [], 0
    for name, parameter in network_form().named_parameters():
        segments.append(Segment(name, tuple(parameter.shape), offset))
        offset += parameter.numel()
    return tuple(segments)


def norm_names() -> tuple[str, ...]:
    """Names of the instance-norm parameters, in the order in which ``describe`` returns them."""
    return tuple(instance_norm_parameters(network_form()))


def flatten(parameters: Mapping[str, Tensor]) -> Tensor:
    """All parameters of the network, by name, as one vector (1679235,) float32 on the CPU."""
    return torch.cat([parameters[segment.name].detach().reshape(-1) for segment in layout()]).float().cpu()


def to_float16(vector: Tensor) -> bytes:
    """A vector's numbers as little-endian float16."""
    return vector.detach().cpu().numpy().astype("<f2").tobytes()


def theta_bytes(initialization: Initialization) -> bytes:
    """theta, ``flatten``ed, in float16: what low-rank styles and strengths above 1 build on."""
    return to_float16(flatten(dict(initialization.network.named_parameters())))


def stylize_graph(quick: bool = False) -> bytes:
    """``parameters`` (1679235,), ``picture`` (1, 3, H, W) in [0, 1] -> ``painted``, of its shape.

    H and W are multiples of 4. Grain, where a style has one, is already in the picture.
    quick: with convolutions that need fewer multiplications, for processors.
    """
    return _rendering_graph("normalized", PAINTED, quick)


def measure_graph(quick: bool = False) -> bytes:
    """``parameters``, ``picture`` -> ``statistics`` (3200,): means of all layers, then variances."""
    return _rendering_graph("normalized", STATISTICS, quick)


def frozen_graph(quick: bool = False) -> bytes:
    """``parameters`` with normalization folded into the convolutions, ``picture`` -> ``painted``."""
    return _rendering_graph("folded", PAINTED, quick)


GRAPHS: dict[str, Callable[[], bytes]] = {
    "stylize": stylize_graph,
    "measure": measure_graph,
    "frozen": frozen_graph,
    "quick-stylize": partial(stylize_graph, quick=True),
    "quick-measure": partial(measure_graph, quick=True),
    "quick-frozen": partial(frozen_graph, quick=True),
}
"""The graphs that hold no weights: for GPUs, and with fewer multiplications, for processors."""


def describe_graph(initialization: Initialization, loss_network: LossNetwork, quick: bool = False) -> bytes:
    """``painting`` (1, 3, H, W) in [0, 1], sides from 64 pixels -> ``norms`` (3200,), ``gram1`` … ``gram4``.

    About 17 MB: weights are stored in float16 and computed with in float32.
    quick: with convolutions that need fewer multiplications, for processors; WebGPU lacks one of their
        operators.
    """
    build = Builder()
    x = build.node("Sub", PAINTING, build.constant(loss_network.mean.numpy()))
    x = build.node("Div", x, build.constant(loss_network.std.numpy()))
    means, deviations = [], []
    outputs: dict[str, Sequence[int]] = {}
    block = 1
    for name, convolution in loss_network.named_children():
        assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
        number = int(name[4])
        if number > block:
            x, block = build.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), number
        weight, bias = build.weight(convolution.weight), build.weight(convolution.bias)
        channels = (convolution.out_channels, convolution.in_channels)
        if quick and channels >= _WORTH_TILES:
            x = winograd(build, x, weight, bias, channels, "constant")
        else:
            x = build.node("Conv", x, weight, bias, pads=[1, 1, 1, 1])
        x = build.node("Relu", x)
        if name.replace("conv", "relu") in STYLE_LAYERS:
            mean, deviation = build.unbiased(x)
            means.append(mean)
            deviations.append(deviation)
            build.output(build.gram(x, channels[0]), GRAMS[block - 1])
            outputs[GRAMS[block - 1]] = [channels[0], channels[0]]
    statistics = build.node("Concat", *means, *deviations, axis=0)
    norms = dict(instance_norm_parameters(initialization.network))
    result = build.constant(torch.cat([p.detach().flatten() for p in norms.values()]).numpy())
    if (predictor := initialization.predictor) is not None:
        x = build.node("Sub", statistics, build.constant(predictor.mean.numpy()))
        x = build.node("Div", x, build.constant(predictor.std.numpy()))
        for index, linear in enumerate((predictor.encode, predictor.decode)):
            x = build.node("Relu", x) if index else x
            x = build.node("MatMul", build.weight(linear.weight), x)
            x = build.node("Add", x, build.weight(linear.bias))
        idle = idle_parameters(initialization.network)
        moved = torch.cat([torch.full((p.numel(),), float(name not in idle)) for name, p in norms.items()])
        result = build.node("Add", result, build.node("Mul", x, build.constant(moved.numpy())))
    build.output(result, NORMS)
    outputs = {NORMS: [_numbers(norms.values())]} | outputs
    return build.graph("describe", {PAINTING: [1, 3, "height", "width"]}, outputs)


def _numbers(tensors: Any) -> int:
    """How many numbers several tensors hold together."""
    return sum(int(tensor.numel()) for tensor in tensors)


def _rendering_graph(kind: str, wanted: str, quick: bool) -> bytes:
    build = Builder()
    seen: list[tuple[str, str]] = []
    network = network_form()
    segments = {segment.name: segment for segment in layout()}

    def parameter(name: str) -> str:
        """A part of the vector of parameters, in its own shape."""
        segment = segments[name]
        # Slices, not one Split into 62 outputs, which WebGPU's ten buffers a shader cannot hold.
        part = build.part(PARAMETERS, [segment.offset], [segment.offset + segment.size], [0])
        return part if len(segment.shape) == 1 else build.reshaped(part, *segment.shape)

    def convolve(x: str, name: str, norm: str | None) -> str:
        weight, bias = parameter(f"{name}.weight"), parameter(f"{name}.bias")
        x = _convolved(build, x, name, weight, bias, quick)
        if norm is None or kind == "folded":
            return x
        if wanted == STATISTICS:
            seen.append(build.biased(x))
        scale, shift = parameter(f"{norm}.weight"), parameter(f"{norm}.bias")
        return build.node("InstanceNormalization", x, scale, shift, epsilon=1e-5)

    def layer(x: str, name: str) -> str:
        return build.node("Relu", convolve(x, name, f"{name}_norm"))

    x = PICTURE
    for name in ("down1", "down2", "down3"):
        x = layer(x, name)
    for index, block in enumerate(network.residuals):
        assert isinstance(block, Residual)
        h = build.node("Relu", convolve(x, f"residuals.{index}.conv1", f"residuals.{index}.norm1"))
        h = convolve(h, f"residuals.{index}.conv2", f"residuals.{index}.norm2")
        x = build.node("Add", x, h)
    for name in ("up1", "up2"):
        x = layer(x, name)
    x = build.node("Sigmoid", convolve(x, "out", None))
    outputs: dict[str, Sequence[int | str]] = {PAINTED: [1, 3, "height", "width"]}
    if wanted == STATISTICS:
        x = build.node("Concat", *(mean for mean, _ in seen), *(v for _, v in seen), axis=0)
        outputs = {STATISTICS: [_numbers(instance_norm_parameters(network).values())]}
    build.output(x, wanted)
    size = layout()[-1].offset + layout()[-1].size
    return build.graph(wanted, {PARAMETERS: [size], PICTURE: [1, 3, "height", "width"]}, outputs)


def _convolved(build: Builder, x: str, name: str, weight: str, bias: str, quick: bool) -> str:
    """One of the network's convolutions, with the upsampling before it."""
    convolution = network_form().get_submodule(name)
    assert isinstance(convolution, nn.Conv2d)
    channels = (convolution.out_channels, convolution.in_channels)
    up = name.startswith("up")
    if quick and up:
        return doubled(build, x, weight, bias, channels)
    if quick and name == "out":
        return by_rows(build, x, weight, bias, tuple(convolution.weight.shape))
    if quick and name.startswith("residuals"):
        return winograd(build, x, weight, bias, channels, "reflect")
    if up:
        x = build.upsampled(x)
    x = build.padded(x, convolution.kernel_size[0] // 2, "reflect")
    return build.node("Conv", x, weight, bias, strides=list(convolution.stride))
