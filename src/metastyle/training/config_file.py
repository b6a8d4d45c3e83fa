"""Configurations of training runs from TOML files, and as dictionaries.

``load_config("cpu")`` reads a preset that ships with the package, ``load_config("mine.toml")`` a file.
A file only lists what differs from the defaults.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from metastyle.core.checks import SettingError, hints
from metastyle.errors import MetastyleError
from metastyle.files import one_line, reason
from metastyle.training.config import TrainingConfig
from metastyle.training.old_names import current_setting, current_settings

PRESETS = ("paper", "gpu", "cpu", "smoke")
_LENGTHS = {"run.iterations", "run.minutes"}
_PLACES = (("data", "contents"), ("data", "styles"), ("data", "cache"), ("run", "output"), ("run", "init"))


def load_config(
    source: str | Path = "paper",
    overrides: Mapping[str, object] | None = None,
    *,
    options: Mapping[str, str] | None = None,
) -> TrainingConfig:
    """Read and check a preset, by name, or a TOML file, by path.

    Args:
        source: the preset or the file.
        overrides: values by dotted name, such as ``{"run.minutes": 10, "data.contents": "photos"}``, which
            take precedence. A length, ``run.minutes`` or ``run.iterations``, also replaces the file's other.
        options: how an error refers to an override, by its name, such as ``{"run.minutes": "--minutes 0"}``;
            by default, as ``run.minutes = 0``.

    Raises:
        MetastyleError: the file cannot be read, a name is unknown, or a value has the wrong type or is out
            of range; the line begins with the override, or with the file and the setting in it.
    """
    if str(source) in PRESETS:
        origin = f"{source}.toml"
        text = (resources.files("metastyle.training") / "configs" / origin).read_text(encoding="utf-8")
    else:
        origin = str(source)
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise MetastyleError(
                f"{origin}: cannot be read as a configuration ({error}): "
                f"use a TOML file or one of {', '.join(PRESETS)}"
            ) from None
    try:
        values = current_settings(tomllib.loads(text), origin)
    except (ValueError, RecursionError) as error:  # a number with too many digits is a plain ValueError
        raise MetastyleError(f"{origin}: not valid TOML: {reason(error)}") from None
    options = {current_setting(name): option for name, option in (options or {}).items()}
    overrides = {current_setting(name): value for name, value in (overrides or {}).items()}
    given = {name: options.get(name) or _written(name, value) for name, value in overrides.items()}
    lengths = _LENGTHS & overrides.keys()
    if len(lengths) == 1:
        overrides |= dict.fromkeys(_LENGTHS - lengths)
    for name, value in overrides.items():
        section, _, key = name.partition(".")
        if name in given:
            _check_override(section, key, given[name])
        if isinstance(values.setdefault(section, {}), dict):  # other types are refused below
            values[section][key] = value
    config = from_values(values, origin, given)
    check_length(config, "settings" if lengths else origin)
    return config


def to_values(config: TrainingConfig) -> dict[str, dict[str, Any]]:
    """The configuration as nested dictionaries of JSON types."""
    values: dict[str, dict[str, Any]] = dataclasses.asdict(config)
    for section in values.values():
        for key, value in section.items():
            section[key] = list(value) if isinstance(value, tuple) else value
    return values


def flat_values(config: TrainingConfig) -> dict[str, Any]:
    """The configuration by ``section.name``, as a checkpoint records it."""
    return {f"{s}.{name}": value for s, own in to_values(config).items() for name, value in own.items()}


def without_places(config: TrainingConfig) -> dict[str, dict[str, Any]]:
    """``to_values`` as saved with the weights: only the last part of each path."""
    values = to_values(config)
    for section, name in _PLACES:
        if values[section][name]:
            values[section][name] = Path(values[section][name]).name
    return values


def from_values(
    values: Mapping[str, Any], origin: str, given: Mapping[str, str] | None = None
) -> TrainingConfig:
    """Make a configuration from nested dictionaries.

    Args:
        values: by section and name.
        origin: their file, for errors.
        given: how errors refer to values that are not from there, by ``section.name``.

    Raises:
        MetastyleError: a name is unknown, or a value has the wrong type or is out of range; the line says
            which, and what to use.
    """
    sections = hints(TrainingConfig)
    _check_names(values, sections, origin)
    built = {}
    for section, settings in values.items():
        if not isinstance(settings, dict):
            raise MetastyleError(f"{origin}: {section} is a section: write [{section}]")
        declaration = sections[section]
        _check_names(settings, hints(declaration), origin, f"{section}.")
        try:
            built[section] = declaration(**{name: _immutable(value) for name, value in settings.items()})
        except SettingError as error:
            name = f"{section}.{error.name}"
            at_fault = (given or {}).get(name) or f"{origin}: {_written(name, error.value)}"
            raise MetastyleError(f"{at_fault}: use {error.expected}") from None
    return TrainingConfig(**built)


def _written(name: str, value: object) -> str:
    return f"{name} = {one_line(repr(list(value) if isinstance(value, tuple) else value))}"


def _check_override(section: str, key: str, given: str) -> None:
    """Check that an override has the name of a setting; its error begins with ``given``."""
    sections = hints(TrainingConfig)
    _check_names([section], sections, given)
    _check_names([key], hints(sections[section]), given, f"{section}.")


def _immutable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_names(values: Iterable[str], known: Mapping[str, Any], origin: str, prefix: str = "") -> None:
    for name in values:
        if name not in known:
            names = ", ".join(prefix + one for one in known)
            raise MetastyleError(f"{origin}: unknown setting {one_line(prefix + name)}: use one of {names}")


def check_length(config: TrainingConfig, origin: str = "configuration") -> None:
    """Raise MetastyleError unless the run has a length."""
    if config.run.iterations is None and config.run.minutes is None:
        raise MetastyleError(
            f"{origin}: run.iterations = None: use a length in iterations, or set run.minutes"
        )
