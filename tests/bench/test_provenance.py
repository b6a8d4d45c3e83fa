from __future__ import annotations

from pathlib import Path

import torch

from metastyle.bench import provenance
from metastyle.weights.initialization import load_initialization


def test_commands_are_recorded_without_folders(tmp_path: Path) -> None:
    cpu, weights = torch.device("cpu"), tmp_path / "my weights"
    weights.mkdir()
    out = tmp_path / "o"
    provenance.note(out, ["bench", "x", "--method", "a b=1/2", "-o", str(out)], cpu)
    provenance.note(out, ["bench", "x", str(weights)], cpu)
    provenance.note(out, ["bench", "x", str(weights)], cpu)
    commands = [run["command"] for run in provenance.read(out)]
    assert commands == ["metastyle bench x --method 'a b=1/2' -o o", "metastyle bench x 'my weights'"]
    assert "thread" in provenance.read(out)[0]["machine"]
    assert provenance.read(out)[0]["initialization"] == load_initialization()[1][:12]
    provenance.note(out, ["bench", "y"], cpu, replace=True)
    assert [run["command"] for run in provenance.read(out)] == ["metastyle bench y"]
    assert provenance.read(tmp_path / "nowhere") == []


def test_a_command_without_results_is_not_recorded(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    assert list(provenance.noting([], tmp_path / "o", ["bench", "x"], cpu)) == []
    assert not (tmp_path / "o").exists()
    results = provenance.noting(iter("ab"), tmp_path / "o", ["bench", "x"], cpu)
    assert next(results) == "a" and len(provenance.read(tmp_path / "o")) == 1
    assert list(results) == ["b"] and len(provenance.read(tmp_path / "o")) == 1
