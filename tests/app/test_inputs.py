from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from metastyle.app.inputs import PIPE, WRITABLE, Job, Plan, check_number, check_output, parse_shard, plan
from metastyle.errors import MetastyleError
from metastyle.media.encoding import WRITABLE_SUFFIXES

Draw = Callable[..., Path]


def test_results_are_written_as_what_the_library_writes() -> None:
    assert set(WRITABLE) == set(WRITABLE_SUFFIXES)


def test_one_photograph(photo: Path, painting: Path, tmp_path: Path) -> None:
    assert plan([photo], "waves", None, overwrite=False).jobs == [Job(photo, tmp_path / "photo-waves.png")]
    out = tmp_path / "new" / "result.jpg"
    assert plan([photo], "waves", out, overwrite=False).jobs == [Job(photo, out)]
    folder = tmp_path / "folder"
    folder.mkdir()
    assert plan([photo], "waves", folder, overwrite=False).jobs == [Job(photo, folder / "photo-waves.png")]


def test_kinds_that_are_only_read_become_png(painting: Path, tmp_path: Path) -> None:
    heic = tmp_path / "photo.HEIC"
    heic.touch()
    assert plan([heic], "waves", None, overwrite=False).jobs[0].output == tmp_path / "photo-waves.png"


def test_pipes(painting: Path, tmp_path: Path, photo: Path) -> None:
    assert plan([PIPE], "waves", None, overwrite=False).jobs == [Job(PIPE, PIPE)]
    assert plan([photo], "waves", PIPE, overwrite=False).jobs == [Job(photo, PIPE)]
    assert plan([PIPE], "waves", tmp_path / "a.jpg", overwrite=False).jobs == [Job(PIPE, tmp_path / "a.jpg")]
    with pytest.raises(MetastyleError, match="takes one photograph"):
        plan([photo, PIPE], "waves", PIPE, overwrite=False)


def test_a_folder_stands_for_its_photographs(painting: Path, tmp_path: Path, draw: Draw) -> None:
    holiday = tmp_path / "holiday"
    a, b = draw(holiday / "a.jpg"), draw(holiday / "b.png")
    (holiday / "notes.txt").write_text("no picture")
    beside = plan([holiday], "waves", None, overwrite=False).jobs
    assert beside == [Job(a, holiday / "a-waves.jpg"), Job(b, holiday / "b-waves.png")]
    out = tmp_path / "out"
    assert [job.output for job in plan([holiday], "waves", out, overwrite=False).jobs] == [
        out / "a-waves.jpg",
        out / "b-waves.png",
    ]


def test_neither_the_painting_nor_earlier_results_are_photographs(tmp_path: Path, draw: Draw) -> None:
    painting, a = draw(tmp_path / "waves.png"), draw(tmp_path / "a.png")
    draw(tmp_path / "a-waves.png")
    assert plan([tmp_path], "waves", None, overwrite=True, not_photos=[painting]).jobs == [
        Job(a, tmp_path / "a-waves.png")
    ]


def test_results_that_exist_are_finished(tmp_path: Path, draw: Draw) -> None:
    holiday, out = tmp_path / "holiday", tmp_path / "out"
    a, b = draw(holiday / "a.png"), draw(holiday / "b.png")
    done = draw(out / "a-waves.png")
    again = plan([holiday], "waves", out, overwrite=False)
    assert again == Plan([Job(b, out / "b-waves.png")], [done])
    assert [job.photo for job in plan([holiday], "waves", out, overwrite=True).jobs] == [a, b]


def test_patterns(tmp_path: Path, draw: Draw) -> None:
    a, _ = draw(tmp_path / "x" / "a.png"), draw(tmp_path / "x" / "b.jpg")
    c = draw(tmp_path / "y" / "c.png")
    assert [j.photo for j in plan([tmp_path / "*" / "*.png"], "w", None, overwrite=False).jobs] == [a, c]
    with pytest.raises(MetastyleError, match="no files match"):
        plan([tmp_path / "*.tif"], "w", None, overwrite=False)
    odd = draw(tmp_path / "[1].png")
    assert plan([odd], "w", None, overwrite=False).jobs[0].photo == odd


def test_shards_share_the_work(tmp_path: Path, draw: Draw) -> None:
    photos = [draw(tmp_path / f"{i}.png") for i in range(7)]
    shards = [plan([tmp_path], "w", None, overwrite=False, shard=(i, 3)).jobs for i in (1, 2, 3)]
    assert sorted(job.photo for jobs in shards for job in jobs) == photos
    assert sorted(map(len, shards)) == [2, 2, 3]
    assert parse_shard("2/5") == (2, 5)
    for text in ("0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", ""):
        with pytest.raises(MetastyleError, match="use I/N"):
            parse_shard(text)


def test_two_results_of_one_name(painting: Path, tmp_path: Path, draw: Draw) -> None:
    a, b = draw(tmp_path / "a" / "x.png"), draw(tmp_path / "b" / "x.png")
    assert len(plan([a, b], "waves", None, overwrite=False).jobs) == 2
    with pytest.raises(MetastyleError, match="would both become"):
        plan([a, b], "waves", tmp_path / "out", overwrite=True)
    assert len(plan([a, a, a.parent], "waves", tmp_path / "out", overwrite=False).jobs) == 1


def test_what_stands_in_the_way(photo: Path, painting: Path, tmp_path: Path) -> None:
    def message(photos: list[Path], output: Path | None = None) -> str:
        with pytest.raises(MetastyleError) as caught:
            plan(photos, "waves", output, overwrite=False)
        return str(caught.value)

    assert "No such file" in message([tmp_path / "missing.jpg"])
    (tmp_path / "empty").mkdir()
    assert "no pictures in this folder" in message([tmp_path / "empty"])
    assert "use .jpg, .jpeg, .png" in message([photo], tmp_path / "out.xyz")
    assert "a name without extension" in message([photo], tmp_path / "out")
    assert "is a file name: give a folder" in message([photo, painting], tmp_path / "out.png")
    assert "is not a folder" in message([photo], photo / "out.png")
    (tmp_path / "photo-waves.png").touch()
    assert "add --overwrite" in message([photo])
    assert plan([photo], "waves", None, overwrite=True)


def test_outputs_are_checked_without_a_trace(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "deep" / "a.png", overwrite=False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MetastyleError, match="is a folder"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(MetastyleError, match="cannot be written"):
        check_output(tmp_path / ("x" * 300), overwrite=False)


def test_numbers() -> None:
    check_number("--strength", 1.0, 0, 1)
    check_number("--size", None, 16, 100)
    for value in (2.0, -0.1, float("nan"), float("inf")):
        with pytest.raises(MetastyleError, match=r"^--strength is .*: use 0 to 1$"):
            check_number("--strength", value, 0, 1)
