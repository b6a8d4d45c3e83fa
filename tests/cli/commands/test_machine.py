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


SMALL = AdaptationSettings(steps=8, size=64, style_size=64)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements use small pictures and few steps."""
    monkeypatch.setattr(doctor, "default_settings", lambda hardware: SMALL)
    monkeypatch.setattr(doctor, "_SIDE", 64)
    monkeypatch.setattr(doctor, "_MOST_STEPS", 2)


def test_the_machine_is_described(machine: Path) -> None:
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
def test_measurements_are_extrapolated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_setup_seconds", lambda settings, device: (2.0, None))
    monkeypatch.setattr(doctor, "_step_seconds", lambda adaptation: 0.5)
    monkeypatch.setattr(doctor, "_picture_seconds", lambda device: 0.25)
    shares: list[float] = []
    times = doctor.measure("cpu", shares.append)
    assert shares == [0.5, 0.8, 1.0]
    assert times["adaptation_steps"] == 8 and times["adaptation_seconds"] == 6
    assert times["picture_12mp_seconds"] == pytest.approx(0.25 * 12e6 / 64**2, abs=0.01)


@pytest.mark.usefixtures("small")
def test_setup_steps_and_pictures_are_timed() -> None:
    setup, adaptation = doctor._setup_seconds(SMALL, "cpu")
    assert setup > 0 and doctor._step_seconds(adaptation) > 0 and doctor._picture_seconds("cpu") > 0
    assert len(adaptation.curve) == 3  # the first is not counted


@pytest.mark.usefixtures("small")
def test_doctor_prints_facts_and_measurements(run: Run) -> None:
    result = run("doctor", "--device", "cpu")
    assert result.code == 0
    assert "device          cpu\n" in result.out and "(8 steps" not in result.out
    assert "adapting to a painting" in result.out and ", then 8 steps of " in result.out
    assert "on random weights (the arithmetic is the same)" in result.out
    document = run("doctor", "--no-measure", "--json").document
    assert "measured" not in document and document["exit_code"] == 0
    assert run("doctor", "--device", "abacus").code == 2
