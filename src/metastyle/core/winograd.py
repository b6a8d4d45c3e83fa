"""3x3 convolutions with a quarter of the multiplications: Winograd's minimal filtering, F(4x4, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016). A tile of 4x4 results of a
3x3 kernel g depends on 6x6 neighboring values d of the source, and is (their equation 9)

    Y = A^T [ (G g G^T) * (B^T d B) ] A,

where * is the elementwise product: 36 multiplications instead of 144. Summed over channels, the products at
one of the 36 places are a matrix product of tiles x channels by channels x kernels (their equations 11 and
12), so a convolution is a transform of the source, 36 matrix products, and an inverse transform. B, G and A
(their section 4.4) interpolate at 0, 1, -1, 2, -2 and infinity. Both transforms are linear: each is one
product with a 36x36 or a 16x36 matrix here, the Kronecker product of a matrix with itself. Gradients are
the transposed products in reverse order, plus another 36 matrix products for the kernels.

In float32, results and gradients differ from the exact ones by at most 2e-5 of the largest value; direct sums
differ by 1e-6. The transforms cost time per channel, the products per pair of
channels, so that there is no gain with few channels (``pays``).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

TILE = 4
"""The number of results along the side of a tile."""

_WINDOW = TILE + 2
_PLACES = _WINDOW * _WINDOW
_UNIT = _WINDOW + 1
"""The position (1, 1), which contributes to every result of a tile with weight 1: a bias is added there."""

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

_TILES = 256
"""Number of tiles that are transformed at once. Transforms are 2.25 times as large as their sources: those of
a whole layer would not fit into the cache, and would be reallocated at every step."""

_COLUMNS = 2048
"""Number of columns that are multiplied by a transform's matrix at once, so that they stay in the cache."""


def pays(channels_in: int, channels_out: int) -> bool:
    """Whether a convolution with frozen kernels is faster with Winograd on a processor with 256-bit vectors.

    Measured: 128 to 128 channels take as long as a direct convolution, 128 to 256 take 0.8 of its time, and
    512 to 512 half. Where the kernels need a gradient as well, 128 to 128 channels already pay.
    """
    return channels_in * channels_out >= 128 * 256


def transform_kernels(weight: Tensor) -> Tensor:
    """G g G^T of each kernel: (K, C, 3, 3) -> (36, C, K), differentiable."""
    count, channels = weight.shape[:2]
    kernels = weight.permute(2, 3, 1, 0).reshape(9, channels * count)
    return (matrices(weight.dtype).kernels @ kernels).view(_PLACES, channels, count)


