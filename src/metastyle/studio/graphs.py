"""The networks as ONNX graphs whose parameters are inputs: one graph renders every style.

A style's parameters travel as one vector, every parameter of the network in the network's own order
(``flatten``), so that mixing styles is arithmetic on an input.

- ``stylize``: parameters and picture -> painted picture, normalized with the picture's own statistics.
- ``measure``: the same inputs -> what the fifteen normalizations divide by.
- ``frozen``: as ``stylize``, for parameters that have taken such statistics over (``rendering/frozen.py``).
- ``describe``: painting -> the 3,200 instance-norm parameters of w_0 = Psi(theta, s). Holds VGG-16 and Psi.

They are written operator by operator: torch's exporter needs minutes of processor time for them, this module
milliseconds, so they are never stored. Tests compare every graph with the modules that Python runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metastyle.core.initialization import Initialization
from metastyle.core.loss_network import STYLE_LAYERS, LossNetwork
from metastyle.core.network import Residual, TransformationNetwork, instance_norm_parameters
from metastyle.errors import MetastyleError

OPSET = 20
IR_VERSION = 9

PARAMETERS, PICTURE, PAINTED = "parameters", "picture", "painted"
STATISTICS, PAINTING, NORMS = "statistics", "painting", "norms"

_HALVED = 1024
"""Tensors of at least so many numbers are stored in float16."""


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
def _network() -> TransformationNetwork:
    """The architecture without numbers."""
    with torch.device("meta"):
        return TransformationNetwork()


@cache
def layout() -> tuple[Segment, ...]:
    """Every parameter of the network, in the network's own order."""
    segments, offset = [], 0
    for name, parameter in _network().named_parameters():
        segments.append(Segment(name, tuple(parameter.shape), offset))
        offset += parameter.numel()
    return tuple(segments)


def norm_names() -> tuple[str, ...]:
    """Names of the instance-norm parameters, in the order in which ``describe`` returns them."""
    return tuple(instance_norm_parameters(_network()))


def flatten(parameters: Mapping[str, Tensor]) -> Tensor:
    """All parameters of the network, by name, as one vector (1679235,) float32 on the CPU."""
    return torch.cat([parameters[segment.name].detach().reshape(-1) for segment in layout()]).float().cpu()


def to_float16(vector: Tensor) -> bytes:
    """A vector's numbers as little-endian float16."""
    return vector.detach().cpu().numpy().astype("<f2").tobytes()


def theta_bytes(initialization: Initialization) -> bytes:
    """theta, ``flatten``ed, in float16: what low-rank styles and strengths above 1 build on."""
    return to_float16(flatten(dict(initialization.network.named_parameters())))


def stylize_graph() -> bytes:
    """``parameters`` (1679235,), ``picture`` (1, 3, H, W) in [0, 1] -> ``painted``, of its shape.

    H and W are multiples of 4. Grain, where a style has one, is already in the picture.
    """
    return _rendering_graph("normalized", PAINTED)


def measure_graph() -> bytes:
    """``parameters``, ``picture`` -> ``statistics`` (3200,): means of all layers, then variances."""
    return _rendering_graph("normalized", STATISTICS)


def frozen_graph() -> bytes:
    """``parameters`` with normalization folded into the convolutions, ``picture`` -> ``painted``."""
    return _rendering_graph("folded", PAINTED)


GRAPHS: dict[str, Callable[[], bytes]] = {
    "stylize": stylize_graph,
    "measure": measure_graph,
    "frozen": frozen_graph,
}
"""The graphs that hold no weights."""


def describe_graph(initialization: Initialization, loss_network: LossNetwork) -> bytes:
    """``painting`` (1, 3, H, W) in [0, 1], sides from 64 pixels -> ``norms`` (3200,).

    About 17 MB: weights are stored in float16 and computed with in float32.
    """
    build = _Builder()
    x = build.node("Sub", PAINTING, build.constant(loss_network.mean.numpy()))
    x = build.node("Div", x, build.constant(loss_network.std.numpy()))
    means, deviations = [], []
    block = 1
    for name, convolution in loss_network.named_children():
        assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
        number = int(name[4])
        if number > block:
            x, block = build.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), number
        weight, bias = build.weight(convolution.weight), build.weight(convolution.bias)
        x = build.node("Relu", build.node("Conv", x, weight, bias, pads=[1, 1, 1, 1]))
        if name.replace("conv", "relu") in STYLE_LAYERS:
            mean, deviation = build.unbiased(x)
            means.append(mean)
            deviations.append(deviation)
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
        result = build.node("Add", result, x)
    build.output(result, NORMS)
    return build.graph("describe", {PAINTING: [1, 3, "height", "width"]}, {NORMS: [_numbers(norms.values())]})


def _numbers(tensors: Any) -> int:
    """How many numbers several tensors hold together."""
    return sum(int(tensor.numel()) for tensor in tensors)


