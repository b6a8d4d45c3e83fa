from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from metastyle.cli.inputs import PIPE, Job
from metastyle.cli.photos import FoundPhotos, find_photos
from metastyle.errors import MetastyleError
from metastyle.images.decode import open_picture
from metastyle.images.encode import save_picture
from metastyle.images.origin import Origin, photo_digest, place_digest, stamp
from metastyle.images.picture import Picture

Draw = Callable[..., Path]

LOOK, OTHER_LOOK = "1" * 32, "2" * 32


def result(photo: Path, output: Path, look: str = LOOK) -> Path:
    """Write the result that an earlier call would have made from ``photo``."""
    output.parent.mkdir(parents=True, exist_ok=True)
    picture = open_picture(photo)
    origin = Origin(photo_digest(photo), place_digest(photo), look)
    painted = Picture(pixels=255 - picture.pixels, exif=stamp(None, origin))
    save_picture(painted, output, overwrite=True)
    return output


def found_photos(*photos: Path, output: Path | None = None, look: str = LOOK, **options: Any) -> FoundPhotos:
    return find_photos(
        photos, "waves", output, overwrite=options.pop("overwrite", False), look=look, **options
    )


def test_the_result_of_one_photograph_is_beside_it_or_where_requested(photo: Path, tmp_path: Path) -> None:
    assert find_photos([photo], "waves", None, overwrite=False).jobs == [
        Job(photo, tmp_path / "photo-waves.png")
    ]
    out = tmp_path / "new" / "result.jpg"
    assert find_photos([photo], "waves", out, overwrite=False).jobs == [Job(photo, out)]
    folder = tmp_path / "folder"
    folder.mkdir()
    assert find_photos([photo], "waves", folder, overwrite=False).jobs == [
        Job(photo, folder / "photo-waves.png")
    ]


def test_formats_that_can_only_be_read_become_png(tmp_path: Path) -> None:
    heic = tmp_path / "photo.HEIC"
    heic.touch()
    assert find_photos([heic], "waves", None, overwrite=False).jobs[0].output == tmp_path / "photo-waves.png"


def test_a_pipe_takes_the_place_of_a_photograph_or_a_result(tmp_path: Path, photo: Path) -> None:
    assert find_photos([PIPE], "waves", None, overwrite=False).jobs == [Job(PIPE, PIPE)]
    assert find_photos([photo], "waves", PIPE, overwrite=False).jobs == [Job(photo, PIPE)]
    assert find_photos([PIPE], "waves", tmp_path / "a.jpg", overwrite=False).jobs == [
        Job(PIPE, tmp_path / "a.jpg")
    ]
    with pytest.raises(MetastyleError, match="takes one photograph"):
        find_photos([photo, PIPE], "waves", PIPE, overwrite=False)


def test_a_folder_means_all_its_photographs(tmp_path: Path, draw: Draw) -> None:
    holiday = tmp_path / "holiday"
    a, b = draw(holiday / "a.jpg"), draw(holiday / "b.png")
    (holiday / "notes.txt").write_text("no picture")
    beside = find_photos([holiday], "waves", None, overwrite=False).jobs
    assert beside == [Job(a, holiday / "a-waves.jpg"), Job(b, holiday / "b-waves.png")]
    out = tmp_path / "out"
    assert [job.output for job in find_photos([holiday], "waves", out, overwrite=False).jobs] == [
        out / "a-waves.jpg",
        out / "b-waves.png",
    ]


def test_patterns_are_expanded_unless_a_file_has_that_name(tmp_path: Path, draw: Draw) -> None:
    a, _ = draw(tmp_path / "x" / "a.png"), draw(tmp_path / "x" / "b.jpg")
    c = draw(tmp_path / "y" / "c.png")
    assert [j.photo for j in find_photos([tmp_path / "*" / "*.png"], "w", None, overwrite=False).jobs] == [
        a,
        c,
    ]
    with pytest.raises(MetastyleError, match="no files match"):
        find_photos([tmp_path / "*.tif"], "w", None, overwrite=False)
    odd = draw(tmp_path / "[1].png")
    assert find_photos([odd], "w", None, overwrite=False).jobs[0].photo == odd


def test_shards_divide_the_photographs_evenly(tmp_path: Path, draw: Draw) -> None:
    photos = [draw(tmp_path / f"{i}.png") for i in range(7)]
    shards = [find_photos([tmp_path], "w", None, overwrite=False, shard=(i, 3)).jobs for i in (1, 2, 3)]
    assert sorted(job.photo for jobs in shards for job in jobs) == photos
    assert sorted(map(len, shards)) == [2, 2, 3]


def test_a_photograph_given_twice_is_painted_once(tmp_path: Path, draw: Draw) -> None:
    a, b = draw(tmp_path / "a" / "x.png"), draw(tmp_path / "b" / "x.png")
    assert len(find_photos([a, b], "waves", None, overwrite=False).jobs) == 2
    assert len(find_photos([a, a, a.parent], "waves", tmp_path / "out", overwrite=False).jobs) == 1


