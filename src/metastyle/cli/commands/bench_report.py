"""``metastyle bench report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from metastyle.cli.extras import needs
from metastyle.cli.options import Common
from metastyle.cli.output import Outcome


def report(
    folder: Annotated[Path, Parameter(metavar="DIR")] = Path("out/bench"),
    /,
    *,
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """Put what the other benchmarks measured on one page, with plots.

    Reads those of speed/, sizes/ (another run of bench speed, at more sizes than
    slow systems can take), quality/, adaptation/ and grid/ that a folder has, and
    the picture mixtures/strip.jpg. Writes report.md and report.html, a single file
    with everything inside.

    For example:

        metastyle bench report
        metastyle bench report benchmarks/results/0.2.0

    Args:
        folder: Where the other benchmarks wrote their results.
    """
    with needs("bench", "bench report"):
        import markdown_it  # noqa: F401
        import matplotlib  # noqa: F401
        import torchmetrics  # noqa: F401
    from metastyle.bench import report as benchmark

    written = benchmark.write(folder, benchmark.read(folder))
    outputs = [{"output": path} for path in written]
    return Outcome("bench report", outputs=outputs, lines=[str(written[0])])
