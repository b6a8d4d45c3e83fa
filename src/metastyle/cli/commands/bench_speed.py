"""``metastyle bench speed``."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le
from cyclopts import Parameter

from metastyle.cli.commands.bench_common import makers
from metastyle.cli.errors import DONE, SOME_FAILED
from metastyle.cli.inputs import check_is_file
from metastyle.cli.options import FLAG, Common, SquareSize, Whole
from metastyle.cli.output import Display, Outcome
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.bench.speed import Speed
    from metastyle.images.picture import Picture

STYLE = "garden"
"""The built-in style in which the packaged photograph is the painting, where none is given."""


def speed(
    *,
    content: Annotated[Path | None, Parameter(metavar="PHOTO")] = None,
    style: Annotated[Path | None, Parameter(metavar="PAINTING")] = None,
    method: Annotated[list[str] | None, Parameter(metavar="METHOD", negative_iterable="")] = None,
    every: Annotated[bool, Parameter(name="--all", negative="", show_default=False)] = False,
    size: Annotated[list[SquareSize] | None, Parameter(metavar="PIXELS", negative_iterable="")] = None,
    rounds: Annotated[Whole, Ge(1), Le(1000)] = 5,
    weights: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="DIR")] = Path("out/bench/speed"),
    overwrite: Annotated[bool, FLAG] = False,
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """Measure the systems' preparation, repainting and memory side by side.

    Without options, the systems that take seconds for a painting and have their
    weights on this machine repaint the packaged photograph; a line says which were
    left out and why. Each system has its own process, so that its peak memory is
    its own, and all take turns. If a requested system fails, its cell says why,
    the others are still measured, and the exit code is 1.

    For example:

        metastyle bench speed
        metastyle bench speed --all --content photo.jpg --style painting.jpg
        metastyle bench speed --method adain --method metastyle --size 1024
        metastyle bench speed --method mine:System

    Args:
        content: The photograph that is repainted; without it, the packaged one.
        style: The painting; without it, the packaged photograph in a built-in style.
        method: A system and its settings, such as "metastyle steps=200", or your own as
            package.module:Class; may be repeated.
        every: Measure all nine systems, and MetaStyle with 200 steps, however long they take.
        size: Sides of the squares that are repainted; may be repeated. Without it, 256 and 512.
        rounds: How many times each system repaints; the median counts.
        weights: Folder of weights that train-baseline made, such as systems-weights of a source tree.
        output: Folder for speed.json and speed.md.
        overwrite: Replace results that exist there.
        device: auto, cpu, cuda or cuda:N.
    """
    for path in (content, style):
        if path is not None:
            check_is_file(path)
    if (output / "speed.json").exists() and not overwrite:
        raise MetastyleError(f"{output / 'speed.json'} exists: add --overwrite, or choose another -o")

    from metastyle.bench.provenance import note
    from metastyle.bench.speed import QUICK, table
    from metastyle.bench.table import write_markdown, write_rows
    from metastyle.core.device import pick_device

    methods = list(makers(method if method or every else list(QUICK), weights))
    where = pick_device(device)
    with Display(common.quiet) as display:
        rows = _measure(methods, weights, content, style, size or [256, 512], rounds, device, display)
    rows, left_out = (rows, {}) if method or every else _without_failures(rows)
    if not rows:
        raise MetastyleError(f"nothing can be measured here: {'; '.join(left_out.values())}")
    absent = [f"Left out: {names}: {why}." for names, why in left_out.items()]
    written = "\n\n".join([table(rows), *absent])
    note(output, sys.argv[1:], where, replace=True)
    write_rows(output / "speed.json", rows)
    write_markdown(output / "speed.md", written)
    errors = [{"method": r.method, "size": r.size, "error": r.error} for r in rows if r.error]
    outputs = [{"output": output / name} for name in ("speed.json", "speed.md")]
    details = {"rows": [dataclasses.asdict(row) for row in rows], "left_out": left_out}
    code = SOME_FAILED if errors else DONE
    return Outcome("bench speed", outputs, errors, details, lines=[written], code=code)


def _measure(
    methods: Sequence[str],
    weights: Path | None,
    content: Path | None,
    style: Path | None,
    sizes: Sequence[int],
    rounds: int,
    device: str,
    display: Display,
) -> list[Speed]:
    """The rows, with progress."""
    from functools import partial

    from metastyle.bench.floor import matrix_rate
    from metastyle.bench.runners import Separate
    from metastyle.bench.speed import Speed, measure
    from metastyle.core.device import pick_device
    from metastyle.images.convert import to_tensor
    from metastyle.images.picture import resize

    where = pick_device(device)
    runners = {text: partial(Separate, text, weights, where) for text in methods}
    photo, painting = _pictures(content, style)
    pictures = to_tensor(resize(painting, 512).pixels), to_tensor(photo.pixels)
    steps = len(methods) * (1 + len(sizes) * (rounds + 1))
    rows: list[Speed] = []
    rate = partial(matrix_rate, where)
    measuring = measure(runners, *pictures, sizes=sizes, rounds=rounds, alone=True, rate=rate)
    for count, said in enumerate(measuring):
        if isinstance(said, Speed):
            rows.append(said)
        else:
            display.update("measuring", min(1.0, count / steps), said)
    return rows


def _pictures(content: Path | None, style: Path | None) -> tuple[Picture, Picture]:
    """The photograph and the painting."""
    from metastyle import api
    from metastyle.images.decode import open_picture
    from metastyle.weights.builtin_styles import PHOTOGRAPH

    packaged = open_picture(PHOTOGRAPH)
    photo = packaged if content is None else open_picture(content)
    if style is not None:
        return photo, open_picture(style)
    return photo, api.stylize(packaged, STYLE)


def _without_failures(rows: Sequence[Speed]) -> tuple[list[Speed], dict[str, str]]:
    """What nobody asked for by name is left out where it cannot be measured, and where it takes minutes."""
    from metastyle.bench.speed import QUICK
    from metastyle.systems.registry import ROWS

    why = {row.method: row.error for row in rows if row.error}
    slow = [name for name in ROWS if name not in QUICK]
    left_out = {", ".join(slow): "they train, adapt or optimize for minutes; --all measures them, too"}
    return [row for row in rows if row.method not in why], why | left_out