def test_missing_inputs_and_impossible_outputs_are_refused(
    photo: Path, painting: Path, tmp_path: Path
) -> None:
    def message(photos: list[Path], output: Path | None = None) -> str:
        with pytest.raises(MetastyleError) as caught:
            find_photos(photos, "waves", output, overwrite=False)
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
    assert find_photos([photo], "waves", None, overwrite=True).jobs == [
        Job(photo, tmp_path / "photo-waves.png")
    ]


def test_a_photograph_named_like_a_result_is_painted(tmp_path: Path, draw: Draw) -> None:
    house, waves = draw(tmp_path / "house.jpg"), draw(tmp_path / "house-waves.jpg", 1)
    for overwrite in (False, True):
        found = found_photos(tmp_path, overwrite=overwrite)
        assert found.jobs == [
            Job(waves, tmp_path / "house-waves-waves.jpg"),
            Job(house, tmp_path / "house-waves-2.jpg"),
        ]
        assert not found.left_out and f"{house} becomes" in found.notes[0]
    first, second = (result(job.photo, job.output) for job in found.jobs)
    again = found_photos(tmp_path)
    assert again.jobs == [] and again.finished == [first, second]
    assert again.left_out.keys() == {first, second}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif", ".bmp"])
def test_the_painting_and_earlier_results_are_left_out(suffix: str, tmp_path: Path, draw: Draw) -> None:
    painting, a = draw(tmp_path / "waves.png", 1), draw(tmp_path / f"a{suffix}")
    mine = result(a, tmp_path / f"a-waves{suffix}")
    other = result(a, tmp_path / f"a-night{suffix}", OTHER_LOOK)
    found = found_photos(tmp_path, not_photos=[painting], overwrite=True)
    assert found.jobs == [Job(a, mine)]
    assert found.left_out == {
        painting: "a painting or a mask of this call",
        mine: "a result of an earlier call",
        other: "a result of an earlier call",
    }
    assert found_photos(tmp_path, not_photos=[painting]).finished == [mine]


def test_results_are_left_out_of_patterns_and_lists_unless_given_alone(tmp_path: Path, draw: Draw) -> None:
    a, b = draw(tmp_path / "a.png"), draw(tmp_path / "b.png", 1)
    done = result(a, tmp_path / "a-waves.png")
    for photos in ([tmp_path / "*.png"], [a, done, b]):
        found = found_photos(*photos)
        assert [job.photo for job in found.jobs] == [b]
        assert found.finished == [done] and list(found.left_out) == [done]
    assert found_photos(done).jobs == [Job(done, tmp_path / "a-waves-waves.png")]
    assert [job.photo for job in found_photos(done, b).jobs] == [done, b]
    alone = result(a, tmp_path / "out" / "a-waves.png").parent
    assert [job.photo.name for job in found_photos(alone, look=OTHER_LOOK).jobs] == ["a-waves.png"]
    with pytest.raises(MetastyleError, match="all of these pictures are results"):
        found_photos(alone)


def test_photographs_whose_results_exist_are_finished(tmp_path: Path, draw: Draw) -> None:
    holiday, out = tmp_path / "holiday", tmp_path / "out"
    a, b = draw(holiday / "a.png"), draw(holiday / "b.png", 1)
    done = result(a, out / "a-waves.png")
    assert found_photos(holiday, output=out) == FoundPhotos([Job(b, out / "b-waves.png")], [a, b], [done])
    assert [job.photo for job in found_photos(holiday, output=out, overwrite=True).jobs] == [a, b]
    moved = holiday.rename(tmp_path / "elsewhere")
    assert found_photos(moved, output=out).finished == [done]


def test_a_file_without_a_record_counts_as_finished_by_its_name_and_is_reported(
    tmp_path: Path, draw: Draw
) -> None:
    draw(tmp_path / "in" / "a.png")
    foreign = draw(tmp_path / "out" / "a-waves.png")
    found = found_photos(tmp_path / "in", output=tmp_path / "out")
    assert (found.jobs, found.finished, found.unknown) == ([], [], [foreign])


def test_a_result_with_other_options_or_of_a_changed_photograph_is_refused(
    tmp_path: Path, draw: Draw
) -> None:
    a, out = draw(tmp_path / "in" / "a.png"), tmp_path / "out"
    done = result(a, out / "a-waves.png", OTHER_LOOK)
    found = found_photos(tmp_path / "in", output=out)
    assert found.jobs == found.finished == []
    assert "in another style or with other options: --overwrite replaces it" in found.refused[a]
    assert found_photos(tmp_path / "in", output=out, overwrite=True).jobs == [Job(a, done)]
    result(a, done)
    draw(a, 9)
    assert "before the photograph was changed" in found_photos(tmp_path / "in", output=out).refused[a]
    assert found_photos(tmp_path / "in", output=out, overwrite=True).jobs == [Job(a, done)]


