"""``metastyle doctor``."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from metastyle.cli.options import Common
from metastyle.cli.output import Display, Speaker, seconds


def doctor(
    *,
    device: str = "auto",
    measure: Annotated[bool, Parameter(negative="--no-measure", show_default=False)] = True,
    common: Common = Common(),  # noqa: B008 (frozen)
) -> int:
    """What this machine offers, and how fast it learns and repaints, measured.

    Takes about 15 seconds; needs no network and no weights.

    For example:

        metastyle doctor
        metastyle doctor --device cpu
        metastyle doctor --json --no-measure

    Args:
        device: auto, cpu, cuda, cuda:N or mps.
        measure: Measure times; --no-measure skips that.
    """
    from metastyle.cli import machine

    speaker = Speaker(common.json, common.quiet)
    found = machine.describe(device)
    for name, value in found.items():
        speaker.line(f"{name.replace('_', ' '):<16}{_text(value)}")
    document: dict[str, Any] = {"command": "doctor"} | found
    if measure:
        with Display(common.quiet) as display:
            times = machine.measure(device, display.share("measuring"))
        document["measured"] = times
        speaker.line()
        speaker.line("measured just now, on random weights (the arithmetic is the same)")
        steps = f"{times['adaptation_steps']} steps of {seconds(times['step_seconds'])}"
        speaker.line(
            f"  learning a painting       {seconds(times['adaptation_seconds'])}"
            f"  ({seconds(times['setup_seconds'])} to prepare, then {steps})"
        )
        speaker.line(f"  repainting 512 x 512      {seconds(times['picture_512_seconds'])}")
        speaker.line(f"  repainting 12 megapixels  {seconds(times['picture_12mp_seconds'])}  (extrapolated)")
    speaker.document(document | {"errors": [], "exit_code": 0})
    return 0


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(v)}" for name, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
