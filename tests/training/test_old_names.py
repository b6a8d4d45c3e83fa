"""TOML files and checkpoints that use former names of settings and parameters."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metastyle.errors import MetastyleError
from metastyle.training import old_names
from metastyle.training.checkpoint import load_state, save_state
from metastyle.training.config import TrainingConfig
from metastyle.training.config_file import load_config, to_values
from metastyle.training.meta import train

OLD_TOML = """
[optimiser]
rate = 2e-3
[objective]
normalise_styles = true
[run]
minutes = 1
"""


def test_former_names_in_a_file_still_work(tmp_path: Path) -> None:
    path = tmp_path / "old.toml"
    path.write_text(OLD_TOML)
    config = load_config(path, {"optimiser.clip": 3.0, "objective.normalise_styles": False})
    assert (config.optimizer.learning_rate, config.optimizer.clip) == (2e-3, 3.0)
    assert load_config(path).objective.normalize_styles and not config.objective.normalize_styles


def test_a_setting_under_both_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    path.write_text(OLD_TOML + "[optimizer]\nstyles = 2\nrate = 1e-3\n")
    with pytest.raises(MetastyleError, match=r"both\.toml: optimizer\.learning_rate is given twice"):
        load_config(path)


def test_sections_of_both_names_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    path.write_text(OLD_TOML + "[optimizer]\nstyles = 2\n")
    config = load_config(path)
    assert (config.optimizer.learning_rate, config.optimizer.styles) == (2e-3, 2)


def test_all_new_names_are_settings() -> None:
    values = to_values(TrainingConfig())
    for name in old_names.SETTINGS.values():
        section, _, key = name.partition(".")
        assert key in values[section]
    assert set(old_names.SECTIONS.values()) <= values.keys()


def made_old(path: Path) -> None:
    """Rewrite a checkpoint in the form of versions before the renaming."""
    tensors, numbers = load_state(path)

    def old(names: dict[str, Any]) -> dict[str, Any]:
        return {name.replace("initialization.", "initialisation."): value for name, value in names.items()}

    numbers["adam_steps"] = old(numbers["adam_steps"])
    config: dict[str, dict[str, Any]] = {}
    for name, value in numbers.pop("settings").items():
        section, _, key = name.partition(".")
        config.setdefault(section, {})[key] = value
    for was, name in old_names.SETTINGS.items():
        section, _, key = name.partition(".")
        config[section][was.partition(".")[2]] = config[section].pop(key)
    config["optimiser"] = config.pop("optimizer")
    sums, steps = numbers["window"]["sums"], numbers["window"]["steps"]
    content, style = (sums.get(name, 0.0) for name in ("content", "style"))
    numbers |= {"config": config, "window": [content + style, content, style, float(steps)]}
    del numbers["losses"]
    renamed = old(tensors)
    assert renamed.keys() != tensors.keys()
    save_state(path, renamed, numbers)


def test_an_old_checkpoint_resumes_to_the_same_bits(
    config: Callable[..., TrainingConfig], vgg: Any, tmp_path: Path
) -> None:
    changes = {"optimizer__schedule": "constant", "optimizer__warm_up": 0.0}

    def run(folder: str, iterations: int) -> Path:
        settings = config(run__output=str(tmp_path / folder), run__iterations=iterations, **changes)
        list(train(settings, loss_network=vgg))
        return tmp_path / folder / "state.safetensors"

    straight, _ = load_state(run("straight", 4))
    made_old(run("old", 2))
    resumed, _ = load_state(run("old", 4))
    assert resumed.keys() == straight.keys()
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)
