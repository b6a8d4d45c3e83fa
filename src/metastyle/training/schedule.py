"""How the learning rate falls: pure functions of progress, from 0 at the start of a run to 1 at its end."""

from __future__ import annotations

from typing import Literal

from metastyle.core.adaptation import half_cosine

Schedule = Literal["paper", "cosine", "constant"]


def rate_factor(schedule: Schedule, progress: float, warm_up: float = 0.0) -> float:
    """Factor of the highest learning rate.

    ``paper``: 1 / (1 + 2.5 p), the published 1 / (1 + 2.5e-5 iteration) of a run of 100,000 iterations.
    ``cosine``: half a cosine from 1 to 0. All schedules first rise linearly over the share ``warm_up``.
    """
    progress = min(max(progress, 0.0), 1.0)
    rise = min(1.0, progress / warm_up) if warm_up > 0 else 1.0
    if schedule == "paper":
        return rise / (1 + 2.5 * progress)
    if schedule == "cosine":
        return rise * half_cosine(progress)
    return rise


def style_weight_factor(progress: float, reconstruct: float, ramp: float) -> float:
    """Factor of beta: a tenth when reconstruction ends, rising to 1 over the share ``ramp``."""
    return min(1.0, 0.1 + 0.9 * max(0.0, progress - reconstruct) / ramp) if ramp > 0 else 1.0


def progress_of(iteration: int, seconds: float, iterations: int | None, minutes: float | None) -> float:
    """Progress of a run, 0 to 1: the finished share of its iterations or its minutes, whichever is larger."""
    shares = [0.0]
    if iterations is not None:
        shares.append(iteration / iterations)
    if minutes is not None:
        shares.append(seconds / (60 * minutes))
    return min(1.0, max(shares))


def ema_decay(decay: float, iteration: int) -> float:
    """Decay of the moving average of weights after ``iteration`` updates: small at first, then ``decay``."""
    return min(decay, (1 + iteration) / (10 + iteration))
