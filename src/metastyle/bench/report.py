"""All results on one page: tables, plots, pictures, and which system is best at what.

Reads ``speed/speed.json``, ``quality/quality.json`` and ``films.json``, ``adaptation/results.json`` and
``grid/grid.png`` of a folder, as far as they exist, and the ``about.json`` next to them.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metastyle.bench import adaptation, adaptation_page, provenance, quality, speed
from metastyle.bench.pictures import unique_names
from metastyle.bench.table import read_rows, write_markdown
from metastyle.errors import MetastyleError
from metastyle.files import write_bytes
from metastyle.images.decode import open_picture
from metastyle.images.picture import eight_bits

_MARKERS = "osD^vPX<>"
_LARGEST = 4096  # pixels of the grid's long edge inside the page
TITLE = "Systems of style transfer, side by side"


@dataclass(frozen=True)
class Findings:
    """The results in a folder; empty for measurements that were not made."""

    speeds: list[speed.Speed]
    cells: list[quality.Quality]
    films: list[quality.FilmQuality]
    steps: list[adaptation.Cell]
    grid: Path | None
    about: dict[str, list[dict[str, Any]]]
    """By measurement (speed, quality, adaptation, grid), the records of its runs."""


def read(folder: Path) -> Findings:
    """Read the results in a folder.

    Raises:
        MetastyleError: there are none.
    """
    grid = folder / "grid" / "grid.png"
    found = Findings(
        speeds=read_rows(folder / "speed" / "speed.json", speed.Speed),
        cells=read_rows(folder / "quality" / "quality.json", quality.Quality),
        films=read_rows(folder / "quality" / "films.json", quality.FilmQuality),
        steps=list(adaptation.results_of(folder / "adaptation")),
        grid=grid if grid.exists() else None,
        about={
            name: about
            for name in ("speed", "quality", "adaptation", "grid")
            if (about := provenance.read(folder / name))
        },
    )
    if not (found.speeds or found.cells or found.steps or found.grid):
        raise MetastyleError(
            f"{folder}: has no results: run metastyle bench speed -o {folder / 'speed'}, "
            f"quality -o {folder / 'quality'}, adaptation -o {folder / 'adaptation'}"
        )
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
    write_bytes(files[0], self_contained(markdown, plots, folder).encode(), overwrite=True)
    write_markdown(files[1], markdown)
    return [*files, *written]


def page(found: Findings, plots: Sequence[str]) -> str:
    """The report in Markdown; plots and the grid are files next to it."""
    parts = [f"# {TITLE}", ""]
    best = winners(found)
    if best:
        parts += ["## Who is best at what", "", *(f"- {line}" for line in best), ""]
    if found.speeds:
        parts += ["## Speed", "", speed.table(found.speeds), "", _speed_note(found), ""]
    if found.cells:
        parts += ["## Quality", "", quality.table(found.cells, found.films), "", _QUALITY_NOTE, ""]
    for name in ("speed_plot", "preparation_plot"):
        if name in plots:
            parts += [f"![{_ALTERNATIVE[name]}]({name}.svg)", ""]
    if found.steps:
        parts += ["## Loss against adaptation steps", "", adaptation_page.table(found.steps), ""]
    if "steps_plot" in plots:
        parts += [f"![{_ALTERNATIVE['steps_plot']}](steps_plot.svg)", ""]
    if found.grid:
        parts += [
            "## Pictures",
            "",
            "![photographs, paintings, and every system's picture](grid/grid.png)",
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
        scale = run.get("scale", {})
        place += "".join(f", {what} {pixels}" for what, pixels in scale.items()) + (
            " pixels" if scale else ""
        )
        places.setdefault(place, []).append(run["command"])
    return places


_QUALITY_NOTE = (
    "Means over pairs of a photograph and a painting, 95 % bootstrap intervals in brackets. *total*, "
    "*content* and *style* are the perceptual loss under VGG-16 (content weight 1, style weight 1e5), "
    "which Gatys et al., Johnson et al. and MetaStyle minimize; *VGG-19* columns are losses at layers "
    "that none of those three was trained for; *structure* is MS-SSIM of the luminance with the "
    "photograph, 1 keeping all; *flicker* is the difference of neighboring frames of a film along "
    "its true motion, in 8-bit levels. For all but structure lower is better."
)
_ALTERNATIVE = {
    "speed_plot": "loss relative to Gatys' optimum against seconds for a picture",
    "preparation_plot": "loss relative to Gatys' optimum against seconds that a style costs before",
    "steps_plot": "loss on unseen photographs against adaptation steps",
}


def _speed_note(found: Findings) -> str:
    rounds = sorted({row.rounds for row in found.speeds if row.rounds})
    spread = f"{rounds[0]} to {rounds[-1]}" if len(rounds) > 1 else f"{rounds[0] if rounds else 0}"
    alone = bool(found.speeds) and all(row.alone for row in found.speeds if not row.error)
    memory = (
        "*memory* is the peak of the system's own process beyond Python and torch, its weights included."
        if alone
        else "*memory* is what the process took beyond what it held already: where freed memory was used "
        "again, the figure is too low."
    )
    return (
        f"Systems in turns in {'processes of their own' if alone else 'one process'}; median of {spread} "
        f"rounds, fastest and slowest in brackets. *ratio* is to {speed.reference_of(found.speeds)}, "
        "*paper's ratio* that of the paper's Table 1. *preparation* is "
        "what one style costs once: adapting, training, encoding. " + memory
    )


def winners(found: Findings) -> list[str]:
    """One sentence for each measure: the best, the best of those that take any style, and ours.

    Systems are compared on the largest set of pairs that any has; those that lack some of it are left out and
    named. Times within each other's spread count as equal.
    """
    every: list[quality.Quality | quality.FilmQuality | speed.Speed]
    every = [*found.cells, *found.films, *found.speeds]
    names = unique_names({row.method: row.name for row in every if not row.error})
    free = {
        row.method for row in every if row.styles == "any" and row.name.split(",")[0] != quality.REFERENCE
    }
    lines = []
    for score in _scores(found):
        if len(score.values) < 2:
            continue
        order = sorted(score.values, key=lambda m: score.values[m], reverse=score.more_is_better)
        first = _group(order, score)
        line = f"{score.what}: {_listed(first, score, names)}"
        others = [m for m in order if m in free]
        if others and not free & set(first):
            line += f"; of the networks that take any style {_listed(_group(others, score), score, names)}"
            first += _group(others, score)
        ours = [m for m in order if names[m].startswith("MetaStyle")]
        if ours and not set(ours) & set(first):
            line += f"; {_listed(ours[:1], score, names)}"
        if score.left_out:
            left_out = ", ".join(names.get(m, m) for m in score.left_out)
            line += f" (without {left_out}: not measured on all pairs)"
        lines.append(line + ".")
    return lines


@dataclass(frozen=True)
class _Score:
    what: str
    values: dict[str, float]
    """By method."""
    more_is_better: bool = False
    close: dict[str, float] | None = None
    """By method, the smallest value within noise."""
    left_out: tuple[str, ...] = ()


def _group(order: Sequence[str], score: _Score) -> list[str]:
    """The first of an order, and those that differ from it by no more than noise."""
    best = score.values[order[0]]
    return [m for m in order if m == order[0] or (score.close is not None and score.close[m] <= best)]


def _listed(methods: Sequence[str], score: _Score, names: Mapping[str, str]) -> str:
    return " and ".join(f"{names[m]} ({score.values[m]:.3g})" for m in methods)


def _scores(found: Findings) -> list[_Score]:
    scores = []
    for size in sorted({row.size for row in found.speeds}):
        rows = [r for r in found.speeds if r.size == size and r.seconds is not None]
        taken = {r.method: r.seconds or 0.0 for r in rows}
        close = {r.method: r.fastest or 0.0 for r in rows}
        scores.append(_Score(f"fastest at {size}², in seconds", taken, close=close))
    good = [c for c in found.cells if not c.error]
    relative = quality.relative_losses(good)
    if relative:
        what = f"lowest perceptual loss under VGG-16, relative to {quality.REFERENCE}"
        scores.append(_common(what, relative, geometric=True))
    for measure, what in (
        ("other_style", "lowest style loss under VGG-19"),
        ("other_content", "lowest content loss under VGG-19"),
        ("structure", "most structure kept"),
    ):
        by: dict[str, dict[tuple[str, str], float]] = {}
        for c in good:
            by.setdefault(c.method, {})[c.painting, c.photo] = getattr(c, measure)
        scores.append(_common(what, by, more_is_better=measure == "structure"))
    flicker: dict[str, dict[tuple[str, str], float]] = {}
    for film in found.films:
        if not film.error:
            flicker.setdefault(film.method, {})[film.painting, film.clip] = film.flicker
    scores.append(_common("least flicker", flicker))
    return scores


def _common(
    what: str,
    by: Mapping[str, Mapping[tuple[str, str], float]],
    *,
    more_is_better: bool = False,
    geometric: bool = False,
) -> _Score:
    """Means over the pairs that most systems have, of the systems that have them all."""
    finite = {m: {p: v for p, v in values.items() if math.isfinite(v)} for m, values in by.items()}
    pairs = max((set(values) for values in finite.values()), key=len, default=set())
    whole = {m: values for m, values in finite.items() if pairs and pairs <= set(values)}
    means = {}
    for method, values in whole.items():
        some = np.array([values[pair] for pair in pairs])
        means[method] = float(np.exp(np.log(some).mean()) if geometric else some.mean())
    return _Score(what, means, more_is_better, left_out=tuple(m for m in finite if m not in whole))


def draw(found: Findings) -> dict[str, str]:
    """The plots as SVG, by name, as far as there are results for them."""
    plots = {}
    losses = quality.relative_losses([c for c in found.cells if not c.error])
    relative = _common("", losses, geometric=True).values
    smallest = min((row.size for row in found.speeds), default=0)
    rows = {r.method: r for r in found.speeds if r.size == smallest and r.seconds is not None}
    points = [(rows[m], loss) for m, loss in relative.items() if m in rows]
    if points:
        seconds = f"seconds for a picture of {smallest} x {smallest}"
        plots["speed_plot"] = _scatter([(r.name, r.seconds or 0.0, y) for r, y in points], seconds)
        before = [(r.name, max(r.prepare or 0.0, 1e-3), y) for r, y in points]
        plots["preparation_plot"] = _scatter(before, "seconds that a style costs before")
    if any(c.steps is not None for c in found.steps):
        plots["steps_plot"] = _svg(lambda file: adaptation_page.plot(found.steps, file))
    return plots


def _scatter(points: Sequence[tuple[str, float, float]], label: str) -> str:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for index, (name, x, y) in enumerate(points):  # names in a legend: beside the points they would overlap
        ours = name.startswith("MetaStyle")
        marker, size = ("*", 14) if ours else (_MARKERS[index % len(_MARKERS)], 7)
        axes.plot(x, y, marker, color=f"C{index % 10}", markersize=size, linestyle="none", label=name)
    figure.legend(loc="outside right center")
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="perceptual loss / Gatys et al.")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.1, y=0.1)
    axes.grid(alpha=0.3)
    return _svg(lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))


def _svg(save: Callable[[io.StringIO], object]) -> str:
    """The SVG that ``save`` writes, from <svg on, to be put into HTML; the same bytes every time."""
    import matplotlib as mpl

    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "metastyle", "svg.fonttype": "none"}):
        save(file)
    return file.getvalue()[file.getvalue().index("<svg") :]


def self_contained(markdown: str, plots: Mapping[str, str], folder: Path) -> str:
    """Markdown as one HTML file with its pictures inside."""
    from markdown_it import MarkdownIt

    def image(tokens: Sequence[Any], index: int, options: Any, env: Any) -> str:
        target, alternative = str(tokens[index].attrs["src"]), html.escape(tokens[index].content)
        name = target.removesuffix(".svg")
        if name in plots:
            return f'<span role="img" aria-label="{alternative}">{plots[name]}</span>'
        return f'<img alt="{alternative}" src="data:image/webp;base64,{_webp(folder / target)}">'

    converter = MarkdownIt("commonmark", {"html": False}).enable("table")
    converter.renderer.rules["image"] = image  # type: ignore[attr-defined]
    body = converter.render(markdown).replace("<table>", '<div class="wide"><table>')
    return _PAGE.format(title=html.escape(TITLE), body=body.replace("</table>", "</table></div>"))


def _webp(path: Path) -> str:
    file = io.BytesIO()
    picture = Image.fromarray(eight_bits(open_picture(path).pixels))
    picture.thumbnail((_LARGEST, _LARGEST))
    picture.save(file, "WEBP", quality=80)
    return base64.b64encode(file.getvalue()).decode()


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1f2937; background: #faf9f6; max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem; }}
h1, h2 {{ line-height: 1.2; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .85rem; }}
th, td {{ padding: .3rem .6rem; border-bottom: 1px solid #d6d3d1; text-align: left; white-space: nowrap; }}
pre {{ background: #f1efe9; padding: .8rem; overflow-x: auto; }}
svg, img {{ max-width: 100%; height: auto; }}
</style>
{body}
</html>
"""
