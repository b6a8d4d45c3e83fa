"""3x3 convolutions with a quarter of the multiplications: Winograd's minimal filtering, F(4x4, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016). A tile of 4x4 results of a
3x3 kernel g depends on 6x6 neighbouring numbers d of the source, and is (their equation 9)

    Y = A^T [ (G g G^T) * (B^T d B) ] A,

with * the product of elements: 36 multiplications in place of 144. Summed over channels, the products at one
of the 36 places are a matrix product of tiles x channels by channels x kernels (their equations 11 and 12),
so a convolution is a transform of the source, 36 matrix products, and a transform back. B, G and A (their
section 4.4) interpolate at 0, 1, -1, 2, -2 and infinity. Both transforms are linear: each is one product with
a 36x36 or a 16x36 matrix here, the Kronecker product of a matrix with itself. Gradients are the transposed
products in reverse order, and 36 matrix products for the kernels' own.

In 32 bits the results differ from exact ones by 2e-5 of the largest at most, gradients likewise; direct sums
differ by 1e-6. The transforms cost time for each channel, the products for each pair of channels: below 128
channels the gain is gone (``pays``).
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

TILE = 4
"""Results along a tile's side."""

_WINDOW = TILE + 2
_PLACES = _WINDOW * _WINDOW
_UNIT = _WINDOW + 1
"""The place (1, 1), which all of a tile's results take in with weight 1: adding to it adds to all of them."""

