from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import Pixels, decoded, frame_times, make_clip, moving, packets, shifted

from metastyle.core.network import TransformationNetwork
from metastyle.errors import MetastyleError
from metastyle.films import job as film
from metastyle.films.clip import open_clip
from metastyle.films.decode import Damage
from metastyle.films.encode import choose_encoding
from metastyle.films.frames import read_frames
from metastyle.films.job import FilmJob
from metastyle.films.painter import FrameByFrame, Painter
from metastyle.films.progress import Progress
from metastyle.films.temporal import TemporalPainter
from metastyle.rendering.stylizer import Stylizer

TESTS = Path(__file__).parents[1]


def job_of(clip: Path, output: Path, **options: Any) -> FilmJob:
    options = {"identity": {"style": "any"}, "frames_per_segment": 7} | options
    return FilmJob(open_clip(clip), output, choose_encoding(output, None, None), **options)


def inverted() -> Painter:
    return FrameByFrame(lambda pixels: 255 - pixels)


class Darkening:
    """Every frame is darker than the one before: later frames depend on all earlier ones."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, pixels: Pixels) -> Pixels:
        self.count += 1
        return (pixels * (0.97**self.count)).astype(np.uint8)

    def state(self) -> bytes:
        return str(self.count).encode()

    def restore(self, state: bytes) -> None:
        self.count = int(state)


def finish(job: FilmJob, painter: Painter | None = None) -> list[Progress]:
    progress = list(job.run(painter or inverted()))
    job.finish()
    return progress


@pytest.mark.parametrize(
    "name",
    [
        *(
            "clip:1",
            "-clip",
            "--output",
            "pipe:0",
            "pipe:",
            "concat:a|b",
            "file:x",
            "%03d",
            "cache:clip",
            "http:",
        ),
        *("data:,", "subfile,,start,0,end,9,,:x", os.fsdecode(b"\xe9"), "two\nlines", "a?b*c", "[0]"),
    ],
    ids=ascii,
)
def test_unusual_file_names_are_taken_literally(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither input nor output is read as a protocol, an option or a pattern."""
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "plain.mp4", moving(9)).rename(tmp_path / f"{name}.mp4")
    out = Path(f"{name}-painted.mkv")
    job = job_of(Path(f"{name}.mp4"), out)
    run_until(job, 8)
    rescued = job.rescue()
    assert rescued is not None and rescued.is_file()
    finish(job_of(Path(f"{name}.mp4"), out))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"{name}.mp4", out.name])
    out.rename("plain.mkv")
    assert len(decoded(Path("plain.mkv"))) == 9 and packets(Path("plain.mkv"))


OFFSETS = [(0, 0), (100, 100), (100, 101), (101, 100), (Fraction(2, 3), Fraction(2, 3)), (0, Fraction(1, 3))]


@pytest.mark.parametrize(
    ("suffix", "pictures", "sound"),
    [(suffix, *both) for suffix in (".mkv", ".mp4", ".mov", ".ts") for both in OFFSETS]
    + [(".ts", *both) for both in ((-5, -5), (-5, -6), (-6, -5))],  # only MPEG-TS has negative time stamps
)
@pytest.mark.parametrize("begin", [None, 0.0, 0.2])
def test_pictures_and_sound_stay_together_wherever_time_stamps_begin(
    pictures: Fraction, sound: Fraction, begin: float | None, suffix: str, tmp_path: Path
) -> None:
    plain = make_clip(tmp_path / "plain.mp4", moving(20), options={"crf": "12", "bf": "0"})
    clip = shifted(plain, tmp_path / f"clip{suffix}", Fraction(pictures), Fraction(sound))
    out = tmp_path / "out.mkv"
    job = job_of(clip, out, begin=begin)
    finish(job)
    assert job.damage.sentence(clip) is None

    seen, heard = frame_times(clip), [at for at, _ in packets(clip)]
    beginning = min(seen[0], heard[0])
    wanted = [at for at in seen if begin is None or at >= beginning + Fraction(begin).limit_denominator(1000)]
    painted, copied = frame_times(out), [at for at, _ in packets(out)]
    assert len(painted) == len(wanted)
    zero = wanted[0] - painted[0]
    millisecond = Fraction(1, 1000)  # Matroska's
    assert all(abs(a - b - zero) <= millisecond for a, b in zip(wanted, painted, strict=True))
    assert all(min(abs(at + zero - h) for h in heard) <= millisecond for at in copied)
    first = beginning if begin is None else wanted[0]
    assert abs(len(copied) - len([h for h in heard if h >= first - millisecond])) <= 1
    if begin is None:
        assert abs(zero - beginning) < Fraction(1, 10)


