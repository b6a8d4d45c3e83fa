"""How ``train`` and ``train-baseline`` show a training and its end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from metastyle.cli.options import Common
from metastyle.cli.output import INTERRUPTED, Display, Speaker, complain, seconds

if TYPE_CHECKING:
    from metastyle.training.events import Finished, TrainingEvent


def follow(command: str, events: Iterable[TrainingEvent], common: Common) -> int:
    """Run a training to its end, showing its progress. Returns the exit code."""
    from metastyle.training import events as kinds

    last: TrainingEvent | None = None
    losses: dict[str, float] = {}
    validation: list[dict[str, float]] = []
    with Display(common.quiet) as display:
        for last in events:
            _show(last, display)
            if isinstance(last, kinds.Step):
                losses = last.losses
            elif isinstance(last, kinds.Validated):
                validation.append({"iteration": last.iteration, "total": last.total})
    if not isinstance(last, kinds.Finished):
        return 0  # only the first of several processes reports
    return _conclude(command, last, Speaker(common.json, common.quiet), losses=losses, validation=validation)


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
        case kinds.Step():
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


def _conclude(command: str, last: Finished, speaker: Speaker, **found: Any) -> int:
    """Say what was trained; ``found`` is what ``--json`` shows besides."""
    code = INTERRUPTED if last.reason == "stopped" else 0
    speaker.document(
        {
            "command": command,
            "outputs": [{"output": last.weights}],
            "iterations": last.iteration,
            "seconds": round(last.seconds, 3),
            "interrupted": last.reason == "stopped",
            **found,
            "errors": [],
            "exit_code": code,
        }
    )
    speaker.line(f"{last.weights}  {last.iteration} iterations  {seconds(last.seconds)}")
    if code:
        complain("stopped; the same command again goes on from here")
    return code
