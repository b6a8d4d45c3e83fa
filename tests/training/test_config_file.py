import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metastyle.errors import MetastyleError
from metastyle.training.config import TrainingConfig
from metastyle.training.config_file import PRESETS, check_length, from_values, load_config, to_values


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", PRESETS)
def test_presets_load_and_round_trip(name: str) -> None:
    config = load_config(name)
    assert from_values(to_values(config), "again") == config


def test_the_paper_preset_has_the_values_of_the_paper() -> None:
    config = load_config("paper")
    assert (config.optimizer.styles, config.optimizer.contents, config.optimizer.queries) == (4, 4, 4)
    assert (config.objective.inner_steps, config.objective.inner_parameters) == (1, "instance_norm")
    assert config.objective.step_size == config.optimizer.learning_rate == 1e-5
    assert config.objective.second_order and not config.objective.predictor
    assert not config.objective.learn_step_sizes and not config.objective.normalize_styles
    assert (config.objective.content_weight, config.objective.style_weight) == (1.0, 1e5)
    assert (config.data.crop, config.data.scale, config.data.style_side) == (256, "fixed", (512, 512))
    assert (config.run.iterations, config.optimizer.schedule) == (100_000, "paper")
    # the defaults are those of the paper, too
    assert config.objective == TrainingConfig().objective
    assert config.optimizer == TrainingConfig().optimizer
    assert config.data == TrainingConfig().data


def test_settings_missing_in_a_file_have_their_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, "[optimizer]\nlearning_rate = 1\n[run]\nminutes = 3")
    with pytest.raises(
        MetastyleError, match=r"optimizer.learning_rate = 1: use a number above 0 and below 1"
    ):
        load_config(path)
    config = load_config(write(tmp_path, "[run]\nminutes = 3"))
    assert config.run.minutes == 3.0
    assert config.objective == TrainingConfig().objective


def test_overrides_take_precedence_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[run]\nminutes = 3")
    config = load_config(path, {"run.minutes": 5, "data.contents": "photos"})
    assert (config.run.minutes, config.data.contents) == (5.0, "photos")


def test_overrides_of_a_value_in_place_of_a_section_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MetastyleError, match=r"data is a section: write \[data\]"):
        load_config(write(tmp_path, "data = 3"), {"data.contents": "photos"})


def test_minutes_replace_iterations_and_vice_versa() -> None:
    by_iterations = load_config("cpu", {"run.iterations": 7}).run
    assert (by_iterations.iterations, by_iterations.minutes) == (7, None)
    by_minutes = load_config("paper", {"run.minutes": 7}).run
    assert (by_minutes.iterations, by_minutes.minutes) == (None, 7.0)
    both = load_config("paper", {"run.minutes": 7, "run.iterations": 9}).run
    assert (both.iterations, both.minutes) == (9, 7.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[optimisation]\nlearning_rate = 1e-3",
            r"unknown setting optimisation: use one of data, objective, optimizer, run",
        ),
        ("[optimizer]\nlr = 1e-3", r"unknown setting optimizer.lr: use one of optimizer.kind, "),
        ("[optimizer]\nlearning_rate = 'fast'", r"optimizer.learning_rate = 'fast': use a number"),
        ("[optimizer]\nstyles = 1.5", r"optimizer.styles = 1.5: use a whole number"),
        ("[optimizer]\nstyles = true", r"optimizer.styles = True: use a whole number"),
        ("[optimizer]\nschedule = 'step'", r"use 'paper', 'cosine' or 'constant'"),
        ("[objective]\npredictor = 1", r"objective.predictor = 1: use true or false"),
        ("[data]\nstyle_side = 256", r"data.style_side = 256: use two whole numbers"),
        ("[data]\nstyle_side = [256]", r"use two whole numbers"),
        ("[data]\nlate_crop = 'big'", r"use a multiple of 4 from 16 to 4096 or nothing"),
        ("data = 3", r"data is a section: write \[data\]"),
        ("[data", r"mine.toml: not valid TOML"),
        (f"a = {'[' * 100_000}", r"mine.toml: not valid TOML"),
        (f"a = {'9' * 5_000}", r"mine.toml: not valid TOML"),
        ('"\\n" = 3', r"unknown setting .?: use one of data"),
    ],
)
def test_wrong_names_and_types_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MetastyleError, match=message) as error:
        load_config(write(tmp_path, text))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.crop", 250),
        ("data.crop", 12),
        ("data.late_crop", 130),
        ("data.style_side", [300, 200]),
        ("data.held_out_styles", 0),
        ("data.inner_share", 1.0),
        ("data.photo_cache", 64),
        ("objective.inner_steps", 6),
        ("objective.step_size", 0.0),
        ("objective.step_size", float("inf")),
        ("objective.style_weight", float("nan")),
        ("optimizer.styles", 0),
        ("optimizer.clip", 0.0),
        ("optimizer.ema_decay", 1.0),
        ("optimizer.warm_up", 1.0),
        ("run.minutes", -1),
        ("run.iterations", 0),
        ("run.seed", -1),
    ],
)
def test_values_out_of_range_are_named(name: str, value: object) -> None:
    with pytest.raises(MetastyleError, match=rf"^{name} = .*: use "):  # not the preset's fault
        load_config("paper", {name: value})


def test_a_run_needs_a_length(tmp_path: Path) -> None:
    with pytest.raises(MetastyleError, match=r"^settings: run.iterations = None: use a length"):
        load_config("paper", {"run.iterations": None})
    with pytest.raises(MetastyleError, match=r"mine.toml: run.iterations = None: use a length"):
        load_config(write(tmp_path, ""))


def test_a_missing_file_is_named_with_the_presets(tmp_path: Path) -> None:
    with pytest.raises(MetastyleError, match=r"none\.toml.*paper, gpu, cpu, smoke"):
        load_config(tmp_path / "none.toml")


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.text(), st.lists(st.integers()))))
def test_any_section_is_a_configuration_or_an_error(
    values: dict[str, object],
) -> None:
    try:
        config = from_values({"run": values}, "any")
        check_length(dataclasses.replace(config, run=dataclasses.replace(config.run, iterations=1)))
    except MetastyleError as error:
        assert str(error)
