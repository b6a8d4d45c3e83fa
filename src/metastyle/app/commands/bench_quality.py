"""``metastyle bench quality``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from metastyle.app.extras import needs
from metastyle.app.inputs import check_number
from metastyle.app.options import Common
from metastyle.app.progress import Display, Speaker
from metastyle.errors import MetastyleError


def quality(
    *,
    content: Annotated[Path, Parameter(metavar="DIR")],
    style: Annotated[Path, Parameter(metavar="DIR")],
    method: Annotated[list[str] | None, Parameter(metavar="METHOD", negative_iterable="")] = None,
    photos: int = 8,
    paintings: int = 6,
    size: int = 256,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="DIR")] = Path("out/bench/quality"),
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> int:
    """Measure how good the eight systems' pictures are, and show them side by side.

    Losses under VGG-16 and VGG-19, structure kept, the loss relative to Gatys'
    optimum, each with a 95 % interval; and a grid of pictures. What is measured is
    kept: the same command goes on where it stopped. A system that fails says so,
    and the exit code is 1.

    For example:

        metastyle bench quality --content photos/ --style paintings/
        metastyle bench quality --content a/ --style b/ --method adain
        metastyle bench quality --content a/ --style b/ --method mine:System

    Args:
        content: Folder of photographs.
        style: Folder of paintings.
        method: A system and its settings, such as "metastyle steps=200", or your own as
            package.module:Class; may be repeated. Without it, all eight.
        photos: How many photographs of the folder, spread evenly over its names.
        paintings: How many paintings, likewise.
        size: Side of the squares that photographs are cut to; paintings get this long edge.
        output: Folder for quality.json, quality.md, grid.png and the pictures.
        device: auto, cpu, cuda or cuda:N.
    """
    check_number("--size", size, 176, 2048)
    check_number("--photos", photos, 1, 10_000)
    check_number("--paintings", paintings, 1, 10_000)
    with needs("bench", "bench quality"):
        import torchmetrics  # noqa: F401

    from metastyle.baselines.systems import SYSTEMS
    from metastyle.baselines.vgg19 import Encoder
    from metastyle.benchmark.adaptation import pictures, square
    from metastyle.benchmark.quality import Quality, grid, measure, table
    from metastyle.benchmark.systems import maker
    from metastyle.core.hardware import pick_device
    from metastyle.media.images import Picture, open_picture, resize, save_picture, to_tensor
    from metastyle.weights.loss_network import load_loss_network
    from metastyle.weights.tensor_files import write_bytes

    methods = {text: maker(text) for text in method or SYSTEMS}
    where = pick_device(device)
    photo_paths, painting_paths = pictures(content, photos), pictures(style, paintings)
    for folder, paths in ((content, photo_paths), (style, painting_paths)):
        if not paths:
            raise MetastyleError(f"{folder}: no pictures in this folder")
    squares = {path.stem: square(open_picture(path), size) for path in photo_paths}
    styles = {path.stem: to_tensor(resize(open_picture(path), size).pixels) for path in painting_paths}
    cells: list[Quality] = []
    with Display(common.quiet) as display:
        loss_network = load_loss_network(progress=display.download)
        encoder = Encoder.load(progress=display.download)
        total = len(methods) * len(squares) * len(styles)
        for cell in measure(methods, styles, squares, output, loss_network, encoder, where):
            if cell.method in methods and cell.painting in styles and cell.photo in squares:
                cells.append(cell)
            line = f"{cell.name}, {cell.painting}, {cell.photo}"
            display.update("measuring", min(1.0, len(cells) / total), line)
    written = table(cells)
    output.mkdir(parents=True, exist_ok=True)
    write_bytes(output / "quality.md", (written + "\n").encode(), overwrite=True)
    save_picture(Picture(pixels=grid(cells, squares, styles, output)), output / "grid.png", overwrite=True)
    errors = [
        {"method": m, "error": e} for m, e in dict.fromkeys((c.method, c.error) for c in cells if c.error)
    ]
    code = 1 if errors else 0
    speaker = Speaker(common.json, common.quiet)
    outputs = [{"output": output / name} for name in ("quality.json", "quality.md", "grid.png")]
    speaker.document({"command": "bench quality", "outputs": outputs, "errors": errors, "exit_code": code})
    speaker.line(written)
    return code
