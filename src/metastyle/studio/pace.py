"""How long adaptations take on this machine, by the last one that was measured here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from metastyle.core.adaptation import AdaptationStep
from metastyle.core.settings import AdaptationSettings, Effort, Hardware, default_settings

FEWEST_STEPS = 3
"""The first step takes longer than others."""


def measured(
    hardware: Hardware,
    settings: AdaptationSettings,
    first: AdaptationStep,
    last: AdaptationStep,
    seconds: float,
) -> dict[str, Any] | None:
    """What is kept of an adaptation from its first and last steps and its time; None after few steps."""
    if last.step < FEWEST_STEPS:
        return None
    between, steps = last.seconds - first.seconds, last.step - first.step
    return {
        "hardware": hardware,
        "before": max(0.0, seconds - between),
        "step": between / steps,
        "pixels": (settings.pixels(last.step) - settings.pixels(first.step)) / steps,
    }


def expected(pace: Mapping[str, Any]) -> dict[Effort, float]:
    """The seconds of an adaptation by effort, if it is as fast as the one with this pace was."""
    efforts = {effort: default_settings(pace["hardware"], effort) for effort in get_args(Effort)}
    return {
        effort: pace["before"]
        + pace["step"] * (settings.pixels(settings.steps) - settings.pixels(1)) / pace["pixels"]
        for effort, settings in efforts.items()
    }
