from __future__ import annotations

import itertools

import numpy as np
import pytest

from metastyle.images.procedural import dead_leaves, power_law_noise


def test_pictures_are_in_range_and_depend_only_on_the_seed() -> None:
    pictures = dead_leaves(3, 64, seed=5)
    assert pictures.shape == (3, 3, 64, 64) and pictures.dtype == np.float32
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert np.array_equal(pictures, dead_leaves(3, 64, seed=5))
    assert not np.array_equal(pictures, dead_leaves(3, 64, seed=6))
    assert np.array_equal(pictures[:2], dead_leaves(2, 64, seed=5))


def _slope(fields: np.ndarray) -> float:
    """The exponent of the mean amplitude spectrum between 3 cycles and a quarter of the sampling rate."""
    size = fields.shape[-1]
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :]) * size
    amplitude = np.sqrt((np.abs(np.fft.fft2(fields)) ** 2).mean(axis=0))
    bands = np.unique(np.geomspace(3, size / 4, 10).astype(int))
    means = [amplitude[(f >= a) & (f < b)].mean() for a, b in itertools.pairwise(bands)]
    return float(np.polyfit(np.log(bands[:-1]), np.log(means), 1)[0])


@pytest.mark.parametrize("exponent", [0.7, 1.0, 1.4])
def test_noise_has_the_given_spectrum(exponent: float) -> None:
    rng = np.random.default_rng(0)
    fields = np.stack([power_law_noise(128, exponent, rng) for _ in range(8)])
    assert np.allclose(fields.mean(axis=(1, 2)), 0, atol=1e-4)
    assert np.allclose(fields.std(axis=(1, 2)), 1, atol=1e-4)
    assert _slope(fields) == pytest.approx(-exponent, abs=0.1)


def test_pictures_have_the_spectrum_of_photographs() -> None:
    """Amplitudes of photographs fall roughly as 1/f; the literature has exponents between 0.8 and 1.5."""
    gray = dead_leaves(24, 128, seed=0).mean(axis=1)
    gray -= gray.mean(axis=(1, 2), keepdims=True)
    assert -1.5 < _slope(gray) < -0.8


def test_pictures_have_muted_colors_and_varied_brightness() -> None:
    pictures = dead_leaves(24, 64, seed=1)
    saturation = pictures.max(axis=1) - pictures.min(axis=1)
    brightness = pictures.mean(axis=(1, 2, 3))
    assert 0.03 < saturation.mean() < 0.3
    assert brightness.min() < 0.35 and brightness.max() > 0.5


def test_flat_areas_are_as_common_as_in_photographs() -> None:
    """In photographs, a tenth to a half of all places hardly differ from their surroundings."""
    gray = dead_leaves(24, 128, seed=2).mean(axis=1)
    places = np.lib.stride_tricks.sliding_window_view(gray, (11, 11), axis=(1, 2))[:, ::6, ::6]
    local = places.std(axis=(-2, -1))
    assert 0.1 < (local < 0.03).mean() < 0.5
    assert (local > 0.1).mean() > 0.15
    flat = (local < 0.03).mean(axis=(1, 2))
    assert flat.min() < 0.1 and flat.max() > 0.4  # some pictures have few flat areas, some many
