from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metastyle.cli.commands import machine as doctor
from metastyle.core.settings import AdaptationSettings
from metastyle.errors import MetastyleError

Run = Callable[..., Any]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same measurement with pictures small enough for a test."""
    monkeypatch.setattr(
        doctor, "default_settings", lambda device: AdaptationSettings(steps=8, size=64, style_size=64)
    )
    monkeypatch.setattr(doctor, "_SIDE", 64)
    monkeypatch.setattr(doctor, "_MOST_STEPS", 2)


def test_facts(machine: Path) -> None:
    facts = doctor.describe("cpu")
    assert json.loads(json.dumps(facts)) == facts
    assert facts["device"] == "cpu" and facts["memory"]["total_gb"] > 0
    assert facts["weights"].items() >= {"vgg16": "missing", "initialization": "shipped"}.items()
    assert facts["cache"] == {"folder": str(machine), "mb": 0.0}
    machine.mkdir()
    (machine / "x").write_bytes(bytes(300_000))
    assert doctor.describe("cpu")["cache"]["mb"] == 0.3
    with pytest.raises(MetastyleError, match="device 'abacus' is unknown"):
        doctor.describe("abacus")


@pytest.mark.usefixtures("small")
def test_measurements_add_up() -> None:
    shares: list[float] = []
    times = doctor.measure("cpu", shares.append)
    assert shares == [0.5, 0.8, 1.0]
    assert times["adaptation_steps"] == 8
    assert 0 < times["step_seconds"] < 10 and 0 < times["setup_seconds"] < 60
    total = times["setup_seconds"] + 8 * times["step_seconds"]
    assert times["adaptation_seconds"] == pytest.approx(total, abs=0.01)
    assert times["picture_12mp_seconds"] == pytest.approx(
        times["picture_512_seconds"] * 12e6 / 64**2, rel=0.05
    )


@pytest.mark.usefixtures("small")
def test_the_command(run: Run) -> None:
    result = run("doctor", "--device", "cpu")
    assert result.code == 0
    assert "device          cpu\n" in result.out and "(8 steps" not in result.out
    assert "adapting to a painting" in result.out and ", then 8 steps of " in result.out
    assert "on random weights (the arithmetic is the same)" in result.out
    document = run("doctor", "--no-measure", "--json").document
    assert "measured" not in document and document["exit_code"] == 0
    assert run("doctor", "--device", "abacus").code == 2
