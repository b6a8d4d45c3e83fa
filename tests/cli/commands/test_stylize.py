from __future__ import annotations

import os
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metastyle import api, files
from metastyle.cli import photos as cli_photos
from metastyle.cli.inputs import Job
from metastyle.core.settings import AdaptationSettings
from metastyle.images import contents, decode, picture_like
from metastyle.images.decode import open_picture
from metastyle.images.picture import Picture

Run = Callable[..., Any]
Draw = Callable[..., Path]
Quick = tuple[str, ...]


def test_a_photograph_is_painted_in_a_style(photo: Path, style_file: Path, run: Run, tmp_path: Path) -> None:
    result = run("stylize", photo, "--style", style_file)
    assert (result.code, result.err) == (0, "repainting: 100% photo.png\n")
    out = tmp_path / "photo-plain.png"
    assert result.out.startswith(f"{out}  40x28  ")
    expected = api.load(style_file).render(open_picture(photo))
    assert np.array_equal(np.asarray(Image.open(out)), expected.pixels)


def test_a_painting_is_adapted_to_once_and_then_cached(
    painting: Path, run: Run, tmp_path: Path, draw: Draw, quick: Quick, machine: Path
) -> None:
    for name in ("a.jpg", "b.png"):
        draw(tmp_path / "photos" / name)
    first = run("stylize", tmp_path / "photos", "--style", painting, "-o", tmp_path / "out", *quick, "--json")
    assert first.code == 0
    document = first.document
    assert document["style"]["how"] == "adapted" and document["style"]["steps"] == 2
    assert document["style"]["losses"].keys() == {"total", "content", "style"}
    assert [Path(o["output"]).name for o in document["outputs"]] == ["a-waves.jpg", "b-waves.png"]
    assert first.err.count("adapting to waves: 100%") == 1
    assert len(list((machine / "styles").iterdir())) == 1
    again = run("stylize", tmp_path / "photos", "--style", painting, *quick, "--json").document
    assert again["style"]["how"] == "cached"
    assert again["style"]["losses"] == document["style"]["losses"]


