"""Patch matching for Style-Swap and Avatar-Net: exact, and in bounded memory.

Chen and Schmidt 2016, section 3.1: each patch of the content's features is replaced by the patch of the
style's features with the largest normalized cross-correlation,

    BestMatch(i) = argmax_j <phi_i(C), phi_j(S)> / (|phi_i(C)| |phi_j(S)|)                       (eq. 1)

and overlapping patches are averaged. The paper takes the style's patches as the filters of a convolution.
The same sums take a k^2-th of the arithmetic here: the correlation of two k x k patches is a sum of
correlations of single positions over k x k shifts, so all products of positions are computed once, by one
matrix product per band of the style, and then summed.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.errors import MetastyleError

TABLE_BYTES = 256 << 20
"""Memory limit for the table of correlations; a single row of the style is always allowed."""


def best_matches(content: Tensor, style: Tensor, size: int) -> Tensor:
    """Find the most similar patch of the style for each patch of the content.

    Args:
        content: (C, H, W).  style: (C, H', W').
        size: k; there are (H-k+1) (W-k+1) patches of k x k.

    Returns:
        (H-k+1, W-k+1) indices of style patches, in row order; ties go to the first.

    Raises:
        MetastyleError: no patch fits.
    """
    _, height, width = content.shape
    channels, style_height, style_width = style.shape
    if min(height, width, style_height, style_width) < size:
        raise MetastyleError(
            f"patches of {size} x {size} do not fit into features of {width}x{height} and"
            f" {style_width}x{style_height}: use larger pictures"
        )
    norms = _patch_norms(style, size)  # (rows, columns)
    places = content.reshape(channels, -1).T.contiguous()
    rows, columns = height - size + 1, width - size + 1
    best = content.new_full((rows * columns,), -torch.inf)
    index = torch.zeros(rows * columns, dtype=torch.long, device=content.device)
    row_bytes = 2 * len(places) * style_width * content.element_size()
    band = max(1, TABLE_BYTES // row_bytes - size + 1)
    for top in range(0, len(norms), band):
        count = min(band, len(norms) - top)
        part = style[:, top : top + count + size - 1].reshape(channels, -1)
        table = (places @ part).view(height, width, count + size - 1, style_width)
        table = _diagonal_sum(table, size, 0, 2)
        table = _diagonal_sum(table, size, 1, 3)  # (rows, columns, count, style columns)
        table = table / norms[top : top + count]
        found, where = table.flatten(0, 1).flatten(1).max(dim=1)
        better = found > best
        best = torch.where(better, found, best)
        index = torch.where(better, where + top * norms.shape[1], index)
    return index.view(rows, columns)


def swap(content: Tensor, style: Tensor, size: int) -> Tensor:
    """Replace the content's patches by the style's best matches, averaged where they overlap.

    (C, H, W) and (C, H', W') -> (C, H, W).
    """
    return paste(style, best_matches(content, style, size), size)


def paste(style: Tensor, index: Tensor, size: int) -> Tensor:
    """Assemble the patches of ``style`` (C, H', W') given by ``index`` (rows, columns); average overlaps."""
    rows, columns = index.shape
    style_columns = style.shape[2] - size + 1
    y, x = index // style_columns, index % style_columns
    result = style.new_zeros(style.shape[0], rows + size - 1, columns + size - 1)
    covered = style.new_zeros(rows + size - 1, columns + size - 1)
    for dy in range(size):
        for dx in range(size):
            result[:, dy : dy + rows, dx : dx + columns] += style[:, y + dy, x + dx]
            covered[dy : dy + rows, dx : dx + columns] += 1
    return result / covered


def _patch_norms(style: Tensor, size: int) -> Tensor:
    """|phi_j(S)| of every patch: (H'-k+1, W'-k+1), never zero."""
    squares = style.square().sum(dim=0)[None, None]
    return (F.avg_pool2d(squares, size, stride=1) * size**2).sqrt().clamp_min(1e-12)[0, 0]


def _diagonal_sum(table: Tensor, size: int, one: int, other: int) -> Tensor:
    """Sum of ``table`` shifted by 0 .. size-1 along both axes jointly; both get shorter by size - 1."""
    kept = table.shape[one] - size + 1, table.shape[other] - size + 1
    total = table.narrow(one, 0, kept[0]).narrow(other, 0, kept[1]).clone()
    for shift in range(1, size):
        total += table.narrow(one, shift, kept[0]).narrow(other, shift, kept[1])
    return total
