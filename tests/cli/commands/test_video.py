from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import decoded, failing_at, frame_times, make_clip, moving, packets, turn
from PIL import Image

from metastyle import api
from metastyle.cli.options import parse_time
from metastyle.films import job as film
from metastyle.films import temporal as still
from metastyle.films.clip import open_clip
from metastyle.films.decode import Damage
from metastyle.films.frames import read_frames
from metastyle.films.job import FilmJob
from metastyle.images.picture import Picture
from metastyle.locks import claimed

Run = Callable[..., Any]

_DEFAULTS: dict[str, Any] = dict(FilmJob.__init__.__kwdefaults__ or {})


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", moving(8, (32, 24)))


def test_a_film_is_painted_in_a_style(clip: Path, style_file: Path, run: Run, tmp_path: Path) -> None:
    result = run("video", clip, "--style", style_file, "--quality", "1", "--frame-by-frame")
    assert result.code == 0 and result.err.count("\n") == 1
    assert result.err.startswith("repainting: 100% 8 frames")
    out = tmp_path / "clip-plain.mp4"
    assert result.out.startswith(f"{out}  32x24  8 frames  ")
    assert frame_times(out) == frame_times(clip)
    assert [d for _, d in packets(out)] == [d for _, d in packets(clip)]
    style = api.load(style_file)
    before, after = (list(read_frames(open_clip(p), Damage())) for p in (clip, out))
    for one, two in zip(before, after, strict=True):
        expected = style.stylize(one.pixels, grain=0).astype(int)
        assert np.abs(two.pixels - expected).mean() < 9  # a random network's noise, in 4:2:0
        assert np.abs(two.pixels - one.pixels.astype(int)).mean() > 20
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == []


def test_the_output_may_be_a_new_folder_but_not_a_pipe(
    clip: Path, style_file: Path, run: Run, tmp_path: Path
) -> None:
    result = run("video", clip, "-s", style_file, "-o", f"{tmp_path}/new/", "--preview", "0")
    assert result.code == 0, result.err
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["clip-plain-0m0s.png"]
    fifo = tmp_path / "fifo.mp4"
    os.mkfifo(fifo)
    assert "written to files, not pipes" in run("video", fifo, "-s", style_file).err
    assert "written to files, not pipes" in run("video", clip, "-s", style_file, "-o", "-").err
    assert (
        "--fps is 9.0: use it for numbered pictures" in run("video", clip, "-s", style_file, "--fps", 9).err
    )


@pytest.mark.parametrize("given", ["frames", "frames/f%02d.png", "frames/f%d.png"])
def test_numbered_frames_are_painted_as_a_film(
    given: str, style_file: Path, run: Run, tmp_path: Path
) -> None:
    frames = moving(4, (32, 24))
    for number, pixels in zip((8, 9, 10, 12), frames, strict=True):
        name = f"f{number:02d}.png" if "2" in given else f"f{number}.png"
        (tmp_path / "frames").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "frames" / name)
    call = ("video", tmp_path / given, "-s", style_file, "--fps", "10", "--quality", "1", "--strength", "0")
    result = run(*call, "--json")
    assert result.code == 0, result.err
    (record,) = result.document["outputs"]
    out = tmp_path / "frames-plain.mp4" if given == "frames" else tmp_path / "frames" / "f-plain.mp4"
    assert (record["clip"], record["output"]) == (str(tmp_path / given), str(out))
    times = [0, 0.1, 0.2, 0.3 if given == "frames" else 0.4]
    assert [float(t) for t in frame_times(out)] == pytest.approx(times)
    for frame, pixels in zip(read_frames(open_clip(out), Damage()), frames, strict=True):
        assert np.abs(frame.pixels - pixels.astype(int)).mean() < 4


def test_films_flicker_less_by_default(clip: Path, style_file: Path, run: Run, tmp_path: Path) -> None:
    def flicker(name: str, *options: str) -> float:
        out = tmp_path / name
        assert (
            run(
                "video", clip, "-s", style_file, "-o", out, "--grain=0", "--quality=1", "--quiet", *options
            ).code
            == 0
        )
        frames = [frame.pixels.astype(int) for frame in read_frames(open_clip(out), Damage())]
        return float(np.mean([np.abs(b - a).mean() for a, b in pairwise(frames)]))

    default = flicker("default.mp4")
    assert default < flicker("unsmoothed.mp4", "--smoothing", "0")
    assert default < flicker("each.mp4", "--frame-by-frame")


def test_options_apply_and_json_describes_the_film(
    clip: Path, style_file: Path, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "made" / "on" / "the" / "way" / "new.mkv"
    options = ["--size", "24", "--from", "0.04", "--to", "0:00.2", "--codec", "hevc", "--strength", "0"]
    result = run("video", clip, "--style", style_file, "-o", out, *options, "--json", "--quiet")
    assert (result.code, result.err) == (0, "")
    (record,) = result.document["outputs"]
    assert (record["width"], record["height"], record["frames"], record["codec"]) == (24, 18, 4, "hevc")
    assert result.document["errors"] == [] and result.document["style"]["how"] == "read"
    assert len(decoded(out)) == 4
    wanted = [f.pixels for f in read_frames(open_clip(clip), Damage(), long_edge=24)][1:5]
    found = [f.pixels for f in read_frames(open_clip(out), Damage())]
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(wanted, found, strict=True)) < 6


