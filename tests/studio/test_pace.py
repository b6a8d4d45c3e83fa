"""The expected time of an adaptation: by the measured one, by steps and by pixels."""

from __future__ import annotations

from typing import get_args

import pytest

from metastyle.core.adaptation import AdaptationStep
from metastyle.core.settings import AdaptationSettings, Effort, Hardware, default_settings
from metastyle.studio.pace import expected, measured


def after(step: int, steps: int, seconds: float) -> AdaptationStep:
    """The state after a step, so many seconds after the first began."""
    return AdaptationStep(step, steps, 1.0, 0.5, 0.5, seconds, 0.0, lambda x: x, dict)


@pytest.mark.parametrize("hardware", get_args(Hardware))
@pytest.mark.parametrize("effort", get_args(Effort))
def test_a_whole_adaptation_is_expected_to_take_as_long_again(hardware: Hardware, effort: Effort) -> None:
    settings = default_settings(hardware, effort)
    steps = settings.steps
    pace = measured(hardware, settings, after(1, steps, 3.0), after(steps, steps, 40.0), 45.0)
    assert pace is not None
    assert expected(pace)[effort] == pytest.approx(45.0)


def test_a_stopped_adaptation_tells_of_all_efforts_by_steps_and_pixels() -> None:
    """One that was stopped at half its steps tells how long all of them, and other efforts, take."""
    normal, fine = (default_settings("cpu", effort) for effort in ("normal", "fine"))
    half = normal.steps // 2
    ends = after(1, normal.steps, 2.0), after(half, normal.steps, 2.0 + half - 1)
    pace = measured("cpu", normal, *ends, 60.0)
    assert pace is not None
    seconds = expected(pace)
    before = 60 - (half - 1)

    def early_steps(settings: AdaptationSettings) -> float:
        """All steps but the first, counted in early ones of ``normal``."""
        early = round(settings.early_scale * settings.size), settings.size
        pixels = (settings.steps // 2 - 1) * early[0] ** 2 + (settings.steps - settings.steps // 2) * early[
            1
        ] ** 2
        return settings.batch * pixels / (normal.batch * (normal.early_scale * normal.size) ** 2)

    assert seconds["normal"] == pytest.approx(before + early_steps(normal))
    assert seconds["fine"] == pytest.approx(before + early_steps(fine))


@pytest.mark.parametrize("steps", [1, 2])
def test_few_steps_tell_nothing(steps: int) -> None:
    settings = default_settings("cpu")
    assert measured("cpu", settings, after(1, 60, 1.0), after(steps, 60, 1.0 * steps), 5.0) is None