def test_unreadable_files_of_a_folder_are_reported(
    style_file: Path, run: Run, tmp_path: Path, draw: Draw
) -> None:
    photos = tmp_path / "photos"
    draw(photos / "b.png")
    draw(photos / "d.png")
    whole = (photos / "b.png").read_bytes()
    (photos / "a.png").write_bytes(b"no picture")
    (photos / "c.png").write_bytes(whole[: len(whole) // 2])
    result = run("stylize", photos, "--style", style_file, "-o", tmp_path / "out", "--json", "--quiet")
    assert result.code == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["b-plain.png", "d-plain.png"]
    assert {Path(e["photo"]).name for e in result.document["errors"]} == {"a.png", "c.png"}
    lines = result.err.splitlines()
    assert lines[0] == "metastyle: 2 of 4 photographs could not be repainted:"
    assert "a.png" in lines[1] and "c.png" in lines[2] and len(lines) == 3


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (MemoryError(), 1, "b.png: not enough memory"),
        (ZeroDivisionError("what"), 70, "b.png: unexpected ZeroDivisionError: what (this is a bug"),
    ],
)
def test_an_error_with_one_photograph_does_not_stop_the_others(
    error: Exception,
    code: int,
    line: str,
    style_file: Path,
    run: Run,
    tmp_path: Path,
    draw: Draw,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in "abc":
        draw(tmp_path / "in" / f"{name}.png")
    _render_raising(error, "b.png", monkeypatch)
    result = run("stylize", tmp_path / "in", "-s", style_file, "-o", tmp_path / "out", "--json", "--debug")
    assert result.code == result.document["exit_code"] == code
    assert [Path(o["photo"]).name for o in result.document["outputs"]] == ["a.png", "c.png"]
    assert line in result.document["errors"][0]["error"] and line in result.err
    assert "Traceback" in result.err


def test_ctrl_c_keeps_the_report_of_finished_pictures(
    style_file: Path, run: Run, tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        draw(tmp_path / "in" / f"{name}.png")
    _render_raising(KeyboardInterrupt(), "b.png", monkeypatch)
    result = run("stylize", tmp_path / "in", "-s", style_file, "-o", tmp_path / "out", "--json")
    assert result.code == result.document["exit_code"] == 130
    assert [Path(o["photo"]).name for o in result.document["outputs"]] == ["a.png"]
    assert result.document["errors"] == [{"error": "interrupted"}]
    assert result.err.endswith("metastyle: interrupted\n")


def _render_raising(error: BaseException, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = api.render_regions

    def render(pictures: list[Picture], *arguments: Any, **options: Any) -> list[Picture]:
        if name in (Path(picture.name).name for picture in pictures):
            raise error
        return real(pictures, *arguments, **options)

    monkeypatch.setattr(api, "render_regions", render)


def test_unreadable_photographs_cause_no_adaptation(
    painting: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object, **options: object) -> None:
        raise AssertionError("adapted for nothing")

    monkeypatch.setattr(api, "adapt", never)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "bad").mkdir(exist_ok=True)
        (tmp_path / "bad" / name).write_bytes(b"")
    result = run("stylize", tmp_path / "bad" / "a.jpg", "--style", painting)
    assert result.code == 2 and "a.jpg is empty" in result.err and result.err.count("\n") == 1
    result = run("stylize", tmp_path / "bad", "--style", painting)
    assert result.code == 1 and "2 of 2 photographs could not be repainted" in result.err


def test_an_existing_result_of_a_single_photograph_is_an_error(
    style_file: Path, run: Run, tmp_path: Path, draw: Draw
) -> None:
    photo = draw(tmp_path / "b.png")
    (tmp_path / "b-plain.png").write_bytes(b"precious")
    result = run("stylize", photo, "--style", style_file)
    assert result.code == 2 and "b-plain.png exists: add --overwrite" in result.err
    assert (tmp_path / "b-plain.png").read_bytes() == b"precious"


def test_a_rerun_paints_only_what_is_missing(style_file: Path, run: Run, tmp_path: Path, draw: Draw) -> None:
    a, b = draw(tmp_path / "a.png"), draw(tmp_path / "b.png")
    (tmp_path / "b-plain.png").write_bytes(b"precious")
    result = run("stylize", a, b, "--style", style_file, "--json")
    assert result.code == 0
    assert [one["photo"] for one in result.document["outputs"]] == [str(a)]
    assert result.document["finished"] == [str(tmp_path / "b-plain.png")]
    assert (tmp_path / "b-plain.png").read_bytes() == b"precious"
    assert run("stylize", a, b, "--style", style_file, "--overwrite", "--quiet").code == 0
    assert open_picture(tmp_path / "b-plain.png").size == (40, 28)


def test_folders_with_photographs_of_the_same_name_share_an_output_folder(
    style_file: Path, run: Run, tmp_path: Path, draw: Draw
) -> None:
    a, b = draw(tmp_path / "a" / "img.jpg", 1), draw(tmp_path / "b" / "img.jpg", 2)
    out, both = tmp_path / "out", tmp_path / "both"
    style = api.load(style_file)

    def call(*photos: Path, into: Path) -> Any:
        result = run("stylize", *photos, "-s", style_file, "-o", into, "--json")
        assert result.code == 0
        return result.document, result.err

    def check(path: Path, photo: Path) -> None:
        expected = style.render(open_picture(photo)).pixels.astype(int)
        other = style.render(open_picture(b if photo == a else a)).pixels
        painted = open_picture(path).pixels
        assert np.abs(painted - expected).mean() < 8 < np.abs(painted - other.astype(int)).mean()

    call(a.parent, into=out)
    document, err = call(b.parent, into=out)
    assert [one["output"] for one in document["outputs"]] == [str(out / "b" / "img-plain.jpg")]
    assert f"{out / 'img-plain.jpg'} is another picture" in err
    check(out / "img-plain.jpg", a)
    check(out / "b" / "img-plain.jpg", b)
    for folder, finished in ((a.parent, out), (b.parent, out / "b")):
        document, err = call(folder, into=out)
        assert document["outputs"] == []
        assert document["finished"] == [str(finished / "img-plain.jpg")]
        assert "1 result existed already" in err
    document, _ = call(a.parent, b.parent, into=both)
    for name, photo in (("a", a), ("b", b)):
        check(both / name / "img-plain.jpg", photo)
    assert call(a.parent, b.parent, into=both)[0]["outputs"] == []


def test_a_result_with_other_options_is_not_finished(
    style_file: Path, run: Run, tmp_path: Path, draw: Draw
) -> None:
    photos, out = draw(tmp_path / "in" / "a.png").parent, tmp_path / "out"
    call = ("stylize", photos, "-s", style_file, "-o", out)
    assert run(*call).code == 0
    before = (out / "a-plain.png").read_bytes()
    for options in (["--size", "20"], ["--strength", "0.5"], ["--keep-color"], ["--brush", "2"]):
        result = run(*call, *options)
        assert result.code == 1 and "with other options: --overwrite replaces it" in result.err
        assert (out / "a-plain.png").read_bytes() == before
    other = style_file.rename(tmp_path / "other.safetensors")
    api.adapt(np.zeros((64, 64, 3), np.uint8), steps=1, size=64, style_size=64).save(style_file)
    assert "in another style" in run(*call).err
    other.replace(style_file)
    assert run(*call, "--json").document["finished"] == [str(out / "a-plain.png")]
    assert run(*call, "--size", "20", "--overwrite").code == 0
    assert open_picture(out / "a-plain.png").size == (20, 16)


def test_omitted_photographs_are_reported(style_file: Path, run: Run, tmp_path: Path, draw: Draw) -> None:
    photos = tmp_path / "in"
    for number, name in enumerate(["house", "house-plain"]):
        draw(photos / f"{name}.png", number)
    first = run("stylize", photos, "-s", style_file, "--json").document
    assert [Path(one["output"]).name for one in first["outputs"]] == [
        "house-plain-plain.png",
        "house-plain-2.png",
    ]
    again = run("stylize", photos, "-s", style_file, "--json")
    assert again.document["outputs"] == [] and len(again.document["left_out"]) == 2
    assert "2 results existed already" in again.err
    other = style_file.rename(tmp_path / "other.safetensors")
    again = run("stylize", photos, "-s", other)
    assert "left out as a result of an earlier call: house-plain-2.png, house-plain-plain.png" in again.err
    assert len(again.out.splitlines()) == 2
    other.rename(style_file)
    by_name = draw(tmp_path / "out" / "house-plain.png")
    result = run(
        "stylize", photos / "house.png", photos / "house-plain.png", "-s", style_file, "-o", by_name.parent
    )
    assert "considered finished by name alone: house-plain.png" in result.err


def test_two_shards_paint_each_photograph_once(
    style_file: Path, run: Run, tmp_path: Path, draw: Draw
) -> None:
    photos = [draw(tmp_path / "in" / f"{i}.png", i) for i in range(3)]
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    assert run("stylize", *photos, "--style", style_file, "-o", alone).code == 0
    done = [
        run("stylize", *photos, "--style", style_file, "-o", shared, "--shard", f"{i}/2", "--json").document
        for i in (1, 2)
    ]
    assert [len(document["outputs"]) for document in done] == [2, 1]
    for photo in photos:
        name = f"{photo.stem}-plain.png"
        assert (alone / name).read_bytes() == (shared / name).read_bytes()


def test_a_mixture_is_painted_outside_a_mask(style_file: Path, photo: Path, run: Run, tmp_path: Path) -> None:
    mask = tmp_path / "left.png"
    inside = np.zeros((28, 40), np.uint8)
    inside[:, :20] = 255
    Image.fromarray(inside).save(mask)
    out = tmp_path / "out.png"
    result = run(
        "stylize",
        photo,
        "-s",
        f"{style_file}:0.4",
        "-s",
        f"{style_file}:0.6",
        "--mask",
        f"{mask}=photo",
        "-o",
        out,
    )
    assert (result.code, result.err) == (0, "repainting: 100% photo.png\n")
    before, after = (np.asarray(Image.open(p).convert("RGB")).astype(int) for p in (photo, out))
    assert np.abs(before - after)[:, :8].max() <= 1 < np.abs(before - after)[:, -8:].max()
    wide = tmp_path / "wide.png"
    Image.fromarray(np.zeros((16, 80), np.uint8)).save(wide)
    result = run("stylize", photo, "-s", style_file, "--mask", f"{wide}=photo", "-o", tmp_path / "no.png")
    assert result.code == 2 and "a mask needs the picture's proportions" in result.err


def test_watch_paints_new_photographs(
    style_file: Path, run: Run, tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    inbox.mkdir()

    def arrivals(look: Callable[[], list[Job]], seen: set[Path]) -> Iterator[list[Job]]:
        assert not look() and not seen
        draw(inbox / "late.png")
        yield look()
        raise KeyboardInterrupt

    monkeypatch.setattr("metastyle.cli.repaint.arrivals", arrivals)
    result = run("stylize", inbox, "--style", style_file, "-o", out, "--watch", "--json")
    assert result.code == 0 and (out / "late-plain.png").is_file()
    result = run("stylize", inbox / "late.png", "--style", style_file, "--watch")
    assert result.code == 2 and "--watch looks at folders" in result.err


def test_size_color_strength_and_precision_affect_the_result(
    photo: Path, style_file: Path, run: Run, tmp_path: Path
) -> None:
    def pixels(*options: str) -> Any:
        out = tmp_path / "out.png"
        assert run("stylize", photo, "--style", style_file, "-o", out, "--overwrite", *options).code == 0
        return np.asarray(Image.open(out).convert("RGB")).astype(int)

    original = np.asarray(Image.open(photo)).astype(int)
    assert pixels("--size", "20").shape == (16, 20, 3)
    assert np.array_equal(pixels("--strength", "0"), original)
    plain, kept = pixels(), pixels("--keep-color")
    assert np.abs(plain - original).mean() > 10
    assert not np.array_equal(kept, plain)
    half, single = pixels("--precision", "bfloat16"), pixels("--precision", "float32")
    assert not np.array_equal(half, single)
    assert np.abs(half - single).mean() < 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--strength", "2.5"], "--strength is 2.5: use a number from 0 to 2"),
        (["--brush", "9"], "--brush is 9.0: use a number from 0.25 to 8"),
        (["--shard", "3/2"], "--shard is '3/2': use I/N"),
        (["--mask", "nothing"], "use MASK=STYLE"),
        (["--size", "8"], "--size is 8: use a whole number from 16 to 100000"),
        (["--steps", "-3"], "--steps is -3: use a whole number from 0 to 100000"),
        (["--precision", "int8"], "bfloat16"),
        (["--max-memory", "1kB"], "--max-memory is 1000: use a whole number of at least 1000000"),
        (["--device", "gpu9"], "device 'gpu9' is unknown"),
        (["-o", "x.doc"], "pictures cannot be written as '.doc'"),
    ],
)
def test_invalid_options_are_refused_before_any_work(
    arguments: list[str],
    expected: str,
    photo: Path,
    painting: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api, "adapt", None)
    result = run("stylize", photo, "--style", painting, *arguments)
    assert result.code == 2 and result.err.count("\n") == 1
    assert expected in result.err


def test_unusable_styles_are_refused(photo: Path, run: Run, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"not a style at all")
    result = run("stylize", photo, "--style", foreign)
    assert result.code == 2 and "foreign.safetensors: not a safetensors file" in result.err
    assert "is a folder" in run("stylize", photo, "--style", tmp_path).err
    assert "No such file" in run("stylize", photo, "--style", tmp_path / "none.jpg").err
    assert "both" in run("stylize", "-", "--style", "-").err


def test_photograph_and_result_may_be_piped(
    photo: Path, style_file: Path, command: list[str], tmp_path: Path
) -> None:
    call = [*command, "stylize", "-", "--style", str(style_file)]
    done = subprocess.run(
        call,
        input=photo.read_bytes(),
        capture_output=True,
        check=False,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stderr) == (0, b"repainting: 100% photograph\n")
    (tmp_path / "piped.png").write_bytes(done.stdout)
    expected = api.load(style_file).render(open_picture(photo)).pixels
    assert np.abs(np.asarray(Image.open(tmp_path / "piped.png")).astype(int) - expected).max() <= 1
    done = subprocess.run(
        [*call, "--json"],
        input=b"",
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2 and b"cannot both go to stdout" in done.stderr


def test_named_pipes_are_read_only_once(
    photo: Path, painting: Path, run: Run, tmp_path: Path, quick: Quick
) -> None:
    expected = tmp_path / "expected.png"
    mask = tmp_path / "mask.png"
    Image.fromarray(np.full((28, 40), 255, np.uint8)).save(mask)
    options = ("--match-color", *quick)
    assert run("stylize", photo, "-s", painting, "-o", expected, f"--mask={mask}=photo", *options).code == 0
    writers, pipes = [], []
    for file in (photo, painting, mask):
        pipes.append(file.with_name(f"pipe-{file.name}"))
        os.mkfifo(pipes[-1])
        writers.append(threading.Thread(target=pipes[-1].write_bytes, args=(file.read_bytes(),), daemon=True))
        writers[-1].start()
    result = run(
        "stylize", pipes[0], "-s", pipes[1], "-o", f"{tmp_path}/new/", f"--mask={pipes[2]}=photo", *options
    )
    assert result.code == 0, result.err
    out = tmp_path / "new" / "pipe-photo-pipe-waves.png"
    assert np.array_equal(open_picture(out).pixels, open_picture(expected).pixels)
    for writer in writers:
        writer.join(10)
        assert not writer.is_alive()


def test_photographs_may_come_from_process_substitution(
    photo: Path, style_file: Path, run: Run, tmp_path: Path
) -> None:
    pipes = []
    for _ in range(2):
        reading, writing = os.pipe()
        os.write(writing, photo.read_bytes())
        os.close(writing)
        pipes.append(reading)
    out = tmp_path / "out"
    result = run("stylize", *(f"/dev/fd/{pipe}" for pipe in pipes), "-s", style_file, "-o", out)
    assert result.code == 0, result.err
    for pipe in pipes:
        os.close(pipe)
    expected = api.load(style_file).render(open_picture(photo)).pixels
    for name in ("photo-plain.png", "photo-plain-2.png"):
        assert np.array_equal(open_picture(out / name).pixels, expected)


def test_unreadable_contents_are_left_out_and_counted(
    photo: Path, painting: Path, run: Run, tmp_path: Path, draw: Draw, quick: Quick
) -> None:
    contents = tmp_path / "contents"
    for name in "abc":
        whole = draw(contents / f"{name}.png")
    (contents / "b.png").write_bytes(whole.read_bytes()[:99])
    call = ("stylize", photo, "-s", painting, "--overwrite", "--content", contents, *quick)
    result = run(*call)
    assert result.code == 0
    assert "1 of 3 photographs of --content left out:\n" in result.err
    assert "b.png" in result.err
    (contents / "b.png").unlink()
    assert run(*call, "--json").document["style"]["how"] == "cached"  # as if it had never existed
    for file in contents.iterdir():
        file.write_bytes(b"")
    result = run(*call)
    assert result.code == 2 and "no pictures in this folder to adapt on: " in result.err


def test_match_color_is_refused_with_watch(painting: Path, run: Run, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    result = run("stylize", inbox, "--style", painting, "-o", tmp_path / "out", "--watch", "--match-color")
    assert result.code == 2 and "not with --watch" in result.err


def test_adaptation_uses_the_photographs_to_be_painted(
    painting: Path, run: Run, tmp_path: Path, draw: Draw, quick: Quick, machine: Path
) -> None:
    photos = tmp_path / "photos"
    draw(photos / "a.png", seed=3)
    call = ("stylize", photos, "-s", painting, "-o", tmp_path / "out", "--overwrite", *quick)
    first = run(*call, "--json").document["style"]
    assert (first["how"], first["contents"]) == ("adapted", "photos and procedural")
    same = run(*call, "--json")
    assert same.document["style"]["how"] == "cached" and "--adapt-again" not in same.err

    draw(photos / "b.png", seed=4)  # another photograph in the folder is no reason to adapt again
    (photos / "c.png").write_bytes(b"no picture")
    later = run(*call, "--json")
    assert later.document["style"]["how"] == "cached"
    assert "waves was adapted on other photographs in the same folders: --adapt-again" in later.err
    again = run(*call, "--json", "--adapt-again").document["style"]
    assert again["how"] == "adapted" and again["losses"] != first["losses"]
    assert "--adapt-again" not in run(*call).err
    assert len(list((machine / "styles").iterdir())) == 1

    drawn = run(*call, "--json", "--content", "procedural").document["style"]
    assert (drawn["how"], drawn["contents"]) == ("adapted", "procedural")


def test_the_cache_depends_on_the_pixels_of_photographs_given_by_name(
    painting: Path, run: Run, tmp_path: Path, draw: Draw, quick: Quick
) -> None:
    def how(photo: Path) -> str:
        document = run(
            "stylize", photo, "-s", painting, "-o", tmp_path / "out.png", "--overwrite", "--json", *quick
        )
        return str(document.document["style"]["how"])

    assert how(draw(tmp_path / "a.png", seed=3)) == "adapted"
    assert how(draw(tmp_path / "copy.png", seed=3)) == "cached"
    assert how(draw(tmp_path / "a.png", seed=4)) == "adapted"


def test_results_are_finished_for_any_contents_unless_others_are_requested(
    painting: Path, run: Run, tmp_path: Path, draw: Draw, quick: Quick
) -> None:
    draw(tmp_path / "photos" / "a.png", seed=3)
    call = ("stylize", tmp_path / "photos", "-s", painting, "-o", tmp_path / "out", "--json", *quick)
    assert len(run(*call).document["outputs"]) == 1
    draw(tmp_path / "photos" / "b.png", seed=4)
    later = run(*call, "--learn-again").document  # its earlier name
    assert len(later["finished"]) == 1 and len(later["outputs"]) == 1
    other = run(*call, "--content", "procedural")
    assert other.code == 1 and not other.document["outputs"] and "--overwrite" in other.err


def test_all_shards_adapt_on_the_same_photographs(
    painting: Path, run: Run, tmp_path: Path, draw: Draw, quick: Quick
) -> None:
    for name in "abc":
        draw(tmp_path / "photos" / f"{name}.png", seed=ord(name))
    call = ("stylize", tmp_path / "photos", "-s", painting, "-o", tmp_path / "out", "--json", *quick)
    styles = [run(*call, "--adapt-again", "--shard", f"{n}/2").document["style"] for n in (1, 2)]
    assert styles[0]["how"] == styles[1]["how"] == "adapted"
    assert styles[0]["losses"] == styles[1]["losses"]


def test_adaptation_for_an_empty_watched_folder_uses_procedural_pictures(
    painting: Path, run: Run, tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inbox").mkdir()
    monkeypatch.setattr("metastyle.cli.repaint.arrivals", lambda list_jobs, seen: iter([]))
    call = (
        "stylize",
        tmp_path / "inbox",
        "-s",
        painting,
        "-o",
        tmp_path / "out",
        "--watch",
        "--json",
        *quick,
    )
    assert run(*call).document["style"]["contents"] == "procedural"


def test_nothing_is_opened_built_or_checked_twice(
    photo: Path, painting: Path, run: Run, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()

    def counted(module: Any, name: str, what: Callable[..., str]) -> None:
        real = getattr(module, name)

        def count(*arguments: Any, **named: Any) -> Any:
            calls[what(*arguments)] += 1
            return real(*arguments, **named)

        monkeypatch.setattr(module, name, count)

    for module in (decode, contents, picture_like):
        counted(module, "open_picture", lambda source, *_: f"opened {Path(source).name}")
    counted(AdaptationSettings, "__post_init__", lambda *_: "settings")
    counted(cli_photos, "check_picture_output", lambda path, *_: f"checked {path.name}")
    counted(files, "check_target", lambda path, *_: f"written {path.name}")
    result = run("stylize", photo, "--style", painting, *quick)
    assert result.code == 0, result.err
    about_pictures = {what: count for what, count in calls.items() if not what.endswith(".safetensors")}
    assert about_pictures == {
        "opened photo.png": 1,
        "opened waves.png": 1,
        "settings": 1,
        "checked photo-waves.png": 1,  # before the adaptation
        "written photo-waves.png": 2,  # before and after the file is written beside it
    }


def test_pictures_of_a_folder_are_painted_in_groups(
    style_file: Path, run: Run, tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []
    real = api.render_regions

    def render(pictures: list[Picture], *arguments: Any, **options: Any) -> list[Picture]:
        groups.append(len(pictures))
        return real(pictures, *arguments, **options)

    monkeypatch.setattr(api, "render_regions", render)
    for index in range(5):
        draw(tmp_path / "in" / f"{index}.png", seed=index, size=(40, 28) if index < 3 else (32, 32))
    one = run("stylize", tmp_path / "in", "-s", style_file, "-o", tmp_path / "one")
    assert one.code == 0 and groups == [1] * 5
    two = run("stylize", tmp_path / "in", "-s", style_file, "-o", tmp_path / "two", "--batch", "4")
    assert two.code == 0 and groups[5:] == [4, 1]
    for path in (tmp_path / "one").iterdir():
        assert np.array_equal(open_picture(path).pixels, open_picture(tmp_path / "two" / path.name).pixels)
