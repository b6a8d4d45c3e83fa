"""Setting names and formats of earlier versions, so that old TOML files and checkpoints can still be read.

No other module knows them. Only current names are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from metastyle.errors import MetastyleError

SECTIONS = {"optimiser": "optimizer"}
"""Old name of a section of settings -> current name."""

SETTINGS = {
    "data.style_views": "data.style_augmentations",
    "objective.normalise_styles": "objective.normalize_styles",
    "objective.peak_weight": "objective.spike_weight",
    "optimizer.rate": "optimizer.learning_rate",
    "optimizer.average": "optimizer.ema_decay",
}
"""Old name of a setting, in the current section -> current name."""

PARAMETERS = {"initialisation.": "initialization."}
"""Old prefix of a parameter's name -> current prefix."""

SYSTEM_SETTINGS = {"rate": "learning_rate"}
"""Old name of a setting of a system's training -> current name."""

_T = TypeVar("_T")


def current_setting(name: str) -> str:
    """The current name of a setting, ``section.key``."""
    section, dot, key = name.partition(".")
    renamed = SECTIONS.get(section, section) + dot + key
    return SETTINGS.get(renamed, renamed)


def current_settings(values: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Settings by section, with the current names; values are left as they are.

    Raises:
        MetastyleError: a setting is given under its old and its current name; the error names ``origin``.
    """
    found: dict[str, Any] = {}
    for section, settings in values.items():
        current = SECTIONS.get(section, section)
        if not isinstance(settings, Mapping):
            found[current] = settings  # not a section: reported when the settings are made
            continue
        if isinstance(found.setdefault(current, {}), dict):
            for key, value in settings.items():
                name = current_setting(f"{current}.{key}").partition(".")[2]
                if name in found[current]:
                    raise MetastyleError(
                        f"{origin}: {current}.{name} is given twice, once under its old name: remove one"
                    )
                found[current][name] = value
    return found


def current_parameters(named: Mapping[str, _T]) -> dict[str, _T]:
    """A mapping from parameter names, possibly with a prefix such as ``first.``, under the current names."""
    found = {}
    for name, value in named.items():
        for old, current in PARAMETERS.items():
            prefix, separator, rest = name.partition(old)
            if separator and (not prefix or prefix.endswith(".")):
                name = prefix + current + rest
        found[name] = value
    return found


def current_numbers(numbers: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The numbers in a checkpoint, in the current format.

    Checkpoints of meta-training used to have a nested ``config`` instead of ``settings``, and the sums of
    losses since the last report as a list; those of systems had neither sums nor counters.
    """
    found = dict(numbers)
    if "config" in found:
        sections = current_settings(found.pop("config"), origin)
        found["settings"] = {f"{s}.{key}": v for s, values in sections.items() for key, v in values.items()}
    found["settings"] = {SYSTEM_SETTINGS.get(name, name): v for name, v in found["settings"].items()}
    found["adam_steps"] = current_parameters(found["adam_steps"])
    window = found.get("window", {"sums": {}, "steps": 0})
    if isinstance(window, list):
        _, content, style, steps = window
        window = {"sums": {"content": content, "style": style} if steps else {}, "steps": int(steps)}
    found["window"] = window
    return {"skipped": 0, "skipped_running": 0, "broken": [], "losses": {}, "curve": []} | found
