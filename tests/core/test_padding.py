from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from metastyle.core.padding import reflected, replicated

SIZES = [(1, 3, 5, 6), (2, 4, 9, 7)]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("p", [1, 2, 4])
def test_reflection_and_its_gradient_equal_those_of_torch(shape: tuple[int, ...], p: int) -> None:
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    found, expected = reflected(x, p), F.pad(x, (p, p, p, p), mode="reflect")
    assert torch.equal(found, expected)
    weights = torch.randn_like(expected)
    (a,), (b,) = (torch.autograd.grad((y * weights).sum(), x) for y in (found, expected))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("shape", SIZES)
def test_replication_and_its_gradient_equal_those_of_torch(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    found, expected = replicated(x, 1), F.pad(x, (1, 1, 1, 1), mode="replicate")
    assert torch.equal(found, expected)
    weights = torch.randn_like(expected)
    (a,), (b,) = (torch.autograd.grad((y * weights).sum(), x) for y in (found, expected))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("pad", [reflected, replicated])
def test_padding_keeps_dtype_and_memory_layout(pad: object) -> None:
    x = torch.randn(2, 4, 8, 8).to(torch.bfloat16, memory_format=torch.channels_last).requires_grad_()
    y = pad(x, 1)  # type: ignore[operator]
    y.sum().backward()
    assert y.dtype == torch.bfloat16 and y.is_contiguous(memory_format=torch.channels_last)
    assert x.grad is not None and x.grad.is_contiguous(memory_format=torch.channels_last)
