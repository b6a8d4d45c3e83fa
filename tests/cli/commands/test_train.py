from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metastyle.cli.commands.train import parse_change
from metastyle.errors import MetastyleError
from metastyle.training import meta as trainer
from metastyle.training.config import TrainingConfig
from metastyle.training.events import Finished, Iterated, Preparing, Started, TrainingEvent, Validated

Run = Callable[..., Any]


def _events(reason: Any) -> list[TrainingEvent]:
    return [
        Preparing("paintings", 4, 4),
        Started(0, 0.0, 10, 4, 1, "cpu", Path("run")),
        Iterated(2, 1.0, 3.0, 0.0, 1.5, {"content": 5.0, "style": 15.0}, 1.0, 1e-3, 64, 0, 0),
        Validated(2, 3.0, 30.5, 10.0, 20.5, {"a": 30.5}),
        Finished(2, 3.0, reason, Path("run/metastyle.safetensors")),
    ]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[TrainingConfig]:
    seen: list[TrainingConfig] = []

    def train(config: TrainingConfig, *, loss_network: object) -> Iterator[TrainingEvent]:
        assert loss_network is None  # the training loads it
        seen.append(config)
        yield from _events("stopped" if config.run.minutes == 7 else "done")

    monkeypatch.setattr(trainer, "train", train)
    return seen


ARGUMENTS = ("train", "--content", "photos", "--style", "paintings", "--config", "smoke")


def test_options_become_the_configuration_and_events_are_printed(
    run: Run, trained: list[TrainingConfig]
) -> None:
    change = (
        "--set",
        "optimizer.learning_rate=5e-4",
        "--set",
        "data.mirror=true",
        "--set",
        "run.init=a b.safetensors",
    )
    result = run(*ARGUMENTS, "-o", "run", "--iterations", "2", *change)
    assert result.code == 0
    assert result.out == "run/metastyle.safetensors  2 iterations  3.0 s\n"
    assert result.err.splitlines() == [
        "preparing paintings: 100%",
        "10 photographs, 4 painting(s), 1 process(es) on cpu, from iteration 0: run",
        "training: 100% iteration 2  loss 20 (content 5, style 15)  0.0 s left",
        "iteration 2: 30.50 on held-out paintings before any step",
    ]
    (config,) = trained
    assert (config.data.contents, config.data.styles) == ("photos", "paintings")
    assert (config.run.output, config.run.iterations, config.run.init) == ("run", 2, "a b.safetensors")
    assert config.optimizer.learning_rate == 5e-4 and config.data.mirror is True


def test_a_stopped_run_can_be_resumed(run: Run, trained: list[TrainingConfig]) -> None:
    result = run(*ARGUMENTS, "--minutes", "7", "--json", "--quiet")
    assert result.code == 130
    assert result.err == "metastyle: stopped; the same command resumes from here\n"
    assert result.document["interrupted"] is True
    assert result.document["validation"] == [{"iteration": 2, "total": 30.5}]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--set", "rate=1"], "write section.name=value"),
        (["--set", "optimizer.kind=sgd"], "use 'adam' or 'muon'"),
        (["--set", "optimizer.rate=9"], "use a number above 0 and below 1"),
        (["--set", "optimizer.rat=1"], "unknown setting optimizer.rat: use one of optimizer.kind"),
        (["--set", "training.rate=1"], "unknown setting training: use one of data"),
        (["--set", "data.style_side=[9, 1]"], "use [low, high] with"),
        (["--set", "run.minutes=-1"], "use a number above 0"),
        (["--minutes", "-1"], "use a number above 0"),
        (["--minutes", "nan"], "use a number above 0"),
        (["--iterations", "0"], "use a whole number of at least 1"),
    ],
)
def test_an_invalid_option_is_named_as_it_was_given(
    arguments: list[str], expected: str, run: Run, trained: list[TrainingConfig]
) -> None:
    result = run(*ARGUMENTS[:5], *arguments)
    assert result.code == 2 and result.err.count("\n") == 1
    assert result.err.startswith(f"metastyle: {' '.join(arguments)}: {expected}")
    assert trained == []


def test_an_invalid_file_is_named_whatever_the_options_say(
    run: Run, trained: list[TrainingConfig], tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    for text, expected in [
        (None, "cannot be read as a configuration"),
        ("[optimizer]\nkind = 'sgd'", "optimizer.kind = 'sgd': use 'adam' or 'muon'"),
    ]:
        if text is not None:
            file.write_text(text, encoding="utf-8")
        result = run(*ARGUMENTS[:5], "--config", file, "--set", "optimizer.clip=1", "--minutes", "1")
        assert result.code == 2 and result.err.startswith(f"metastyle: {file}: {expected}")
    assert trained == []


def test_a_missing_extra_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *others: Any) -> Any:
        if name == "metastyle.training":
            raise ModuleNotFoundError("No module named 'lightning_fabric'", name="lightning_fabric")
        return real(name, *others)

    monkeypatch.setattr(builtins, "__import__", without)
    result = run(*ARGUMENTS)
    assert result.code == 2
    assert (
        "training needs lightning_fabric, which is not installed: pip install 'metastyle[train]'"
        in result.err
    )


def test_changes_of_settings_are_parsed() -> None:
    assert parse_change("optimizer.learning_rate=5e-4") == ("optimizer.learning_rate", 5e-4)
    assert parse_change("data.style_side=[192, 384]") == ("data.style_side", [192, 384])
    assert parse_change("run.precision=bfloat16") == ("run.precision", "bfloat16")
    assert parse_change("run.output=a=b") == ("run.output", "a=b")
    with pytest.raises(MetastyleError):
        parse_change("x")
