"""Cuts between generated scenes are found; pans, fades, flicker, flashes and noise are not cuts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metastyle.films.shots import Event, ShotDetector, reduced
from metastyle.images.procedural import dead_leaves

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    return list((dead_leaves(6, 160, 6) * 255).astype(np.uint8).transpose(0, 2, 3, 1))


def cuts(frames: list[np.ndarray]) -> list[int]:
    """The first frame of each shot; a flash does not begin a shot."""
    detector, found = ShotDetector(), list[int]()
    for index, frame in enumerate(frames):
        event = detector.observe(reduced(frame))
        if event is Event.BACK:
            found.pop()
        if event is Event.NEW:
            found.append(index)
    return found


def noisy(frame: np.ndarray, seed: int, amount: float = 6.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, amount, frame.shape)
    return (frame + noise).clip(0, 255).astype(np.uint8)


def test_hard_cuts_are_found(scenes: list[np.ndarray]) -> None:
    lengths = [5, 1, 3, 7, 2]
    frames = [noisy(s, i) for s, n in zip(scenes, lengths, strict=False) for i in range(n)]
    found = cuts(frames)
    expected = [0, *np.cumsum(lengths)[:-1].tolist()]
    # The shot of a single frame is not a flash, because the scenes around it differ.
    assert found == expected


def test_a_pan_is_not_a_cut(scenes: list[np.ndarray]) -> None:
    wide = np.concatenate(scenes[:4], axis=1)
    assert cuts([noisy(wide[:90, x : x + 160], x) for x in range(0, 480, 24)]) == [0]


def test_a_cut_in_the_middle_of_a_pan_is_found(scenes: list[np.ndarray]) -> None:
    wide, other = np.concatenate(scenes[:3], axis=1), np.concatenate(scenes[3:], axis=1)
    frames = [wide[:90, x : x + 160] for x in range(0, 200, 20)]
    assert cuts(frames + [other[:90, x : x + 160] for x in range(0, 200, 20)]) == [0, 10]


def test_fades_and_dissolves_are_not_cuts(scenes: list[np.ndarray]) -> None:
    steps = np.linspace(0, 1, 13)
    from_black = [(scenes[0] * t).astype(np.uint8) for t in steps]
    across = [(scenes[0] * (1 - t) + scenes[1] * t).astype(np.uint8) for t in steps]
    to_white = [(scenes[1] * (1 - t) + 255 * t).astype(np.uint8) for t in steps]
    assert cuts(from_black + across[1:] + to_white[1:]) == [0]


def test_flicker_and_flashes_are_not_cuts(scenes: list[np.ndarray]) -> None:
    scene = scenes[2].astype(float)
    gains = np.random.default_rng(0).uniform(0.85, 1.15, 20)
    frames = [noisy((scene * g).clip(0, 255).astype(np.uint8), i) for i, g in enumerate(gains)]
    frames[7] = np.full_like(frames[7], 255)
    frames[13] = scenes[5]
    assert cuts(frames) == [0]


def test_motion_in_front_of_a_still_background_is_not_a_cut(scenes: list[np.ndarray]) -> None:
    frames = []
    for i in range(12):
        frame = scenes[0].copy()
        x = (i * 53) % 80
        frame[40:140, x : x + 80] = scenes[1 + i % 5][:100, :80]  # half of the picture, new in each frame
        frames.append(frame)
    assert cuts(frames) == [0]


def test_blank_frames_of_different_colors_are_a_cut_but_noise_is_not() -> None:
    black, white = np.zeros((48, 80, 3), np.uint8), np.full((48, 80, 3), 255, np.uint8)
    assert cuts([black] * 3 + [white] * 3) == [0, 3]
    assert cuts([black] * 3 + [noisy(black, 1, 2.0)] * 2) == [0]


def test_a_change_of_size_is_a_cut_also_at_16_bits(scenes: list[np.ndarray]) -> None:
    deep = scenes[0].astype(np.uint16) * 257
    assert cuts([deep, deep, deep[:80], deep[:80]]) == [0, 2]


def test_a_restored_detector_continues_exactly(scenes: list[np.ndarray]) -> None:
    frames = [noisy(scenes[i], i) for i in (0, 0, 0, 4, 0, 0, 2, 2, 3, 3)]
    detector = ShotDetector()
    events = [detector.observe(reduced(f)) for f in frames]
    assert [i for i, e in enumerate(events) if e is Event.NEW] == [0, 3, 6, 8]
    assert [i for i, e in enumerate(events) if e is Event.BACK] == [4]
    for start in range(len(frames)):
        first, second = ShotDetector(), ShotDetector()
        for frame in frames[:start]:
            first.observe(reduced(frame))
        second.restore(first.state())
        assert [second.observe(reduced(f)) for f in frames[start:]] == events[start:]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 4))
def test_constant_frames_of_any_size_are_one_shot(height: int, width: int, count: int) -> None:
    frames = [np.full((height, width, 3), 7, np.uint8)] * count
    assert cuts(frames) == [0][:count]


@pytest.mark.shared
def test_the_cuts_of_a_real_clip_are_found() -> None:
    av = pytest.importorskip("av")
    clip = SHARED / "video" / "clips" / "bikes.mp4"
    if not clip.is_file():
        pytest.skip("needs the research data beside the project")
    with av.open(str(clip)) as container:
        frames = [f.to_ndarray(format="rgb24", width=160, height=68) for f in container.decode(video=0)]
    assert cuts(frames) == [0, 30, 76, 137, 187, 242]
