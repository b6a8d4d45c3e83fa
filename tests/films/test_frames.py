from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import STEP, Pixels, make_clip

from metastyle.films import frames as video_frames
from metastyle.films.clip import Clip, open_clip
from metastyle.films.frames import Frame, sample_frames


def shades(count: int) -> list[Pixels]:
    """Frames that say by their brightness which they are."""
    return [np.full((48, 64, 3), 40 + 2 * index, np.uint8) for index in range(count)]


def clip(tmp_path: Path, between_keys: int) -> Clip:
    options = {"crf": "1", "g": str(between_keys), "sc_threshold": "0", "keyint_min": "1"}
    return open_clip(make_clip(tmp_path / "clip.mp4", shades(60), options=options))


def numbers(frames: list[Frame]) -> list[int]:
    found = [frame.pts // STEP for frame in frames]
    for frame, number in zip(frames, found, strict=True):  # it is the frame that its time says
        assert abs(frame.pixels.mean() - (40 + 2 * number)) < 2
    return found


def test_stills_are_the_key_frames_before_evenly_spread_times(tmp_path: Path) -> None:
    assert numbers(sample_frames(clip(tmp_path, 5), 4, shorter=48)) == [5, 20, 35, 50]


def test_where_key_frames_are_rare_each_still_is_another_frame(tmp_path: Path) -> None:
    found = numbers(sample_frames(clip(tmp_path, 250), 4, shorter=48))
    assert found[0] == 0 and found[1:] == [22, 37, 52]


def test_stills_of_a_part_lie_in_it(tmp_path: Path) -> None:
    found = numbers(sample_frames(clip(tmp_path, 250), 4, begin=1.0, end=1.4, shorter=48))
    assert len(found) == 4 and min(found) >= 25 and max(found) < 35
    assert numbers(sample_frames(clip(tmp_path, 5), 12, begin=2.36, shorter=48)) == [59]


def test_stills_of_a_film_that_does_not_say_how_long_it_is(tmp_path: Path) -> None:
    assert numbers(sample_frames(replace(clip(tmp_path, 5), seconds=None), 4, shorter=48))[0] in (10, 55)


def test_stills_of_a_film_in_which_nothing_can_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_frames, "_can_seek", lambda *_: False)
    found = numbers(sample_frames(clip(tmp_path, 5), 4, shorter=48))
    assert found[0] == 0 and found == sorted(set(found)) and len(found) == 4


def test_stills_are_reduced(tmp_path: Path) -> None:
    (still,) = sample_frames(clip(tmp_path, 5), 1, shorter=24)
    assert still.pixels.shape == (24, 32, 3)
    assert sample_frames(clip(tmp_path, 5), 1, shorter=500)[0].pixels.shape == (48, 64, 3)
