"""Convolutions of a graph with fewer multiplications, for processors.

A GPU is better off with plain convolutions; what runs in WebAssembly is bound by its multiplications. All
of these give what the plain convolution gives, to float32's rounding.
"""

from __future__ import annotations

import numpy as np
import torch

from metastyle.core.winograd import TILE, matrices
from metastyle.studio.graph_builder import TO_THE_END, Builder

_WINDOW = TILE + 2
_OVERLAP = _WINDOW - TILE
_ENDS = ((0, TILE), (TILE, _WINDOW))
"""Along one side of a window: the places in its own tile, and those in the next one."""


def winograd(
    build: Builder, x: str, weight: str, bias: str | None, channels: tuple[int, int], mode: str | None
) -> str:
    """A 3x3 convolution (core/winograd.py) of (1, C, H, W) with a margin of one: (1, K, H, W).

    weight: (K, C, 3, 3).  bias: (K,).  channels: K and C.  mode: 'reflect', 'constant' (zeros), or None where
    x has the margin already, which the result lacks.

    The source is cut into tiles of 4x4 (SpaceToDepth); a window of 6x6 is a tile and the first two rows and
    columns of its neighbors, so 36 places are four slices of the tiles, and no numbers are moved one by one.
    """
    count, incoming = channels
    transforms = matrices(torch.float32)
    places = len(transforms.source)
    kernels = build.node("Transpose", build.reshaped(weight, count * incoming, 9), perm=[1, 0])
    kernels = build.node("MatMul", build.constant(transforms.kernels.numpy()), kernels)
    kernels = build.reshaped(kernels, places, count, incoming)

    size = build.node("Shape", x, start=2)
    if mode is None:
        size = build.node("Sub", size, build.whole(2, 2))
    else:
        x = build.padded(x, 1, mode)
    beyond = build.node("Mod", build.node("Neg", size), build.whole(TILE))
    beyond = build.node("Add", beyond, build.whole(_OVERLAP))  # one more tile than there are results
    x = build.node("Pad", x, build.node("Concat", build.whole(*[0] * 6), beyond, axis=0))
    tiles = build.node("SpaceToDepth", x, blocksize=TILE)
    grid = build.node("Shape", tiles, start=2)
    shape = build.node("Concat", build.whole(TILE, TILE, incoming), grid, axis=0)
    tiles = build.node("Reshape", tiles, shape)

    windows, order = [], []
    for rows in _ENDS:
        for columns in _ENDS:
            windows.append(_window_part(build, tiles, rows, columns))
            order += [_WINDOW * row + column for row in range(*rows) for column in range(*columns)]
    source = build.node("Concat", *windows, axis=0)
    source = build.node("MatMul", build.constant(transforms.source[:, order].numpy()), source)
    products = build.node("MatMul", kernels, build.reshaped(source, places, incoming, -1))
    result = build.constant(transforms.result.numpy())
    y = build.node("MatMul", result, build.reshaped(products, places, -1))
    grid = build.node("Sub", grid, build.whole(1, 1))
    y = build.node("Reshape", y, build.node("Concat", build.whole(1, TILE * TILE * count), grid, axis=0))
    y = build.node("DepthToSpace", y, blocksize=TILE)
    y = build.node("Slice", y, build.whole(0, 0), size, build.whole(2, 3))
    return y if bias is None else build.node("Add", y, build.reshaped(bias, 1, count, 1, 1))


def _window_part(build: Builder, tiles: str, rows: tuple[int, int], columns: tuple[int, int]) -> str:
    """Some places of all windows, (places, C * windows), from tiles (4, 4, C, rows + 1, columns + 1)."""
    high, wide = rows[1] - rows[0], columns[1] - columns[0]
    nexts = [first // TILE for first, _ in (rows, columns)]  # 0 for a window's own tile, 1 for the next one
    ends = [TO_THE_END if following else -1 for following in nexts]
    part = build.part(tiles, [0, 0, *nexts], [high, wide, *ends], [0, 1, 3, 4])
    return build.reshaped(part, high * wide, -1)


def doubled(build: Builder, x: str, weight: str, bias: str, channels: tuple[int, int]) -> str:
    """Nearest upsampling by two and a 3x3 convolution with reflected margin: (1, C, H, W) -> (1, K, 2H, 2W).

    Each result sees 2x2 different values: four convolutions of 2x2, one for each place in a square of
    results, whose kernels are sums of the given ones (Shi et al., "Is the deconvolution layer the same as a
    convolutional layer?", 2016). On an upsampled picture a reflected margin repeats its edge.
    """
    count, incoming = channels
    # Place p = 0 sees (k0, k1 + k2), p = 1 sees (k0 + k1, k2). Convolved with a margin, the second of them
    # stands one position before the first of the next square: so the squares are put together the other
    # way round, and the picture begins with their second row and column.
    taps = np.zeros((3, 2, 2), np.float32)
    taps[0, 1, 0] = taps[1, 1, 1] = taps[2, 1, 1] = 1
    taps[0, 0, 0] = taps[1, 0, 0] = taps[2, 0, 1] = 1
    sums = np.einsum("yqa,xrb->yxqrab", taps, taps).reshape(9, 16)
    kernels = build.node("MatMul", build.reshaped(weight, count * incoming, 9), build.constant(sums))
    kernels = build.node("Transpose", build.reshaped(kernels, count, incoming, 4, 4), perm=[2, 0, 1, 3])
    kernels = build.reshaped(kernels, 4 * count, incoming, 2, 2)
    y = build.node("Conv", build.padded(x, 1, "edge"), kernels, build.node("Concat", *[bias] * 4, axis=0))
    y = build.node("DepthToSpace", y, blocksize=2)
    return build.part(y, (1, 1), (-1, -1), (2, 3))


def by_rows(build: Builder, x: str, weight: str, bias: str, shape: tuple[int, ...]) -> str:
    """A large convolution to few channels with a reflected margin, one row of its kernels at a time.

    shape: of the weight, (K, C, S, S).  K rows would leave most of a matrix product's registers empty: the
    S rows of every kernel are convolved as kernels of their own, and then added, each shifted by its place.
    """
    count, incoming, side, _ = shape
    kernels = build.node("Transpose", weight, perm=[2, 0, 1, 3])
    kernels = build.reshaped(kernels, side * count, incoming, 1, side)
    rows = build.node("Conv", build.padded(x, side // 2, "reflect"), kernels)
    parts = []
    for row in range(side):
        end = row - (side - 1) or TO_THE_END
        parts.append(build.part(rows, (count * row, row), (count * (row + 1), end), (1, 2)))
    return build.node("Add", build.node("Sum", *parts), build.reshaped(bias, 1, count, 1, 1))
