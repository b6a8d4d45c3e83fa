"""Tables, a plot and a sheet of pictures from the results of ``adaptation``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from torch import Tensor

from metastyle.bench.adaptation import Cell, picture_path
from metastyle.bench.table import markdown
from metastyle.images.convert import from_tensor
from metastyle.images.decode import open_picture
from metastyle.images.picture import eight_bits
from metastyle.images.sheet import Pixels, sheet

SHOWN = (0, 20, 60, 200)
"""Numbers of steps on the sheet where more than four were measured."""
_CELL = 240  # pixels of a picture on the sheet
_TINY = 1e-12  # a reference may leave the photograph as it is: its content loss is zero


def table(cells: Sequence[Cell]) -> str:
    """Markdown: geometric means over the paintings, then every painting, then ratios to each reference.

    A painting's figure is the mean over its photographs, as *total (content + style)*. Losses of different
    paintings differ by two orders of magnitude; a geometric mean gives all of them the same weight.
    """
    if not cells:
        return "Nothing has been measured."
    paintings, photos = _listed(c.painting for c in cells), _listed(c.photo for c in cells)
    variants = _listed(c.variant for c in cells if c.steps is not None)
    references = _listed(c.variant for c in cells if c.steps is None)
    steps = _steps(cells)
    columns = [f"{n} steps" for n in steps]
    figures = _figures(cells)
    lines = [
        f"Total loss (content + style): geometric means over {_count(len(paintings), 'painting')} of means "
        f"over {_count(len(photos), 'photograph')}.",
        "",
    ]
    rows = [
        [name, *(_written(_mean([figures.get((name, p, n)) for p in paintings])) for n in steps)]
        for name in variants
    ]
    lines += markdown(["variant", *columns], rows)
    rows = []
    for painting in paintings:
        others = [_written(figures.get((name, painting, None))) for name in references]
        for name in variants or [""]:
            own = [_written(figures.get((name, painting, n))) for n in steps]
            rows.append([painting, name, *own, *others])
    lines += [
        "",
        "Painting by painting:",
        "",
        *markdown(["painting", "variant", *columns, *references], rows),
    ]
    for name in references:
        lines += _relative(figures, name, variants, paintings, steps)
    return "\n".join(lines)


Figure = tuple[float, float, float]


def _figures(cells: Sequence[Cell]) -> dict[tuple[str, str, int | None], Figure]:
    """Total, content and style by variant, painting and steps: means over all photographs, or nothing."""
    found: dict[tuple[str, str, int | None], list[Cell]] = {}
    for c in cells:
        found.setdefault((c.variant, c.painting, c.steps), []).append(c)
    every = len({c.photo for c in cells})
    return {
        key: (
            sum(c.total for c in some) / every,
            sum(c.content for c in some) / every,
            sum(c.style for c in some) / every,
        )
        for key, some in found.items()
        if len(some) == every
    }


def _mean(figures: Sequence[Figure | None]) -> Figure | None:
    """Geometric means; None if a figure is missing, because means over other paintings do not compare."""
    known = [figure for figure in figures if figure is not None]
    if not known or len(known) < len(figures):
        return None
    total, content, style = (_geometric([figure[i] for figure in known]) for i in range(3))
    return total, content, style


def _geometric(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(max(value, _TINY)) for value in values) / len(values))


def _relative(
    figures: Mapping[tuple[str, str, int | None], Figure],
    reference: str,
    variants: Sequence[str],
    paintings: Sequence[str],
    steps: Sequence[int],
) -> list[str]:
    """Total losses divided by a reference's, on the paintings that it has."""
    had = [p for p in paintings if (reference, p, None) in figures]
    rows = []
    for name in variants:
        ratios = {
            (p, n): figures[name, p, n][0] / figures[reference, p, None][0]
            for p in had
            for n in steps
            if (name, p, n) in figures
        }
        for p in had:
            rows.append([name, p, *(f"{ratios[p, n]:.2f}" if (p, n) in ratios else "" for n in steps)])
        means = []
        for n in steps:
            some = [ratios[p, n] for p in had if (p, n) in ratios]
            means.append(f"**{_geometric(some):.2f}**" if len(some) == len(had) else "")
        rows.append([name, f"**all {len(had)}**", *means])
    head = ["variant", "painting", *(f"{n} steps" for n in steps)]
    title = f"Total loss relative to {reference}; the last row of each variant has geometric means:"
    return ["", title, "", *markdown(head, rows)]


