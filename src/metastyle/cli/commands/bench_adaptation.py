"""``metastyle bench adaptation``."""

from __future__ import annotations

import ast
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from metastyle.cli.comparison import choose, read_lists
from metastyle.cli.extras import needs
from metastyle.cli.inputs import check_number, parse_shard
from metastyle.cli.options import Common, Whole
from metastyle.cli.output import Display, Speaker, complain
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from torch import Tensor

    from metastyle.bench.adaptation import Variant

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
    photos: Whole = 8,
    paintings: Whole = 12,
    size: Whole = 384,
    style_size: Whole = 512,
    reference: Annotated[list[str] | None, Parameter(metavar="METHOD", negative_iterable="")] = None,
    reference_paintings: Whole = 4,
    weights: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    shard: Annotated[str | None, Parameter(metavar="I/N")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="DIR")] = Path("out/bench/adaptation"),
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> int:
    """Measure how well paintings are learned in so many steps, and show it.

    Whole photographs with a long edge of 384 pixels, paintings with one of 512,
    the loss with content weight 1 and style weight 1e5 whatever was learned with:
    losses at other sizes do not compare. Tables, a plot, and a sheet of pictures;
    an interrupted measurement goes on where it stopped.

    For example:

        metastyle bench adaptation --content photos/ --style paintings/
        metastyle bench adaptation --content a/ --style b/ --variant "m: model=m.st"
        metastyle bench adaptation --content a/ --style b/ --variant "two: batch=2"
        metastyle bench adaptation --content a/ --style b/ --reference gatys

    Args:
        content: Folder of photographs to measure on.
        style: Folder of paintings to learn.
        train_content: Folder of other photographs to learn on, for variants with contents=photos.
        pictures: TOML file with the lists paintings, photographs and references: names of files in
            the two folders, in place of --paintings, --photos and --reference-paintings.
        variant: A line of the table: its name, then model=shipped|random|FILE,
            contents=synthetic|photos|self, or any adaptation setting; may be repeated. Without it,
            the shipped model with procedural pictures, with the photographs that are measured, and,
            given --train-content, with those.
        steps: The numbers of steps to measure at; each is a run of its own unless the
            variant has schedule=constant, where one run is measured along its way.
        photos: How many photographs of the folder, spread evenly over its names.
        paintings: How many paintings, likewise.
        size: Long edge of the photographs, in pixels.
        style_size: Long edge of the paintings, in learning and in measuring.
        reference: Another system to measure on the same photographs, with its settings, such
            as "gatys iterations=100" or "johnson"; may be repeated.
        reference_paintings: How many of the paintings, spread evenly, references are measured on.
        weights: Folder of weights that train-baseline made, for references.
        shard: Do the I-th of N parts of the paintings, so that N calls share the work and the folder.
        output: Folder for results.json, table.md, plot.png, sheet.jpg and the pictures.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    with needs("plot", "the plot"):
        import matplotlib  # noqa: F401
    from metastyle.bench import adaptation as benchmark
    from metastyle.bench.participants import maker
    from metastyle.bench.pictures import whole
    from metastyle.bench.provenance import noting
    from metastyle.core.device import pick_device
    from metastyle.images.contents import spread
    from metastyle.images.decode import list_pictures
    from metastyle.weights.vgg16 import load_loss_network

    for name, value, least, most in (
        ("--photos", photos, 1, 10_000),
        ("--paintings", paintings, 1, 10_000),
        ("--reference-paintings", reference_paintings, 1, 10_000),
        ("--size", size, 64, 4096),
        ("--style-size", style_size, 64, 4096),
    ):
        check_number(name, value, least, most)
    wanted = variant or [*_ALWAYS, *([_WITH_OTHERS] if train_content else [])]
    variants = [parse_variant(text, style_size) for text in wanted]
    counts = parse_steps(steps)
    if train_content is None and any(v.contents == "photos" for v in variants):
        raise MetastyleError("contents=photos needs --train-content DIR, a folder of photographs to learn on")
    lists = {} if pictures is None else read_lists(pictures)
    style_paths = choose(style, paintings, lists.get("paintings"))
    content_paths = choose(content, photos, lists.get("photographs"))
    compared = {style / name for name in lists.get("references", ())}
    compared = compared or set(spread(style_paths, reference_paintings))
    first, workers = (1, 1) if shard is None else parse_shard(shard)
    own_paths = style_paths[first - 1 :: workers]
    training = list_pictures(train_content) if train_content else []
    if train_content and not training:
        raise MetastyleError(f"{train_content}: no pictures in this folder")
    references = {text: maker(text, weights) for text in reference or ()}
    part = "" if shard is None else f"{first}of{workers}"
    sizes: Any = {"size": size, "style_size": style_size, "device": device, "part": part}
    failures = []
    scale = {"photographs": f"long edge {size}", "paintings": f"long edge {style_size}"}
    with Display(common.quiet) as display:
        loss_network = load_loss_network(progress=display.download)
        measured = benchmark.measure(
            variants, own_paths, content_paths, training, loss_network, output, steps=counts, **sizes
        )
        total = len(variants) * len(own_paths) * len(content_paths) * len(set(counts))
        for number, cell in enumerate(
            noting(measured, output, sys.argv[1:], pick_device(device), scale=scale), 1
        ):
            line = f"{cell.variant}, {cell.painting}, {cell.photo}, {cell.steps} steps: {cell.total:.2f}"
            display.update("measuring", min(1.0, number / total), line)
        some = [path for path in own_paths if path in compared]
        others = benchmark.measure_references(references, some, content_paths, loss_network, output, **sizes)
        for number, found in enumerate(others, 1):
            if isinstance(found, benchmark.Failure):
                failures.append(dataclasses.asdict(found))
            total = len(some) * len(references) * len(content_paths)
            display.update("measuring references", min(1.0, number / total))
    shown_photos = {path.stem: whole(path, size) for path in content_paths}
    shown_styles = {path.stem: whole(path, style_size) for path in style_paths}
    written = _write_pages(output, shown_photos, shown_styles)
    speaker, code = Speaker(common.json, common.quiet), 1 if failures else 0
    results = f"results-{part}.json" if part else "results.json"
    outputs = [{"output": output / name} for name in (results, "table.md", "plot.png", "sheet.jpg")]
    speaker.document({"command": "bench", "outputs": outputs, "errors": failures, "exit_code": code})
    speaker.line(written)
    for failure in failures:
        complain(f"{failure['reference']}, {failure['painting']}: {failure['error']}")
    return code


def _write_pages(folder: Path, photos: dict[str, Tensor], paintings: dict[str, Tensor]) -> str:
    """The table, the plot and the sheet of all that was measured in ``folder``; the table comes back."""
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
    """``NAME: key=value key=value`` as a variant; ``style_size`` is for those that say nothing of it."""
    from metastyle.api import settings_from
    from metastyle.bench.adaptation import Variant
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
    model, contents = changes.pop("model", "shipped"), changes.pop("contents", "synthetic")
    if contents not in ("synthetic", "photos", "self"):
        raise MetastyleError(f"--variant {text}: contents is {contents}: use synthetic, photos or self")
    settings = settings_from(AdaptationSettings(style_size=style_size), changes)
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
