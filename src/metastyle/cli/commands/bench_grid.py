"""``metastyle bench grid``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from metastyle.cli.commands.bench_common import makers, outcome, read_pairs
from metastyle.cli.options import Common, Count, SquareSize
from metastyle.cli.output import Display, Outcome

if TYPE_CHECKING:
    from metastyle.bench.pictures import Painted


def grid(
    *,
    content: Annotated[Path, Parameter(metavar="DIR|PHOTO")],
    style: Annotated[Path, Parameter(metavar="DIR|PAINTING")],
    method: Annotated[list[str] | None, Parameter(metavar="METHOD", negative_iterable="")] = None,
    photos: Count = 4,
    paintings: Count = 4,
    size: SquareSize = 512,
    style_size: SquareSize = 512,
    weights: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="DIR")] = Path("out/bench/grid"),
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """Show the systems side by side: the paper's Figure 1, of your pictures.

    A row for each photograph in the style of a painting, a column for each system.
    Results are kept, and the same command resumes where it stopped. If a system
    fails, a line says so, its place stays empty, and the exit code is 1.

    For example:

        metastyle bench grid --content photos/ --style paintings/
        metastyle bench grid --content a.jpg --style b.jpg --method adain

    Args:
        content: Folder of photographs, or one.
        style: Folder of paintings, or one; row i has photograph i and painting i.
        method: A system and its settings, such as "metastyle steps=200", or your own as
            package.module:Class; may be repeated. Without it, all nine,
            and MetaStyle with 200 steps.
        photos: How many photographs of the folder to use, spread evenly over its names.
        paintings: How many paintings to use, likewise.
        size: Side of the squares that photographs are cut to.
        style_size: Long edge of the paintings.
        weights: Folder of weights that train-baseline made, such as systems-weights of a source tree.
        output: Folder for grid.png and the pictures.
        device: auto, cpu, cuda or cuda:N.
    """
    from metastyle.bench import pictures
    from metastyle.bench.provenance import noting
    from metastyle.core.device import pick_device
    from metastyle.images.encode import save_picture
    from metastyle.images.picture import Picture

    methods, where = makers(method, weights), pick_device(device)
    squares, styles = read_pairs(content, style, photos, paintings, size, style_size)
    rows = pictures.pairs(squares, styles)
    painted: list[Painted] = []
    with Display(common.quiet) as display:
        total = len(set(rows)) * len(methods)
        for painting, style_picture in styles.items():
            some = {photo: squares[photo] for photo, other in rows if other == painting}
            found = pictures.repaint(methods, {painting: style_picture}, some, output, where)
            for one in noting(found, output, sys.argv[1:], where):
                painted.append(one)
                display.update("painting", len(painted) / total, f"{one.name}, {one.painting}, {one.photo}")
    shown = pictures.grid(painted, squares, styles)
    save_picture(Picture(pixels=shown), output / "grid.png", overwrite=True)
    path = output / "grid.png"
    return outcome("bench grid", [path], [str(path)], ((one.method, one.error) for one in painted))
