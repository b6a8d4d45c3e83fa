"""Grain: noise that gives flat areas structure to paint.

A feed-forward network with instance normalization can only turn existing structure into strokes: a flat sky
stays flat, whatever the painting. The network therefore sees

    x + amount * A * exp(-s / S) * n,

where n is fractal noise and s the local deviation of luminance: grain is strong where the photograph is flat
and absent where it has detail. The loss still compares with the features of the photograph itself.

n is a pure function of position and seed: strips of a picture, or frames of a film, see the same grain.

The coarse part of n has no color, and pictures are painted with less grain than the network adapts with:
otherwise faces get patches of color that do not follow the light. Each costs less than a percent of the loss
(benchmarks/grain.md).
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.core.checks import check_value
from metastyle.core.settings import Grain

AMPLITUDE = 0.15
"""A: standard deviation of the grain in a perfectly flat area, for pictures in [0, 1]."""
FLATNESS = 0.05
"""S: local standard deviation of luminance at which the grain has fallen to 1/e."""
PAINTED = 0.6
"""The amount with which pictures are painted by default, relative to that of the adaptation."""
REACH = 7
"""Luminance is compared within squares of 2 * REACH + 1 pixels."""

OCTAVES = (4, 8, 16, 32, 64)
"""Spacing of the random lattices that the noise sums, in pixels."""
COLORED = 8
"""Spacing of the coarsest lattice whose three channels differ."""

_MARGIN = 2  # lattice points on each side that bicubic interpolation reads
_SHARPNESS = -0.75  # of the bicubic kernel, torch's
_INTERPOLATED = 6 / 7
"""Standard deviation of unit noise after bicubic interpolation, over all phases."""


def check_grain(amount: float) -> None:
    """Raise MetastyleError unless ``amount`` is from 0 to 2."""
    check_value("grain", amount, Grain)


def add_grain(pictures: Tensor, amount: float, *, seed: int = 0) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] with grain, of the same shape and type; values may leave [0, 1].

    Args:
        amount: 0 adds nothing, 1 is the usual amount, up to ``LARGEST_GRAIN``.
        seed: of the noise; every picture of the batch gets the same noise.
    """
    if amount == 0:
        return pictures
    height, width = pictures.shape[2:]
    noise = fractal_noise(0, 0, height, width, seed, pictures.device)
    return pictures + (amount * grain_strength(pictures) * noise).to(pictures.dtype)


def grain_strength(pictures: Tensor) -> Tensor:
    """A exp(-s / S), float32 (B, 1, H, W), of pictures (B, 3, H, W) in [0, 1], reflected at their borders."""
    padded = F.pad(pictures.float().mean(1, keepdim=True), [REACH] * 4, mode="reflect")
    return strength_inside(padded)


def strength_inside(luminance: Tensor) -> Tensor:
    """``grain_strength`` of luminance (B, 1, H + 2 REACH, W + 2 REACH), margin included."""
    # In float64, because the deviation is a square root near zero: in areas that are exactly flat, float32's
    # rounding would show, and differ between a strip of a picture and the whole.
    centered = luminance - 0.5
    if luminance.device.type != "mps":  # which has no float64
        centered = centered.double()
    mean = _box_mean(centered)
    deviation = (_box_mean(centered.square()) - mean.square()).clamp(min=0).sqrt().float()
    return AMPLITUDE * torch.exp(-deviation / FLATNESS)


def _box_mean(x: Tensor) -> Tensor:
    """Means over squares, (B, 1, H, W) of (B, 1, H + 2 REACH, W + 2 REACH): of columns, then of rows.

    The 15 numbers are summed as 8 + 4 + 2 + 1.
    """
    for dim in (2, 3):
        twos = _plus_shifted(x, 1, dim)
        fours = _plus_shifted(twos, 2, dim)
        eights = _plus_shifted(fours, 4, dim)
        count = x.shape[dim] - 2 * REACH
        x = (
            eights.narrow(dim, 0, count)
            + fours.narrow(dim, 8, count)
            + twos.narrow(dim, 12, count)
            + x.narrow(dim, 14, count)
        )
    return x / (2 * REACH + 1) ** 2