def test_another_photograph_of_the_same_name_is_painted_into_a_subfolder(tmp_path: Path, draw: Draw) -> None:
    a, b, out = draw(tmp_path / "a" / "x.png"), draw(tmp_path / "b" / "x.png", 1), tmp_path / "out"
    first = found_photos(a.parent, output=out).jobs
    assert first == [Job(a, out / "x-waves.png")]
    result(a, first[0].output)
    for overwrite in (False, True):  # only a photograph's own results are overwritten
        second = found_photos(b.parent, output=out, overwrite=overwrite)
        assert second.jobs == [Job(b, out / "b" / "x-waves.png")] and second.notes
    done = result(b, out / "b" / "x-waves.png")
    assert found_photos(b.parent, output=out).finished == [done]
    both = found_photos(a.parent, b.parent, output=out)
    assert both.jobs == [] and both.finished == [first[0].output, done]


def test_results_of_two_folders_are_found_again_for_each_folder_alone(tmp_path: Path, draw: Draw) -> None:
    a, b, out = draw(tmp_path / "a" / "x.png"), draw(tmp_path / "b" / "x.png", 1), tmp_path / "out"
    done = [result(photo, out / photo.parent.name / "x-waves.png") for photo in (a, b)]
    for photo, mine in zip((a, b), done, strict=True):
        for overwrite in (False, True):
            found = found_photos(photo.parent, output=out, overwrite=overwrite)
            assert (found.finished, found.jobs) == (([], [Job(photo, mine)]) if overwrite else ([mine], []))


def test_results_of_photographs_of_the_same_name_are_in_folders_named_like_theirs(
    tmp_path: Path, draw: Draw
) -> None:
    photos = [draw(tmp_path / folder / "x.png") for folder in ("1/a", "1/b", "2/a")]
    other = draw(tmp_path / "1" / "a" / "y.png")
    out = tmp_path / "out"
    assert [job.output.relative_to(out) for job in found_photos(*photos[:2], output=out).jobs] == [
        Path("a/x-waves.png"),
        Path("b/x-waves.png"),
    ]
    found = found_photos(*(p.parent for p in photos), output=out)
    assert {job.photo: job.output.relative_to(out) for job in found.jobs} == {
        photos[0]: Path("1/a/x-waves.png"),
        other: Path("1/a/y-waves.png"),
        photos[1]: Path("1/b/x-waves.png"),
        photos[2]: Path("2/a/x-waves.png"),
    }
    assert "several folders" in found.notes[0]
    nested = [draw(tmp_path / "n" / "x.png"), draw(tmp_path / "n" / "m" / "x.png")]
    assert [job.output for job in found_photos(*nested, output=out).jobs] == [
        out / "n" / "x-waves.png",
        out / "m" / "x-waves.png",
    ]


def test_photographs_that_differ_only_in_format_get_different_names(tmp_path: Path, draw: Draw) -> None:
    png = draw(tmp_path / "x.png")
    heic, gif = tmp_path / "x.HEIC", tmp_path / "x.gif"
    heic.write_bytes(png.read_bytes())
    Image.open(png).save(gif)
    found = found_photos(tmp_path)
    assert {job.photo: job.output.name for job in found.jobs} == {
        png: "x-waves.png",
        heic: "x-heic-waves.png",
        gif: "x-gif-waves.png",
    }


def test_an_impossible_output_refuses_only_its_photograph(tmp_path: Path, draw: Draw) -> None:
    good, long = draw(tmp_path / "a.png"), draw(tmp_path / ("x" * 250 + ".png"))
    found = found_photos(tmp_path)
    assert [job.photo for job in found.jobs] == [good]
    assert "File name too long" in found.refused[long]
    (tmp_path / "b-waves.png").mkdir()
    other = draw(tmp_path / "b.png")
    assert "is a folder" in found_photos(tmp_path).refused[other]


def test_an_unwritable_folder_refuses_all(
    tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        draw(tmp_path / "in" / f"{name}.png")

    def read_only(*arguments: object, **options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    with pytest.raises(MetastyleError, match="Read-only file system"):
        found_photos(tmp_path / "in")
    with pytest.raises(MetastyleError, match="is not a folder"):
        found_photos(tmp_path / "in", output=tmp_path / "in" / "a.png" / "out")


def test_a_missing_output_folder_may_be_requested(photo: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    assert found_photos(photo, output=new, into_folder=True).jobs == [Job(photo, new / "photo-waves.png")]
    found = found_photos(photo.parent, output=tmp_path / "new.jpg", into_folder=True)
    assert [job.output for job in found.jobs] == [tmp_path / "new.jpg" / "photo-waves.png"]


def test_a_film_among_photographs_is_refused_alone(photo: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.touch()
    found = found_photos(photo, clip)
    assert [job.photo for job in found.jobs] == [photo]
    assert "is a film: 'metastyle video" in found.refused[clip]
    with pytest.raises(MetastyleError, match="is a film"):
        found_photos(clip)
    with pytest.raises(MetastyleError, match="No such file"):
        found_photos(photo, tmp_path / "missing.mp4")


def test_the_result_of_an_unnamed_pipe_goes_to_stdout(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        piped = Path(f"/dev/fd/{reading}")
        assert found_photos(piped).jobs == [Job(piped, PIPE)]
        assert found_photos(piped, output=tmp_path).jobs == [Job(piped, tmp_path / "photo-waves.png")]
    finally:
        os.close(reading)
        os.close(writing)
