"""One step of adaptation as an ONNX graph, for the page without a server: an experiment.

- ``refine``: parameters, the optimizers' state, a picture and the features that it should keep, a painting's
  Gram matrices, the step's number and rate -> parameters and state after the step, and its losses.
- ``content``: picture -> the features that it should keep.

A step is the library's own (core/adaptation.py): all parameters except the idle ones, Muon for the kernels
between hidden layers and Adam for the rest. The picture has its grain already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
from torch import nn

from metastyle.core.loss_network import CONTENT_LAYER, STYLE_LAYERS, LossNetwork
from metastyle.core.losses import LOUD, MIDDLING
from metastyle.core.network import Residual, hidden_kernels, idle_parameters
from metastyle.core.settings import STYLE_WEIGHT, AdaptationSettings
from metastyle.studio.graph_builder import Builder
from metastyle.studio.graph_gradients import Tape, Value
from metastyle.studio.graph_optimizers import adam_step, muon_step
from metastyle.studio.graphs import GRAMS, PARAMETERS, PICTURE, Segment, layout, network_form

SIZE = 128
"""Side of the square pictures, in pixels: the time of a step goes with its square."""

MOMENTA, SQUARES, FEATURES, LOSSES = "momenta", "squares", "features", "losses"
STEP, RATE = "step", "rate"
NEXT = "next_"
"""Before the names of what a step has changed."""


@cache
def groups() -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """The parameters that Muon moves, and those that Adam moves, in the network's order.

    The optimizers' momenta are one vector, Muon's and then Adam's; Adam's second moments are another.
    """
    idle, hidden = idle_parameters(network_form()), hidden_kernels(network_form())
    return (
        tuple(s for s in layout() if s.name in hidden),
        tuple(s for s in layout() if s.name not in hidden | idle),
    )


def state_sizes() -> dict[str, int]:
    """How many numbers the vectors of the optimizers' state have."""
    muon, adam = (sum(segment.size for segment in group) for group in groups())
    return {MOMENTA: muon + adam, SQUARES: adam}


def content_graph(loss_network: LossNetwork, size: int = SIZE) -> bytes:
    """``picture`` (1, 3, size, size) in [0, 1] -> ``features`` (1, 128, size / 2, size / 2); 0.5 MB."""
    build = Builder()
    picture = Value(PICTURE, (1, 3, size, size))
    features = _features(build, Tape(build, ()), loss_network, picture, CONTENT_LAYER)[CONTENT_LAYER]
    build.output(features.name, FEATURES)
    return build.graph("content", {PICTURE: picture.shape}, {FEATURES: features.shape})


def refine_graph(
    loss_network: LossNetwork,
    settings: AdaptationSettings | None = None,
    size: int = SIZE,
    *,
    quick: bool = True,
) -> bytes:
    """One step of adaptation; 15.5 MB, nearly all of it VGG-16 in float16.

    quick: with convolutions of fewer multiplications, for processors; WebGPU lacks one of their operators.

    Inputs: ``parameters`` (1679235,), ``momenta`` and ``squares`` (``state_sizes``), ``picture`` (1, 3, size,
    size) with grain, ``features`` of the picture without it, ``gram1`` … ``gram4`` of the painting, ``step``
    (1,) from 1, and ``rate`` (1,), Adam's. Outputs: ``next_parameters``, ``next_momenta``, ``next_squares``,
    and ``losses`` (2,) before the step: content and style, weighted, without the balance.
    """
    settings = settings or AdaptationSettings()
    build = Builder()
    parameters = {
        s.name: Value(build.reshaped(_part(build, PARAMETERS, s), *s.shape), s.shape) for s in layout()
    }
    muon, adam = groups()
    moving = [parameters[segment.name] for segment in (*muon, *adam)]
    tape = Tape(build, moving, quick)
    picture = Value(PICTURE, (1, 3, size, size))
    painted = _painted(tape, parameters, picture)
    features = _features(build, tape, loss_network, painted, STYLE_LAYERS[-1])
    given = _losses(build, features, settings)
    gradients = dict(zip((v.name for v in moving), tape.gradients(given, moving), strict=True))
    own = {segment.name: gradients[parameters[segment.name].name] for segment in (*muon, *adam)}
    _update(build, parameters, own)

    side = features[CONTENT_LAYER].shape
    vectors = {PARAMETERS: [layout()[-1].offset + layout()[-1].size]}
    vectors |= {name: [count] for name, count in state_sizes().items()}
    inputs: dict[str, Any] = vectors | {PICTURE: picture.shape, FEATURES: side, STEP: [1], RATE: [1]}
    inputs |= {gram: [features[layer].shape[1]] * 2 for gram, layer in zip(GRAMS, STYLE_LAYERS, strict=True)}
    outputs = {NEXT + name: shape for name, shape in vectors.items()} | {LOSSES: [2]}
    return build.graph("refine", inputs, outputs)


GRAPHS: dict[str, Callable[[LossNetwork], bytes]] = {
    "refine": partial(refine_graph, quick=False),
    "quick-refine": refine_graph,
    "content": content_graph,
}
"""Graphs that hold weights of VGG-16: a step for GPUs, and with fewer multiplications, for processors."""


def _part(build: Builder, vector: str, segment: Segment) -> str:
    return build.part(vector, [segment.offset], [segment.offset + segment.size], [0])


