"""``metastyle bench quality``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le
from cyclopts import Parameter

from metastyle.cli.commands.bench_common import makers, outcome, read_pairs, scale_of
from metastyle.cli.extras import needs
from metastyle.cli.options import Common, Count, SquareSize, Whole
from metastyle.cli.output import Display, Outcome

if TYPE_CHECKING:
    from torch import Tensor

    from metastyle.bench.motion import Clip
    from metastyle.bench.participants import Maker
    from metastyle.bench.quality import FilmQuality, Quality


def quality(
    *,
    content: Annotated[Path, Parameter(metavar="DIR")],
    style: Annotated[Path, Parameter(metavar="DIR")],
    method: Annotated[list[str] | None, Parameter(metavar="METHOD", negative_iterable="")] = None,
    sequence: Annotated[list[Path] | None, Parameter(metavar="DIR", negative_iterable="")] = None,
    photos: Count = 8,
    paintings: Count = 6,
    size: Annotated[Whole, Ge(176), Le(2048)] = 384,
    style_size: SquareSize = 512,
    reduce: Annotated[Whole, Ge(1), Le(64)] = 1,
    weights: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="DIR")] = Path("out/bench/quality"),
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """Measure how good the systems' pictures are, and show them side by side.

    Losses under VGG-16 and VGG-19, structure kept, the loss relative to Gatys'
    optimum, each with a 95 % interval; flicker on films; and a grid of pictures.
    Two more rows measure the unchanged photograph and the painting itself: a
    column that one of them wins does not measure style transfer by itself.
    Losses depend on scale: 384 pixels for photographs and 512 for paintings are
    the standard, and figures at other sizes do not compare.
    Results are kept, and the same command resumes where it stopped. If a system
    fails, its cells say so, and the exit code is 1.

    For example:

        metastyle bench quality --content photos/ --style paintings/
        metastyle bench quality --content a/ --style b/ --method adain
        metastyle bench quality --content a/ --style b/ --method mine:System

    Args:
        content: Folder of photographs.
        style: Folder of paintings.
        method: A system and its settings, such as "metastyle steps=200", or your own as
            package.module:Class; may be repeated. Without it, all nine,
            and MetaStyle with 200 steps.
        sequence: Folder of a film in Sintel's format (clean/, flow/, occlusions/), whose
            flicker is measured; may be repeated.
        photos: How many photographs of the folder to use, spread evenly over its names.
        paintings: How many paintings to use, likewise.
        size: Side of the squares that photographs are cut to.
        style_size: Long edge of the paintings, for the systems and for style losses.
        reduce: Whole factor by which the films are reduced.
        weights: Folder of weights that train-baseline made, such as systems-weights of a source tree.
        output: Folder for quality.json, films.json, quality.md, grid.png and the pictures.
        device: auto, cpu, cuda or cuda:N.
    """
    with needs("bench", "bench quality"):
        import torchmetrics  # noqa: F401

    from metastyle.bench.motion import read_sequence
    from metastyle.bench.nulls import with_nulls
    from metastyle.bench.quality import FilmQuality, Quality, table
    from metastyle.bench.table import write_markdown

    squares, styles = read_pairs(content, style, photos, paintings, size, style_size)
    scale = scale_of(size, style_size)
    clips = [read_sequence(folder, reduce=reduce) for folder in sequence or []]
    with Display(common.quiet) as display:
        methods = with_nulls(makers(method, weights))
        found = _measure(methods, styles, squares, clips, output, device, scale, display)
    cells = [cell for cell in found if isinstance(cell, Quality)]
    films = [film for film in found if isinstance(film, FilmQuality)]
    written = (
        f"{table(cells, films)}\n\nPhotographs: {scale['photographs']}; paintings: {scale['paintings']}."
    )
    write_markdown(output / "quality.md", written)
    _write_grid(cells, squares, styles, output)
    names = ("quality.json", *(["films.json"] if clips else []), "quality.md", "grid.png")
    outputs = [output / name for name in names]
    return outcome("bench quality", outputs, [written], ((one.method, one.error) for one in found))


def _measure(
    methods: Mapping[str, Maker],
    styles: dict[str, Tensor],
    squares: dict[str, Tensor],
    clips: list[Clip],
    output: Path,
    device: str,
    scale: dict[str, str],
    display: Display,
) -> list[Quality | FilmQuality]:
    """Everything that is measured, with progress."""
    from metastyle.bench.provenance import noting
    from metastyle.bench.quality import Quality, measure
    from metastyle.core.device import pick_device
    from metastyle.systems.vgg19 import Encoder
    from metastyle.weights.vgg16 import load_loss_network

    where = pick_device(device)
    loss_network = load_loss_network(progress=display.download).to(where)
    encoder = Encoder.load(progress=display.download).to(where)
    total = len(methods) * len(styles) * (len(squares) + len(clips))
    measured = measure(methods, styles, squares, output, loss_network, encoder, where, clips)
    found: list[Quality | FilmQuality] = []
    for cell in noting(measured, output, sys.argv[1:], where, scale=scale):
        found.append(cell)
        what = cell.photo if isinstance(cell, Quality) else cell.clip
        display.update("measuring", len(found) / total, f"{cell.name}, {cell.painting}, {what}")
    return found


def _write_grid(
    cells: list[Quality], squares: dict[str, Tensor], styles: dict[str, Tensor], output: Path
) -> None:
    from metastyle.bench.nulls import NULLS
    from metastyle.bench.pictures import Painted, grid, picture_path
    from metastyle.images.encode import save_picture
    from metastyle.images.picture import Picture

    painted = [
        Painted(
            cell.method,
            cell.name,
            cell.styles,
            cell.painting,
            cell.photo,
            picture_path(output, cell.method, cell.painting, cell.photo),
            cell.error,
        )
        for cell in cells
        if cell.method not in NULLS  # they are on the grid already
    ]
    save_picture(Picture(pixels=grid(painted, squares, styles)), output / "grid.png", overwrite=True)