def plot(cells: Sequence[Cell], file: Path | TextIO) -> None:
    """Geometric means against steps, a line for each variant; 0 is drawn at 0.5. Streams get SVG."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import LogLocator, ScalarFormatter

    drawing = Drawing(figsize=(7, 4.5), layout="constrained")
    axes = drawing.subplots()
    steps, figures = _steps(cells), _figures(cells)
    paintings = _listed(c.painting for c in cells)
    for name in _listed(c.variant for c in cells if c.steps is not None):
        means = [(n, _mean([figures.get((name, p, n)) for p in paintings])) for n in steps]
        points = [(max(n, 0.5), mean[0]) for n, mean in means if mean is not None]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=name)
    axes.set(xscale="log", yscale="log", xlabel="adaptation steps", ylabel="perceptual loss")
    axes.set_xticks([max(s, 0.5) for s in steps], [str(s) for s in steps])
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.2, 1.4, 1.7, 2.0, 3.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    if axes.get_lines():
        axes.legend()
    if isinstance(file, Path):
        drawing.savefig(file, dpi=120)
    else:
        drawing.savefig(file, format="svg", metadata={"Date": None})


def contact_sheet(
    cells: Sequence[Cell], folder: Path, photos: Mapping[str, Tensor], paintings: Mapping[str, Tensor]
) -> Pixels:
    """A row for each painting and variant: photograph, painting, the variant after steps, and references.

    Painting i is shown with photograph i; the photographs, (1, 3, H, W) in [0, 1], are reused
    in turn. What has not been measured stays empty. (H, W, 3) uint8.
    """
    steps = _steps(cells)
    if len(steps) > len(SHOWN):
        steps = [n for n in steps if n in SHOWN] or steps
    variants = _listed(c.variant for c in cells if c.steps is not None) or [""]
    references = _listed(c.variant for c in cells if c.steps is None)
    rows: list[list[Pixels | None]] = []
    labels: list[list[str]] = []
    names = list(photos)
    for index, (painting, style) in enumerate(paintings.items()):
        photo = names[index % len(names)]
        for first, name in zip([True, *[False] * len(variants)], variants, strict=False):
            shown = [picture_path(folder, name, painting, photo, n) for n in steps]
            others = [picture_path(folder, other, painting, photo, None) for other in references]
            known: list[Pixels | None] = [_pixels(photos[photo]), _pixels(style)] if first else [None, None]
            rows.append(
                [*known, *(_opened(p) for p in shown), *(_opened(p) if first else None for p in others)]
            )
            said = ["photograph", "painting"] if first else ["", ""]
            labels.append(
                [*said, *(_fitting(f"{n} steps: {name}") for n in steps), *(references if first else [])]
            )
    return sheet(rows, labels, cell=_CELL)


def _fitting(label: str) -> str:
    return label if len(label) <= 36 else f"{label[:35]}…"


def _opened(path: Path) -> Pixels | None:
    return eight_bits(open_picture(path).pixels) if path.exists() else None


def _pixels(x: Tensor) -> Pixels:
    return eight_bits(from_tensor(x))


def _steps(cells: Sequence[Cell]) -> list[int]:
    return sorted({c.steps for c in cells if c.steps is not None})


def _listed(names: Iterable[str]) -> list[str]:
    """Each name once, in the order of appearance."""
    return list(dict.fromkeys(names))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _written(figure: Figure | None) -> str:
    return "" if figure is None else f"{figure[0]:.2f} ({figure[1]:.1f} + {figure[2]:.1f})"
