from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.core.winograd import convolve, transform_kernels

SHAPES = [
    (1, 8, 8),
    (2, 7, 9),
    (3, 1, 1),
    (1, 2, 13),
    (1, 3, 4),
    (2, 12, 5),
    (2, 70, 66),
    (1, 3, 1100),
    (70, 7, 8),
]


def _numbers(
    batch: int, height: int, width: int, c: int, k: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(height * width)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    return draw(batch, c, height + 2, width + 2), draw(k, c, 3, 3) / 3 / c**0.5, draw(k)


@pytest.mark.parametrize(("batch", "height", "width"), SHAPES)
def test_results_equal_the_direct_convolution_in_float64(batch: int, height: int, width: int) -> None:
    x, weight, bias = _numbers(batch, height, width, 5, 7, torch.float64)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        y = convolve(x.contiguous(memory_format=memory_format), transform_kernels(weight), bias)
        torch.testing.assert_close(y, F.conv2d(x, weight, bias), atol=1e-12, rtol=0)
        assert y.is_contiguous(memory_format=torch.channels_last)


def test_the_error_in_float32_is_below_the_documented_one() -> None:
    x, weight, bias = _numbers(2, 48, 46, 256, 128, torch.float32)
    y = convolve(x, transform_kernels(weight), bias)
    exact = F.conv2d(x.double(), weight.double(), bias.double())
    assert (y - exact).abs().max() < 2e-5 * exact.abs().max()


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("batch", "height", "width"), SHAPES)
def test_gradients_equal_those_of_the_direct_convolution(
    batch: int, height: int, width: int, relu: bool
) -> None:
    x, weight, bias = _numbers(batch, height, width, 5, 7, torch.float64)
    x.requires_grad_()
    weight.requires_grad_()
    y = convolve(x, transform_kernels(weight), bias, relu=relu)
    direct = F.conv2d(x, weight, bias)
    direct = direct.relu() if relu else direct
    shape = torch.randn_like(direct)
    found = torch.autograd.grad((y * shape).sum(), [x, weight])
    expected = torch.autograd.grad((direct * shape).sum(), [x, weight])
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-11, rtol=0)


def test_the_error_of_float32_gradients_is_below_the_documented_one() -> None:
    x, weight, _ = _numbers(1, 48, 48, 128, 128, torch.float32)
    exact_x, exact_weight = x.double().requires_grad_(), weight.double().requires_grad_()
    x.requires_grad_()
    weight.requires_grad_()
    shape = torch.randn(1, 128, 48, 48)
    found = torch.autograd.grad((convolve(x, transform_kernels(weight)) * shape).sum(), [x, weight])
    exact = torch.autograd.grad((F.conv2d(exact_x, exact_weight) * shape).sum(), [exact_x, exact_weight])
    for a, b in zip(found, exact, strict=True):
        assert (a - b).abs().max() < 2e-5 * b.abs().max()


def test_gradients_pass_gradcheck() -> None:
    x, weight, bias = _numbers(2, 5, 6, 2, 3, torch.float64)
    x.requires_grad_()
    weight.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, w: convolve(x, transform_kernels(w), bias), (x, weight))


def test_frozen_kernels_save_only_two_tensors_for_the_backward_pass() -> None:
    x, weight, _ = _numbers(1, 8, 8, 4, 4, torch.float32)
    y = convolve(x.requires_grad_(), transform_kernels(weight))
    assert y.grad_fn is not None
    assert len(y.grad_fn.saved_tensors) == 2  # type: ignore[attr-defined]
