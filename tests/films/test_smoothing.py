"""Warping follows the flow; smoothing only affects what is visible in both frames."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from metastyle.errors import MetastyleError
from metastyle.films.smoothing import Smoother, consistent, warp
from metastyle.images.procedural import dead_leaves


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    return list((dead_leaves(2, 128, 9) * 255).astype(np.uint8).transpose(0, 2, 3, 1))


def flow(u: float, v: float, shape: tuple[int, int] = (128, 128)) -> np.ndarray:
    return np.broadcast_to(np.array([u, v], np.float32), (*shape, 2)).copy()


def test_warping_follows_whole_and_half_pixels(scenes: list[np.ndarray]) -> None:
    values = scenes[0].astype(np.float32)
    seen, inside = warp(values, flow(3, -2))
    np.testing.assert_allclose(seen[2:, :-3], values[:-2, 3:], atol=0.01)
    assert inside[2:, :-3].all() and not inside[:2].any() and not inside[:, -3:].any()
    half, _ = warp(values, flow(0.5, 0))
    np.testing.assert_allclose(half[:, :-1], (values[:, :-1] + values[:, 1:]) / 2, atol=0.01)


def test_flows_that_do_not_lead_back_are_inconsistent() -> None:
    there, back = flow(5, 0), flow(-5, 0)
    back[40:80] = 0  # as if these rows were occluded
    seen = consistent(there, back)
    assert seen[:40, :-5].all() and seen[80:, :-5].all() and not seen[40:80].any()
    assert not seen[:, -5:].any()


@pytest.fixture
def smoother() -> Smoother:
    pytest.importorskip("cv2")
    return Smoother(0.6)


def test_noise_on_a_moving_scene_is_reduced(smoother: Smoother, scenes: list[np.ndarray]) -> None:
    before, now = scenes[0][:, :-6], scenes[0][:, 6:]
    rng = np.random.default_rng(0)
    first, second = (
        (f.astype(float) + rng.normal(0, 12, f.shape)).clip(0, 255).astype(np.uint8) for f in (before, now)
    )
    mixed = smoother.smooth(now, second, before, first)
    inner = np.s_[16:-16, 16:-16]
    noise = np.abs(second[inner].astype(float) - now[inner]).mean()
    assert np.abs(mixed[inner].astype(float) - now[inner]).mean() < 0.8 * noise


def test_a_new_scene_is_hardly_changed(smoother: Smoother, scenes: list[np.ndarray]) -> None:
    result = 255 - scenes[1]
    mixed = smoother.smooth(scenes[1], result, scenes[0], np.full_like(result, 255))
    assert np.abs(mixed.astype(int) - result).mean() < 6


def test_equal_results_are_not_changed(smoother: Smoother, scenes: list[np.ndarray]) -> None:
    np.testing.assert_array_equal(smoother.smooth(*[scenes[0]] * 4), scenes[0])


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MetastyleError, match=r"metastyle\[video\]"):
        Smoother()


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(MetastyleError, match="below 1"):
        Smoother(share)
