"""Plots of the report, as SVG."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from metastyle.bench.pictures import unique_names
from metastyle.bench.speed import Speed

_MARKERS = "osD^vPX<>"


def scatter(points: Sequence[tuple[str, float, float]], label: str) -> str:
    """Loss relative to Gatys et al. against ``label``, from (name, x, loss), as SVG."""
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
    return as_svg(lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))


def against_size(rows: Sequence[Speed]) -> str:
    """Seconds of every system against the side of the picture, as SVG.

    The dashed line is the arithmetic floor of MetaStyle's network, if it was measured.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    sides = sorted({row.size for row in rows})
    for index, (method, name) in enumerate(unique_names({r.method: r.name for r in rows}).items()):
        own = sorted((row.size, row.seconds or 0.0) for row in rows if row.method == method)
        marker = "*" if name.startswith("MetaStyle") else _MARKERS[index % len(_MARKERS)]
        axes.plot(*zip(*own, strict=True), f"{marker}-", color=f"C{index % 10}", label=name)
    floors = {row.size: row.floor for row in rows if row.floor and row.name.startswith("MetaStyle")}
    if floors:
        label = "floor of MetaStyle's network"
        axes.plot(*zip(*sorted(floors.items()), strict=True), "--", color="black", label=label)
    figure.legend(loc="outside right center")
    axes.set(
        xscale="log", yscale="log", xlabel="side of the picture in pixels", ylabel="seconds for a picture"
    )
    axes.set_xticks(sides, [str(side) for side in sides])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    return as_svg(lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))


def as_svg(save: Callable[[io.StringIO], object]) -> str:
    """The SVG that ``save`` writes, from <svg on, to be put into HTML; the same bytes every time."""
    import matplotlib as mpl

    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "metastyle", "svg.fonttype": "none"}):
        save(file)
    return file.getvalue()[file.getvalue().index("<svg") :]
