"""``metastyle bench protocol``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le
from cyclopts import Parameter

from metastyle.cli.commands.bench_common import makers, outcome, read_pairs, scale_of
from metastyle.cli.extras import needs
from metastyle.cli.inputs import parse_shard
from metastyle.cli.options import FLAG, Common, Count, SquareSize, Whole
from metastyle.cli.output import Display, Outcome

if TYPE_CHECKING:
    from torch import Tensor

    from metastyle.bench.frechet import Fid
    from metastyle.bench.participants import Maker
    from metastyle.bench.protocol import Cell


def protocol(
    *,
    content: Annotated[Path, Parameter(metavar="DIR")],
    style: Annotated[Path, Parameter(metavar="DIR")],
    method: Annotated[list[str] | None, Parameter(metavar="METHOD", negative_iterable="")] = None,
    photos: Count = 20,
    paintings: Count = 40,
    size: Annotated[Whole, Ge(176), Le(2048)] = 512,
    style_size: SquareSize = 512,
    curves: Annotated[bool, FLAG] = False,
    inception: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    weights: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    shard: Annotated[str | None, Parameter(metavar="I/N")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="DIR")] = Path("out/bench/protocol"),
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """Measure every photograph in every painting's style, as recent papers do.

    By default, 20 photographs x 40 paintings at 512².

    Losses under VGG-16 and under layers of VGG-19 that no system was trained for,
    LPIPS, content feature structure distance (CFSD) and MS-SSIM; what a painting
    costs in advance; and two rows that no system made, the photograph and the
    painting themselves: a metric that one of them wins is marked.
    Results are kept, and the same command resumes where it stopped. If a system
    fails, its line says so, and the exit code is 1.

    For example:

        metastyle bench protocol --content photos/ --style paintings/ --curves
        metastyle bench protocol --content a/ --style b/ --photos 3 --size 256
        metastyle bench protocol --content a/ --style b/ --shard 1/2

    Args:
        content: Folder of photographs.
        style: Folder of paintings.
        method: A system and its settings, such as "metastyle steps=200", or your own as
            package.module:Class; may be repeated. Without it, all nine,
            and MetaStyle with 200 steps.
        photos: How many photographs of the folder to use at most, spread evenly over its names.
        paintings: How many paintings to use at most, likewise.
        size: Side of the squares that photographs are cut to.
        style_size: Long edge of the paintings, for the systems and for style losses.
        curves: Measure every MetaStyle and AdaIN of these at strengths from 0.4 to 1.5, too.
        inception: ArtFID's weights of Inception-v3, art_inception.pth: adds FID and ArtFID. Without the
            file there are none. With --shard, give it to one more call without --shard.
        weights: Folder of weights that train-baseline made, or of MicroAST's published ones.
        shard: Measure the I-th of N parts of the paintings, so that N calls share the work.
        output: Folder for results.json, protocol.md, curves.svg and the pictures.
        device: auto, cpu, cuda or cuda:N.
    """
    with needs("bench", "bench protocol"):
        import matplotlib  # noqa: F401
        import torchmetrics  # noqa: F401
    from metastyle.bench import protocol as benchmark
    from metastyle.bench import protocol_page as page
    from metastyle.bench.nulls import with_nulls
    from metastyle.bench.table import write_markdown

    methods = with_nulls(makers(method, weights))
    methods |= benchmark.curves([*methods], output) if curves else {}
    own_shard = (1, 1) if shard is None else parse_shard(shard)
    squares, styles = read_pairs(content, style, photos, paintings, size, style_size)
    scale = scale_of(size, style_size)
    with Display(common.quiet) as display:
        failed = _measure(methods, styles, squares, output, device, own_shard, scale, display)
        cells = list(benchmark.results_of(output))
        fids = _fids(inception, cells, styles, squares, output, device, display) if shard is None else []
    cells += failed
    written = page.page(cells, scale, fids)
    write_markdown(output / "protocol.md", written)
    page.plot(cells, output / "curves.svg")
    outputs = [output / name for name in ("protocol.md", "curves.svg")]
    return outcome("bench protocol", outputs, [written], ((one.method, one.error) for one in failed))


def _measure(
    methods: Mapping[str, Maker],
    styles: dict[str, Tensor],
    squares: dict[str, Tensor],
    output: Path,
    device: str,
    shard: tuple[int, int],
    scale: dict[str, str],
    display: Display,
) -> list[Cell]:
    """Measure everything, with progress; what failed."""
    from metastyle.bench import protocol as benchmark
    from metastyle.bench.lpips import Lpips
    from metastyle.bench.provenance import noting
    from metastyle.core.device import pick_device
    from metastyle.systems.vgg19 import Encoder
    from metastyle.weights.lpips import load_lpips
    from metastyle.weights.vgg16 import load_loss_network

    where = pick_device(device)
    networks = benchmark.Networks(
        vgg16=load_loss_network(progress=display.download).to(where),
        vgg19=Encoder.load(progress=display.download).to(where),
        lpips=Lpips(load_lpips(progress=display.download)).to(where),
    )
    total = len(methods) * len(range(shard[0] - 1, len(styles), shard[1])) * len(squares)
    measured = benchmark.measure(methods, styles, squares, output, networks, where, shard=shard)
    failed = []
    for number, cell in enumerate(noting(measured, output, sys.argv[1:], where, scale=scale), 1):
        if cell.error:
            failed.append(cell)
        display.update("measuring", number / total, f"{cell.name}, {cell.painting}, {cell.photo}")
    return failed


def _fids(
    inception: Path | None,
    cells: list[Cell],
    styles: dict[str, Tensor],
    squares: dict[str, Tensor],
    output: Path,
    device: str,
    display: Display,
) -> list[Fid]:
    """FID of all systems that have painted everything, where the weights for it were given."""
    from metastyle.bench import frechet
    from metastyle.bench.inception import load_inception
    from metastyle.core.device import pick_device

    if inception is None:
        return []
    where = pick_device(device)
    network, digest = load_inception(inception)
    found = []
    methods = {cell.method for cell in cells}
    measured = frechet.measure(output, cells, styles, list(squares), network.to(where), digest, where)
    for number, fid in enumerate(measured, 1):
        found.append(fid)
        display.update("measuring FID", number / len(methods), fid.method)
    return found
