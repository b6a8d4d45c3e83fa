"""``metastyle bench adaptation``."""

from __future__ import annotations

import ast
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from metastyle.cli.commands.bench_common import choose, read_lists
from metastyle.cli.errors import DONE, SOME_FAILED
from metastyle.cli.extras import needs
from metastyle.cli.inputs import parse_shard
from metastyle.cli.options import Common, Count, SquareSize
from metastyle.cli.output import Display, Outcome
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from torch import Tensor

    from metastyle.bench.adaptation import Failure
    from metastyle.bench.adaptation_variants import Variant
    from metastyle.bench.participants import Maker

_ALWAYS = ("shipped:", "shipped on these photographs: contents=self")
_WITH_OTHERS = "shipped on other photographs: contents=photos"


def adaptation(
    *,
    content: Annotated[Path, Parameter(metavar="DIR")],
    style: Annotated[Path, Parameter(metavar="DIR")],
    train_content: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    pictures: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    variant: Annotated[list[str] | None, Parameter(metavar="NAME:CHANGES", negative_iterable="")] = None,
    steps: Annotated[str, Parameter(metavar="N,N,...")] = "0,10,20,60,200",
    photos: Count = 8,
    paintings: Count = 12,
    size: SquareSize = 384,
    style_size: SquareSize = 512,
    reference: Annotated[list[str] | None, Parameter(metavar="METHOD", negative_iterable="")] = None,
    reference_paintings: Count = 4,
    weights: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    shard: Annotated[str | None, Parameter(metavar="I/N")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="DIR")] = Path("out/bench/adaptation"),
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """Measure how good adaptation is after given numbers of steps, and show it.

    Whole photographs with a long edge of 384 pixels, paintings with one of 512,
    and the loss with content weight 1 and style weight 1e5, whatever weights the
    adaptation used. Losses at other sizes do not compare. Tables, a plot and a
    sheet of pictures are written; an interrupted measurement resumes.

    For example:

        metastyle bench adaptation --content photos/ --style paintings/
        metastyle bench adaptation --content a/ --style b/ --variant "m: model=m.st"
        metastyle bench adaptation --content a/ --style b/ --variant "two: batch=2"
        metastyle bench adaptation --content a/ --style b/ --reference gatys

    Args:
        content: Folder of photographs to measure on.
        style: Folder of paintings to adapt to.
        train_content: Folder of other photographs to adapt on, for variants with contents=photos.
        pictures: TOML file with the lists paintings, photographs and references: names of files in
            the two folders, in place of --paintings, --photos and --reference-paintings.
        variant: A line of the table: its name, then model=shipped|random|FILE,
            contents=procedural|photos|self, or any adaptation setting; may be repeated. Without it,
            the shipped model with procedural pictures, with the photographs that are measured, and,
            given --train-content, with those.
        steps: The numbers of steps to measure at; each is a separate run unless the
            variant has schedule=constant, where one run is measured along its way.
        photos: How many photographs of the folder to use, spread evenly over its names.
        paintings: How many paintings to use, likewise.
        size: Long edge of the photographs, in pixels.
        style_size: Long edge of the paintings, in adaptation and in measurement.
        reference: Another system to measure on the same photographs, with its settings, such
            as "gatys iterations=100" or "johnson"; may be repeated.
        reference_paintings: How many of the paintings references are measured on, spread evenly.
        weights: Folder of weights that train-baseline made, for references.
        shard: Measure the I-th of N parts of the paintings, so that N calls share the work.
        output: Folder for results.json, table.md, plot.png, sheet.jpg and the pictures.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    with needs("plot", "the plot"):
        import matplotlib  # noqa: F401
    from metastyle.bench.participants import maker
    from metastyle.bench.pictures import whole
    from metastyle.images.contents import spread

    wanted = variant or [*_ALWAYS, *([_WITH_OTHERS] if train_content else [])]
    variants = [parse_variant(text, style_size) for text in wanted]
    lists = {} if pictures is None else read_lists(pictures)
    style_paths = choose(style, paintings, lists.get("paintings"))
    named = [style / name for name in lists.get("references", ())]
    compared = named if lists else spread(style_paths, reference_paintings)
    _check_compared(compared, reference, pictures)
    first, workers = (1, 1) if shard is None else parse_shard(shard)
    work = _Work(
        variants=variants,
        counts=parse_steps(steps),
        paintings=style_paths[first - 1 :: workers],
        photos=choose(content, photos, lists.get("photographs")),
        training=_training(train_content, variants),
        references={text: maker(text, weights) for text in reference or ()},
        compared=set(compared),
        output=output,
        sizes={"size": size, "style_size": style_size, "device": device},
        part="" if shard is None else f"{first}of{workers}",
    )
    with Display(common.quiet) as display:
        failures = _measure(work, display)
    shown_photos = {path.stem: whole(path, size) for path in work.photos}
    shown_styles = {path.stem: whole(path, style_size) for path in style_paths}
    written = _write_pages(output, shown_photos, shown_styles)
    results = f"results-{work.part}.json" if work.part else "results.json"
    return Outcome(
        "bench adaptation",
        outputs=[{"output": output / name} for name in (results, "table.md", "plot.png", "sheet.jpg")],
        errors=[dataclasses.asdict(failure) for failure in failures],
        lines=[written],
        problems=[f"{one.reference}, {one.painting}: {one.error}" for one in failures],
        code=SOME_FAILED if failures else DONE,
    )


def _training(folder: Path | None, variants: Sequence[Variant]) -> list[Path]:
    """The photographs that variants with contents=photos adapt on."""
    from metastyle.images.decode import list_pictures

    if folder is None:
        if any(variant.contents == "photos" for variant in variants):
            raise MetastyleError(
                "contents=photos needs --train-content DIR, a folder of photographs to adapt on"
            )
        return []
    if not (found := list_pictures(folder)):
        raise MetastyleError(f"{folder}: no pictures in this folder")
    return found


def _check_compared(compared: list[Path], reference: list[str] | None, pictures: Path | None) -> None:
    if reference and not compared:
        raise MetastyleError(
            f"{pictures}: 'references' is empty: name the paintings there that --reference is measured on"
        )


@dataclass(frozen=True)
class _Work:
    """What is measured."""

    variants: list[Variant]
    counts: list[int]
    """The numbers of steps."""
    paintings: list[Path]
    photos: list[Path]
    training: list[Path]
    """Other photographs, which variants may adapt on."""
    references: Mapping[str, Maker]
    compared: set[Path]
    """The paintings that references are measured on."""
    output: Path
    sizes: dict[str, Any]
    part: str


def _measure(work: _Work, display: Display) -> list[Failure]:
    """Measure everything, with progress; the references that failed."""
    from metastyle.bench import adaptation as benchmark
    from metastyle.bench.provenance import noting
    from metastyle.core.device import pick_device
    from metastyle.weights.vgg16 import load_loss_network

    sizes, part, where = work.sizes, work.part, pick_device(work.sizes["device"])
    scale = {
        "photographs": f"long edge {sizes['size']}",
        "paintings": f"long edge {sizes['style_size']}",
    }
    loss_network = load_loss_network(progress=display.download)
    measured = benchmark.measure(
        work.variants,
        work.paintings,
        work.photos,
        work.training,
        loss_network,
        work.output,
        steps=work.counts,
        part=part,
        **sizes,
    )
    total = len(work.variants) * len(work.paintings) * len(work.photos) * len(set(work.counts))
    for number, cell in enumerate(noting(measured, work.output, sys.argv[1:], where, scale=scale), 1):
        line = f"{cell.variant}, {cell.painting}, {cell.photo}, {cell.steps} steps: {cell.total:.2f}"
        display.update("measuring", min(1.0, number / total), line)
    compared = [path for path in work.paintings if path in work.compared]
    others = benchmark.measure_references(
        work.references, compared, work.photos, loss_network, work.output, part=part, **sizes
    )
    failures = []
    total = len(compared) * len(work.references) * len(work.photos)
    for number, found in enumerate(others, 1):
        if isinstance(found, benchmark.Failure):
            failures.append(found)
        display.update("measuring references", min(1.0, number / total))
    return failures


def _write_pages(folder: Path, photos: dict[str, Tensor], paintings: dict[str, Tensor]) -> str:
    """Write the table, the plot and the sheet of everything measured in ``folder``; returns the table."""
    from metastyle.bench import adaptation_page as page
    from metastyle.bench.adaptation import results_of
    from metastyle.bench.table import write_markdown
    from metastyle.images.encode import save_picture
    from metastyle.images.picture import Picture

    cells = list(results_of(folder))
    written = page.table(cells)
    write_markdown(folder / "table.md", written)
    page.plot(cells, folder / "plot.png")
    shown = page.contact_sheet(cells, folder, photos, paintings)
    save_picture(Picture(pixels=shown), folder / "sheet.jpg", overwrite=True, quality=82)
    return written


def parse_variant(text: str, style_size: int = 512) -> Variant:
    """``NAME: key=value key=value`` as a variant; ``style_size`` is the default of that setting."""
    from metastyle.api import settings_from
    from metastyle.bench.adaptation_variants import OLD_CONTENTS, Variant
    from metastyle.core.settings import AdaptationSettings

    name, colon, rest = text.partition(":")
    changes: dict[str, Any] = {}
    for word in rest.split():
        key, equals, value = word.partition("=")
        if not equals:
            raise MetastyleError(f"--variant {text}: write NAME: key=value key=value")
        changes[key] = _value(value)
    if not colon or not name.strip():
        raise MetastyleError(f"--variant {text}: begin with a name and a colon")
    model, contents = changes.pop("model", "shipped"), changes.pop("contents", "procedural")
    contents = OLD_CONTENTS.get(str(contents), contents)
    if contents not in ("procedural", "photos", "self"):
        raise MetastyleError(f"--variant {text}: contents is {contents}: use procedural, photos or self")
    try:
        settings = settings_from(AdaptationSettings(style_size=style_size), changes)
    except MetastyleError as error:
        raise MetastyleError(f"--variant {text}: {error}") from None
    return Variant(name.strip(), str(model), contents, settings)


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
