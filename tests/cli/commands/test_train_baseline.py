from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metastyle.systems import train as training
from metastyle.systems.train import Settings
from metastyle.training.events import Finished, Iterated, Started, TrainingEvent

Run = Callable[..., Any]
ARGUMENTS = ("train-baseline", "wct-3", "--content", "photos", "--style", "paintings", "-o", "out")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    seen: list[Settings] = []

    def train(settings: Settings) -> Iterator[TrainingEvent]:
        seen.append(settings)
        yield Started(0, 0.0, 10, 4, 1, "cpu", Path("out"))
        yield Iterated(2, 1.0, 3.0, 0.0, 1.5, {"pixels": 0.25, "features": 1.5}, 1.0, 1e-3, 64, 0, 0)
        reason: Any = "stopped" if settings.minutes == 7 else "done"
        yield Finished(2, 3.0, reason, Path("out/wct-3.safetensors"))

    monkeypatch.setattr(training, "train", train)
    return seen


def test_options_become_settings_and_events_are_printed(run: Run, trained: list[Settings]) -> None:
    result = run(*ARGUMENTS, "--iterations", "2", "--crop", "128", "--from-scratch", "--rate", "0.01")
    assert result.code == 0
    assert result.out == "out/wct-3.safetensors  2 iterations  3.0 s\n"
    assert result.err.splitlines() == [
        "10 photographs, 4 painting(s), 1 process(es) on cpu, from iteration 0: out",
        "training: 100% iteration 2  loss 1.75 (pixels 0.25, features 1.5)  0.0 s left",
    ]
    assert trained == [
        Settings(
            "wct-3",
            "photos",
            "paintings",
            "out",
            iterations=2,
            crop=128,
            learning_rate=0.01,
            from_scratch=True,
        )
    ]


def test_a_stopped_run_can_be_resumed(run: Run, trained: list[Settings]) -> None:
    result = run(*ARGUMENTS, "--minutes", "7", "--json")
    assert result.code == 130 and result.document["interrupted"] is True
    assert result.document["losses"] == {"pixels": 0.25, "features": 1.5}
    assert result.err.endswith("metastyle: stopped; the same command resumes from here\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "--minutes is None: use a length, or iterations"),
        (("--minutes", "-1"), "--minutes is -1.0: use a number above 0"),
        (("--iterations", "0"), "--iterations is 0: use a whole number of at least 1"),
        (("--iterations", "2", "--crop", "100"), "--crop is 100: use a multiple of 16"),
        (("--iterations", "2", "--learning-rate", "0"), "--learning-rate is 0.0: use a number above 0"),
        (("--iterations", "2", "--save-minutes", "0"), "--save-minutes is 0.0: use a number above 0"),
    ],
)
def test_an_invalid_option_is_named_in_one_line(
    run: Run, trained: list[Settings], arguments: tuple[str, ...], expected: str
) -> None:
    result = run(*ARGUMENTS, *arguments)
    assert result.code == 2 and result.err.count("\n") == 1
    assert result.err.startswith(f"metastyle: {expected}")
    assert trained == []


def test_a_missing_folder_is_refused_in_one_line(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "none"
    result = run(
        "train-baseline", "wct-1", "--content", missing, "--style", missing, "-o", tmp_path, "--minutes", "1"
    )
    assert result.code == 2 and result.err.count("\n") == 1