def _rendering_graph(kind: str, wanted: str) -> bytes:
    build = _Builder()
    seen: list[tuple[str, str]] = []
    network = _network()

    def convolve(x: str, name: str, norm: str | None) -> str:
        convolution = network.get_submodule(name)
        assert isinstance(convolution, nn.Conv2d)
        margin = convolution.kernel_size[0] // 2
        pads = build.constant(np.array([0, 0, margin, margin] * 2, np.int64))
        x = build.node("Pad", x, pads, mode="reflect")
        weight, bias = build.parameter(f"{name}.weight"), build.parameter(f"{name}.bias")
        x = build.node("Conv", x, weight, bias, strides=list(convolution.stride))
        if norm is None or kind == "folded":
            return x
        if wanted == STATISTICS:
            seen.append(build.biased(x))
        scale, shift = build.parameter(f"{norm}.weight"), build.parameter(f"{norm}.bias")
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
        x = layer(build.doubled(x), name)
    x = build.node("Sigmoid", convolve(x, "out", None))
    outputs: dict[str, Sequence[int | str]] = {PAINTED: [1, 3, "height", "width"]}
    if wanted == STATISTICS:
        x = build.node("Concat", *(mean for mean, _ in seen), *(v for _, v in seen), axis=0)
        outputs = {STATISTICS: [_numbers(instance_norm_parameters(network).values())]}
    build.output(x, wanted)
    size = layout()[-1].offset + layout()[-1].size
    return build.graph(wanted, {PARAMETERS: [size], PICTURE: [1, 3, "height", "width"]}, outputs)


class _Builder:
    """Nodes and constants of one graph; each method returns the name of what it has added."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError:
            raise MetastyleError('the studio needs more packages: pip install "metastyle[studio]"') from None
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._segments = {segment.name: segment for segment in layout()}

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, array: NDArray[Any]) -> str:
        name = f"constant_{len(self._initializers)}"
        self._initializers.append(self._onnx.numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, tensor: Tensor) -> str:
        """A frozen weight, in float16 where that saves anything."""
        array = tensor.detach().numpy()
        if array.size < _HALVED:
            return self.constant(array)
        return self.node("Cast", self.constant(array.astype(np.float16)), to=self._onnx.TensorProto.FLOAT)

    def parameter(self, name: str) -> str:
        """A part of the vector of parameters, in its own shape."""
        segment = self._segments[name]
        # Slices, not one Split into 62 outputs, which WebGPU's ten buffers a shader cannot hold.
        bounds = (np.array([n], np.int64) for n in (segment.offset, segment.offset + segment.size))
        part = self.node("Slice", PARAMETERS, *(self.constant(bound) for bound in bounds))
        if len(segment.shape) == 1:
            return part
        return self.node("Reshape", part, self.constant(np.array(segment.shape, np.int64)))

    def doubled(self, x: str) -> str:
        """Nearest-neighbor upsampling by two."""
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        return self.node(
            "Resize", x, "", scales, coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )

    def biased(self, x: str) -> tuple[str, str]:
        """Mean and variance (C,) of each channel of (1, C, H, W)."""
        mean, squares = self._moments(x)
        axes = self.constant(np.array([2, 3], np.int64))
        return self._flat(mean), self._flat(self.node("ReduceMean", squares, axes))

    def unbiased(self, x: str) -> tuple[str, str]:
        """Mean and standard deviation (C,), the latter with n - 1 in the denominator, as torch has it."""
        mean, squares = self._moments(x)
        axes = self.constant(np.array([2, 3], np.int64))
        size = self.node("Shape", x, start=2)
        count = self.node("Cast", self.node("ReduceProd", size, keepdims=1), to=self._onnx.TensorProto.FLOAT)
        fewer = self.node("Sub", count, self.constant(np.array([1], np.float32)))
        variance = self.node("Div", self._flat(self.node("ReduceSum", squares, axes)), fewer)
        return self._flat(mean), self.node("Sqrt", variance)

    def output(self, x: str, name: str) -> None:
        """Call the result ``x`` by its public name."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [x], [name]))

    def graph(
        self, name: str, inputs: Mapping[str, Sequence[Any]], outputs: Mapping[str, Sequence[Any]]
    ) -> bytes:
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(n, kind, shape) for n, shape in inputs.items()],
            [helper.make_tensor_value_info(n, kind, shape) for n, shape in outputs.items()],
            self._initializers,
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="metastyle"
        )
        self._onnx.checker.check_model(model)
        data: bytes = model.SerializeToString()
        return data

    def _moments(self, x: str) -> tuple[str, str]:
        mean = self.node("ReduceMean", x, self.constant(np.array([2, 3], np.int64)))
        centered = self.node("Sub", x, mean)
        return mean, self.node("Mul", centered, centered)

    def _flat(self, x: str) -> str:
        return self.node("Reshape", x, self.constant(np.array([-1], np.int64)))
