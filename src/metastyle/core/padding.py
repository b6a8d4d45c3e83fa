"""Padding by reflection or replication that keeps tensors channels last and their type.

torch's own turns the gradient into the other memory layout, which costs a tenth of a training step, and
autocast computes it in float32. Only first derivatives exist.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def reflected(x: Tensor, p: int) -> Tensor:
    """(B, C, H, W) -> (B, C, H + 2p, W + 2p): mirrored at the outermost pixels, which are not repeated."""
    result: Tensor = _Padding.apply(x, p, 1)  # type: ignore[no-untyped-call]
    return result


def replicated(x: Tensor, p: int) -> Tensor:
    """(B, C, H, W) -> (B, C, H + 2p, W + 2p): mirrored at the edges; for p = 1 the outermost pixels again."""
    result: Tensor = _Padding.apply(x, p, 0)  # type: ignore[no-untyped-call]
    return result


class _Padding(Function):
    """Row -1 - i is row ``first`` + i, and the same at the other sides."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: int, first: int) -> Tensor:
        ctx.p, ctx.first = p, first
        batch, channels, h, w = x.shape
        result = torch.empty(
            (batch, channels, h + 2 * p, w + 2 * p),
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last,
        )
        result[:, :, p : p + h, p : p + w] = x
        rows = result[..., p : p + w]
        for i in range(first, first + p):
            outer = p - 1 - i + first
            rows[:, :, outer] = rows[:, :, p + i]
            rows[:, :, -1 - outer] = rows[:, :, -1 - p - i]
        for i in range(first, first + p):
            outer = p - 1 - i + first
            result[..., outer] = result[..., p + i]
            result[..., -1 - outer] = result[..., -1 - p - i]
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        p, first = ctx.p, ctx.first
        above, inner, below = (
            _columns_returned(rows, p, first)
            for rows in (gradient[:, :, :p], gradient[:, :, p:-p], gradient[:, :, -p:])
        )
        for i in range(p):
            inner[:, :, first + i] += above[:, :, p - 1 - i]
            inner[:, :, -1 - first - i] += below[:, :, i]
        return inner, None, None


def _columns_returned(gradient: Tensor, p: int, first: int) -> Tensor:
    """The gradient without the outer columns, which are added to those that they are copies of."""
    inner = gradient[..., p:-p].clone(memory_format=torch.channels_last)
    for i in range(p):
        inner[..., first + i] += gradient[..., p - 1 - i]
        inner[..., -1 - first - i] += gradient[..., gradient.shape[-1] - p + i]
    return inner
