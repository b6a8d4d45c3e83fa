from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metastyle import api
from metastyle.cli import adaptation
from metastyle.images.decode import open_picture

Run = Callable[..., Any]
Draw = Callable[..., Path]
Quick = tuple[str, ...]


def test_adapting_writes_a_style_file(painting: Path, run: Run, tmp_path: Path, quick: Quick) -> None:
    result = run("adapt", painting, *quick)
    out = tmp_path / "waves.safetensors"
    assert result.code == 0
    assert result.out.splitlines()[0].startswith(f"{out}  2 steps  ")
    assert result.out.splitlines()[1] == f"now: metastyle stylize PHOTO --style {out}"
    assert "adapting to waves: 100% step 2/2  loss " in result.err
    style = api.load(out)
    assert (style.painting, len(style.curve), style.kind) == ("waves", 2, "all")
    assert "add --overwrite" in run("adapt", painting, *quick).err
    again = run("adapt", painting, *quick, "--overwrite")
    assert again.code == 0 and "cached by an earlier call" in again.out


def test_json_describes_the_style(painting: Path, run: Run, tmp_path: Path, quick: Quick) -> None:
    out = tmp_path / "new" / "s.safetensors"
    result = run("adapt", painting, "-o", out, *quick, "--parameters", "instance_norm", "--json", "--quiet")
    assert (result.code, result.err) == (0, "")
    document = result.document
    assert document["outputs"] == [{"output": str(out)}]
    assert document["style"]["parameters"] == "instance_norm"
    assert document["interrupted"] is False and document["errors"] == [] and document["exit_code"] == 0
    assert document["style"]["losses"]["total"] == pytest.approx(api.load(out).curve[-1][1])


def test_contents_may_be_a_folder_of_photographs(
    painting: Path, run: Run, tmp_path: Path, quick: Quick, draw: Draw
) -> None:
    draw(tmp_path / "holiday" / "a.png", size=(80, 72))
    out = tmp_path / "s.safetensors"
    result = run("adapt", painting, "-o", out, "--content", tmp_path / "holiday", *quick)
    assert result.code == 0
    assert api.load(out).settings["contents"] == "photos"
    (tmp_path / "empty").mkdir()
    result = run("adapt", painting, "-o", tmp_path / "t.safetensors", "--content", tmp_path / "empty", *quick)
    assert result.code == 2 and "no pictures in this folder" in result.err


def test_the_preview_is_updated_during_adaptation(
    painting: Path, photo: Path, run: Run, tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "PREVIEW_EVERY", 0.0)
    written = []
    preview = adaptation.Preview.__call__

    def watched(self: adaptation.Preview, step: Any) -> None:
        preview(self, step)
        written.append((tmp_path / "waves-preview.jpg").read_bytes())

    monkeypatch.setattr(adaptation.Preview, "__call__", watched)
    assert run("adapt", painting, *quick, "--preview", photo).code == 0
    assert len(written) == 2 and written[0] != written[1]
    assert open_picture(tmp_path / "waves-preview.jpg").size == (512, 356)
    (tmp_path / "waves.safetensors").unlink()
    assert "waves-preview.jpg exists" in run("adapt", painting, *quick, "--preview", photo).err
    assert "needs --preview PHOTO" in run("adapt", painting, "--preview-output", "x.jpg").err


def test_ctrl_c_keeps_the_steps_taken(
    painting: Path, run: Run, tmp_path: Path, quick: Quick, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapt_to = adaptation.Adapter.adapt_to

    def interrupted(adapter: adaptation.Adapter, painting: Path, *, on_step: Any, **named: Any) -> Any:
        def press(step: Any) -> bool:
            keep_going: bool = on_step(step)
            if step.step == 2:
                signal.raise_signal(signal.SIGINT)
            return keep_going

        return adapt_to(adapter, painting, on_step=press, **named)

    monkeypatch.setattr(adaptation.Adapter, "adapt_to", interrupted)
    result = run("adapt", painting, "--steps", "50", *quick[2:], "--json")
    assert result.code == 130
    assert result.document["interrupted"] is True and result.document["exit_code"] == 130
    out = tmp_path / "waves.safetensors"
    assert len(api.load(out).curve) == 3
    assert f"stopped after step 3 of 50; {out} has the style at that point" in result.err
    assert not (machine / "styles").exists() or not list((machine / "styles").iterdir())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-o", "style.pt"], "style.pt: a style file's name ends in .safetensors"),
        (["--steps", "-3"], "--steps is -3: use a whole number from 0 to 100000"),
        (["--content-size", "100000"], "--content-size is 100000: use a multiple of 4"),
        (["--preview", "missing.jpg"], "missing.jpg: cannot be read"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(
    arguments: list[str], expected: str, painting: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "adapt", None)
    result = run("adapt", painting, *arguments)
    assert result.code == 2 and result.err.count("\n") == 1 and expected in result.err


def test_a_painting_from_a_pipe_needs_a_name(run: Run) -> None:
    assert "a painting from a pipe has no name: add -o" in run("adapt", "-").err


def test_the_style_in_a_folder_is_named_after_the_painting(
    painting: Path, run: Run, tmp_path: Path, quick: Quick
) -> None:
    new = f"{tmp_path}/new/"
    assert run("adapt", painting, "-o", new, *quick).code == 0
    assert (tmp_path / "new" / "waves.safetensors").is_file()
    result = run("adapt", painting, "-o", tmp_path / "new", *quick)
    assert result.code == 2 and "waves.safetensors exists: add --overwrite" in result.err
    result = run("adapt", painting, "-o", tmp_path / "style.bin", *quick)
    assert result.code == 2 and "name ends in .safetensors, a folder's in /" in result.err


def test_the_former_name_of_an_option_is_still_accepted(painting: Path, run: Run, tmp_path: Path) -> None:
    result = run("adapt", painting, "--batch", "65")
    assert result.code == 2 and "--content-batch is 65: use a whole number from 1 to 64" in result.err
    assert "--batch " not in run("adapt", "--help").out.replace("--content-batch ", "")
