"""One page from what the measurements left: tables, plots, pictures, and who is best at what.

Reads ``speed/speed.json``, ``quality/quality.json`` and ``films.json``, ``adaptation/results.json`` and
``grid/grid.png`` of a folder, each where it is there, and the ``about.json`` beside them.
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metastyle.benchmark import adaptation, provenance, quality, speed
from metastyle.errors import MetastyleError
from metastyle.media.images import eight_bits, open_picture
from metastyle.weights.tensor_files import write_bytes

TITLE = "Eight systems of style transfer, side by side"


@dataclass(frozen=True)
class Findings:
    """What the measurements left in a folder; empty where they were not made."""

    speeds: list[speed.Speed]
    cells: list[quality.Quality]
    films: list[quality.Film]
    steps: list[adaptation.Cell]
    grid: Path | None
    about: dict[str, dict[str, Any]]
    """By measurement: speed, quality, adaptation, grid."""


def read(folder: Path) -> Findings:
    """Collect what is there.

    Raises:
        MetastyleError: nothing is.
    """
    path = folder / "speed" / "speed.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    grid = folder / "grid" / "grid.png"
    found = Findings(
        speeds=[speed.Speed(**row) for row in rows],
        cells=quality.read(folder / "quality" / "quality.json"),
        films=quality.read_films(folder / "quality" / "films.json"),
        steps=adaptation.read(folder / "adaptation" / "results.json"),
        grid=grid if grid.exists() else None,
        about={
            name: about
            for name in ("speed", "quality", "adaptation", "grid")
            if (about := provenance.read(folder / name))
        },
    )
    if not (found.speeds or found.cells or found.steps or found.grid):
        raise MetastyleError(
            f"{folder}: holds no measurements: run metastyle bench speed -o {folder / 'speed'}, "
            f"quality -o {folder / 'quality'}, adaptation -o {folder / 'adaptation'}"
        )
    return found


def write(folder: Path, found: Findings) -> list[Path]:
    """report.html, one file with everything inside, report.md, and the plots that the latter shows."""
    plots = draw(found)
    written = []
    for name, svg in plots.items():
        written.append(folder / f"{name}.svg")
        write_bytes(written[-1], svg.encode(), overwrite=True)
    markdown = folder / "report.md"
    write_bytes(markdown, page(found, list(plots)).encode(), overwrite=True)
    whole = folder / "report.html"
    write_bytes(whole, self_contained(page(found, list(plots)), plots, folder).encode(), overwrite=True)
    return [whole, markdown, *written]


def page(found: Findings, plots: Sequence[str]) -> str:
    """The report in Markdown; plots and the grid are files beside it."""
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
        parts += ["## Loss against adaptation steps", "", adaptation.table(found.steps), ""]
        parts += [f"![{_ALTERNATIVE['steps_plot']}](steps_plot.svg)", ""]
    if found.grid:
        parts += [
            "## Pictures",
            "",
            "![photographs, paintings, and every system's picture](grid/grid.png)",
            "",
        ]
    parts += ["## How it was measured", "", "Everything random is seeded with 0.", ""]
    for name, about in found.about.items():
        parts += [
            f"{name.capitalize()}: {about['machine']}, Python {about['python']}, torch {about['torch']}, "
            f"metastyle {about['metastyle']}.",
            "",
            "```sh",
            *about["commands"],
            "```",
            "",
        ]
    return "\n".join(parts)


_QUALITY_NOTE = (
    "Means over pairs of a photograph and a painting, 95 % bootstrap intervals in brackets. *total*, "
    "*content* and *style* are the perceptual loss under VGG-16 (content weight 1, style weight 1e5), "
    "which Gatys et al., Johnson et al. and MetaStyle minimise; *VGG-19* columns are losses at layers "
    "that none of those three was trained for; *structure* is MS-SSIM of the luminance with the "
    "photograph, 1 keeping all; *flicker* is the difference of neighbouring frames of a film along "
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
    return (
        f"Systems in turns in one process; median of {spread} rounds, fastest and slowest in brackets. "
        "*ratio* is to Johnson et al., *post's ratio* that of the post's Table 1. *preparation* is "
        "what one style costs once: adapting, training, encoding."
    )


def winners(found: Findings) -> list[str]:
    """One sentence for each measure: the best system, the best network that takes any style, and ours."""
    any_style = {row.method for row in found.speeds if row.styles == "any"}
    names = {c.method: c.name for c in found.cells if not c.error}
    names |= {r.method: r.name for r in found.speeds if not r.error}
    lines = []
    for what, scores, lower in _scores(found):
        order = sorted(scores, key=lambda m: scores[m], reverse=not lower)
        if not order:
            continue
        line = f"{what}: {names[order[0]]} ({scores[order[0]]:.3g})"
        free = [m for m in order if m in any_style and names[m] != quality.REFERENCE]
        if free and free[0] != order[0]:
            line += f"; of the networks that take any style {names[free[0]]} ({scores[free[0]]:.3g})"
        second = [m for m in order if not names[m].startswith("MetaStyle")]
        ours = [m for m in order if names[m].startswith("MetaStyle")]
        if ours and second and ours[0] not in (order[0], *free[:1]):
            line += f"; {names[ours[0]]}: {scores[ours[0]]:.3g}"
        lines.append(line + ".")
    return lines


def _scores(found: Findings) -> list[tuple[str, dict[str, float], bool]]:
    """What is measured, each method's mean, and whether lower is better."""
    scores: list[tuple[str, dict[str, float], bool]] = []
    for size in sorted({row.size for row in found.speeds}):
        taken = {r.method: r.seconds for r in found.speeds if r.size == size and r.seconds is not None}
        scores.append((f"fastest at {size}², in seconds", taken, True))
    good = [c for c in found.cells if not c.error]
    for measure, what in (
        ("total", "lowest perceptual loss under VGG-16"),
        ("other_style", "lowest style loss under VGG-19"),
        ("other_content", "lowest content loss under VGG-19"),
        ("structure", "most structure kept"),
    ):
        by: dict[str, list[float]] = {}
        for cell in good:
            by.setdefault(cell.method, []).append(getattr(cell, measure))
        scores.append((what, {m: float(np.mean(v)) for m, v in by.items()}, measure != "structure"))
    flicker: dict[str, list[float]] = {}
    for film in found.films:
        if not film.error:
            flicker.setdefault(film.method, []).append(film.flicker)
    scores.append(("least flicker", {m: float(np.mean(v)) for m, v in flicker.items()}, True))
    return scores


