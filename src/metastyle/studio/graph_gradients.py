"""Layers of both networks in a graph that also computes their gradients.

Every method of ``Tape`` adds a layer's nodes, and records how its gradient is propagated to the layer's
inputs; ``Tape.gradients`` then adds those nodes, last layer first. Shapes are known when a graph is
written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metastyle.studio.graph_builder import TO_THE_END, Builder
from metastyle.studio.graph_convolutions import winograd

_WORTH_TILES = 64
"""Channels on both sides of a convolution from which on Winograd's form takes less time."""

_Gradients = Iterable[tuple["Value", str]]


@dataclass(frozen=True)
class Value:
    """A result in the graph."""

    name: str
    shape: tuple[int, ...]


class Tape:
    """Layers for one picture; maps are (1, C, H, W).

    moving: values whose gradients will be requested; nothing is propagated to values that do not need them.
    quick: with convolutions that need fewer multiplications, for processors.
    """

    def __init__(self, build: Builder, moving: Iterable[Value], quick: bool = True) -> None:
        self._build, self._quick = build, quick
        self._moving = {value.name for value in moving}
        self._layers: list[tuple[Value, Callable[[str], _Gradients]]] = []
        self._zero = build.constant(np.zeros(1, np.float32))

    def gradients(self, given: Mapping[Value, str], wanted: Sequence[Value]) -> list[str]:
        """Gradients of ``wanted``; ``given`` are those of the loss by the layers that it is computed from."""
        parts: dict[str, list[str]] = {value.name: [gradient] for value, gradient in given.items()}
        for result, backward in reversed(self._layers):
            if own := parts.pop(result.name, []):
                for source, gradient in backward(self._build.sum(*own)):
                    parts.setdefault(source.name, []).append(gradient)
        return [self._build.sum(*parts[value.name]) for value in wanted]

    def convolution(self, x: Value, weight: Value, stride: int = 1, zeros: int = 0) -> Value:
        """A convolution without a bias, with a margin of zeros or none.

        weight: (K, C, rows, columns); frozen where there is a margin.
        """
        build, (count, channels, *sides) = self._build, weight.shape
        tiles = self._quick and sides == [3, 3] and stride == 1 and min(count, channels) >= _WORTH_TILES
        height, width = (
            (n + 2 * zeros - side) // stride + 1 for n, side in zip(x.shape[2:], sides, strict=True)
        )
        if tiles:
            mode = "constant" if zeros else None
            y = winograd(build, x.name, weight.name, None, (count, channels), mode)
        else:
            y = build.node("Conv", x.name, weight.name, strides=[stride] * 2, pads=[zeros] * 4)

        def backward(gradient: str) -> _Gradients:
            if x.name in self._moving:
                yield x, self._to_source(gradient, x, weight, stride, zeros, tiles)
            if weight.name in self._moving:
                assert zeros == 0
                yield weight, self._to_kernels(gradient, x, weight, stride, (height, width))

        return self._layer(Value(y, (1, count, height, width)), (x, weight), backward)

    def _to_source(self, gradient: str, x: Value, weight: Value, stride: int, zeros: int, tiles: bool) -> str:
        build, (count, channels, *sides) = self._build, weight.shape
        if stride > 1:
            unread = [(n - k) % stride for n, k in zip(x.shape[2:], sides, strict=True)]
            return build.node(
                "ConvTranspose", gradient, weight.name, strides=[stride] * 2, output_padding=unread
            )
        turned = build.node("Transpose", self._turned(self._turned(weight.name, 2), 3), perm=[1, 0, 2, 3])
        if tiles:
            wide = gradient if zeros else build.padded(gradient, 1, "constant")
            return winograd(build, wide, turned, None, (channels, count), "constant")
        return build.node("Conv", gradient, turned, pads=[k - 1 - zeros for k in sides] * 2)

    def _to_kernels(self, gradient: str, x: Value, weight: Value, stride: int, size: tuple[int, int]) -> str:
        """One matrix product for each place in a kernel."""
        build, (count, channels, rows, columns) = self._build, weight.shape
        places = size[0] * size[1]
        results = build.reshaped(gradient, count, places)
        steps = build.whole(stride, stride)
        products = []
        for first in np.ndindex(rows, columns):
            ends = [f + stride * (n - 1) + 1 for f, n in zip(first, size, strict=True)]
            seen = build.node(
                "Slice", x.name, build.whole(*first), build.whole(*ends), build.whole(2, 3), steps
            )
            product = build.node("Gemm", results, build.reshaped(seen, channels, places), transB=1)
            products.append(build.reshaped(product, count, channels, 1))
        return build.reshaped(build.node("Concat", *products, axis=2), *weight.shape)

    def reflected(self, x: Value, margin: int) -> Value:
        """With a reflected margin."""
        build = self._build
        y = build.padded(x.name, margin, "reflect")

        def backward(gradient: str) -> _Gradients:
            for axis in (2, 3):
                size = x.shape[axis]
                inside = build.part(gradient, [margin], [margin + size], [axis])
                before = self._turned(build.part(gradient, [0], [margin], [axis]), axis)
                after = self._turned(build.part(gradient, [margin + size], [TO_THE_END], [axis]), axis)
                near, far = 1, size - 1 - margin
                before, after = self._widened(before, axis, near, far), self._widened(after, axis, far, near)
                gradient = build.sum(inside, before, after)
            yield x, gradient

        height, width = (n + 2 * margin for n in x.shape[2:])
        return self._layer(Value(y, (*x.shape[:2], height, width)), (x,), backward)

    def normalized(self, x: Value, scale: Value, shift: Value) -> Value:
        """Instance normalization."""
        build, channels = self._build, x.shape[1]
        mean = self._mean(x.name)
        centered = build.node("Sub", x.name, mean)
        variance = self._mean(build.node("Mul", centered, centered))
        epsilon = build.constant(np.array([1e-5], np.float32))
        deviation = build.node("Sqrt", build.node("Add", variance, epsilon))
        unit = build.node("Div", centered, deviation)
        wide = build.reshaped(scale.name, 1, channels, 1, 1)
        y = build.node("Mul", unit, wide)
        y = build.node("Add", y, build.reshaped(shift.name, 1, channels, 1, 1))

        def backward(gradient: str) -> _Gradients:
            count = build.constant(np.array([x.shape[2] * x.shape[3]], np.float32))
            plain, along = self._mean(gradient), self._mean(build.node("Mul", gradient, unit))
            yield scale, build.reshaped(build.node("Mul", along, count), channels)
            yield shift, build.reshaped(build.node("Mul", plain, count), channels)
            rest = build.node("Sub", build.node("Sub", gradient, plain), build.node("Mul", unit, along))
            yield x, build.node("Mul", rest, build.node("Div", wide, deviation))

        return self._layer(Value(y, x.shape), (x, scale, shift), backward)

    def relu(self, x: Value) -> Value:
        """The larger of zero and x."""
        build = self._build
        y = build.node("Relu", x.name)
        return self._layer(Value(y, x.shape), (x,), lambda g: [(x, self._where_positive(y, g))])

    def sigmoid(self, x: Value) -> Value:
        """Between 0 and 1."""
        build = self._build
        y = build.node("Sigmoid", x.name)

        def backward(gradient: str) -> _Gradients:
            slope = build.node("Mul", y, build.node("Sub", build.constant(np.ones(1, np.float32)), y))
            yield x, build.node("Mul", gradient, slope)

        return self._layer(Value(y, x.shape), (x,), backward)

    def added(self, x: Value, other: Value) -> Value:
        """The sum of two maps of one shape."""
        y = self._build.node("Add", x.name, other.name)
        return self._layer(Value(y, x.shape), (x, other), lambda g: [(x, g), (other, g)])

    def shifted(self, x: Value, bias: Value) -> Value:
        """A number added to each channel."""
        build, channels = self._build, x.shape[1]
        y = build.node("Add", x.name, build.reshaped(bias.name, 1, channels, 1, 1))

        def backward(gradient: str) -> _Gradients:
            total = build.node("ReduceSum", gradient, build.whole(2, 3))
            return [(x, gradient), (bias, build.reshaped(total, channels))]

        return self._layer(Value(y, x.shape), (x, bias), backward)

    def divided(self, x: Value, less: np.ndarray, by: np.ndarray) -> Value:
        """(x - less) / by, with constants."""
        build, divisor = self._build, self._build.constant(by)
        y = build.node("Div", build.node("Sub", x.name, build.constant(less)), divisor)
        return self._layer(Value(y, x.shape), (x,), lambda g: [(x, build.node("Div", g, divisor))])

    def doubled(self, x: Value) -> Value:
        """Every pixel four times."""
        build = self._build
        y = build.upsampled(x.name)

        def backward(gradient: str) -> _Gradients:
            mean = build.node("AveragePool", gradient, kernel_shape=[2, 2], strides=[2, 2])
            yield x, build.node("Mul", mean, build.constant(np.array([4], np.float32)))

        height, width = (2 * n for n in x.shape[2:])
        return self._layer(Value(y, (*x.shape[:2], height, width)), (x,), backward)

    def halved(self, x: Value) -> Value:
        """The largest of each 2x2 results of a ReLU; of equal ones, each gets the gradient."""
        build = self._build
        y = build.node("MaxPool", x.name, kernel_shape=[2, 2], strides=[2, 2])

        def backward(gradient: str) -> _Gradients:
            # Two positive numbers are hardly ever equal, and of zeros the ReLU before lets nothing through.
            largest = build.node("Equal", x.name, build.upsampled(y))
            yield x, build.node("Where", largest, build.upsampled(gradient), self._zero)

        height, width = (n // 2 for n in x.shape[2:])
        return self._layer(Value(y, (*x.shape[:2], height, width)), (x,), backward)

    def _layer(self, result: Value, sources: Sequence[Value], backward: Callable[[str], _Gradients]) -> Value:
        if any(source.name in self._moving for source in sources):
            self._moving.add(result.name)
            self._layers.append((result, backward))
        return result

    def _mean(self, x: str) -> str:
        return self._build.node("ReduceMean", x, self._build.whole(2, 3))

    def _where_positive(self, y: str, gradient: str) -> str:
        build = self._build
        return build.node("Where", build.node("Greater", y, self._zero), gradient, self._zero)

    def _turned(self, x: str, axis: int) -> str:
        """Reversed along an axis."""
        build = self._build
        back = build.whole(-1)
        return build.node("Slice", x, back, build.whole(-TO_THE_END), build.whole(axis), back)

    def _widened(self, x: str, axis: int, before: int, after: int) -> str:
        """Padded with zeros on both sides of an axis."""
        pads = [0] * 8
        pads[axis], pads[4 + axis] = before, after
        return self._build.node("Pad", x, self._build.whole(*pads))
