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
    between = last.seconds - first.seconds
    return {
        "hardware": hardware,
        "before": max(0.0, seconds - between),
        "step": between / (last.step - first.step),
        "pixels": _pixels(settings),
    }


def expected(pace: Mapping[str, Any]) -> dict[Effort, float]:
    """The seconds of an adaptation by effort, if it is as fast as the one with this pace was."""
    efforts = {effort: default_settings(pace["hardware"], effort) for effort in get_args(Effort)}
    return {
        effort: pace["before"] + (settings.steps - 1) * pace["step"] * _pixels(settings) / pace["pixels"]
        for effort, settings in efforts.items()
    }


def _pixels(settings: AdaptationSettings) -> int:
    """Of the contents of a step; its time is proportional to them."""
    return settings.batch * settings.size**2
