"""``metastyle.film`` makes or resumes a film and reports the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import decoded, failing_at, frame_times, make_clip, moving, packets

import metastyle
from metastyle import api
from metastyle.errors import MetastyleError
from metastyle.films import job, temporal
from metastyle.films.film import Film, FilmFailedError, FilmInterrupted, Footage
from metastyle.films.progress import Progress
from metastyle.films.settings import FilmSettings
from metastyle.films.temporal import TemporalSettings
from metastyle.images.contents import Contents

Progresses = list[Progress]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", moving(9, (32, 24)))


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = dict(job.FilmJob.__init__.__kwdefaults__ or {})
    monkeypatch.setattr(job.FilmJob.__init__, "__kwdefaults__", defaults | {"frames_per_segment": 4})


def stopping_after(frames: int) -> Callable[[Progress], bool]:
    return lambda progress: progress.frames < frames


def test_a_film_is_made_and_described(clip: Path, tmp_path: Path) -> None:
    seen: Progresses = []
    film = metastyle.film(clip, "mosaic", on_progress=seen.append, smoothing=0, device="cpu")
    assert film.path == tmp_path / "clip-mosaic.mp4" and film.complete
    assert (film.width, film.height, film.codec, film.frames) == (32, 24, "h264", 9)
    assert film.frames_before == 0 and film.notes == () and film.damage is None
    assert [progress.frames for progress in seen] == list(range(1, 10))
    assert frame_times(film.path) == frame_times(clip)
    assert len(packets(film.path)) == len(packets(clip))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip-mosaic.mp4", "clip.mp4"]


def test_stopped_and_resumed_equals_uninterrupted(clip: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"strength": 0.8, "keep_color": True, "temporal": TemporalSettings(every=3)}
    whole = metastyle.film(clip, "mosaic", out=tmp_path / "whole.mp4", **options)
    stopped = metastyle.film(
        clip, "mosaic", out=tmp_path / "out.mp4", on_progress=stopping_after(6), **options
    )
    assert not stopped.complete and stopped.frames == 6
    assert stopped.path == tmp_path / "out.unfinished.mp4" and len(decoded(stopped.path)) == 6
    with pytest.raises(MetastyleError, match="another temporal"):
        metastyle.film(clip, "mosaic", out=tmp_path / "out.mp4", **options | {"temporal": None})
    resumed = metastyle.film(clip, "mosaic", out=tmp_path / "out.mp4", **options)
    assert resumed.complete and resumed.frames_before == 4 and resumed.frames == 9
    assert whole.path is not None and resumed.path is not None
    assert whole.path.read_bytes() == resumed.path.read_bytes()


@pytest.mark.parametrize("frame_by_frame", [False, True])
def test_bfloat16_is_near(frame_by_frame: bool) -> None:
    """At least 48 dB in each frame of a smooth clip, the worst case; errors do not add up along the film."""
    style = metastyle.load("mosaic")
    painters = [
        FilmSettings(precision=one, frame_by_frame=frame_by_frame, grain=1, device="cpu").painter(style, None)
        for one in ("float32", "bfloat16")
    ]
    errors = []
    for frame in moving(6, (96, 64)):
        exact, near = (painter(frame).astype(float) for painter in painters)
        errors.append(np.abs(near - exact).mean())
        assert 10 * np.log10(255**2 / np.square(near - exact).mean()) > 48
    assert 0 < max(errors) < 1.25 * errors[0]


def test_a_film_is_not_resumed_in_another_precision(clip: Path, tmp_path: Path) -> None:
    def make(precision: Any, frames: int = 99) -> Film:
        return metastyle.film(
            clip, "mosaic", out=tmp_path / "out.mp4", precision=precision, on_progress=stopping_after(frames)
        )

    assert not make("bfloat16", 6).complete
    with pytest.raises(MetastyleError, match="another precision"):
        make("float32")
    assert make("bfloat16").frames_before == 4


@pytest.mark.parametrize("error", [MemoryError(), OSError(5, "Input/output error"), MetastyleError("no")])
def test_a_failure_reports_the_frames_that_were_finished(
    error: Exception, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporal, "render_with_brush", failing_at(4, error))
    with pytest.raises(FilmFailedError) as caught:
        metastyle.film(clip, "mosaic", out=tmp_path / "out.mp4")
    assert caught.value.__cause__ is error and str(caught.value)
    assert caught.value.film.frames == 3 and not caught.value.film.complete
    assert caught.value.film.path is not None and len(decoded(caught.value.film.path)) == 3


def test_ctrl_c_raises_keyboard_interrupt_with_the_unfinished_film(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporal, "render_with_brush", failing_at(6, KeyboardInterrupt()))
    (tmp_path / "out.unfinished.mp4").write_bytes(b"precious")
    with pytest.raises(KeyboardInterrupt) as caught:
        metastyle.film(clip, "mosaic", out=tmp_path / "out.mp4")
    assert isinstance(caught.value, FilmInterrupted)
    film = caught.value.film
    assert film.path == tmp_path / "out.mp4.parts" and film.frames == 5
    assert len(film.notes) == 1 and "out.unfinished.mp4 already exists" in film.notes[0]


def test_a_painting_is_adapted_to_on_frames_of_the_film(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def adapt(painting: Any, *, contents: Contents, device: str) -> metastyle.Style:
        given.extend([painting, *contents.photos])
        return metastyle.load("mosaic")

    monkeypatch.setattr(api, "adapt", adapt)
    painting = np.zeros((64, 64, 3), np.uint8)
    film = metastyle.film(clip, painting, begin=0.2, end=0.3, frame_by_frame=True)
    assert film.path == tmp_path / "clip-painting.mp4" and film.frames == 3
    assert given[0] is painting and 1 <= len(given[1:]) <= 3
    assert all(photo.pixels.shape == (24, 32, 3) for photo in given[1:])


def test_the_style_may_be_a_function_of_the_footage(clip: Path, tmp_path: Path) -> None:
    style = metastyle.load("mosaic")
    asked: list[Footage] = []

    def chosen(footage: Footage) -> metastyle.Style:
        asked.append(footage)
        return style

    film = metastyle.film(clip, chosen, out=tmp_path, style_name="a/b\nc", frame_by_frame=True)
    assert film.path == tmp_path / "clip-a-b-c.mp4"
    assert [footage.given for footage in asked] == [clip]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"begin": 9}, "begin is 9.0: use less than 0.4 s, the length of clip.mp4"),
        ({"begin": -1}, "begin is -1: use a number of at least 0"),
        ({"end": float("nan")}, "end is nan: use a number"),
        ({"end": 0}, "end is 0: use a number"),
        ({"begin": "0"}, "begin is '0': use a number"),
        ({"strength": "a"}, "strength is 'a': use a number"),
        ({"smoothing": "x"}, "smoothing is 'x': use a number"),
        ({"size": "a"}, "size is 'a': use a whole number"),
        ({"quality": "x"}, "quality is 'x': use a whole number"),
        ({"max_memory": "1G"}, "max_memory is '1G': use a whole number"),
        ({"temporal": 5}, "temporal is 5: use TemporalSettings or nothing"),
        ({"begin": 2, "end": 1}, "end is 1.0: use more than 2 s"),
        ({"fps": 12}, "fps is 12.0: use it for numbered pictures"),
        ({"strength": 3}, "strength is 3"),
        ({"smoothing": 1}, "smoothing is 1: use a number from 0 to below 1"),
        ({"brush": 99}, "brush is 99"),
        ({"grain": -1}, "grain is -1"),
        ({"max_memory": 3}, "max_memory is 3"),
        ({"precision": "int8"}, "precision is 'int8': use"),
        ({"size": 16}, "each side must have at least 16"),
        ({"device": "gpu9"}, "device 'gpu9' is unknown"),
        ({"codec": "divx"}, "codec 'divx' is unknown"),
        ({"quality": 99}, "quality is 99"),
        ({"out": "film.avi"}, "films cannot be written as '.avi'"),
        ({"out": "clip.mp4"}, "clip.mp4 already exists: pass overwrite=True"),
        ({"out": "clip.mp4", "overwrite": True}, "clip.mp4 is the clip itself"),
    ],
)
def test_invalid_keywords_are_refused_before_the_style_is_requested(
    keywords: dict[str, Any], message: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MetastyleError) as caught:
        metastyle.film("clip.mp4", lambda footage: pytest.fail("the style was requested"), **keywords)
    assert message in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_an_odd_size_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clip = make_clip(tmp_path / "odd.mkv", moving(2, (33, 25)), codec="ffv1", pixel_format="bgr0", options={})
    film = metastyle.film(clip, "mosaic", frame_by_frame=True)
    assert (film.width, film.height) == (32, 24)
    assert "33x25 becomes 32x24" in caplog.text


def test_a_function_that_returns_something_else_is_refused(clip: Path) -> None:
    with pytest.raises(MetastyleError, match="returned no style, but int"):
        metastyle.film(clip, lambda footage: 5)  # type: ignore[arg-type, return-value]
    assert sorted(path.name for path in clip.parent.iterdir()) == ["clip.mp4"]
