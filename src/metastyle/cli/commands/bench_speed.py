"""``metastyle bench speed``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le
from cyclopts import Parameter

from metastyle.cli.commands.bench_inputs import makers
from metastyle.cli.errors import DONE, SOME_FAILED
from metastyle.cli.inputs import check_is_file
from metastyle.cli.options import FLAG, Common, SquareSize, Whole
from metastyle.cli.output import Display, Outcome
from metastyle.errors import MetastyleError


def speed(
    *,
    content: Annotated[Path, Parameter(metavar="PHOTO")],
    style: Annotated[Path, Parameter(metavar="PAINTING")],
    method: Annotated[list[str] | None, Parameter(metavar="METHOD", negative_iterable="")] = None,
    size: Annotated[list[SquareSize] | None, Parameter(metavar="PIXELS", negative_iterable="")] = None,
    rounds: Annotated[Whole, Ge(1), Le(1000)] = 5,
    weights: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="DIR")] = Path("out/bench/speed"),
    overwrite: Annotated[bool, FLAG] = False,
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """Measure the systems' preparation, repainting and memory side by side.

    If a system's weights are missing, or it runs out of memory, its cell says so;
    the others are measured all the same, and the exit code is 1.

    For example:

        metastyle bench speed --content photo.jpg --style painting.jpg
        metastyle bench speed --content a.jpg --style b.jpg --method adain
        metastyle bench speed --content a.jpg --style b.jpg --method mine:System

    Args:
        content: The photograph that is repainted.
        style: The painting.
        method: A system and its settings, such as "metastyle steps=200", or your own as
            package.module:Class; may be repeated. Without it, all nine,
            and MetaStyle with 200 steps.
        size: Sides of the squares that are repainted; may be repeated. Without it, 256 and 512.
        rounds: How many times each system repaints; the median counts.
        weights: Folder of weights that train-baseline made, such as systems-weights of a source tree.
        output: Folder for speed.json and speed.md.
        overwrite: Replace results that exist there.
        device: auto, cpu, cuda or cuda:N.
    """
    check_is_file(content)
    check_is_file(style)
    sizes = size or [256, 512]
    if (output / "speed.json").exists() and not overwrite:
        raise MetastyleError(f"{output / 'speed.json'} exists: add --overwrite, or choose another -o")

    from metastyle.bench.provenance import note
    from metastyle.bench.speed import Speed, measure, table
    from metastyle.bench.table import write_markdown, write_rows
    from metastyle.core.device import pick_device
    from metastyle.images.convert import to_tensor
    from metastyle.images.decode import open_picture
    from metastyle.images.picture import resize

    methods = makers(method, weights)
    where = pick_device(device)
    painting = to_tensor(resize(open_picture(style), 512).pixels)
    photo = to_tensor(open_picture(content).pixels)
    rows: list[Speed] = []
    with Display(common.quiet) as display:
        steps = len(methods) * (1 + len(sizes) * (rounds + 1))
        for count, said in enumerate(measure(methods, painting, photo, where, sizes=sizes, rounds=rounds)):
            if isinstance(said, Speed):
                rows.append(said)
            else:
                display.update("measuring", min(1.0, count / steps), said)
    written = table(rows)
    note(output, sys.argv[1:], where, replace=True)
    write_rows(output / "speed.json", rows)
    write_markdown(output / "speed.md", written)
    errors = [{"method": r.method, "size": r.size, "error": r.error} for r in rows if r.error]
    outputs = [{"output": output / name} for name in ("speed.json", "speed.md")]
    code = SOME_FAILED if errors else DONE
    return Outcome("bench speed", outputs=outputs, errors=errors, lines=[written], code=code)