def test_a_preview_is_one_painted_frame(clip: Path, style_file: Path, run: Run, tmp_path: Path) -> None:
    result = run("video", clip, "--style", style_file, "--preview", "0.1")
    out = tmp_path / "clip-plain-0m0.1s.png"
    assert result.code == 0 and str(out) in result.out
    frame = [f.pixels for f in read_frames(open_clip(clip), Damage())][2]
    expected = api.load(style_file).render(Picture(pixels=frame), precision="float32").pixels
    assert np.array_equal(np.asarray(Image.open(out)), expected)
    assert run("video", clip, "--style", style_file, "--preview", "0.1").code == 2
    assert run("video", clip, "--style", style_file, "--preview", "9").code == 2


def test_adaptation_uses_frames_of_the_film(
    clip: Path, painting: Path, run: Run, tmp_path: Path, quick: tuple[str, ...]
) -> None:
    call = ("video", clip, "-s", painting, "--preview", "0.1", "--overwrite", *quick)
    first = run(*call, "--json").document["style"]
    assert (first["how"], first["contents"]) == ("adapted", "photos and procedural")
    same = run(*call, "--json")
    assert same.document["style"]["how"] == "cached" and "--adapt-again" not in same.err
    part = run(*call, "--to", "0.2", "--json")
    assert part.document["style"]["how"] == "cached"
    assert "waves was adapted on another excerpt of this film: --adapt-again" in part.err
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clip.read_bytes())
    other = run("video", copy, "-s", painting, "--preview", "0", "--content", "procedural", "--json", *quick)
    assert other.document["style"]["contents"] == "procedural"


def test_portrait_odd_sized_and_silent_clips_are_painted(style_file: Path, run: Run, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "odd.mp4", moving(3, (50, 34)), sound=None)
    turn(path, (0, 1, -1, 0))
    folder = tmp_path / "folder"
    folder.mkdir()
    assert run("video", path, "--style", style_file, "-o", folder, "--quiet").code == 0
    assert open_clip(folder / "odd-plain.mp4").height == 50
    odd = make_clip(tmp_path / "b.mkv", moving(3, (33, 25)), codec="ffv1", pixel_format="bgr0", options={})
    result = run("video", odd, "--style", style_file)
    assert result.code == 0 and "33x25 becomes 32x24" in result.err
    assert open_clip(tmp_path / "b-plain.mkv").width == 32


def test_the_default_container_can_hold_the_sound(style_file: Path, run: Run, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "old.nut", moving(3, (32, 24)), codec="mpeg4", options={}, sound="wavpack")
    assert run("video", clip, "--style", style_file, "--quiet").code == 0
    assert len(packets(tmp_path / "old-plain.mkv")) == len(packets(clip))
    result = run("video", clip, "--style", style_file, "-o", tmp_path / "new.mp4", "--quiet")
    assert result.code == 0
    assert "stream 1 (sound, wavpack) is left out: .mp4 cannot hold it; .mkv can" in result.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--size", "8"], "--size is 8: use a whole number from 16 to 16384"),
        (["--strength", "3"], "--strength is 3.0: use a number from 0 to 2"),
        (["--from", "2", "--to", "1"], "--to is 1.0: use more than 2 s, where the film begins"),
        (["--from", "50"], "--from is 50.0: use less than 0.3 s, the length of "),
        (["--from", "half"], "'half' is not a time"),
        (["-o", "x.avi"], "films cannot be written as '.avi'"),
        (["-o", "x.webm", "--codec", "h264"], ".webm cannot hold h264"),
        (["--codec", "divx"], "codec 'divx' is unknown"),
        (["--quality", "99"], "quality is 99: use 1"),
        (["--device", "gpu9"], "device 'gpu9' is unknown"),
        (["--preview", "0", "-o", "x.mp4"], "pictures cannot be written as '.mp4'"),
        (["-o", "-"], "films are read from files"),
    ],
)
def test_invalid_options_are_refused_before_any_work(
    arguments: list[str], expected: str, clip: Path, painting: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "adapt", None)
    result = run("video", clip, "--style", painting, *arguments)
    assert result.code == 2 and result.err.count("\n") == 1
    assert expected in result.err


def test_unusable_inputs_are_refused_in_one_line(
    clip: Path, photo: Path, painting: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "adapt", None)
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:700])
    (tmp_path / "existing.mp4").write_bytes(b"precious")
    for arguments, expected in (
        ([tmp_path / "none.mp4"], "none.mp4: cannot be read"),
        ([tmp_path], "frames must be of one size"),
        ([photo], "photo.png is a picture: use 'metastyle stylize'"),
        ([tmp_path / "cut.mp4"], "cut.mp4: cannot be read as a film"),
        ([clip, "-o", clip], "clip.mp4 exists: add --overwrite"),
        ([clip, "-o", clip, "--overwrite"], "clip.mp4 is the clip itself"),
        ([clip, "-o", tmp_path / "existing.mp4"], "existing.mp4 exists: add --overwrite"),
    ):
        result = run("video", *arguments, "--style", painting)
        assert result.code == 2 and result.err.count("\n") == 1, arguments
        assert expected in result.err
    assert (tmp_path / "existing.mp4").read_bytes() == b"precious"


