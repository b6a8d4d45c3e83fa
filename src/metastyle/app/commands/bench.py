"""``metastyle bench``."""

from __future__ import annotations

import ast
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from metastyle.app.commands.bench_grid import grid
from metastyle.app.commands.bench_quality import quality
from metastyle.app.commands.bench_report import report
from metastyle.app.commands.bench_speed import speed
from metastyle.app.commands.bench_stillness import stillness
from metastyle.app.extras import needs
from metastyle.app.inputs import check_number
from metastyle.app.options import Common, Whole
from metastyle.app.progress import Display, Speaker, complain
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.benchmark.adaptation import Variant

bench = App(name="bench", help="Measure what this project claims.", help_format="plaintext")
bench.command(speed)
bench.command(quality)
bench.command(grid)
bench.command(report)
bench.command(stillness)

_DEFAULT_VARIANTS = ("shipped:", "random: model=random")


@bench.command
def adaptation(
    *,
    content: Annotated[Path, Parameter(metavar="DIR")],
    style: Annotated[Path, Parameter(metavar="DIR")],
    train_content: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    variant: Annotated[list[str] | None, Parameter(metavar="NAME:CHANGES", negative_iterable="")] = None,
    steps: Annotated[str, Parameter(metavar="N,N,...")] = "0,1,2,5,10,20,50,100,200",
    photos: Whole = 16,
    paintings: Whole = 12,
    measure_size: Whole = 256,
    reference: Annotated[list[str] | None, Parameter(metavar="METHOD", negative_iterable="")] = None,
    reference_paintings: Whole = 4,
    weights: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="DIR")] = Path("out/bench/adaptation"),
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> int:
    """Measure how fast paintings are learned, on photographs not learned from.

    A table and a plot of loss against steps; an interrupted measurement goes on
    where it stopped.

    For example:

        metastyle bench adaptation --content photos/ --style paintings/
        metastyle bench adaptation --content a/ --style b/ --variant "m: model=m.st"
        metastyle bench adaptation --content a/ --style b/ --variant "two: batch=2"
        metastyle bench adaptation --content a/ --style b/ --reference gatys

    Args:
        content: Folder of photographs to measure on.
        style: Folder of paintings to learn.
        train_content: Folder of photographs to learn on, for variants with contents=photos.
        variant: A line of the table: its name, then model=shipped|random|FILE,
            contents=synthetic|photos|self, or any adaptation setting; may be repeated.
        steps: The numbers of steps to measure at; each is a run of its own unless the
            variant has schedule=constant, where one run is measured along its way.
        photos: How many photographs of the folder, spread evenly over its names.
        paintings: How many paintings, likewise.
        measure_size: Side of the squares that are measured, in pixels.
        reference: Another system to measure on the same photographs, with its settings, such
            as "gatys iterations=100" or "johnson"; may be repeated.
        reference_paintings: How many of the paintings, spread evenly, references are measured on.
        weights: Folder of weights that train-baseline made, for references.
        output: Folder for results.json, table.md and plot.png.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    with needs("plot", "the plot"):
        import matplotlib  # noqa: F401
    from metastyle.benchmark import adaptation as benchmark
    from metastyle.benchmark.provenance import noting
    from metastyle.benchmark.systems import maker
    from metastyle.core.hardware import pick_device
    from metastyle.media.images import list_pictures
    from metastyle.weights.loss_network import load_loss_network

    check_number("--reference-paintings", reference_paintings, 1, 10_000)
    variants = [parse_variant(text) for text in variant or _DEFAULT_VARIANTS]
    counts = parse_steps(steps)
    if train_content is None and any(v.contents == "photos" for v in variants):
        raise MetastyleError("contents=photos needs --train-content DIR, a folder of photographs to learn on")
    style_paths, content_paths = benchmark.pictures(style, paintings), benchmark.pictures(content, photos)
    for folder, paths in ((style, style_paths), (content, content_paths)):
        if not paths:
            raise MetastyleError(f"{folder}: no pictures in this folder")
    training = list_pictures(train_content) if train_content else []
    total = len(variants) * len(style_paths) * len(counts)
    references = {text: maker(text, weights) for text in reference or ()}
    cells: list[benchmark.Cell] = []
    failures = []
    with Display(common.quiet) as display:
        loss_network = load_loss_network(progress=display.download)
        measured = benchmark.measure(
            variants,
            style_paths,
            content_paths,
            training,
            loss_network,
            output,
            steps=counts,
            size=measure_size,
            device=device,
        )
        for cell in noting(measured, output, sys.argv[1:], pick_device(device)):
            if cell.steps is None:
                continue  # an earlier measurement's reference; those that were asked for come below
            cells.append(cell)
            line = f"{cell.variant}, {cell.painting}, {cell.steps} steps: {cell.total:.2f}"
            display.update("measuring", min(1.0, len(cells) / total), line)
        some = benchmark.spread(style_paths, reference_paintings)
        others = benchmark.measure_references(
            references, some, content_paths, loss_network, output, size=measure_size, device=device
        )
        for number, found in enumerate(others, 1):
            if isinstance(found, benchmark.Failure):
                failures.append(dataclasses.asdict(found))
            else:
                cells.append(found)
            display.update("measuring references", number / (len(some) * len(references)))
    written = benchmark.table(cells)
    (output / "table.md").write_text(written + "\n", encoding="utf-8")
    benchmark.plot(cells, output / "plot.png")
    speaker, code = Speaker(common.json, common.quiet), 1 if failures else 0
    outputs = [{"output": output / name} for name in ("results.json", "table.md", "plot.png")]
    speaker.document({"command": "bench", "outputs": outputs, "errors": failures, "exit_code": code})
    speaker.line(written)
    for failure in failures:
        complain(f"{failure['reference']}, {failure['painting']}: {failure['error']}")
    return code


def parse_variant(text: str) -> Variant:
    """``NAME: key=value key=value`` as a variant."""
    from metastyle.api import settings_from
    from metastyle.benchmark.adaptation import Variant
    from metastyle.core.adaptation import AdaptationSettings

    name, colon, rest = text.partition(":")
    changes: dict[str, Any] = {}
    for word in rest.split():
        key, equals, value = word.partition("=")
        if not equals:
            raise MetastyleError(f"--variant {text}: write NAME: key=value key=value")
        changes[key] = _value(value)
    if not colon or not name.strip():
        raise MetastyleError(f"--variant {text}: begin with a name and a colon")
    model, contents = changes.pop("model", "shipped"), changes.pop("contents", "synthetic")
    if contents not in ("synthetic", "photos", "self"):
        raise MetastyleError(f"--variant {text}: contents is {contents}: use synthetic, photos or self")
    return Variant(name.strip(), str(model), contents, settings_from(AdaptationSettings(), changes))


def parse_steps(text: str) -> list[int]:
    """``0,10,100`` as whole numbers."""
    words = text.split(",")
    if not all(w.strip().isdecimal() and len(w.strip()) < 7 for w in words):
        raise MetastyleError(f"--steps {text}: write whole numbers with commas, such as 0,10,100")
    return [int(word) for word in words]


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
