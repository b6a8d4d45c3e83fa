from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from metastyle.app.inputs import PIPE, WRITABLE, Job, check_number, check_output, plan
from metastyle.errors import MetastyleError
from metastyle.media.encoding import WRITABLE_SUFFIXES

Draw = Callable[..., Path]


def test_results_are_written_as_what_the_library_writes() -> None:
    assert set(WRITABLE) == set(WRITABLE_SUFFIXES)


def test_one_photograph(photo: Path, painting: Path, tmp_path: Path) -> None:
    assert plan([photo], painting, None, overwrite=False) == [Job(photo, tmp_path / "photo-waves.png")]
    out = tmp_path / "new" / "result.jpg"
    assert plan([photo], painting, out, overwrite=False) == [Job(photo, out)]
    folder = tmp_path / "folder"
    folder.mkdir()
    assert plan([photo], painting, folder, overwrite=False) == [Job(photo, folder / "photo-waves.png")]


def test_kinds_that_are_only_read_become_png(painting: Path, tmp_path: Path) -> None:
    heic = tmp_path / "photo.HEIC"
    heic.touch()
    assert plan([heic], painting, None, overwrite=False)[0].output == tmp_path / "photo-waves.png"


def test_pipes(painting: Path, tmp_path: Path, photo: Path) -> None:
    assert plan([PIPE], painting, None, overwrite=False) == [Job(PIPE, PIPE)]
    assert plan([photo], painting, PIPE, overwrite=False) == [Job(photo, PIPE)]
    assert plan([PIPE], painting, tmp_path / "a.jpg", overwrite=False) == [Job(PIPE, tmp_path / "a.jpg")]
    with pytest.raises(MetastyleError, match="takes one photograph"):
        plan([photo, PIPE], painting, PIPE, overwrite=False)


def test_a_folder_stands_for_its_photographs(painting: Path, tmp_path: Path, draw: Draw) -> None:
    holiday = tmp_path / "holiday"
    a, b = draw(holiday / "a.jpg"), draw(holiday / "b.png")
    (holiday / "notes.txt").write_text("no picture")
    beside = plan([holiday], painting, None, overwrite=False)
    assert beside == [Job(a, holiday / "a-waves.jpg"), Job(b, holiday / "b-waves.png")]
    out = tmp_path / "out"
    assert [job.output for job in plan([holiday], painting, out, overwrite=False)] == [
        out / "a-waves.jpg",
        out / "b-waves.png",
    ]


def test_neither_the_painting_nor_earlier_results_are_photographs(tmp_path: Path, draw: Draw) -> None:
    painting, a = draw(tmp_path / "waves.png"), draw(tmp_path / "a.png")
    draw(tmp_path / "a-waves.png")
    assert plan([tmp_path], painting, None, overwrite=True) == [Job(a, tmp_path / "a-waves.png")]


def test_two_results_of_one_name(painting: Path, tmp_path: Path, draw: Draw) -> None:
    a, b = draw(tmp_path / "a" / "x.png"), draw(tmp_path / "b" / "x.png")
    assert len(plan([a, b], painting, None, overwrite=False)) == 2
    with pytest.raises(MetastyleError, match="would both become"):
        plan([a, b], painting, tmp_path / "out", overwrite=True)
    assert len(plan([a, a, a.parent], painting, tmp_path / "out", overwrite=False)) == 1


def test_what_stands_in_the_way(photo: Path, painting: Path, tmp_path: Path) -> None:
    def message(photos: list[Path], output: Path | None = None) -> str:
        with pytest.raises(MetastyleError) as caught:
            plan(photos, painting, output, overwrite=False)
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
    assert plan([photo], painting, None, overwrite=True)


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
