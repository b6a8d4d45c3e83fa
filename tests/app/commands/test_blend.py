from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metastyle import api
from metastyle.app.commands.blend import parse_part
from metastyle.errors import MetastyleError

Run = Callable[..., Any]
Draw = Callable[..., Path]


@pytest.fixture
def two(tmp_path: Path, run: Run, draw: Draw, quick: tuple[str, ...]) -> tuple[Path, Path]:
    for seed, name in enumerate(("sea", "night")):
        assert run("adapt", draw(tmp_path / f"{name}.png", seed, (64, 64)), *quick).code == 0
    return tmp_path / "sea.safetensors", tmp_path / "night.safetensors"


def test_a_mixture(two: tuple[Path, Path], run: Run, tmp_path: Path) -> None:
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


def test_what_cannot_be_mixed(two: tuple[Path, Path], run: Run, tmp_path: Path) -> None:
    sea, night = two
    out = tmp_path / "mix.safetensors"

    def message(*parts: str) -> str:
        result = run("blend", *parts, "-o", out)
        assert result.code == 2 and not out.exists()
        return str(result.err)

    assert "night.safetensors has no weight" in message(f"{sea}:1", f"{night}")
    assert "all blending weights are 0" in message(f"{sea}:0", f"{night}:0")
    assert "cannot be read" in message(f"{sea}:1", "missing.safetensors:1")
    assert "use a number from 0" in message(f"{sea}:nan")
    assert "ends in .safetensors" in run("blend", sea, "-o", tmp_path / "mix.pt").err


def test_parts() -> None:
    assert parse_part("a.safetensors:0.3") == (Path("a.safetensors"), 0.3)
    assert parse_part("a.safetensors") == (Path("a.safetensors"), None)
    assert parse_part(r"C:\styles\a.safetensors") == (Path(r"C:\styles\a.safetensors"), None)
    assert parse_part(r"C:\a.safetensors:2") == (Path(r"C:\a.safetensors"), 2.0)
    for text in ("a:-1", "a:inf", "a:nan"):
        with pytest.raises(MetastyleError, match="use a number from 0"):
            parse_part(text)