def _plus_shifted(x: Tensor, distance: int, dim: int) -> Tensor:
    """The sums of numbers that are ``distance`` apart."""
    count = x.shape[dim] - distance
    return x.narrow(dim, 0, count) + x.narrow(dim, distance, count)


def fractal_noise(
    top: int, left: int, height: int, width: int, seed: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Rows ``top`` … and columns ``left`` … of the plane of noise: float32 (3, height, width).

    The sum of bicubically interpolated lattices of bell-shaped random numbers, with zero mean and unit
    deviation. The plane is infinite; positions may be negative. The coarse lattices are gray.
    """
    noise = torch.zeros(3, height, width, dtype=torch.float32, device=device)
    for spacing in OCTAVES:
        first_row, first_column = top // spacing - _MARGIN, left // spacing - _MARGIN
        rows = (top + height - 1) // spacing + _MARGIN + 1 - first_row
        columns = (left + width - 1) // spacing + _MARGIN + 1 - first_column
        channels = 3 if spacing <= COLORED else 1
        lattice = _lattice(channels, first_row, first_column, rows, columns, 128 * seed + spacing, device)
        wide = _enlarged(lattice.mT, spacing, left % spacing, width).mT.contiguous()
        noise += _enlarged(wide, spacing, top % spacing, height)
    return noise / (_INTERPOLATED * math.sqrt(len(OCTAVES)))


def _enlarged(lattice: Tensor, spacing: int, first: int, count: int) -> Tensor:
    """Bicubic interpolation along the rows of (C, rows, columns): (C, ``count``, columns).

    The first of them is ``first`` pixels into the cell of lattice point ``_MARGIN``. Only cells that pixels
    lie in are computed, because a strip of a picture can be lower than a cell of a coarse lattice.
    """
    channels, cells, width = lattice.shape[0], lattice.shape[1] - 2 * _MARGIN, lattice.shape[2]
    # Multiplied and added one by one: a matrix product would round differently in strips.
    pixels = torch.zeros(channels, cells, spacing, width, dtype=torch.float32, device=lattice.device)
    for tap, weights in enumerate(_bicubic(spacing).to(lattice.device).T):
        pixels += weights[:, None] * lattice[:, tap : tap + cells, None]
    return pixels.flatten(1, 2)[:, first : first + count]


@cache
def _bicubic(spacing: int) -> Tensor:
    """Weights (spacing, 5) of lattice points -2 to 2 for the pixels around point 0, left to right."""
    pixel = torch.arange(spacing, dtype=torch.float64, device="cpu")[:, None]
    point = torch.arange(-_MARGIN, _MARGIN + 1, device="cpu")
    distance = ((pixel + 0.5) / spacing - 0.5 - point).abs()
    a = _SHARPNESS
    near = ((a + 2) * distance - (a + 3)) * distance.square() + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, 0.0)).float()


def _lattice(
    channels: int,
    first_row: int,
    first_column: int,
    rows: int,
    columns: int,
    seed: int,
    device: torch.device | str,
) -> Tensor:
    """(channels, rows, columns) of independent numbers of zero mean and unit deviation, by position."""
    channel = torch.arange(channels, device=device)[:, None, None]
    row = torch.arange(first_row, first_row + rows, device=device)[None, :, None]
    column = torch.arange(first_column, first_column + columns, device=device)[None, None, :]
    bits = _mixed(_mixed(_mixed(channel + 3 * seed) ^ row) ^ column)
    # The sum of four uniform numbers of 16 bits each is bell-shaped, with a variance of 4 / 12.
    parts = [((bits >> shift) & 0xFFFF).float() for shift in (0, 16, 32, 48)]
    return (torch.stack(parts).sum(0) / 65536 + (2 / 65536 - 2)) * math.sqrt(3)


def _mixed(x: Tensor) -> Tensor:
    """A hash of 64-bit integers, a bijection: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    x = x * -7046029254386353131
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -4658895280553007687
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return x ^ ((x >> 31) & 0x1FFFFFFFF)