def convolve(x: Tensor, kernels: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
    """Convolution without padding, then ReLU if asked for.

    x: (B, C, H + 2, W + 2), best with channels last in memory.  kernels: (36, C, K) of ``transform_kernels``.
    bias: (K,), without gradient.  Returns (B, K, H, W), channels last; differentiable once, by x and kernels.
    """
    result: Tensor = _Winograd.apply(x, kernels, bias, relu)  # type: ignore[no-untyped-call]
    return result


class _Winograd(Function):
    """Sources in tiles are (36, tiles, C): the products' left factors, by place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
        transforms = matrices(x.dtype)
        batch, _, height, width = x.shape
        y = x.new_empty(batch, height - 2, width - 2, kernels.shape[2]).permute(0, 3, 1, 2)
        sources = []
        for block in _blocks(y):
            source = _product(transforms.source, block.windows(x)).view(_PLACES, block.tiles, -1)
            products = torch.bmm(source, kernels)
            if bias is not None:
                products[_UNIT] += bias
            block.join(_product(transforms.result, products.view(_PLACES, -1)), y)
            if ctx.needs_input_grad[1]:
                sources.append(source)
        if relu:
            y.relu_()
        ctx.x_shape, ctx.relu = x.shape, relu
        ctx.save_for_backward(kernels, y if relu else None, *sources)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        kernels, y, *sources = ctx.saved_tensors
        by_x, by_kernels = ctx.needs_input_grad[:2]
        transforms = matrices(gradient.dtype)
        if ctx.relu:
            gradient = torch.ops.aten.threshold_backward(gradient, y, 0)
        batch, channels, height, width = ctx.x_shape
        x_gradient = None
        if by_x:
            x_gradient = gradient.new_zeros(batch, height, width, channels).permute(0, 3, 1, 2)
        kernels_gradient = torch.zeros_like(kernels) if by_kernels else None
        for index, block in enumerate(_blocks(gradient)):
            products = _product(transforms.result.mT, block.separated(gradient))
            products = products.view(_PLACES, block.tiles, -1)
            if kernels_gradient is not None:
                kernels_gradient.baddbmm_(sources[index].mT, products)
            if x_gradient is not None:
                windows = torch.bmm(products, kernels.mT).view(_PLACES, -1)
                block.add(_product(transforms.source.mT, windows), x_gradient)
        return x_gradient, kernels_gradient, None, None


def _blocks(y: Tensor) -> Iterator[_Block]:
    """Results (B, K, H, W) in blocks of a few hundred tiles, whose transforms stay in the cache."""
    batch, _, height, width = y.shape
    columns, rows = -(-width // TILE), -(-height // TILE)
    several = max(1, _TILES // (rows * columns))
    high = TILE * min(rows, max(1, _TILES // columns))
    for picture in range(0, batch, several):
        pictures = slice(picture, min(picture + several, batch))
        for top in range(0, height, high):
            yield _Block(pictures, slice(top, min(top + high, height)), width)


class _Block:
    """Rows of the results of a few pictures, in tiles; the last of a row or column may extend beyond them."""

    def __init__(self, pictures: slice, rows: slice, width: int) -> None:
        self._results = (pictures, slice(None), rows)
        self._source = (pictures, slice(None), slice(rows.start, rows.stop + 2))
        self._height, self._width = rows.stop - rows.start, width
        self._grid = (pictures.stop - pictures.start, -(-self._height // TILE), -(-width // TILE))
        self._beyond = (0, TILE * self._grid[2] - width, 0, TILE * self._grid[1] - self._height)
        self.tiles = math.prod(self._grid)

    def windows(self, x: Tensor) -> Tensor:
        """All windows of a source (B, C, H + 2, W + 2): (36, tiles * C)."""
        x = x[self._source]
        x = F.pad(x, self._beyond) if any(self._beyond) else x
        windows = x.permute(0, 2, 3, 1).unfold(1, _WINDOW, TILE).unfold(2, _WINDOW, TILE)
        return windows.permute(4, 5, 0, 1, 2, 3).reshape(_PLACES, -1)

    def add(self, windows: Tensor, x: Tensor) -> None:
        """The transpose of ``windows``: they overlap by two, and are added to ``x`` at their positions."""
        batch, rows, columns = self._grid
        parts = windows.view(_WINDOW, _WINDOW, batch, rows, columns, -1)
        parts = parts.permute(2, 3, 0, 4, 1, 5)  # (B, rows, 6, columns, 6, C)
        total = windows.new_zeros(batch, rows + 1, TILE, columns + 1, TILE, parts.shape[-1])
        own, following = slice(None, -1), slice(1, None)
        total[:, own, :, own] = parts[:, :, :TILE, :, :TILE]
        total[:, following, :2, own] += parts[:, :, TILE:, :, :TILE]
        total[:, own, :, following, :2] += parts[:, :, :TILE, :, TILE:]
        total[:, following, :2, following, :2] += parts[:, :, TILE:, :, TILE:]
        total = total.flatten(3, 4).flatten(1, 2)[:, : self._height + 2, : self._width + 2]
        x[self._source] += total.permute(0, 3, 1, 2)

    def join(self, tiles: Tensor, y: Tensor) -> None:
        """Write results in tiles (16, tiles * K) into ``y`` (B, K, H, W)."""
        parts = tiles.view(TILE, TILE, *self._grid, -1).permute(2, 3, 0, 4, 1, 5)
        whole = parts.flatten(3, 4).flatten(1, 2)[:, : self._height, : self._width]
        y[self._results] = whole.permute(0, 3, 1, 2)

    def separated(self, y: Tensor) -> Tensor:
        """The transpose of ``join``: (B, K, H, W) -> (16, tiles * K)."""
        y = y[self._results]
        y = F.pad(y, self._beyond) if any(self._beyond) else y
        batch, rows, columns = self._grid
        parts = y.permute(0, 2, 3, 1).reshape(batch, rows, TILE, columns, TILE, -1)
        return parts.permute(2, 4, 0, 1, 3, 5).reshape(TILE * TILE, -1)


class Matrices(NamedTuple):
    """The transforms: products with matrices from the left, of windows and kernels that are columns."""

    source: Tensor
    """(36, 36)."""
    kernels: Tensor
    """(36, 9)."""
    result: Tensor
    """(16, 36)."""


@functools.cache
def matrices(dtype: torch.dtype) -> Matrices:
    """B, G and A, each with itself as Kronecker product, in a type, on the CPU."""
    with torch.inference_mode(False), torch.device("cpu"):
        rows = (torch.tensor(matrix, dtype=torch.float64) for matrix in (_B, _G, _A))
        return Matrices(*(torch.kron(matrix, matrix).to(dtype) for matrix in rows))


def _product(matrix: Tensor, columns: Tensor) -> Tensor:
    """The matrix product, a block of columns at a time."""
    result = columns.new_empty(len(matrix), columns.shape[1])
    for first in range(0, columns.shape[1], _COLUMNS):
        block = slice(first, first + _COLUMNS)
        torch.mm(matrix, columns[:, block], out=result[:, block])
    return result
