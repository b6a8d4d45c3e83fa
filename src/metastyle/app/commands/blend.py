"""``metastyle blend``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from metastyle.app.inputs import STYLE_SUFFIX, check_is_file, check_output
from metastyle.app.options import FLAG, Common
from metastyle.app.progress import Speaker
from metastyle.errors import MetastyleError


def blend(
    styles: Annotated[list[str], Parameter(metavar="STYLE[:WEIGHT]...")],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="STYLE")],
    overwrite: Annotated[bool, FLAG] = False,
    common: Common = Common(),  # noqa: B008 (frozen)
) -> int:
    """Mix styles into a new one: a weighted mean of what was learned.

    Weights are shares; they need not add up to 1. Without any, all count the same.

    For example:

        metastyle blend sea.safetensors night.safetensors -o half.safetensors
        metastyle blend sea.safetensors:0.3 night.safetensors:0.7 -o mix.safetensors

    Args:
        styles: Style files made by 'metastyle adapt', each with its weight.
        output: The new style file.
        overwrite: Replace the new style file if it exists.
    """
    parts = [parse_part(text) for text in styles]
    weights = [weight for _, weight in parts if weight is not None]
    if weights and len(weights) < len(parts):
        bare = next(path for path, weight in parts if weight is None)
        raise MetastyleError(f"{bare} has no weight: give all styles one (STYLE:WEIGHT), or none")
    for path, _ in parts:
        check_is_file(path)
    if output.suffix.lower() != STYLE_SUFFIX:
        raise MetastyleError(f"{output}: a style file's name ends in {STYLE_SUFFIX}")
    check_output(output, overwrite=overwrite)

    from metastyle import api

    mix = api.blend([api.load(path) for path, _ in parts], weights or None)
    output.parent.mkdir(parents=True, exist_ok=True)
    mix.save(output, overwrite=overwrite)
    speaker = Speaker(common.json, common.quiet)
    document = {"command": "blend", "outputs": [{"output": output}], "style": {"painting": mix.painting}}
    speaker.document(document | {"errors": [], "exit_code": 0})
    speaker.line(f"{output}  {mix.painting}")
    return 0


def parse_part(text: str) -> tuple[Path, float | None]:
    """``STYLE:WEIGHT`` or ``STYLE``; a colon that no number follows belongs to the file name."""
    path, colon, number = text.rpartition(":")
    try:
        weight = float(number) if colon else None
    except ValueError:
        weight = None
    if weight is None:
        return Path(text), None
    if not (math.isfinite(weight) and weight >= 0):
        raise MetastyleError(f"the weight in '{text}' is {weight:g}: use a number from 0")
    return Path(path), weight
