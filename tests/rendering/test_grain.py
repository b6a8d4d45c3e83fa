"""Grain is the same function of position in every way of rendering."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from metastyle.core.grain import add_grain
from metastyle.core.network import STRIDE, TransformationNetwork
from metastyle.rendering.frozen import FrozenStylizer, frame_statistics
from metastyle.rendering.strips import Source
from metastyle.rendering.stylizer import Stylizer

CPU = torch.device("cpu")


def flat_picture(height: int, width: int) -> np.ndarray:
    """A flat area, a gradient and some detail, uint8."""
    picture = np.full((height, width, 3), 120, np.uint8)
    picture[: height // 2] += np.linspace(0, 60, width, dtype=np.uint8)[:, None]
    picture[:, width // 2 :] ^= np.random.default_rng(0).integers(
        0, 32, (height, width - width // 2, 3), dtype=np.uint8
    )
    return picture


def grained(pixels: np.ndarray, amount: float) -> torch.Tensor:
    """The padded picture with grain, as the network gets it."""
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    height, width = pixels.shape[:2]
    return add_grain(F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect"), amount)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("size", [(16, 16), (50, 35), (64, 41)])
def test_rows_of_a_source_equal_those_of_the_whole_picture(size: tuple[int, int], transposed: bool) -> None:
    pixels = flat_picture(*size)
    whole = grained(pixels, 1.3)
    source = Source(
        pixels.transpose(1, 0, 2) if transposed else pixels,
        CPU,
        grain=1.3,
        transposed=transposed,
    )
    expected = whole.mT if transposed else whole
    for first in range(0, source.height, 7):
        last = min(first + 7, source.height)
        torch.testing.assert_close(source.rows(first, last), expected[:, :, first:last], atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(70, 41), (41, 70)])
def test_strips_with_grain_equal_the_whole_picture(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = TransformationNetwork().eval()
    pixels = flat_picture(*size)
    with torch.no_grad():
        whole = network(grained(pixels, 1.0))[0, :, : size[0], : size[1]].permute(1, 2, 0) * 255
    least = Stylizer(network, device="cpu", grain=1.0, max_memory=2_000_000).render(pixels)
    most = Stylizer(network, device="cpu", grain=1.0).render(pixels)
    for result in (least, most):
        assert np.abs(result - whole.numpy()).max() < 0.6
    assert (most != Stylizer(network, device="cpu").render(pixels)).any()


@pytest.mark.parametrize("size", [(160, 172), (172, 160)])
def test_the_origin_of_a_frozen_frame_shifts_its_grain(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = TransformationNetwork().eval()
    pixels = np.full((*size, 3), 120, np.uint8)
    stylizer = Stylizer(network, device="cpu", grain=1.0)
    frozen = FrozenStylizer(network, statistics=frame_statistics(stylizer, pixels), device="cpu", grain=1.0)
    here, there = frozen.render(pixels), frozen.render(pixels, origin=(-8, 12))
    # Away from the borders, both show the same noise, one of them shifted.
    margin = 64
    rows, columns = size[0] - margin, size[1] - margin
    moved = there[margin + 8 : rows, margin : columns - 12].astype(int)
    assert np.abs(moved - here[margin : rows - 8, margin + 12 : columns]).max() <= 1
    assert np.abs(here.astype(int) - there).mean() > 1


def test_a_frozen_frame_has_the_grain_of_a_picture() -> None:
    torch.manual_seed(0)
    network = TransformationNetwork().eval()
    pixels = flat_picture(40, 60)
    stylizer = Stylizer(network, device="cpu", grain=1.0)
    frozen = FrozenStylizer(network, statistics=frame_statistics(stylizer, pixels), device="cpu", grain=1.0)
    assert np.abs(frozen.render(pixels).astype(int) - stylizer.render(pixels)).max() <= 1
