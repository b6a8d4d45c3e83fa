import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metastyle.training.augmentation import Augmentation, augmentation

PLAIN = Augmentation(side=100, part=1.0, left=0.5, top=0.5, turn=0.0, saturation=1.0, gamma=1.0)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)


def luma(pixels: np.ndarray) -> np.ndarray:
    return pixels @ np.array([0.299, 0.587, 0.114])


def test_the_identity_changes_nothing() -> None:
    assert np.array_equal(PLAIN.colored(noise()), noise())


def test_grays_stay_gray_and_gamma_is_a_power() -> None:
    gray = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    turned = replace(PLAIN, turn=1.2, saturation=1.5, gamma=2.0).colored(gray)
    expected = np.round(255 * (np.arange(256) / 255) ** 2)
    assert np.array_equal(turned, np.repeat(expected[None, :, None], 3, axis=2))


def test_hues_rotate_at_constant_luma() -> None:
    muted = (100 + noise() // 6).astype(np.uint8)  # nothing is clipped
    half = replace(PLAIN, turn=math.pi).colored(muted)
    assert np.abs(luma(half) - luma(muted)).max() < 1
    whole = replace(PLAIN, turn=2 * math.pi).colored(muted)
    assert np.abs(whole.astype(int) - muted).max() <= 1
    reddish, complement = np.full((1, 1, 3), (140, 100, 100), np.uint8), (100, 140, 140)
    red_turned = replace(PLAIN, turn=math.pi).colored(reddish)[0, 0].astype(int)
    assert np.sign(red_turned - red_turned.mean()).tolist() == np.sign(np.subtract(complement, 126)).tolist()


def test_zero_saturation_gives_luma() -> None:
    gray = replace(PLAIN, saturation=0.0).colored(noise())
    assert np.ptp(gray.astype(int), axis=2).max() == 0
    assert np.abs(gray[..., 0] - luma(noise())).max() <= 0.5


@given(st.integers(0, 2**256), st.integers(1, 1000))
def test_an_augmentation_depends_only_on_painting_and_number(rank: int, number: int) -> None:
    seen = augmentation(rank, number, (64, 96))
    assert seen == augmentation(rank, number, (64, 96))
    assert str(seen) != str(augmentation(rank, number + 1, (64, 96)))
    assert 64 <= seen.side <= 96
    assert 0.5 <= seen.part <= 1
    assert 0 <= seen.left <= 1
    assert 0 <= seen.top <= 1


@pytest.mark.parametrize("seed", range(4))
def test_augmented_pictures_keep_shape_and_type(seed: int) -> None:
    colored = augmentation(seed, 1, (64, 96)).colored(noise(seed))
    assert colored.dtype == np.uint8
    assert colored.shape == noise().shape
