from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metastyle import api
from metastyle.core.network import TransformationNetwork, without_idle
from metastyle.rendering import onnx as exporting
from metastyle.weights import builtin_styles

Run = Callable[..., Any]


def test_the_model_is_written_beside_the_style(
    style_file: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Loading the exporter takes half a minute; its own tests check the model.
    given = []

    def write(network: TransformationNetwork, path: Path, **options: Any) -> None:
        given.append((network, options))
        path.write_bytes(bytes(6_700_000))

    monkeypatch.setattr(exporting, "export_onnx", write)
    result = run("export", style_file)
    assert (result.code, result.out) == (0, f"{tmp_path / 'plain.onnx'}  6.7 MB\n")
    ((network, options),) = given
    for name, parameter in without_idle(api.load(style_file).parameters).items():
        assert torch.equal(network.get_parameter(name), parameter)
    assert options["overwrite"] is False and options["metadata"]["painting"] == "painting"
    assert "add --overwrite" in run("export", style_file).err
    document = run("export", style_file, "--overwrite", "--json").document
    assert document["outputs"] == [{"output": str(tmp_path / "plain.onnx"), "bytes": 6_700_000}]


def test_a_builtin_style_is_named_and_its_model_is_written_here(
    style_file: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "styles").mkdir()
    style_file.rename(tmp_path / "styles" / "dusk.safetensors")
    monkeypatch.setattr(builtin_styles, "STYLES", tmp_path / "styles")
    monkeypatch.setattr(exporting, "export_onnx", lambda network, path, **_: path.write_bytes(bytes(100)))
    monkeypatch.chdir(tmp_path)
    assert run("export", "dusk").out == "dusk.onnx  0.0 MB\n"
    assert (tmp_path / "dusk.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["missing.safetensors"], "missing.safetensors: cannot be read"),
        (["nigt"], "did you mean night?"),
        (["-"], "styles are read from files"),
        (["-", "-o", "model.onnx"], "styles are read from files"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(arguments: list[str], expected: str, run: Run) -> None:
    result = run("export", *arguments)
    assert result.code == 2 and result.err.count("\n") == 1 and expected in result.err


def test_wrong_extensions_and_foreign_files_are_refused(style_file: Path, run: Run, tmp_path: Path) -> None:
    assert "a model's name ends in .onnx" in run("export", style_file, "-o", tmp_path / "model.pt").err
    (tmp_path / "foreign.safetensors").write_bytes(b"x" * 100)
    assert "not a safetensors file" in run("export", tmp_path / "foreign.safetensors").err
    assert not (tmp_path / "foreign.onnx").exists()
