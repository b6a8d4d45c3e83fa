"""Steps of optimizers in a graph, against the library's: three steps, the last with a gradient of zeros."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from metastyle.core.adaptation import MUON_RATE
from metastyle.core.muon import Muon
from metastyle.studio.graph_builder import Builder
from metastyle.studio.graph_gradients import Value
from metastyle.studio.graph_optimizers import adam_step, muon_step

from .graph_running import opened, relative

pytest.importorskip("onnx")

SHAPE = (6, 4, 3, 3)
SIZE = 6 * 4 * 3 * 3
RATE = 0.1


def gradients() -> list[Tensor]:
    g = torch.Generator().manual_seed(8)
    return [factor * torch.randn(SHAPE, generator=g) for factor in (1.0, 1.0, 0.0)]


def theirs(make: Callable[[list[Tensor]], torch.optim.Optimizer], start: Tensor) -> list[Tensor]:
    """The parameter after each step."""
    parameter = start.clone().requires_grad_()
    optimizer = make([parameter])
    found = []
    for gradient in gradients():
        parameter.grad = gradient.clone()
        optimizer.step()
        found.append(parameter.detach().clone())
    return found


def test_muon_steps_as_the_librarys() -> None:
    build = Builder()
    parameter, sum_ = muon_step(build, Value("kernel", SHAPE), "gradient", "momentum", "rate")
    build.output(parameter, "parameter")
    build.output(sum_, "sum")
    inputs = {"kernel": SHAPE, "gradient": SHAPE, "momentum": (SIZE,), "rate": (1,)}
    run = opened(build.graph("muon", inputs, {"parameter": (SIZE,), "sum": (SIZE,)}))

    start = torch.randn(SHAPE, generator=torch.Generator().manual_seed(9))
    kernel, momentum = start.numpy(), np.zeros(SIZE)
    expected = theirs(lambda parameters: Muon(parameters, lr=MUON_RATE * RATE), start)
    for gradient, after in zip(gradients(), expected, strict=True):
        result = run(kernel=kernel, gradient=gradient, momentum=momentum, rate=np.full(1, RATE))
        kernel, momentum = result["parameter"].reshape(SHAPE), result["sum"]
        assert relative(kernel - start.numpy(), after - start) < 1e-4


def test_adam_steps_as_torchs() -> None:
    build = Builder()
    state = ("first", "second")
    results = adam_step(build, "vector", "gradient", state, "step", "rate")
    for name, result in zip(("vector", *state), results, strict=True):
        build.output(result, f"next_{name}")
    vectors = dict.fromkeys(("vector", "gradient", *state), (SIZE,))
    outputs = {f"next_{name}": (SIZE,) for name in ("vector", *state)}
    run = opened(build.graph("adam", vectors | {"step": (1,), "rate": (1,)}, outputs))

    start = torch.randn(SHAPE, generator=torch.Generator().manual_seed(9))
    now = {"vector": start.flatten().numpy(), "first": np.zeros(SIZE), "second": np.zeros(SIZE)}
    expected = theirs(lambda parameters: torch.optim.Adam(parameters, lr=RATE), start)
    for step, (gradient, after) in enumerate(zip(gradients(), expected, strict=True), start=1):
        result = run(gradient=gradient.flatten(), step=np.full(1, step), rate=np.full(1, RATE), **now)
        now = {name: result[f"next_{name}"] for name in now}
        assert relative(now["vector"] - start.flatten().numpy(), (after - start).flatten()) < 1e-4
