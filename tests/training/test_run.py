from pathlib import Path
from typing import Any

import pytest

import metastyle
from metastyle.errors import MetastyleError
from metastyle.training.events import Finished, TrainingEvent
from metastyle.training.run import configured
from metastyle.weights.initialization import load_initialization


def test_one_call_trains_and_returns_the_weights(
    overrides: dict[str, object], vgg: Any, contents: Path, styles: Path, tmp_path: Path
) -> None:
    events: list[TrainingEvent] = []
    changes = {"objective.predictor": False, "optimizer.ema_decay": 0.0}
    weights = metastyle.train(
        contents,
        styles,
        config="smoke",
        output=tmp_path / "called",
        iterations=1,
        settings={**overrides, "run.output": str(tmp_path / "called"), "run.iterations": 1, **changes},
        loss_network=vgg,
        on_event=events.append,
    )
    assert weights == tmp_path / "called" / "metastyle.safetensors"
    load_initialization(weights)
    assert isinstance(events[-1], Finished) and events[-1].iteration == 1


def test_arguments_override_the_file_and_settings_override_arguments() -> None:
    made = configured("a", "b", "gpu", "out", 7.0, None, {"optimizer.clip": 3.0, "run.seed": 5}, "cpu")
    assert (made.data.contents, made.data.styles, made.run.output) == ("a", "b", "out")
    assert (made.run.minutes, made.run.iterations, made.run.device) == (7.0, None, "cpu")
    assert (made.optimizer.clip, made.run.seed) == (3.0, 5)
    assert configured("a", "b", "cpu", None, None, None, {}, "auto").run.output == "runs/cpu"
    with pytest.raises(MetastyleError, match=r"unknown setting optimizer\.lr"):
        configured("a", "b", "cpu", None, None, None, {"optimizer.lr": 1}, "auto")
