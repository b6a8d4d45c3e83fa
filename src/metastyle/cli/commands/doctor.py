"""``metastyle doctor``."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from metastyle.cli.options import Common
from metastyle.cli.output import Display, Outcome, seconds


def doctor(
    *,
    device: str = "auto",
    measure: Annotated[bool, Parameter(negative="--no-measure", show_default=False)] = True,
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """Describe this machine, and measure how fast it adapts and repaints.

    Takes about 15 seconds; needs no network and no weights.

    For example:

        metastyle doctor
        metastyle doctor --device cpu
        metastyle doctor --json --no-measure

    Args:
        device: auto, cpu, cuda, cuda:N or mps.
        measure: Measure times; --no-measure skips this.
    """
    from metastyle.cli.commands import machine

    details = machine.describe(device)
    lines = [f"{name.replace('_', ' '):<16}{_text(value)}" for name, value in details.items()]
    if measure:
        with Display(common.quiet) as display:
            details["measured"] = machine.measure(device, display.share("measuring"))
        lines += _times(details["measured"])
    return Outcome("doctor", details=details, lines=lines)


def _times(times: dict[str, Any]) -> list[str]:
    steps = f"{times['adaptation_steps']} steps of {seconds(times['step_seconds'])}"
    return [
        "",
        "measured just now, on random weights (the arithmetic is the same)",
        f"  adapting to a painting    {seconds(times['adaptation_seconds'])}"
        f"  ({seconds(times['setup_seconds'])} to prepare, then {steps})",
        f"  repainting 512 x 512      {seconds(times['picture_512_seconds'])}",
        f"  repainting 12 megapixels  {seconds(times['picture_12mp_seconds'])}  (extrapolated)",
    ]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(v)}" for name, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
