from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import STEP, Pixels, make_clip, moving

from metastyle.films import frames as video_frames
from metastyle.films.clip import Clip, open_clip
from metastyle.films.decode import Damage
from metastyle.films.frames import Frame, read_frames, sample_frames


def shades(count: int) -> list[Pixels]:
    """Frames whose brightness is their number."""
    return [np.full((48, 64, 3), 40 + 2 * index, np.uint8) for index in range(count)]


def clip(tmp_path: Path, between_keys: int) -> Clip:
    options = {"crf": "1", "g": str(between_keys), "sc_threshold": "0", "keyint_min": "1"}
    return open_clip(make_clip(tmp_path / "clip.mp4", shades(60), options=options))


def numbers(frames: list[Frame]) -> list[int]:
    found = [frame.pts // STEP for frame in frames]
    for frame, number in zip(frames, found, strict=True):  # the brightness must match the time
        assert abs(frame.pixels.mean() - (40 + 2 * number)) < 2
    return found


def test_samples_are_the_key_frames_before_evenly_spaced_times(tmp_path: Path) -> None:
    assert numbers(sample_frames(clip(tmp_path, 5), 4, shorter=48)) == [5, 20, 35, 50]


def test_samples_differ_even_if_key_frames_are_rare(tmp_path: Path) -> None:
    found = numbers(sample_frames(clip(tmp_path, 250), 4, shorter=48))
    assert found[0] == 0 and found[1:] == [22, 37, 52]


def test_samples_of_a_range_are_inside_it(tmp_path: Path) -> None:
    found = numbers(sample_frames(clip(tmp_path, 250), 4, begin=1.0, end=1.4, shorter=48))
    assert len(found) == 4 and min(found) >= 25 and max(found) < 35
    assert numbers(sample_frames(clip(tmp_path, 5), 12, begin=2.36, shorter=48)) == [59]


def test_a_film_of_unknown_length_can_be_sampled(tmp_path: Path) -> None:
    assert numbers(sample_frames(replace(clip(tmp_path, 5), seconds=None), 4, shorter=48))[0] in (10, 55)


def test_a_film_that_cannot_seek_is_sampled_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_frames, "_can_seek", lambda *_: False)
    found = numbers(sample_frames(clip(tmp_path, 5), 4, shorter=48))
    assert found[0] == 0 and found == sorted(set(found)) and len(found) == 4


def test_samples_are_reduced_but_not_enlarged(tmp_path: Path) -> None:
    (sample,) = sample_frames(clip(tmp_path, 5), 1, shorter=24)
    assert sample.pixels.shape == (24, 32, 3)
    assert sample_frames(clip(tmp_path, 5), 1, shorter=500)[0].pixels.shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"crf": "5", "bf": "3", "b-pyramid": "normal", "b_strategy": "0"}),
        ("libx264", {"crf": "5", "bf": "0"}),
        ("mpeg4", {"b": "4M", "bf": "2", "b_strategy": "0"}),
        ("mpeg4", {"b": "4M"}),
    ],
)
def test_an_avi_is_whole(codec: str, options: dict[str, str], tmp_path: Path) -> None:
    """An AVI has only the times of decoding, and FFmpeg guesses the others."""
    pictures = moving(30)
    clip = open_clip(make_clip(tmp_path / "a.avi", pictures, codec=codec, options=options, sound=None))
    damage = Damage()
    frames = list(read_frames(clip, damage))
    assert damage.sentence(clip.path) is None
    assert np.diff([clip.seconds_at(f.pts) for f in frames]) == pytest.approx(1 / 25)
    assert clip.seconds_at(frames[0].pts) == 0
    for frame, pixels in zip(frames, pictures, strict=True):
        assert np.abs(frame.pixels - pixels.astype(int)).mean() < 9
    later = list(read_frames(clip, Damage(), begin=frames[20].pts))
    assert [f.pts for f in later] == [f.pts for f in frames[20:]]
    assert all((a.pixels == b.pixels).all() for a, b in zip(later, frames[20:], strict=True))
