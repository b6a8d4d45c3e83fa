"""The output of ``train`` and ``train-baseline``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from metastyle.cli.errors import DONE, INTERRUPTED
from metastyle.cli.options import Common
from metastyle.cli.output import Display, Outcome, seconds

if TYPE_CHECKING:
    from metastyle.training.events import Finished, TrainingEvent


def follow(command: str, events: Iterable[TrainingEvent], common: Common) -> Outcome | int:
    """Run a training to its end, showing its progress."""
    from metastyle.training import events as kinds

    last: TrainingEvent | None = None
    losses: dict[str, float] = {}
    validation: list[dict[str, float]] = []
    with Display(common.quiet) as display:
        for last in events:
            _show(last, display)
            if isinstance(last, kinds.Iterated):
                losses = last.losses
            elif isinstance(last, kinds.Validated):
                validation.append({"iteration": last.iteration, "total": last.total})
    if not isinstance(last, kinds.Finished):
        return DONE  # only the first of several processes reports
    return _outcome(command, last, losses=losses, validation=validation)


def _show(event: TrainingEvent, display: Display) -> None:
    from metastyle.training import events as kinds

    match event:
        case kinds.Preparing(what, done, total):
            display.update(f"preparing {what}", done / max(1, total))
        case kinds.Started():
            display.note(
                f"{event.contents} photographs, {event.styles} painting(s), {event.processes} process(es) on"
                f" {event.device}, from iteration {event.iteration}: {event.output}"
            )
        case kinds.Iterated():
            parts = ", ".join(f"{name} {loss:.3g}" for name, loss in event.losses.items())
            display.update(
                "training",
                event.progress,
                f"iteration {event.iteration}  loss {event.total:.3g} ({parts})"
                f"  {seconds(event.seconds_left)} left",
            )
        case kinds.Validated(iteration, _, total):
            display.note(f"iteration {iteration}: {total:.2f} on held-out paintings before any step")
        case kinds.Sampled(iteration, path):
            display.note(f"iteration {iteration}: {path}")


def _outcome(command: str, last: Finished, **details: Any) -> Outcome:
    interrupted = last.reason == "stopped"
    return Outcome(
        command,
        outputs=[{"output": last.weights}],
        details={
            "iterations": last.iteration,
            "seconds": round(last.seconds, 3),
            "interrupted": interrupted,
            **details,
        },
        lines=[f"{last.weights}  {last.iteration} iterations  {seconds(last.seconds)}"],
        problems=["stopped; the same command resumes from here"] if interrupted else [],
        code=INTERRUPTED if interrupted else DONE,
    )
