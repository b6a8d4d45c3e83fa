"""How a training ends, as ``train`` and ``train-baseline`` say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metastyle.cli.output import INTERRUPTED, Speaker, complain, seconds

if TYPE_CHECKING:
    from metastyle.training.events import Finished


def conclude(command: str, last: Finished, speaker: Speaker, **found: Any) -> int:
    """Say what was trained; ``found`` is what ``--json`` shows beside it. Returns the exit code."""
    code = INTERRUPTED if last.reason == "stopped" else 0
    speaker.document(
        {
            "command": command,
            "outputs": [{"output": last.initialization}],
            "iterations": last.iteration,
            "seconds": round(last.seconds, 3),
            "interrupted": last.reason == "stopped",
            **found,
            "errors": [],
            "exit_code": code,
        }
    )
    speaker.line(f"{last.initialization}  {last.iteration} iterations  {seconds(last.seconds)}")
    if code:
        complain("stopped; the same command again goes on from here")
    return code
