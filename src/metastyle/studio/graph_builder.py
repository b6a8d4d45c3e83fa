"""Writing ONNX graphs node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from metastyle.errors import MetastyleError

OPSET = 20
IR_VERSION = 9
TO_THE_END = int(np.iinfo(np.int64).max)
"""Where a slice ends that takes everything from its start on."""

_HALVED = 1024
"""Tensors of at least so many numbers are stored in float16."""


class Builder:
    """Nodes and constants of one graph; each method returns the name of what it has added.

    Raises:
        MetastyleError: the package that writes graphs is not installed.
    """

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError:
            raise MetastyleError('the studio needs more packages: pip install "metastyle[studio]"') from None
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """An operator and its first output."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def sum(self, *parts: str) -> str:
        """The sum of several arrays; the operator of that name does not run on WebGPU."""
        total, *rest = parts
        for part in rest:
            total = self.node("Add", total, part)
        return total

    def constant(self, array: NDArray[Any]) -> str:
        """An array in the graph, stored once, however often it is requested."""
        array = np.ascontiguousarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if (name := self._constants.get(key)) is None:
            name = self._constants[key] = f"constant_{len(self._constants)}"
            self._initializers.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def whole(self, *numbers: int) -> str:
        """A vector of whole numbers: a shape, bounds, axes."""
        return self.constant(np.array(numbers, np.int64))

    def weight(self, tensor: Tensor) -> str:
        """A frozen weight, in float16 where that saves anything."""
        array = tensor.detach().numpy()
        if array.size < _HALVED:
            return self.constant(array)
        return self.node("Cast", self.constant(array.astype(np.float16)), to=self._onnx.TensorProto.FLOAT)

    def reshaped(self, x: str, *shape: int) -> str:
        """The same numbers in another shape."""
        return self.node("Reshape", x, self.whole(*shape))

    def part(self, x: str, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int]) -> str:
        """A slice along some axes."""
        return self.node("Slice", x, self.whole(*starts), self.whole(*ends), self.whole(*axes))

    def padded(self, x: str, margin: int, mode: str) -> str:
        """(1, C, H, W) with a margin on every side: 'reflect', 'edge' or 'constant' (zeros)."""
        return self.node("Pad", x, self.whole(*[0, 0, margin, margin] * 2), mode=mode)

    def upsampled(self, x: str) -> str:
        """(1, C, H, W) with every pixel four times."""
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        nearest = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.node("Resize", x, "", scales, **nearest)

    def biased(self, x: str) -> tuple[str, str]:
        """Mean and variance (C,) of each channel of (1, C, H, W)."""
        mean, squares = self._moments(x)
        return self._flat(mean), self._flat(self.node("ReduceMean", squares, self.whole(2, 3)))

    def unbiased(self, x: str) -> tuple[str, str]:
        """Mean and standard deviation (C,), the latter with n - 1 in the denominator, as torch has it."""
        mean, squares = self._moments(x)
        fewer = self.node("Sub", self._count(x, 2), self.constant(np.array([1], np.float32)))
        variance = self.node("Div", self._flat(self.node("ReduceSum", squares, self.whole(2, 3))), fewer)
        return self._flat(mean), self.node("Sqrt", variance)

    def gram(self, x: str, channels: int) -> str:
        """psi psi^T / (C H W) of features psi (1, C, H, W): (C, C)."""
        rows = self.reshaped(x, channels, -1)
        return self.node("Div", self.node("Gemm", rows, rows, transB=1), self._count(x, 1))

    def _count(self, x: str, start: int) -> str:
        """The product of the sizes of all axes from ``start`` on: (1,) float32."""
        sizes = self.node("Shape", x, start=start)
        return self.node("Cast", self.node("ReduceProd", sizes, keepdims=1), to=self._onnx.TensorProto.FLOAT)

    def output(self, x: str, name: str) -> None:
        """Call the result ``x`` by its public name."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [x], [name]))

    def graph(
        self, name: str, inputs: Mapping[str, Sequence[Any]], outputs: Mapping[str, Sequence[Any]]
    ) -> bytes:
        """The finished file; shapes may have names in place of numbers."""
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
        mean = self.node("ReduceMean", x, self.whole(2, 3))
        centered = self.node("Sub", x, mean)
        return mean, self.node("Mul", centered, centered)

    def _flat(self, x: str) -> str:
        return self.reshaped(x, -1)
