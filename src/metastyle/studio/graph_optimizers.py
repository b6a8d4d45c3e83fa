"""Steps of the library's optimizers in a graph."""

from __future__ import annotations

import math

import numpy as np

from metastyle.core.adaptation import MUON_RATE
from metastyle.core.muon import COEFFICIENTS, ITERATIONS, MOMENTUM
from metastyle.studio.graph_builder import Builder
from metastyle.studio.graph_gradients import Value

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8
"""Adam's, as torch has them."""


def adam_step(
    build: Builder, parameters: str, gradient: str, state: tuple[str, str], number: str, rate: str
) -> tuple[str, str, str]:
    """Vectors of parameters, first and second moments after a step (Kingma and Ba, 2015).

    All are vectors of one length. state: both moments before. number: (1,), of the step, from 1. rate: (1,).
    """

    def followed(before: str, beta: float, now: str) -> str:
        rest = build.node("Mul", now, _one(build, 1 - beta))
        return build.node("Add", build.node("Mul", before, _one(build, beta)), rest)

    def unbiased(moment: str, beta: float) -> str:
        missing = build.node("Sub", _one(build, 1), build.node("Pow", _one(build, beta), number))
        return build.node("Div", moment, missing)

    first = followed(state[0], _BETAS[0], gradient)
    squares = followed(state[1], _BETAS[1], build.node("Mul", gradient, gradient))
    size = build.node("Add", build.node("Sqrt", unbiased(squares, _BETAS[1])), _one(build, _EPSILON))
    step = build.node("Div", unbiased(first, _BETAS[0]), size)
    return build.node("Sub", parameters, build.node("Mul", step, rate)), first, squares


def muon_step(build: Builder, parameter: Value, gradient: str, before: str, rate: str) -> tuple[str, str]:
    """A kernel and its momentum after a step (core/muon.py), as vectors.

    before: the momentum, a vector.  rate: (1,), Adam's.
    """
    rows = parameter.shape[0]
    columns = int(np.prod(parameter.shape[1:]))
    assert rows <= columns, "the matrix is taken as it is, not transposed"

    def times(x: str, factor: float) -> str:
        return build.node("Mul", x, _one(build, factor))

    gradient = build.reshaped(gradient, -1)
    sum_ = build.node("Add", times(before, MOMENTUM), gradient)
    ahead = build.reshaped(build.node("Add", gradient, times(sum_, MOMENTUM)), rows, columns)
    norm = build.node("Max", build.node("ReduceL2", ahead, keepdims=1), _one(build, 1e-12))
    x = build.node("Div", ahead, norm)
    a, b, c = COEFFICIENTS
    gram = build.node("Gemm", x, x, transB=1)
    q = identity = build.constant(np.eye(rows, dtype=np.float32))
    for _ in range(ITERATIONS):
        square = build.node("MatMul", build.node("MatMul", q, gram), q)
        fourth = build.node("MatMul", square, square)
        factor = build.sum(times(identity, a), times(square, b), times(fourth, c))
        q = build.node("MatMul", factor, q)
    direction = build.reshaped(build.node("MatMul", q, x), -1)
    length = MUON_RATE * math.sqrt(columns)  # of rows whose root mean square is 1
    step = build.node("Mul", times(direction, length), rate)
    return build.node("Sub", build.reshaped(parameter.name, -1), step), sum_


def _one(build: Builder, value: float) -> str:
    return build.constant(np.array([value], np.float32))