_B = (  # B^T
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_G = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_A = (  # A^T
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)

_COLUMNS = 2048
"""Columns of a product with a transform's matrix that are computed at once: they stay in the cache."""


def pays(channels_in: int, channels_out: int) -> bool:
    """Whether a convolution is faster this way on a processor with 256-bit vectors; measured."""
    return min(channels_in, channels_out) >= 128


def transform_kernels(weight: Tensor) -> Tensor:
    """G g G^T of each kernel: (K, C, 3, 3) -> (36, C, K), differentiable."""
    count, channels = weight.shape[:2]
    kernels = weight.permute(2, 3, 1, 0).reshape(9, channels * count)
    return (_matrices(weight.dtype).kernels @ kernels).view(_PLACES, channels, count)


def convolve(x: Tensor, kernels: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
    """Convolution without padding, then ReLU if asked for.

    x: (B, C, H + 2, W + 2), best with channels last in memory.  kernels: (36, C, K) of ``transform_kernels``.
    bias: (K,), without gradient.  Returns (B, K, H, W), channels last; differentiable once, by x and kernels.
    """
    result: Tensor = _Winograd.apply(x, kernels, bias, relu)  # type: ignore[no-untyped-call]
    return result


class _Winograd(Function):
    """Sources in tiles are (36, B * rows * columns of tiles, C): the products' left factors, by place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
        transforms = _matrices(x.dtype)
        grid = _Grid(x.shape[0], x.shape[2] - 2, x.shape[3] - 2)
        source = _product(transforms.source, grid.windows(x)).view(_PLACES, grid.tiles, -1)
        products = torch.bmm(source, kernels)
        if bias is not None:
            products[_UNIT] += bias
        y = grid.joined(_product(transforms.result, products.view(_PLACES, -1)))
        if relu:
            y.relu_()
        ctx.grid, ctx.relu = grid, relu
        learned = ctx.needs_input_grad[1]
        ctx.save_for_backward(kernels, source if learned else None, y if relu else None)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        kernels, source, y = ctx.saved_tensors
        grid: _Grid = ctx.grid
        by_x, by_kernels = ctx.needs_input_grad[:2]
        transforms = _matrices(gradient.dtype)
        if y is not None:
            gradient = torch.ops.aten.threshold_backward(gradient, y, 0)
        products = _product(transforms.result.mT, grid.separated(gradient)).view(_PLACES, grid.tiles, -1)
        x_gradient = kernels_gradient = None
        if by_kernels:
            kernels_gradient = torch.bmm(source.mT, products)
        if by_x:
            windows = torch.bmm(products, kernels.mT).view(_PLACES, -1)
            x_gradient = grid.added(_product(transforms.source.mT, windows))
        return x_gradient, kernels_gradient, None, None


class _Grid:
    """How results (B, K, H, W) fall into tiles; the last ones of a row or column may reach beyond them."""

    def __init__(self, batch: int, height: int, width: int) -> None:
        self.batch, self.height, self.width = batch, height, width
        self.rows, self.columns = -(-height // TILE), -(-width // TILE)
        self.tiles = batch * self.rows * self.columns

    def windows(self, x: Tensor) -> Tensor:
        """All windows of a source (B, C, H + 2, W + 2): (36, tiles * C)."""
        beyond = (0, TILE * self.columns - self.width, 0, TILE * self.rows - self.height)
        x = F.pad(x, beyond) if any(beyond) else x
        windows = x.permute(0, 2, 3, 1).unfold(1, _WINDOW, TILE).unfold(2, _WINDOW, TILE)
        return windows.permute(4, 5, 0, 1, 2, 3).reshape(_PLACES, -1)

    def added(self, windows: Tensor) -> Tensor:
        """The transpose of ``windows``: they overlap by two and are summed."""
        parts = windows.view(_WINDOW, _WINDOW, self.batch, self.rows, self.columns, -1)
        parts = parts.permute(2, 3, 0, 4, 1, 5)  # (B, rows, 6, columns, 6, C)
        shape = (self.batch, self.rows + 1, TILE, self.columns + 1, TILE, parts.shape[-1])
        x = windows.new_zeros(shape)
        own, next_ = slice(None, -1), slice(1, None)
        x[:, own, :, own] = parts[:, :, :TILE, :, :TILE]
        x[:, next_, :2, own] += parts[:, :, TILE:, :, :TILE]
        x[:, own, :, next_, :2] += parts[:, :, :TILE, :, TILE:]
        x[:, next_, :2, next_, :2] += parts[:, :, TILE:, :, TILE:]
        x = x.view(self.batch, shape[1] * TILE, shape[3] * TILE, -1)
        return x[:, : self.height + 2, : self.width + 2].permute(0, 3, 1, 2)

    def joined(self, tiles: Tensor) -> Tensor:
        """Results in tiles (16, tiles * K) as (B, K, H, W), channels last."""
        parts = tiles.view(TILE, TILE, self.batch, self.rows, self.columns, -1)
        shape = (self.batch, self.rows * TILE, self.columns * TILE, parts.shape[-1])
        y = parts.permute(2, 3, 0, 4, 1, 5).reshape(shape)[:, : self.height, : self.width]
        return y.contiguous().permute(0, 3, 1, 2)

    def separated(self, y: Tensor) -> Tensor:
        """The transpose of ``joined``."""
        beyond = (0, TILE * self.columns - self.width, 0, TILE * self.rows - self.height)
        y = F.pad(y, beyond) if any(beyond) else y
        shape = (self.batch, self.rows, TILE, self.columns, TILE, y.shape[1])
        parts = y.permute(0, 2, 3, 1).reshape(shape)
        return parts.permute(2, 4, 0, 1, 3, 5).reshape(TILE * TILE, -1)


class _Matrices(NamedTuple):
    source: Tensor  # (36, 36)
    kernels: Tensor  # (36, 9)
    result: Tensor  # (16, 36)


@functools.cache
def _matrices(dtype: torch.dtype) -> _Matrices:
    with torch.inference_mode(False), torch.device("cpu"):
        rows = (torch.tensor(matrix, dtype=torch.float64) for matrix in (_B, _G, _A))
        return _Matrices(*(torch.kron(matrix, matrix).to(dtype) for matrix in rows))


def _product(matrix: Tensor, columns: Tensor) -> Tensor:
    """The matrix product, a block of columns at a time."""
    result = columns.new_empty(len(matrix), columns.shape[1])
    for first in range(0, columns.shape[1], _COLUMNS):
        block = slice(first, first + _COLUMNS)
        torch.mm(matrix, columns[:, block], out=result[:, block])
    return result
