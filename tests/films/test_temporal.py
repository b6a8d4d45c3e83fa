"""The temporal painter follows shots and fades, ignores flashes, and resumes exactly from its state."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from metastyle.core.network import TransformationNetwork
from metastyle.errors import MetastyleError
from metastyle.films.shots import reduced
from metastyle.films.temporal import TemporalPainter, TemporalSettings, exposure_of
from metastyle.images.procedural import dead_leaves
from metastyle.rendering.brush import render_with_brush
from metastyle.rendering.frozen import FrozenStylizer
from metastyle.rendering.stylizer import Stylizer

Make = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    return list((dead_leaves(3, 96, 4) * 255).astype(np.uint8).transpose(0, 2, 3, 1)[:, :64])


@pytest.fixture
def stylizer(network: TransformationNetwork) -> Stylizer:
    return Stylizer(network, device="cpu", grain=1.0)


def differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(int) - b)


def test_the_first_frame_of_each_shot_is_painted_like_a_picture(
    network: TransformationNetwork, stylizer: Stylizer, scenes: list[np.ndarray]
) -> None:
    paint = TemporalPainter(stylizer, smoothing=0)
    for scene in scenes:
        alone = Stylizer(network, device="cpu", grain=exposure_of(reduced(scene)))
        assert differences(paint(scene), alone.render(scene)).max() <= 1
        paint(scene)


def test_a_local_change_hardly_affects_distant_areas(stylizer: Stylizer, scenes: list[np.ndarray]) -> None:
    wide = np.concatenate([scenes[0], scenes[0][:, ::-1]], axis=1)
    changed = wide.copy()
    changed[:, 150:] //= 2  # a shadow
    paint = TemporalPainter(stylizer, smoothing=0)
    still = differences(paint(wide)[:, :60], paint(changed)[:, :60]).mean()
    ordinary = differences(stylizer.render(wide)[:, :60], stylizer.render(changed)[:, :60]).mean()
    assert still < 0.25 * ordinary


def test_statistics_follow_a_fade(stylizer: Stylizer, scenes: list[np.ndarray]) -> None:
    frames = [(scenes[1] * gain).astype(np.uint8) for gain in np.linspace(0.05, 1, 8)]
    paint = TemporalPainter(stylizer, smoothing=0)
    painted = [paint(frame) for frame in frames]
    followed = differences(painted[-1], stylizer.render(frames[-1])).mean()
    stuck = TemporalPainter(stylizer, TemporalSettings(weight=0, fast=1e9), smoothing=0)
    lagging = [stuck(frame) for frame in frames]
    assert followed < 0.5 * differences(lagging[-1], stylizer.render(frames[-1])).mean()


@pytest.mark.parametrize("gain", [0.02, 0.2, 1.0])
def test_dark_frames_get_less_grain(
    network: TransformationNetwork, stylizer: Stylizer, scenes: list[np.ndarray], gain: float
) -> None:
    """A fade from black would otherwise begin with a picture of grain."""
    frame = (scenes[1] * gain).astype(np.uint8)
    share = exposure_of(reduced(frame))
    assert share < 1 or gain == 1
    painted = TemporalPainter(stylizer, smoothing=0)(frame)
    expected = Stylizer(network, device="cpu", grain=share).render(frame)
    assert differences(painted, expected).max() <= 1
    assert gain == 1 or differences(painted, stylizer.render(frame)).mean() > 2


def test_bright_frames_get_all_of_the_grain() -> None:
    assert exposure_of(np.full((9, 16, 3), 0.5, np.float32)) == 1
    assert exposure_of(np.full((9, 16, 3), 0.25, np.float32)) == 0.5
    assert exposure_of(np.zeros((9, 16, 3), np.float32)) == 0


def test_a_flash_does_not_affect_later_frames(stylizer: Stylizer, scenes: list[np.ndarray]) -> None:
    with_flash, without = TemporalPainter(stylizer, smoothing=0), TemporalPainter(stylizer, smoothing=0)
    flash = np.full_like(scenes[0], 255)
    a = [with_flash(frame) for frame in (scenes[0], flash, scenes[0], scenes[0])]
    b = [without(frame) for frame in (scenes[0], scenes[0], scenes[0])]
    np.testing.assert_array_equal(a[3], b[2])


def test_a_restored_painter_continues_exactly(stylizer: Stylizer, scenes: list[np.ndarray]) -> None:
    pytest.importorskip("cv2")
    rolled = [np.roll(scenes[0], 2 * i, axis=1) for i in range(4)]
    frames = [*rolled, scenes[1], *rolled[2:], scenes[2], scenes[2]]  # with a flash and a cut
    settings = TemporalSettings(every=2)
    whole = TemporalPainter(stylizer, settings, keep_color=True, strength=0.8)
    expected = [whole(frame) for frame in frames]
    before = TemporalPainter(stylizer, settings, keep_color=True, strength=0.8)
    for index, frame in enumerate(frames):
        after = TemporalPainter(stylizer, settings, keep_color=True, strength=0.8)
        if index:
            after.restore(before.state())
        np.testing.assert_array_equal(after(frame), expected[index])
        before = after


def test_both_scales_of_a_brush_have_their_own_statistics(
    stylizer: Stylizer, make_picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metastyle.rendering.brush.WORKING_EDGE", 48)
    monkeypatch.setattr("metastyle.rendering.brush._SHORTEST", 16)
    frame = make_picture(48, 80)
    painted = TemporalPainter(stylizer, smoothing=0)(frame)
    assert differences(painted, render_with_brush(stylizer, frame)).max() <= 2
    assert differences(painted, stylizer.render(frame)).mean() > 2


def test_smoothing_reduces_the_flicker_of_noise(stylizer: Stylizer, scenes: list[np.ndarray]) -> None:
    pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    noisy = [(scenes[0] + rng.normal(0, 4, scenes[0].shape)).clip(0, 255).astype(np.uint8) for _ in range(3)]

    def flicker(smoothing: float) -> float:
        paint = TemporalPainter(stylizer, smoothing=smoothing)
        painted = [paint(frame) for frame in noisy]
        return float(differences(painted[2], painted[1]).mean())

    assert flicker(0.7) < 0.7 * flicker(0)


@pytest.mark.parametrize("change", [{"every": 0}, {"weight": 1.5}, {"fast": 0}, {"changed": -1}])
def test_settings_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(MetastyleError, match="use a"):
        TemporalSettings(**change)


def test_a_smoothing_out_of_range_is_refused(stylizer: Stylizer) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(MetastyleError, match="smoothing is 1"):
        TemporalPainter(stylizer, smoothing=1.0)


def test_grain_moves_with_the_scene(
    stylizer: Stylizer, scenes: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cv2")
    origins = []
    render = FrozenStylizer.render

    def watched(
        self: FrozenStylizer, pixels: np.ndarray, *, origin: tuple[int, int], exposure: float
    ) -> np.ndarray:
        origins.append(origin)
        return render(self, pixels, origin=origin, exposure=exposure)

    monkeypatch.setattr(FrozenStylizer, "render", watched)
    scene = np.concatenate(scenes[:2], axis=1)
    frames = [scene[i : i + 56, 5 * i : 5 * i + 120] for i in range(4)]
    paint = TemporalPainter(stylizer, smoothing=0.5)
    for frame in frames:
        paint(frame)
    assert origins == [(i, 5 * i) for i in range(4)]
    paint = TemporalPainter(stylizer, smoothing=0)
    for frame in frames:
        paint(frame)
    assert origins[4:] == [(0, 0)] * 4
