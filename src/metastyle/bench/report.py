"""All results on one page: tables, plots, pictures, and which system is best at what.

Reads ``speed/speed.json``, ``sizes/speed.json``, ``quality/quality.json`` and ``films.json``,
``adaptation/results.json``, ``grid/grid.png`` and ``mixtures/strip.jpg`` of a folder, as far as they exist,
and the ``about.json`` next to them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metastyle.bench import adaptation, adaptation_page, provenance, quality, speed
from metastyle.bench.html_page import self_contained
from metastyle.bench.plots import against_size, as_svg, scatter
from metastyle.bench.published import table_1
from metastyle.bench.table import read_rows, write_markdown
from metastyle.bench.winners import comparable_means, winners
from metastyle.errors import MetastyleError
from metastyle.files import write_bytes

GRID, MIXTURES = "grid/grid.png", "mixtures/strip.jpg"
TITLE = "Systems of style transfer, side by side"


@dataclass(frozen=True)
class Findings:
    """The results in a folder; empty for measurements that were not made."""

    speeds: list[speed.Speed]
    sizes: list[speed.Speed]
    """Of a run of its own, whose sizes need not suit slow systems; without one, the same as ``speeds``."""
    cells: list[quality.Quality]
    films: list[quality.FilmQuality]
    steps: list[adaptation.Cell]
    grid: bool
    """Whether there is the paper's Figure 1."""
    mixtures: bool
    """Whether there is its Figure 4."""
    about: dict[str, list[dict[str, Any]]]
    """By measurement (speed, sizes, quality, adaptation, grid), the records of its runs."""


def read(folder: Path) -> Findings:
    """Read the results in a folder.

    Raises:
        MetastyleError: there are none.
    """
    cells = read_rows(folder / "quality" / "quality.json", quality.Quality)
    speeds = _joined(read_rows(folder / "speed" / "speed.json", speed.Speed), cells)
    found = Findings(
        speeds=speeds,
        sizes=read_rows(folder / "sizes" / "speed.json", speed.Speed) or speeds,
        cells=cells,
        films=read_rows(folder / "quality" / "films.json", quality.FilmQuality),
        steps=list(adaptation.results_of(folder / "adaptation")),
        grid=(folder / GRID).exists(),
        mixtures=(folder / MIXTURES).exists(),
        about={
            name: about
            for name in ("speed", "sizes", "quality", "adaptation", "grid")
            if (about := provenance.read(folder / name))
        },
    )
    if not (found.sizes or found.cells or found.steps or found.grid):
        raise MetastyleError(
            f"{folder}: has no results: run metastyle bench speed -o {folder / 'speed'}, "
            f"quality -o {folder / 'quality'}, adaptation -o {folder / 'adaptation'}"
        )
    return found


def _joined(speeds: Sequence[speed.Speed], cells: Sequence[quality.Quality]) -> list[speed.Speed]:
    """The rows of speed under the method that has their name in the rows of quality, if there is one such.

    Settings that a name does not show, such as the photographs to adapt to, do not change the speed.
    """
    methods: dict[str, set[str]] = {}
    for cell in cells:
        methods.setdefault(cell.name, set()).add(cell.method)
    known = {cell.method for cell in cells}
    taken = {row.method for row in speeds}
    found = []
    for row in speeds:
        same = methods.get(row.name, set()) - taken
        join = row.method not in known and len(same) == 1
        found.append(dataclasses.replace(row, method=next(iter(same))) if join else row)
    return found


def write(folder: Path, found: Findings) -> list[Path]:
    """Write report.html, with everything inside, report.md, and the plots that the latter shows."""
    plots = draw(found)
    written = []
    markdown = page(found, list(plots))
    for name, svg in plots.items():
        written.append(folder / f"{name}.svg")
        write_bytes(written[-1], svg.encode(), overwrite=True)
    files = [folder / "report.html", folder / "report.md"]
    write_bytes(files[0], self_contained(markdown, TITLE, plots, folder).encode(), overwrite=True)
    write_markdown(files[1], markdown)
    return [*files, *written]


def page(found: Findings, plots: Sequence[str]) -> str:
    """The report in Markdown; plots and the grid are files next to it."""
    parts = [f"# {TITLE}", ""]
    best = winners(found.speeds, found.cells, found.films)
    if best:
        parts += ["## Who is best at what", "", *(f"- {line}" for line in best), ""]
    if found.speeds:
        parts += ["## The paper's Table 1, and ours", "", table_1(found.speeds), "", _TABLE_1_NOTE, ""]
        parts += ["## Speed", "", speed.table(found.speeds), "", _speed_note(found.speeds), ""]
    if found.sizes != found.speeds:
        parts += ["## Speed and size", "", speed.table(found.sizes), "", _speed_note(found.sizes), ""]
    if "size_plot" in plots:
        parts += [f"![{_ALTERNATIVE['size_plot']}](size_plot.svg)", ""]
    if found.cells:
        parts += ["## Quality", "", quality.table(found.cells, found.films), "", _quality_note(found), ""]
    for name in ("speed_plot", "preparation_plot"):
        if name in plots:
            parts += [f"![{_ALTERNATIVE[name]}]({name}.svg)", ""]
    if found.steps:
        parts += ["## Loss against adaptation steps", "", adaptation_page.table(found.steps), ""]
    if "steps_plot" in plots:
        parts += [f"![{_ALTERNATIVE['steps_plot']}](steps_plot.svg)", ""]
    if found.grid:
        parts += ["## Pictures", "", f"![photographs, paintings, and the systems' pictures]({GRID})", ""]
    if found.mixtures:
        parts += [
            "## From one style to another",
            "",
            _MIXTURES_NOTE,
            "",
            f"![mixtures of two styles]({MIXTURES})",
            "",
        ]
    parts += [
        "## How it was measured",
        "",
        "Seeds are 0 unless a command says otherwise.",
        "",
    ]
    for name, runs in found.about.items():
        for place, some in _by_place(runs).items():
            parts += [f"{name.capitalize()}: {place}.", "", "```sh", *some, "```", ""]
    return "\n".join(parts)