def test_the_length_is_measured_from_the_first_time_stamp(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.mp4", moving(25))
    for suffix in (".mkv", ".mp4", ".ts"):
        clip = open_clip(shifted(plain, tmp_path / f"clip{suffix}", Fraction(100), Fraction("99.5")))
        assert clip.seconds == pytest.approx(1.5, abs=0.1)
        whole = clip.path.read_bytes()
        clip.path.write_bytes(whole[: len(whole) * 2 // 3])
        if suffix == ".mkv":
            job = job_of(clip.path, tmp_path / "out.mkv")
            list(job.run(inverted()))
            assert "ends after" in (job.damage.sentence(clip.path) or "")


def run_until(job: FilmJob, frames: int, painter: Painter | None = None) -> None:
    """Close the iterator after so many frames, as Ctrl-C does."""
    run = job.run(painter or inverted())
    for progress in run:
        if progress.frames == frames:
            break
    run.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", moving(40), options={"g": "12", "crf": "12"})


def test_every_frame_is_painted_once_and_in_order(clip: Path, tmp_path: Path) -> None:
    seen: list[Pixels] = []

    def paint(pixels: Pixels) -> Pixels:
        seen.append(pixels.copy())
        return 255 - pixels

    progress = finish(job_of(clip, tmp_path / "out.mp4"), FrameByFrame(paint))
    assert [p.frames for p in progress] == list(range(1, 41)) and len(seen) == 40
    assert progress[-1].share == 1 and progress[-1].seconds_left == 0
    assert progress[19].seconds == pytest.approx(0.8) and progress[19].share == pytest.approx(0.5)
    result = [f.pixels for f in read_frames(open_clip(tmp_path / "out.mp4"), Damage())]
    assert frame_times(tmp_path / "out.mp4") == frame_times(clip)
    errors = [np.abs(255 - a.astype(int) - b).mean() for a, b in zip(seen, result, strict=True)]
    assert max(errors) < 4
    assert [d for _, d in packets(tmp_path / "out.mp4")] == [d for _, d in packets(clip)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]


@pytest.mark.parametrize(
    ("painter", "after"), [(Darkening, 3), (Darkening, 14), (Darkening, 40), (inverted, 20)]
)
def test_interrupted_and_resumed_equals_uninterrupted(
    after: int, painter: Callable[[], Painter], clip: Path, tmp_path: Path
) -> None:
    finish(job_of(clip, tmp_path / "whole.mp4"), painter())
    run_until(job_of(clip, tmp_path / "out.mp4"), after, painter())
    job = job_of(clip, tmp_path / "out.mp4")
    assert job.frames_before == after // 7 * 7
    again = finish(job, painter())
    assert len(again) == 40 - after // 7 * 7
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_the_temporal_painter_resumes_exactly(tmp_path: Path) -> None:
    """Its statistics, the detected shots and the smoothing are restored."""
    pytest.importorskip("cv2", reason="smoothing needs OpenCV")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        stylizer = Stylizer(TransformationNetwork(), device="cpu", max_memory=1 << 28)
    clip = make_clip(tmp_path / "cut.mp4", moving(8, (32, 24)) + moving(8, (32, 24), seed=4), sound=None)
    finish(job_of(clip, tmp_path / "whole.mp4", frames_per_segment=5), TemporalPainter(stylizer))
    for after in (6, 12):
        run_until(job_of(clip, tmp_path / "out.mp4", frames_per_segment=5), after, TemporalPainter(stylizer))
    finish(job_of(clip, tmp_path / "out.mp4", frames_per_segment=5), TemporalPainter(stylizer))
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_a_film_interrupted_several_times_equals_an_uninterrupted_one(clip: Path, tmp_path: Path) -> None:
    finish(job_of(clip, tmp_path / "whole.mp4", begin=0.2, end=1.5), Darkening())
    for after in (9, 15, 16, 30):
        run_until(job_of(clip, tmp_path / "out.mp4", begin=0.2, end=1.5), after, Darkening())
    finish(job_of(clip, tmp_path / "out.mp4", begin=0.2, end=1.5), Darkening())
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert len(decoded(tmp_path / "out.mp4")) == 33


def test_a_rescued_film_can_be_played_and_is_removed_at_the_end(clip: Path, tmp_path: Path) -> None:
    job = job_of(clip, tmp_path / "out.mp4")
    run_until(job, 17)
    kept = job.rescue()
    assert kept == tmp_path / "out.unfinished.mp4"
    assert len(decoded(kept)) == 17
    assert 0.6 < float(packets(kept)[-1][0]) < 0.68
    assert not (tmp_path / "out.mp4").exists()
    run_until(job_of(clip, tmp_path / "out.mp4"), 30)
    assert len(decoded(kept)) == 17
    finish(job_of(clip, tmp_path / "out.mp4"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]


@pytest.mark.usefixtures("no_thread_is_left")
def test_a_failure_at_the_first_frame_leaves_no_files(clip: Path, tmp_path: Path) -> None:
    def fail(pixels: Pixels) -> Pixels:
        raise MetastyleError("out of paint")

    job = job_of(clip, tmp_path / "out.mp4")
    with pytest.raises(MetastyleError, match="out of paint"):
        finish(job, FrameByFrame(fail))
    assert job.rescue() is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4"]


def test_rescuing_does_not_replace_an_existing_file(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "out.unfinished.mp4").write_bytes(b"precious")
    job = job_of(clip, tmp_path / "out.mp4")
    run_until(job, 9)
    with pytest.raises(MetastyleError, match=r"out.unfinished.mp4 already exists"):
        job.rescue()
    finish(job_of(clip, tmp_path / "out.mp4"))
    assert (tmp_path / "out.unfinished.mp4").read_bytes() == b"precious"


_CHILD = """
import sys
sys.path.insert(0, {tests!r})
from films.test_job import Darkening, job_of
from pathlib import Path

for progress in job_of(Path({clip!r}), Path({out!r})).run(Darkening()):
    if progress.frames == 24:
        print("at frame 24", flush=True)
        sys.stdin.read()  # until the process is killed
"""


@pytest.mark.slow
def test_a_killed_job_resumes_from_its_last_segment(clip: Path, tmp_path: Path) -> None:
    finish(job_of(clip, tmp_path / "whole.mp4"), Darkening())
    code = _CHILD.format(tests=str(TESTS), clip=str(clip), out=str(tmp_path / "out.mp4"))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"at frame 24\n"
        process.kill()
    job = job_of(clip, tmp_path / "out.mp4")
    assert job.frames_before in (14, 21)
    finish(job, Darkening())
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_unfinished_work_with_other_settings_is_kept_and_not_mixed_in(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    run_until(job_of(clip, out), 17)
    with pytest.raises(MetastyleError, match=r"another style \(it was any, now it is new\).*overwrite=True"):
        job_of(clip, out, identity={"style": "new"})
    with pytest.raises(MetastyleError, match=r"another size \(it was None, now it is 32\)"):
        job_of(clip, out, long_edge=32)
    make_clip(clip, moving(40, seed=1))
    with pytest.raises(MetastyleError, match="another clip"):
        job_of(clip, out)
    fresh = job_of(clip, out, overwrite=True)
    assert fresh.frames_before == 0
    assert len(finish(fresh)) == 40


def test_a_clip_that_cannot_seek_exactly_is_read_from_the_beginning(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If seeking leads to other frames than before, all frames are decoded."""
    finish(job_of(clip, tmp_path / "whole.mp4"))
    run_until(job_of(clip, tmp_path / "out.mp4"), 17)
    real, seeks = film.read_frames, []

    def inexact(*arguments: Any, seek: bool = True, **options: Any) -> Any:
        seeks.append(seek)
        for frame in real(*arguments, seek=seek, **options):
            yield frame if not seek else type(frame)(frame.pixels ^ 1, frame.pts, frame.duration)

    monkeypatch.setattr(film, "read_frames", inexact)
    finish(job_of(clip, tmp_path / "out.mp4"))
    assert seeks == [True, False]
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_a_clip_whose_frames_have_changed_is_refused(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_until(job_of(clip, tmp_path / "out.mp4"), 17)
    lines = (tmp_path / "out.mp4.parts" / "parts.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    lines[-1] = json.dumps(last | {"checksum": last["checksum"] ^ 1, "seal": None})
    (tmp_path / "out.mp4.parts" / "parts.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(MetastyleError, match=r"does not decode to the same frames as before"):
        finish(job_of(clip, tmp_path / "out.mp4"))


@pytest.mark.usefixtures("no_thread_is_left")
def test_decoding_and_encoding_run_on_their_own_threads(clip: Path, tmp_path: Path) -> None:
    names: set[str] = set()

    def paint(pixels: Pixels) -> Pixels:
        names.update(thread.name for thread in threading.enumerate())
        return pixels

    finish(job_of(clip, tmp_path / "out.mp4"), FrameByFrame(paint))
    assert {"film reader", "film writer"} <= names


def test_the_reader_is_only_a_few_frames_ahead(tmp_path: Path) -> None:
    """The reader waits for the painter and is never far ahead."""
    clip = make_clip(tmp_path / "long.mp4", moving(60), sound=None)
    read: list[int] = []
    real = film.read_frames

    def counted(*arguments: Any, **options: Any) -> Any:
        for frame in real(*arguments, **options):
            read.append(frame.pts)
            if len(read) > 10:
                too_far.set()
            yield frame

    ahead: list[int] = []
    too_far = threading.Event()

    def paint(pixels: Pixels) -> Pixels:
        if not ahead:
            too_far.wait(0.5)  # time in which a reader without a limit would read on
        ahead.append(len(read) - len(ahead))
        return pixels

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(film, "read_frames", counted)
        finish(job_of(clip, tmp_path / "out.mp4"), FrameByFrame(paint))
    assert max(ahead) <= 6


def test_impossible_outputs_are_refused(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "there.mp4").write_bytes(b"precious")
    with pytest.raises(MetastyleError, match=r"there.mp4 already exists"):
        job_of(clip, tmp_path / "there.mp4")
    with pytest.raises(MetastyleError, match=r"clip.mp4 is the clip itself"):
        job_of(clip, clip, overwrite=True)
    with pytest.raises(MetastyleError, match="frames of 8x6 pixels: each side must have at least 16"):
        job_of(clip, tmp_path / "a.mp4", long_edge=8)
    with pytest.raises(MetastyleError, match="has no frames in the chosen range"):
        finish(job_of(clip, tmp_path / "a.mp4", begin=30.0))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "there.mp4"]


def test_an_existing_film_is_overwritten_only_at_the_end(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"old")
    job = job_of(clip, tmp_path / "out.mp4", overwrite=True)
    for _ in job.run(inverted()):
        assert (tmp_path / "out.mp4").read_bytes() == b"old"
    job.finish()
    assert len(decoded(tmp_path / "out.mp4")) == 40


@pytest.mark.usefixtures("no_thread_is_left")
@pytest.mark.parametrize("finished", [0, 2])
def test_finished_segments_survive_a_full_disk(
    finished: int, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(film.SegmentWriter):
        made = 0

        def close(self) -> Any:
            Full.made += 1
            if Full.made == finished + 1:
                raise OSError(28, "No space left on device")
            return super().close()

    with monkeypatch.context() as patch:
        patch.setattr(film, "SegmentWriter", Full)
        job = job_of(clip, tmp_path / "out.mp4")
        with pytest.raises(
            MetastyleError, match=r"out.mp4.parts cannot be written: the disk is full"
        ) as error:
            finish(job)
    assert ("is kept there" in str(error.value)) == (finished > 0)
    job = job_of(clip, tmp_path / "out.mp4")
    assert job.frames_before == 7 * finished
    finish(job)
    assert len(decoded(tmp_path / "out.mp4")) == 40


def test_a_truncated_clip_is_painted_up_to_its_end(clip: Path, tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "f.mp4", moving(60), options={"crf": "5"}, container_options={"movflags": "+faststart"}
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    job = job_of(path, tmp_path / "out.mp4")
    progress = finish(job)
    assert 20 < len(progress) < 60
    assert len(decoded(tmp_path / "out.mp4")) == len(progress)
    assert "f.mp4 is damaged or truncated" in (job.damage.sentence(path) or "")