def _painted(tape: Tape, parameters: Mapping[str, Value], x: Value) -> Value:
    """The network; the biases of all convolutions except the last are idle."""

    def layer(x: Value, name: str, norm: str, stride: int = 1) -> Value:
        weight = parameters[f"{name}.weight"]
        x = tape.convolution(tape.reflected(x, weight.shape[2] // 2), weight, stride)
        return tape.normalized(x, parameters[f"{norm}.weight"], parameters[f"{norm}.bias"])

    for name, stride in (("down1", 1), ("down2", 2), ("down3", 2)):
        x = tape.relu(layer(x, name, f"{name}_norm", stride))
    for index, block in enumerate(network_form().residuals):
        assert isinstance(block, Residual)
        h = tape.relu(layer(x, f"residuals.{index}.conv1", f"residuals.{index}.norm1"))
        x = tape.added(x, layer(h, f"residuals.{index}.conv2", f"residuals.{index}.norm2"))
    for name in ("up1", "up2"):
        x = tape.relu(layer(tape.doubled(x), name, f"{name}_norm"))
    weight = parameters["out.weight"]
    x = tape.convolution(tape.reflected(x, weight.shape[2] // 2), weight)
    return tape.sigmoid(tape.shifted(x, parameters["out.bias"]))


def _features(build: Builder, tape: Tape, loss_network: LossNetwork, x: Value, last: str) -> dict[str, Value]:
    """VGG-16's features of (1, 3, H, W) in [0, 1], up to the layer ``last``."""
    features = {}
    x = tape.divided(x, loss_network.mean.numpy(), loss_network.std.numpy())
    block = 1
    for name, convolution in loss_network.named_children():
        assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
        number = int(name[4])
        if number > block:
            x, block = tape.halved(x), number
        weight = Value(build.weight(convolution.weight), tuple(convolution.weight.shape))
        bias = Value(build.weight(convolution.bias), tuple(convolution.bias.shape))
        x = tape.relu(tape.shifted(tape.convolution(x, weight, zeros=1), bias))
        layer = name.replace("conv", "relu")
        features[layer] = x
        if layer == last:
            break
    return features


def _losses(build: Builder, features: Mapping[str, Value], settings: AdaptationSettings) -> dict[Value, str]:
    """Add the output ``losses``; the gradients of their balanced sum by the features."""

    def number(value: float) -> str:
        return build.constant(np.array(value, np.float32))

    def mean_square(x: str) -> str:
        return build.node("ReduceMean", build.node("Mul", x, x), keepdims=0)

    content = features[CONTENT_LAYER]
    difference = build.node("Sub", content.name, FEATURES)
    losses = [build.node("Mul", mean_square(difference), number(settings.content_weight))]
    factor = number(2 * settings.content_weight / float(np.prod(content.shape)))
    gradients = {content: build.node("Mul", difference, factor)}

    loudness = build.sum(*(mean_square(gram) for gram in GRAMS))
    loudness = build.node("Max", build.node("Mul", loudness, number(STYLE_WEIGHT)), number(1e-3))
    quiet = build.node("Max", build.node("Div", number(MIDDLING), loudness), number(1))
    loud = build.node("Min", build.node("Div", number(LOUD), loudness), number(1))
    balance = number(1)
    if settings.balance:
        balance = build.node("Mul", build.node("Pow", quiet, number(settings.balance)), loud)
    errors = []
    for gram, layer in zip(GRAMS, STYLE_LAYERS, strict=True):
        psi = features[layer]
        count, size = psi.shape[1], float(np.prod(psi.shape))
        rows = build.reshaped(psi.name, count, -1)
        error = build.node("Gemm", rows, rows, transB=1, alpha=1 / size)
        error = build.node("Sub", error, gram)
        errors.append(mean_square(error))
        # Both Gram matrices are symmetric, so that one product is the gradient.
        along = build.node("Gemm", error, rows, alpha=4 * settings.style_weight / (count * count * size))
        along = build.reshaped(build.node("Mul", along, balance), *psi.shape)
        known = gradients.get(psi)
        gradients[psi] = build.node("Add", known, along) if known else along
    losses.append(build.node("Mul", build.sum(*errors), number(settings.style_weight)))
    build.output(build.node("Concat", *(build.reshaped(loss, 1) for loss in losses), axis=0), LOSSES)
    return gradients


def _update(build: Builder, parameters: Mapping[str, Value], gradients: Mapping[str, str]) -> None:
    """Add the outputs for parameters and state, from the gradients by name."""
    muon, adam = groups()
    moved, momenta = {}, []
    offset = 0
    for segment in muon:
        before = build.part(MOMENTA, [offset], [offset + segment.size], [0])
        offset += segment.size
        parameter, sum_ = muon_step(build, parameters[segment.name], gradients[segment.name], before, RATE)
        moved[segment.name] = parameter
        momenta.append(sum_)
    counts = [segment.size for segment in adam]
    before = build.part(MOMENTA, [offset], [offset + sum(counts)], [0])
    own = [build.reshaped(parameters[segment.name].name, -1) for segment in adam]
    flat = [build.reshaped(gradients[segment.name], -1) for segment in adam]
    whole, gradient = (build.node("Concat", *parts, axis=0) for parts in (own, flat))
    result, first, squares = adam_step(build, whole, gradient, (before, SQUARES), STEP, RATE)
    offset = 0
    for segment in adam:
        moved[segment.name] = build.part(result, [offset], [offset + segment.size], [0])
        offset += segment.size
    kept = [moved.get(s.name) or build.reshaped(parameters[s.name].name, -1) for s in layout()]
    build.output(build.node("Concat", *kept, axis=0), NEXT + PARAMETERS)
    build.output(build.node("Concat", *momenta, first, axis=0), NEXT + MOMENTA)
    build.output(squares, NEXT + SQUARES)
