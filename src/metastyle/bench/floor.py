"""The arithmetic floor: the least time that a computation's multiply-adds take on a machine.

Convolutions and matrix products are counted while they run, as they run: where the project computes the same
with fewer (``core/quick.py``), fewer count. Singular values, normalization and the like are not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from metastyle.bench.pictures import wait

_T = TypeVar("_T")

_SIDE, _TRIES = 1024, 5


def counted(compute: Callable[[], _T]) -> tuple[_T, int]:
    """The result of ``compute``, and its multiply-adds in convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        result = compute()
    return result, counter.get_total_flops() // 2  # a multiply-add is two operations there


def matrix_rate(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Multiply-adds per second in products of square matrices, the best of five."""
    a = torch.randn(_SIDE, _SIDE, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(_TRIES + 1):  # the first warms up, and does not harm
        wait(device)
        started = time.perf_counter()
        a @ a
        wait(device)
        best = min(best, time.perf_counter() - started)
    return float(_SIDE**3 / best)
