"""``metastyle bench stillness``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le
from cyclopts import Parameter

from metastyle.cli.extras import needs
from metastyle.cli.options import Common, Whole
from metastyle.cli.output import Display, Outcome
from metastyle.core.settings import Grain
from metastyle.errors import MetastyleError


def stillness(
    *,
    style: Annotated[list[Path], Parameter(metavar="STYLE", negative_iterable="")],
    sequence: Annotated[list[Path] | None, Parameter(metavar="DIR", negative_iterable="")] = None,
    picture: Annotated[list[Path] | None, Parameter(metavar="FILE", negative_iterable="")] = None,
    painting: Annotated[list[Path] | None, Parameter(metavar="FILE", negative_iterable="")] = None,
    reduce: Annotated[Whole, Ge(1), Le(64)] = 1,
    rounds: Annotated[Whole, Ge(0), Le(1000)] = 7,
    grain: Grain | None = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="DIR")] = Path("out/stillness"),
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """Measure how still stylized films are, along their true motion.

    A table of warping errors for several ways to take statistics, with and
    without smoothing, and of times. An interrupted measurement resumes.

    For example:

        metastyle bench stillness --style s.safetensors --sequence alley_1/
        metastyle bench stillness --style s.safetensors --sequence a/ --sequence b/

    Args:
        style: Style file; may be repeated.
        sequence: Folder in Sintel's format (clean/, flow/, occlusions/); may be
            repeated.
        picture: Two pictures to make films of: a pan over the first, a fade, and
            the second passing before the first.
        painting: Painting that AdaIN is measured with, beside the styles; may be
            repeated.
        reduce: Whole factor by which the sequences are reduced.
        rounds: How many times each time is measured; 0 measures none.
        grain: Amount of grain in flat areas; by default that of each style.
            Amounts do not mix: give each a folder of its own.
        output: Folder for results.json, speeds.json and table.md.
    """
    with needs("video", "smoothing"):
        import cv2  # noqa: F401
    from metastyle import api
    from metastyle.bench import motion
    from metastyle.bench import stillness as benchmark
    from metastyle.bench.table import read_rows, write_markdown
    from metastyle.images.decode import open_picture

    if picture is not None and len(picture) != 2:
        raise MetastyleError(f"--picture is given {len(picture)} times: two pictures make the films, or none")
    clips = [motion.read_sequence(folder, reduce=reduce) for folder in sequence or []]
    clips += motion.films_of(*picture) if picture else []
    if not clips:
        raise MetastyleError("nothing to measure on: give --sequence DIR, or --picture twice")
    styles = {path.stem: api.load(path) for path in style}
    painters: dict[str, benchmark.Paint] = {
        name: partial(benchmark.paint, one.network(), one.grain if grain is None else grain)
        for name, one in styles.items()
    }
    for path in painting or []:
        painters[f"{path.stem} (AdaIN)"] = benchmark.adain_painter(open_picture(path))
    rows = []
    total = len(clips) * (9 * len(styles) + len(painting or []))  # ways
    with Display(common.quiet) as display:
        for row in benchmark.measure(painters, clips, output):
            rows.append(row)
            line = f"{row.style}, {row.clip}, {row.way}: {row.error:.2f}"
            display.update("measuring", min(1.0, len(rows) / total), line)
        speeds = read_rows(output / "speeds.json", benchmark.Speed)
        if rounds:
            display.update("timing", 0.0)
            first = next(iter(styles.values()))
            speeds = benchmark.measure_speed(
                first.network(), first.grain if grain is None else grain, output, rounds=rounds
            )
            display.update("timing", 1.0)
    written = benchmark.table(rows, speeds)
    write_markdown(output / "table.md", written)
    outputs = [{"output": output / name} for name in ("results.json", "table.md")]
    return Outcome("bench stillness", outputs=outputs, lines=[written])