def _by_place(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Commands by machine, versions and sizes of the pictures."""
    places: dict[str, list[str]] = {}
    for run in runs:
        place = (
            f"{run['machine']}, Python {run['python']}, torch {run['torch']}, metastyle {run['metastyle']}"
        )
        if "initialization" in run:  # not in older records
            place += f", initialization {run['initialization']}"
        scale = run.get("scale", {})
        place += "".join(f", {what} {pixels}" for what, pixels in scale.items()) + (
            " pixels" if scale else ""
        )
        places.setdefault(place, []).append(run["command"])
    return places


_TABLE_1_NOTE = (
    "Seconds for a picture and, in brackets, their ratio to those of Johnson et al. in the same column. "
    "*paper* is Table 1 of Zhang, Zhu and Zhu (AAAI 2019), measured on its authors' GPU; *here* is the "
    "table below. Machines differ, so only ratios compare, and that of Gatys et al. depends on the number of "
    "iterations. MetaStyle is this project's, whose adaptation differs from the paper's. *counted* is the "
    "number of parameters in the definition, counted as the paper counts; the documentation says where and "
    "why the two differ."
)
_QUALITY_NOTE = (
    "Means over pairs of a photograph and a painting, 95 % bootstrap intervals in brackets. *total*, "
    "*content* and *style* are the perceptual loss under VGG-16 (content weight 1, style weight 1e5), "
    "which only Gatys et al., Johnson et al. and MetaStyle minimize; *VGG-19* columns are losses at layers "
    "that none of those three was trained for; *structure* is MS-SSIM of the luminance with the "
    "photograph, 1 keeping all; *flicker* is the difference of neighboring frames of a film along "
    "its true motion, in 8-bit levels. For all but structure lower is better. No system made the last two "
    "rows, the unchanged photograph and the painting itself: a column that one of them wins does not measure "
    "style transfer by itself. Parts that had to be trained for this comparison are only as good as that "
    "training; docs/baselines.md has the published lengths, and those of the weights in the repository."
)
_MIXTURES_NOTE = (
    "The paper's Figure 4: convex combinations of the parameters of two adapted networks, made by "
    f"`metastyle blend STYLE STYLE --strip 7 --photo PHOTO -o {MIXTURES}`."
)
_ALTERNATIVE = {
    "speed_plot": "loss relative to Gatys' optimum against seconds for a picture",
    "preparation_plot": "loss relative to Gatys' optimum against seconds that a style costs before",
    "size_plot": "seconds for a picture against its side",
    "steps_plot": "loss on unseen photographs against adaptation steps",
}


def _quality_note(found: Findings) -> str:
    paintings, photos = ({getattr(cell, kind) for cell in found.cells} for kind in ("painting", "photo"))
    return f"{len(paintings)} paintings × {len(photos)} photographs. {_QUALITY_NOTE}"


def _speed_note(rows: Sequence[speed.Speed]) -> str:
    rounds = sorted({row.rounds for row in rows if row.rounds})
    spread = f"{rounds[0]} to {rounds[-1]}" if len(rounds) > 1 else f"{rounds[0] if rounds else 0}"
    alone = all(row.alone for row in rows if not row.error)
    memory = (
        "*memory* is the peak of the system's own process beyond Python and torch, its weights included."
        if alone
        else "*memory* is what the process took beyond what it held already: where freed memory was used "
        "again, the figure is too low."
    )
    floor = (
        " *× floor* is how many times longer a picture takes than its convolutions and matrix products would "
        "at the rate of this machine's matrix products; decompositions and everything else count as none."
        if any(row.floor for row in rows)
        else ""
    )
    return (
        f"Systems in turns in {'processes of their own' if alone else 'one process'}; median of {spread} "
        "rounds, fastest and slowest in brackets. *ratio* is that to "
        f"{speed.reference_of(rows)} in seconds. "
        "*preparation* is what one style costs once: adapting, training, encoding. The networks of Johnson "
        "et al., Shen et al. and MetaStyle paint with the project's own convolutions, which are faster than "
        "torch's, with which the others paint. " + memory + floor
    )


def draw(found: Findings) -> dict[str, str]:
    """The plots as SVG, by name, as far as there are results for them."""
    plots = {}
    losses = quality.relative_losses([c for c in found.cells if not c.error])
    relative, _ = comparable_means(losses, geometric=True)
    smallest = min((row.size for row in found.speeds), default=0)
    rows = {r.method: r for r in found.speeds if r.size == smallest and r.seconds is not None}
    points = [(rows[m], loss) for m, loss in relative.items() if m in rows]
    if points:
        seconds = f"seconds for a picture of {smallest} x {smallest}"
        plots["speed_plot"] = scatter([(r.name, r.seconds or 0.0, y) for r, y in points], seconds)
        before = [(r.name, max(r.prepare or 0.0, 1e-3), y) for r, y in points]
        plots["preparation_plot"] = scatter(before, "seconds that a style costs before")
    timed = [row for row in found.sizes if row.seconds is not None]
    if len({row.size for row in timed}) > 1:
        plots["size_plot"] = against_size(timed)
    if any(c.steps is not None for c in found.steps):
        plots["steps_plot"] = as_svg(lambda file: adaptation_page.plot(found.steps, file))
    return plots