def test_a_truncated_clip_is_painted_up_to_its_end(style_file: Path, run: Run, tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "cut.mp4",
        moving(30, (32, 24)),
        options={"crf": "3", "g": "5"},
        container_options={"movflags": "+faststart"},
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])
    result = run("video", path, "--style", style_file, "--quiet", "--json")
    assert result.code == 1
    assert "cut.mp4 is damaged or truncated" in result.err and result.err.count("\n") == 1
    assert 3 < len(decoded(tmp_path / "cut-plain.mp4")) < 30
    assert result.document["errors"][0]["clip"] == str(path)


def test_a_failure_keeps_the_frames_painted_so_far(
    clip: Path, style_file: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(still, "render_with_brush", failing_at(5, MemoryError()))
        result = run("video", clip, "--style", style_file, "--quiet")
    assert result.code == 2
    first, second = result.err.splitlines()
    assert "not enough memory" in first
    assert "stopped after 4 frames" in second and "clip-plain.unfinished.mp4 has them" in second
    assert len(decoded(tmp_path / "clip-plain.unfinished.mp4")) == 4
    assert run("video", clip, "--style", style_file, "--quiet").code == 0
    assert len(decoded(tmp_path / "clip-plain.mp4")) == 8
    left = {p.name for p in tmp_path.iterdir()} - {"cache"}
    assert left == {"clip.mp4", "clip-plain.mp4", style_file.name}


def test_frames_that_cannot_be_rescued_stay_in_their_folder(
    clip: Path, style_file: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip-plain.unfinished.mp4").write_bytes(b"precious")
    with monkeypatch.context() as patch:
        patch.setattr(still, "render_with_brush", failing_at(8, KeyboardInterrupt()))
        patch.setattr(film.FilmJob.__init__, "__kwdefaults__", {**_DEFAULTS, "frames_per_segment": 3})
        result = run("video", clip, "--style", style_file, "--quiet")
    assert result.code == 130
    first, second = result.err.splitlines()
    assert "clip-plain.unfinished.mp4 already exists" in first
    assert "stopped after 7 frames" in second and "clip-plain.mp4.parts has them" in second
    assert (tmp_path / "clip-plain.unfinished.mp4").read_bytes() == b"precious"


def test_a_film_that_is_being_made_is_refused(
    clip: Path, painting: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call is refused before any adaptation, with any options, and changes nothing."""
    monkeypatch.setattr(api, "adapt", lambda *_, **__: pytest.fail("it adapts"))
    folder = tmp_path / "clip-waves.mp4.parts"
    with claimed(folder, "making this film"):
        (folder / "job.json").write_text("{}")
        for options in ((), ("--overwrite",), ("--size", "24")):
            result = run("video", clip, "--style", painting, *options)
            assert result.code == 2
            assert result.err == f"metastyle: another run is making this film: {folder} is in use\n"
        assert (folder / "job.json").read_text() == "{}"


INTERRUPTING = """
import signal
from itertools import count
from metastyle.films import temporal

render, frames = temporal.render_with_brush, count(1)

def interrupting(*arguments):
    if next(frames) == 100:
        signal.raise_signal(signal.SIGINT)
    return render(*arguments)

temporal.render_with_brush = interrupting
"""
"""Code for the beginning of a program, which then presses Ctrl-C at its hundredth frame."""


@pytest.mark.slow
def test_ctrl_c_leaves_a_film_and_the_same_command_resumes(
    style_file: Path, program: str, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "long.mp4", moving(120, (64, 48)))

    def paint(out: str, code: str = program) -> tuple[int, str]:
        call = [sys.executable, "-c", code, "video", clip, "--style", style_file, "-o", tmp_path / out]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(call, stderr=subprocess.PIPE, text=True, env=environment, check=False)
        return done.returncode, done.stderr

    code, said = paint("out.mp4", INTERRUPTING + program)
    assert code == 130
    assert "out.unfinished.mp4 has them; the same command resumes from there" in said
    assert len(decoded(tmp_path / "out.unfinished.mp4")) == 100  # the frame in progress is finished
    for out, first_line in (("out.mp4", "resuming after"), ("whole.mp4", "repainting")):
        code, said = paint(out)
        assert code == 0 and said.startswith(first_line)
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert not (tmp_path / "out.unfinished.mp4").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("1.5", 1.5), ("1:30", 90), ("0:01:30.5", 90.5), ("2:00:00", 7200), ("90:00", 5400)],
)
def test_times_are_parsed(text: str, expected: float) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "1:60", "1:60:00", "1:2:3:4", "1m", ":30", "nan", "1e3"])
def test_invalid_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time: write 90"):
        parse_time(text)
