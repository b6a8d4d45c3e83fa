"""Each layer of a tape against torch's, and its gradients against autograd's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.studio.graph_builder import Builder
from metastyle.studio.graph_gradients import Tape, Value

from .graph_running import opened, relative

pytest.importorskip("onnx")

X = (1, 5, 12, 16)
MEAN, DEVIATION = (np.linspace(low, 1, 5, dtype=np.float32).reshape(1, 5, 1, 1) for low in (-1, 0.5))


class Layer(NamedTuple):
    shapes: dict[str, tuple[int, ...]]
    """Of its inputs, in their order; nothing goes back to those whose names begin with ``frozen``."""
    ours: Callable[..., Value]
    """Of a tape and its inputs."""
    torchs: Callable[..., Tensor]
    """Of its inputs."""


def convolution(x: tuple[int, ...], weight: tuple[int, ...], stride: int = 1) -> Layer:
    return Layer(
        {"x": x, "weight": weight},
        lambda tape, x, weight: tape.convolution(x, weight, stride),
        lambda x, weight: F.conv2d(x, weight, stride=stride),
    )


def convolution_with_zeros(x: tuple[int, ...], weight: tuple[int, ...]) -> Layer:
    return Layer(
        {"x": x, "frozen_weight": weight},
        lambda tape, x, frozen_weight: tape.convolution(x, frozen_weight, zeros=1),
        lambda x, frozen_weight: F.conv2d(x, frozen_weight, padding=1),
    )


def reflected(margin: int) -> Layer:
    return Layer(
        {"x": X}, lambda tape, x: tape.reflected(x, margin), lambda x: F.pad(x, [margin] * 4, "reflect")
    )


def normalized(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return F.instance_norm(x) * scale[:, None, None] + shift[:, None, None]


def used_twice(tape: Tape, x: Value) -> Value:
    y = tape.doubled(x)
    return tape.added(tape.sigmoid(y), y)


LAYERS = {
    "convolution": convolution(X, (6, 5, 3, 3)),
    "convolution of 9x9": convolution(X, (6, 5, 9, 9)),
    "convolution with stride 2": convolution((1, 5, 12, 15), (6, 5, 3, 3), stride=2),
    "convolution by tiles": convolution((1, 64, 12, 16), (70, 64, 3, 3)),
    "convolution with zeros": convolution_with_zeros(X, (6, 5, 3, 3)),
    "convolution with zeros by tiles": convolution_with_zeros((1, 64, 4, 6), (66, 64, 3, 3)),
    "margin of 1": reflected(1),
    "margin of 4": reflected(4),
    "norm": Layer(
        {"x": X, "scale": (5,), "shift": (5,)},
        lambda tape, x, scale, shift: tape.normalized(x, scale, shift),
        normalized,
    ),
    "ReLU": Layer({"x": X}, lambda tape, x: tape.relu(x), F.relu),
    "sigmoid": Layer({"x": X}, lambda tape, x: tape.sigmoid(x), torch.sigmoid),
    "sum": Layer({"x": X, "other": X}, lambda tape, x, other: tape.added(x, other), torch.add),
    "bias": Layer(
        {"x": X, "bias": (5,)},
        lambda tape, x, bias: tape.shifted(x, bias),
        lambda x, bias: x + bias[:, None, None],
    ),
    "constants": Layer(
        {"x": X},
        lambda tape, x: tape.divided(x, MEAN, DEVIATION),
        lambda x: (x - torch.from_numpy(MEAN)) / torch.from_numpy(DEVIATION),
    ),
    "upsampling": Layer(
        {"x": X}, lambda tape, x: tape.doubled(x), lambda x: F.interpolate(x, scale_factor=2.0)
    ),
    "pooling behind a ReLU": Layer(
        {"x": X}, lambda tape, x: tape.halved(tape.relu(x)), lambda x: F.max_pool2d(F.relu(x), 2)
    ),
    "a result used twice": Layer(
        {"x": X},
        used_twice,
        lambda x: F.interpolate(x, scale_factor=2.0).sigmoid() + F.interpolate(x, scale_factor=2.0),
    ),
}


@pytest.fixture(scope="module", params=LAYERS, ids=[name.replace(" ", "-") for name in LAYERS])
def results(request: Any) -> tuple[dict[str, np.ndarray], dict[str, Tensor]]:
    """Ours and torch's: ``result``, and the gradients by input, from one random gradient of the result."""
    layer = LAYERS[request.param]
    g = torch.Generator().manual_seed(5)
    tensors = {name: torch.randn(shape, generator=g) for name, shape in layer.shapes.items()}
    moving = [name for name in tensors if not name.startswith("frozen")]

    own = {name: tensor.clone().requires_grad_(name in moving) for name, tensor in tensors.items()}
    result = layer.torchs(*own.values())
    given = torch.randn(result.shape, generator=g)
    gradients = torch.autograd.grad(result, [own[name] for name in moving], given)
    theirs = {"result": result.detach(), **dict(zip(moving, gradients, strict=True))}

    build = Builder()
    values = {name: Value(name, shape) for name, shape in layer.shapes.items()}
    tape = Tape(build, [values[name] for name in moving])
    y = layer.ours(tape, *values.values())
    build.output(y.name, "result")
    names = tape.gradients({y: "given"}, [values[name] for name in moving])
    for name, gradient in zip(moving, names, strict=True):
        build.output(gradient, f"{name}_gradient")
    inputs = layer.shapes | {"given": y.shape}
    outputs = {"result": y.shape} | {f"{name}_gradient": layer.shapes[name] for name in moving}
    found = opened(build.graph("layer", inputs, outputs))(given=given, **tensors)
    return {name.removesuffix("_gradient"): array for name, array in found.items()}, theirs


def test_a_layer_gives_what_torchs_gives(
    results: tuple[dict[str, np.ndarray], dict[str, Tensor]],
) -> None:
    ours, theirs = results
    assert relative(ours["result"], theirs["result"]) < 1e-5


def test_a_layer_goes_back_as_autograd_does(
    results: tuple[dict[str, np.ndarray], dict[str, Tensor]],
) -> None:
    ours, theirs = results
    assert ours.keys() == theirs.keys()
    for name in theirs.keys() - {"result"}:
        assert relative(ours[name], theirs[name]) < 1e-5, name
