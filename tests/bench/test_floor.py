from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from metastyle.bench import floor
from metastyle.bench.floor import counted, matrix_rate


def test_multiply_adds_of_convolutions_and_products_are_counted() -> None:
    def compute() -> torch.Tensor:
        filtered = F.conv2d(torch.rand(2, 3, 8, 10), torch.rand(5, 3, 3, 3), padding=1)
        return (filtered.flatten(1) @ torch.rand(400, 7)).relu()

    expected = compute()
    result, operations = counted(compute)
    assert result.shape == expected.shape
    assert operations == 2 * 5 * 8 * 10 * 27 + 2 * 400 * 7


def test_counting_changes_nothing_and_works_in_inference_mode() -> None:
    x, kernel = torch.rand(1, 2, 6, 6), torch.rand(4, 2, 3, 3)
    with torch.inference_mode():
        result, operations = counted(lambda: F.conv2d(x, kernel))
        assert torch.equal(result, F.conv2d(x, kernel)) and operations == 4 * 16 * 18


def test_the_rate_is_that_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 9.0, *(t for i in range(1, 6) for t in (10.0 * i, 10.0 * i + 0.5 * i))])
    monkeypatch.setattr(floor.time, "perf_counter", lambda: next(now))
    assert matrix_rate(torch.device("cpu")) == 1024**3 / 0.5
