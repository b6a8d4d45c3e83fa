from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metastyle.app.cli import main
from metastyle.app.commands.bench import parse_steps, parse_variant
from metastyle.core.adaptation import AdaptationSettings
from metastyle.core.loss_network import LossNetwork
from metastyle.errors import MetastyleError


def test_a_variant_is_read_from_one_line() -> None:
    variant = parse_variant("two photos: contents=photos batch=2 parameters=instance_norm learning_rate=2e-3")
    assert (variant.name, variant.model, variant.contents) == ("two photos", "shipped", "photos")
    expected = AdaptationSettings(batch=2, parameters="instance_norm", learning_rate=2e-3)
    assert variant.settings == expected


@pytest.mark.parametrize(
    "text",
    ["", "name", ": batch=2", "a: batch", "a: batches=2", "a: contents=x", "a: batch=0", "a: batch=two"],
)
def test_a_wrong_variant_is_one_clear_line(text: str) -> None:
    with pytest.raises(MetastyleError) as caught:
        parse_variant(text)
    assert "\n" not in str(caught.value)


def test_steps_are_whole_numbers() -> None:
    assert parse_steps("0, 5,10") == [0, 5, 10]
    for text in ("", "1,,2", "-1", "1.5", "a", "99999999"):
        with pytest.raises(MetastyleError, match="--steps"):
            parse_steps(text)


def test_it_writes_a_table_a_plot_and_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    network = LossNetwork()
    monkeypatch.setattr("metastyle.weights.loss_network.load_loss_network", lambda **_: network)
    for name in ("photos", "paintings"):
        (tmp_path / name).mkdir()
        noise = np.random.default_rng(0).integers(0, 256, (64, 72, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / name / "a.png")
    arguments = ["bench", "adaptation", "--content", str(tmp_path / "photos"), "--quiet", "--json"]
    arguments += ["--style", str(tmp_path / "paintings"), "-o", str(tmp_path / "out"), "--measure-size", "64"]
    arguments += ["--steps", "0,1", "--variant", "tiny: model=random size=64 style_size=64"]
    assert main(arguments) == 0
    outputs = [Path(o["output"]) for o in json.loads(capsys.readouterr().out)["outputs"]]
    assert [p.name for p in outputs] == ["results.json", "table.md", "plot.png"]
    assert "| tiny |" in outputs[1].read_text()
    assert main([*arguments[:-1], "both: contents=photos"]) == 2
    assert "--train-content" in json.loads(capsys.readouterr().out)["errors"][0]["error"]
