from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metastyle import api

Run = Callable[..., Any]
Draw = Callable[..., Path]


@pytest.fixture
def two(tmp_path: Path, run: Run, draw: Draw, quick: tuple[str, ...]) -> tuple[Path, Path]:
    for seed, name in enumerate(("sea", "night")):
        assert run("adapt", draw(tmp_path / f"{name}.png", seed, (64, 64)), *quick).code == 0
    return tmp_path / "sea.safetensors", tmp_path / "night.safetensors"


def test_blending_writes_the_weighted_mean(two: tuple[Path, Path], run: Run, tmp_path: Path) -> None:
    sea, night = two
    out = tmp_path / "mix.safetensors"
    result = run("blend", f"{sea}:0.3", f"{night}:0.7", "-o", out)
    assert (result.code, result.err) == (0, "")
    assert result.out == f"{out}  0.3 sea + 0.7 night\n"
    mix, a, b = (api.load(path).parameters for path in (out, sea, night))
    for name in mix:
        torch.testing.assert_close(mix[name], 0.3 * a[name] + 0.7 * b[name], rtol=2e-3, atol=1e-4)
    assert "add --overwrite" in run("blend", sea, night, "-o", out).err
    document = run("blend", sea, night, "-o", out, "--overwrite", "--json").document
    assert document["style"]["painting"] == "0.5 sea + 0.5 night"


def test_impossible_blends_are_refused(two: tuple[Path, Path], run: Run, tmp_path: Path) -> None:
    sea, night = two
    out = tmp_path / "mix.safetensors"

    def message(*parts: str) -> str:
        result = run("blend", *parts, "-o", out)
        assert result.code == 2 and not out.exists()
        return str(result.err)

    assert "night has no weight" in message(f"{sea}:1", f"{night}")
    assert "all weights are 0" in message(f"{sea}:0", f"{night}:0")
    assert "cannot be read" in message(f"{sea}:1", "missing.safetensors:1")
    assert "use a number from 0" in message(f"{sea}:nan")
    assert "ends in .safetensors" in run("blend", sea, "-o", tmp_path / "mix.pt").err


def test_a_strip_shows_steps_between_two_styles(
    two: tuple[Path, Path], photo: Path, run: Run, tmp_path: Path
) -> None:
    sea, night = two
    out = tmp_path / "strip.png"
    result = run("blend", sea, night, "--strip", 3, "--photo", photo, "-o", out)
    assert (result.code, result.out) == (0, f"{out}  3 pictures from sea to night\n")
    strip = np.asarray(Image.open(out)).astype(int)
    width = strip.shape[1] // 3
    ends = [strip[:, :width], strip[:, -width:]]
    middle = strip[:, width : 2 * width]
    assert all(np.abs(middle - end).mean() < np.abs(ends[0] - ends[1]).mean() for end in ends)


def test_impossible_strips_are_refused(two: tuple[Path, Path], photo: Path, run: Run, tmp_path: Path) -> None:
    sea, night = two
    out = tmp_path / "strip.png"

    def message(*words: object) -> str:
        result = run("blend", *words, "-o", out)
        assert result.code == 2 and not out.exists()
        return str(result.err)

    assert "go together" in message(sea, night, "--strip", 3)
    assert "give two, without weights" in message(f"{sea}:1", f"{night}:2", "--strip", 3, "--photo", photo)
    assert "--strip is 1: use a whole number" in message(sea, night, "--strip", 1, "--photo", photo)
    assert "give a style file" in message(photo, night)
