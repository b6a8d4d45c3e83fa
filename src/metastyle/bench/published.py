"""The paper's Table 1 beside the same measurements made here.

Times on different machines only compare as ratios, so each time comes with its ratio to that of Johnson et
al. in the same column.
"""

from __future__ import annotations

from collections.abc import Sequence

from metastyle.bench.speed import REFERENCE, Speed, times
from metastyle.bench.table import markdown
from metastyle.systems.registry import parameter_counts

SECONDS = {
    "Gatys et al.": (7.7428, 27.0517),
    "Johnson et al.": (0.0044, 0.0146),
    "WCT": (0.6887, 1.2335),
    "AdaIN": (0.0165, 0.0320),
    "Shen et al.": (0.0045, 0.0147),
    "Avatar-Net": (0.5089, 0.6088),
    "Style-Swap": (0.2679, 1.0890),
    "MetaStyle": (0.0047, 0.0145),
}
"""Published seconds for pictures of 256 x 256 and of 512 x 512, on the authors' GPU."""
SIZES = (256, 512)


def table_1(rows: Sequence[Speed]) -> str:
    """Markdown: parameters and seconds of the paper's systems, published and measured.

    A system that was measured in several ways, as ours with several numbers of steps, has its first row, and
    the settings in its name stand beside the system's.
    """
    counts = {count.system: count for count in parameter_counts()}
    head = ["system", "styles", "parameters, paper", "counted"]
    for size in SIZES:
        head += [f"{size}², paper", "here"]
    measured: dict[str, list[Speed]] = {system: [] for system in SECONDS}
    for row in rows:
        measured.setdefault(row.name.split(",")[0], []).append(row)
    lines = []
    for system, published in SECONDS.items():
        count, own = counts[system], measured[system]
        counted = f"{count.counted / 1e6:.2f}M" if count.counted else "none"
        settings = next((row.name.partition(", ")[2] for row in own), "")
        named = f"{system} (here {settings})" if settings else system
        cells = [named, next((row.styles for row in own), ""), count.quoted, counted]
        for column, size in enumerate(SIZES):
            here = _seconds(own, size)
            cells += [
                _cell(published[column], SECONDS[REFERENCE][column]),
                "" if here is None else _cell(here, _seconds(measured[REFERENCE], size)),
            ]
        lines.append(cells)
    return "\n".join(markdown(head, lines))


def _seconds(rows: Sequence[Speed], size: int) -> float | None:
    return next((row.seconds for row in rows if row.size == size and row.seconds is not None), None)


def _cell(seconds: float, reference: float | None) -> str:
    """``0.0165 s (3.75)``."""
    ratio = "" if reference is None else f" ({times(seconds / reference)})"
    return f"{seconds:.3g} s{ratio}"
