from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metastyle.errors import MetastyleError
from metastyle.weights import inventory

Run = Callable[..., Any]


def test_all_weights_and_their_states_are_listed(run: Run, initialization_file: Path, machine: Path) -> None:
    result = run("weights")
    assert (result.code, result.err) == (0, "")
    assert "vgg16             missing           -   " in result.out
    assert "initialization    shipped" in result.out
    assert result.out.count("license:") == result.out.count("origin:") == 5
    listed = {one["name"]: one for one in run("weights", "--json").document["weights"]}
    for name in ("vgg16", "vgg19-normalized", "adain-decoder", "lpips"):
        assert listed[name]["state"] == "missing" and Path(listed[name]["path"]).parent == machine
    assert listed["initialization"]["bytes"] == initialization_file.stat().st_size
    assert all(one["license"] and one["origin"] and one["what"] for one in listed.values())


def test_verify_reports_missing_and_damaged_weights(run: Run, machine: Path) -> None:
    result = run("weights", "--verify", "--quiet")
    assert result.code == 1 and result.out == "" and result.err.endswith("safetensors: missing\n")
    machine.mkdir()
    (machine / inventory.VGG16.file_name).write_bytes(b"rubbish")
    result = run("weights", "--verify", "--json")
    assert result.code == 1
    assert [one["state"] for one in result.document["weights"]] == [
        "damaged",
        "shipped",
        "missing",
        "missing",
        "missing",
    ]
    assert "not a safetensors file" in result.document["errors"][0]


def test_fetch_shows_progress_and_reports_failures(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, *, progress: Callable[[int, int, str], object]) -> None:
        progress(10_000_000, 10_000_000, name)
        if name == "vgg16":
            raise MetastyleError("no source has it")

    monkeypatch.setattr(inventory, "fetch", fetch)
    result = run("weights", "--fetch")
    assert result.code == 2
    assert "fetching vgg16: 100% 10.0 of 10.0 MB" in result.err
    assert result.err.endswith("metastyle: no source has it\n")
