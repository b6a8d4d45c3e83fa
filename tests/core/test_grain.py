from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metastyle.core.grain import (
    AMPLITUDE,
    FLATNESS,
    REACH,
    add_grain,
    check_grain,
    fractal_noise,
    grain_strength,
)
from metastyle.errors import MetastyleError


def test_noise_has_zero_mean_and_unit_deviation() -> None:
    noise = fractal_noise(0, 0, 1024, 1024, 0).flatten(1)
    # The coarsest octave has only 256 points here, so its statistics deviate by a few percent.
    assert noise.mean().abs() < 0.05
    torch.testing.assert_close(noise.std(dim=1), torch.ones(3), atol=0.05, rtol=0)


def test_only_fine_noise_is_colored() -> None:
    """Two of the five octaves have independent channels; coarse colors would be patches on a face."""
    noise = fractal_noise(0, 0, 1024, 1024, 0)
    expected = torch.full((3, 3), 3 / 5).fill_diagonal_(1)
    assert (torch.corrcoef(noise.flatten(1)) - expected).abs().max() < 0.06
    color = noise - noise.mean(0, keepdim=True)
    coarse = torch.nn.functional.avg_pool2d(color, 32)
    assert coarse.std() < 0.2 * noise.std()


@given(
    top=st.integers(0, 5000),
    left=st.integers(0, 5000),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    seed=st.integers(0, 2**40),
)
@settings(max_examples=30, deadline=None)
def test_noise_depends_only_on_position_and_seed(
    top: int, left: int, height: int, width: int, seed: int
) -> None:
    around = fractal_noise(max(0, top - 3), max(0, left - 70), height + 10, width + 140, seed)
    y, x = min(3, top), min(70, left)
    assert torch.equal(
        fractal_noise(top, left, height, width, seed), around[:, y : y + height, x : x + width]
    )


def test_seeds_give_different_noise() -> None:
    pair = torch.stack([fractal_noise(0, 0, 256, 256, seed).flatten() for seed in (0, 1)])
    assert torch.corrcoef(pair)[0, 1].abs() < 0.1


def test_grain_is_strong_on_flat_areas_and_absent_from_detail() -> None:
    picture = torch.full((1, 3, 64, 64), 0.4)
    picture[..., 32:] = torch.randint(0, 2, (1, 1, 64, 32)).float()  # the most detail possible
    strength = grain_strength(picture)
    torch.testing.assert_close(strength[..., : 32 - REACH], torch.full((1, 1, 64, 32 - REACH), AMPLITUDE))
    assert strength[..., 32 + REACH :].max() < 0.01 * AMPLITUDE


def test_grain_decays_exponentially_with_the_local_deviation() -> None:
    rows = torch.arange(64) % 2  # alternating lines of 0.5 ± d have a local deviation of about d
    for d in (0.01, 0.05, 0.1):
        picture = (0.5 + d * (2.0 * rows - 1))[None, None, :, None].expand(1, 3, 64, 64)
        expected = AMPLITUDE * torch.exp(torch.tensor(-d / FLATNESS))
        torch.testing.assert_close(grain_strength(picture)[0, 0, 32, 32], expected, rtol=0.01, atol=0)


def test_grain_is_proportional_to_the_amount() -> None:
    picture = torch.rand(2, 3, 40, 44) * 0.02
    one, two = (add_grain(picture, amount, seed=3) - picture for amount in (1.0, 2.0))
    torch.testing.assert_close(two, 2 * one)
    assert add_grain(picture, 0.0) is picture
    assert add_grain(picture.double(), 1.0).dtype == torch.float64


@pytest.mark.parametrize("amount", [-0.1, 2.1, float("nan"), float("inf")])
def test_amounts_out_of_range_are_refused(amount: float) -> None:
    with pytest.raises(MetastyleError, match="use a number from 0 to 2"):
        check_grain(amount)
