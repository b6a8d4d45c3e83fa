"""``metastyle weights``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from metastyle.cli.errors import DONE, SOME_FAILED, USAGE
from metastyle.cli.options import FLAG, Common
from metastyle.cli.output import Display, Outcome
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.weights.inventory import WeightFileState


def weights(
    *,
    fetch: Annotated[bool, FLAG] = False,
    verify: Annotated[bool, FLAG] = False,
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """List the weight files that the program uses, and their state on this machine.

    They are downloaded automatically when first needed. Each is read completely
    and compared with its checksum before it is listed.

    For example:

        metastyle weights
        metastyle weights --fetch     # now, to work offline later
        metastyle weights --verify    # exit code 1 unless all are here

    Args:
        fetch: Download missing files, and replace damaged ones.
        verify: Exit with code 1 unless every file is here and undamaged.
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
    return Outcome(
        "weights",
        errors=errors,
        details={"weights": [_record(one) for one in found]},
        lines=[line for one in found for line in _lines(one)],
        problems=errors,
        code=USAGE if fetch and errors else SOME_FAILED if errors else DONE,
    )


def _record(one: WeightFileState) -> dict[str, Any]:
    return {
        "name": one.file.name,
        "state": one.state,
        "what": one.file.what,
        "origin": one.file.origin,
        "license": one.file.license,
        "path": one.path,
        "bytes": one.bytes,
        "problem": one.problem,
    }


def _lines(one: WeightFileState) -> list[str]:
    size = f"{one.bytes / 1e6:.1f} MB" if one.bytes else "-"
    return [
        f"{one.file.name:<18}{one.state:<10}{size:>9}   {one.path}",
        f"    {one.file.what}",
        f"    origin:  {one.file.origin}",
        f"    license: {one.file.license}",
        *([f"    problem: {one.problem}"] if one.problem else []),
    ]