def draw(found: Findings) -> dict[str, str]:
    """The plots as SVG, by name; those whose figures are there."""
    plots = {}
    relative = relative_loss(found.cells)
    smallest = min((row.size for row in found.speeds), default=0)
    rows = {r.method: r for r in found.speeds if r.size == smallest and r.seconds is not None}
    points = [(rows[m], loss) for m, loss in relative.items() if m in rows]
    if points:
        seconds = f"seconds for a picture of {smallest} x {smallest}"
        plots["speed_plot"] = _scatter([(r.name, r.seconds or 0.0, y) for r, y in points], seconds)
        before = [(r.name, max(r.prepare or 0.0, 1e-3), y) for r, y in points]
        plots["preparation_plot"] = _scatter(before, "seconds that a style costs before")
    if any(c.steps is not None for c in found.steps):
        plots["steps_plot"] = _svg(lambda file: adaptation.plot(found.steps, file))
    return plots


def relative_loss(cells: Sequence[quality.Quality]) -> dict[str, float]:
    """By method, the geometric mean over pairs of the total loss relative to Gatys et al.'s."""
    good = [c for c in cells if not c.error]
    base = {(c.painting, c.photo): c.total for c in good if c.name == quality.REFERENCE}
    logs: dict[str, list[float]] = {}
    for c in good:
        if (c.painting, c.photo) in base:
            logs.setdefault(c.method, []).append(math.log(c.total / base[c.painting, c.photo]))
    return {method: math.exp(float(np.mean(values))) for method, values in logs.items()}


def _scatter(points: Sequence[tuple[str, float, float]], label: str) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for index, (name, x, y) in enumerate(points):
        ours = name.startswith("MetaStyle")
        axes.plot(x, y, "o", color="#c2410c" if ours else "#334155", markersize=8 if ours else 6)
        offset = (6, 6 if index % 2 else -12)
        axes.annotate(name, (x, y), xytext=offset, textcoords="offset points", fontsize=9)
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="perceptual loss / Gatys et al.")
    axes.margins(x=0.25, y=0.15)
    axes.grid(alpha=0.3)
    return _svg(lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))


def _svg(save: Callable[[io.StringIO], object]) -> str:
    """What ``save`` writes, from <svg on, as HTML wants it; the same bytes every time."""
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
    Image.fromarray(eight_bits(open_picture(path).pixels)).save(file, "WEBP", quality=80)
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
