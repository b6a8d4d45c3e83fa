"""``metastyle bench quality``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from metastyle.cli.comparison import failures, makers, read_pairs
from metastyle.cli.extras import needs
from metastyle.cli.inputs import check_number
from metastyle.cli.options import Common, Whole
from metastyle.cli.output import Display, Speaker, complain


def quality(
    *,
    content: Annotated[Path, Parameter(metavar="DIR")],
    style: Annotated[Path, Parameter(metavar="DIR")],
    method: Annotated[list[str] | None, Parameter(metavar="METHOD", negative_iterable="")] = None,
    sequence: Annotated[list[Path] | None, Parameter(metavar="DIR", negative_iterable="")] = None,
    photos: Whole = 8,
    paintings: Whole = 6,
    size: Whole = 384,
    style_size: Whole = 512,
    reduce: Whole = 1,
    weights: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="DIR")] = Path("out/bench/quality"),
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> int:
    """Measure how good the eight systems' pictures are, and show them side by side.

    Losses under VGG-16 and VGG-19, structure kept, the loss relative to Gatys'
    optimum, each with a 95 % interval; flicker on films; and a grid of pictures.
    Losses depend on scale: photographs of 384 pixels and paintings of 512 are the
    common one, and figures at other sizes do not compare.
    What is painted and measured is kept: the same command goes on where it stopped.
    A system that fails says so, and the exit code is 1.

    For example:

        metastyle bench quality --content photos/ --style paintings/
        metastyle bench quality --content a/ --style b/ --method adain
        metastyle bench quality --content a/ --style b/ --method mine:System

    Args:
        content: Folder of photographs.
        style: Folder of paintings.
        method: A system and its settings, such as "metastyle steps=200", or your own as
            package.module:Class; may be repeated. Without it, all eight,
            and MetaStyle with 200 steps.
        sequence: Folder of a film in Sintel's format (clean/, flow/, occlusions/), whose
            flicker is measured; may be repeated.
        photos: How many photographs of the folder, spread evenly over its names.
        paintings: How many paintings, likewise.
        size: Side of the squares that photographs are cut to.
        style_size: Long edge of the paintings, as systems see them and as style losses are taken.
        reduce: Make the films smaller by this whole factor.
        weights: Folder of weights that train-baseline made; looked into before the package.
        output: Folder for quality.json, films.json, quality.md, grid.png and the pictures.
        device: auto, cpu, cuda or cuda:N.
    """
    check_number("--size", size, 176, 2048)
    check_number("--reduce", reduce, 1, 64)
    with needs("bench", "bench quality"):
        import torchmetrics  # noqa: F401

    from metastyle.bench.motion import read_sequence
    from metastyle.bench.pictures import Painted, grid, picture_path
    from metastyle.bench.provenance import noting
    from metastyle.bench.quality import Film, Quality, measure, table
    from metastyle.bench.table import write_markdown
    from metastyle.core.device import pick_device
    from metastyle.images.encode import save_picture
    from metastyle.images.picture import Picture
    from metastyle.systems.vgg19 import Encoder
    from metastyle.weights.vgg16 import load_loss_network

    methods = makers(method, weights)
    where = pick_device(device)
    squares, styles = read_pairs(content, style, photos, paintings, size, style_size)
    scale = {"photographs": f"{size} x {size}", "paintings": f"long edge {style_size}"}
    clips = [read_sequence(folder, reduce=reduce) for folder in sequence or []]
    cells: list[Quality] = []
    films: list[Film] = []
    with Display(common.quiet) as display:
        loss_network = load_loss_network(progress=display.download).to(where)
        encoder = Encoder.load(progress=display.download).to(where)
        total = len(methods) * len(styles) * (len(squares) + len(clips))
        found = measure(methods, styles, squares, output, loss_network, encoder, where, clips)
        for number, cell in enumerate(noting(found, output, sys.argv[1:], where, scale=scale), 1):
            if isinstance(cell, Quality):
                cells.append(cell)
                what = cell.photo
            else:
                films.append(cell)
                what = cell.clip
            display.update("measuring", number / total, f"{cell.name}, {cell.painting}, {what}")
    written = (
        f"{table(cells, films)}\n\nPhotographs: {scale['photographs']}; paintings: {scale['paintings']}."
    )
    write_markdown(output / "quality.md", written)
    painted = [
        Painted(
            c.method,
            c.name,
            c.styles,
            c.painting,
            c.photo,
            picture_path(output, c.method, c.painting, c.photo),
            c.error,
        )
        for c in cells
    ]
    shown = grid(painted, squares, styles)
    save_picture(Picture(pixels=shown), output / "grid.png", overwrite=True)
    errors = failures([*((c.method, c.error) for c in cells), *((f.method, f.error) for f in films)])
    code = 1 if errors else 0
    speaker = Speaker(common.json, common.quiet)
    names = ("quality.json", *(["films.json"] if clips else []), "quality.md", "grid.png")
    outputs = [{"output": output / name} for name in names]
    speaker.document({"command": "bench quality", "outputs": outputs, "errors": errors, "exit_code": code})
    speaker.line(written)
    for error in errors:
        complain(f"{error['method']}: {error['error']}")
    return code
