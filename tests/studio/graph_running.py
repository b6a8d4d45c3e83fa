"""Running graphs in tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from torch import Tensor

Graph = Callable[..., dict[str, np.ndarray]]
"""Results by name, of inputs by name."""


def opened(graph: bytes) -> Graph:
    """A graph as a function, on one thread of the processor."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(**inputs: np.ndarray | Tensor) -> dict[str, np.ndarray]:
        arrays = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
        return dict(zip(names, session.run(names, arrays), strict=True))

    return run


def relative(ours: np.ndarray | Tensor, theirs: np.ndarray | Tensor) -> float:
    """The norm of the error as a share of the norm."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert a.shape == b.shape and np.linalg.norm(b) > 0
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
