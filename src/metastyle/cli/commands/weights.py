"""``metastyle weights``."""

from __future__ import annotations

from typing import Annotated

from metastyle.cli.options import FLAG, Common
from metastyle.cli.output import Display, Speaker, complain
from metastyle.errors import MetastyleError


def weights(
    *,
    fetch: Annotated[bool, FLAG] = False,
    verify: Annotated[bool, FLAG] = False,
    common: Common = Common(),  # noqa: B008 (frozen)
) -> int:
    """Which weight files the program uses, and their state on this machine.

    They are fetched by themselves when they are first needed. Each is read in
    full and compared with its checksum before it is shown.

    For example:

        metastyle weights
        metastyle weights --fetch     # now, to be offline later
        metastyle weights --verify    # exit code 1 unless all are here and whole

    Args:
        fetch: Fetch what is missing, replace what is damaged.
        verify: Exit code 1 unless every file is here and whole.
    """
    from metastyle.weights import inventory

    errors = []
    with Display(common.quiet) as display:
        if fetch:
            for file in inventory.FILES:
                try:
                    inventory.fetch(file.name, progress=display.download)
                except MetastyleError as error:
                    errors.append(str(error))
        found = inventory.weight_files()
    unusable = [one for one in found if one.state in ("missing", "damaged")]
    if verify:
        errors += [one.problem or f"{one.path}: missing" for one in unusable]
    code = 2 if fetch and errors else 1 if errors else 0
    speaker = Speaker(common.json, common.quiet)
    speaker.document(
        {
            "command": "weights",
            "weights": [
                {
                    "name": one.file.name,
                    "state": one.state,
                    "what": one.file.what,
                    "origin": one.file.origin,
                    "license": one.file.license,
                    "path": one.path,
                    "bytes": one.bytes,
                    "problem": one.problem,
                }
                for one in found
            ],
            "errors": errors,
            "exit_code": code,
        }
    )
    for one in found:
        size = f"{one.bytes / 1e6:.1f} MB" if one.bytes else "-"
        speaker.line(f"{one.file.name:<18}{one.state:<10}{size:>9}   {one.path}")
        speaker.line(f"    {one.file.what}")
        speaker.line(f"    origin:  {one.file.origin}")
        speaker.line(f"    license: {one.file.license}")
        if one.problem:
            speaker.line(f"    problem: {one.problem}")
    for problem in errors:
        complain(problem)
    return code
