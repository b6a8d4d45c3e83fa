"""The page of ``bench protocol``: a table of systems, a table of strengths, and a plot of both."""

from __future__ import annotations

import io
import re
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import numpy as np

from metastyle.bench.frechet import Fid
from metastyle.bench.nulls import NULLS
from metastyle.bench.pictures import unique_names
from metastyle.bench.protocol import METRICS, Cell, Metric
from metastyle.bench.quality import interval
from metastyle.bench.speed import duration
from metastyle.bench.table import markdown
from metastyle.files import write_bytes

MARK = " †"
FIDS = {"fid": "FID", "artfid": "ArtFID"}
ACROSS, UP = "lpips", "unseen"
"""The plot's axes."""

NOTES = f"""\
Means over pairs of a photograph and a painting, 95 % bootstrap intervals over both in brackets. *preparation*
is what a painting costs once, for all photographs (the median). *VGG-16 total*, *content* and *style* are the
perceptual loss that Gatys et al., Johnson et al. and MetaStyle minimize; *VGG-19 style* is the distance of
Gram matrices at relu1_2, relu2_2, relu3_4 and relu4_4 of the normalized VGG-19, which no system was trained
with. *LPIPS* (VGG, version 0.1), *CFSD* (StyleID's, here on VGG-16) and *MS-SSIM* compare with the photograph
alone. More is better for MS-SSIM, less for all others.

{MARK.strip()} won by one of the two rows that no system made, over every system of this page: such a metric
does not measure style transfer by itself.

LPIPS is computed as published figures are. CFSD and the style losses are not: they come from other networks,
and compare only within this page."""

_FID_NOTE = """\
*FID* compares all pictures with all paintings, *ArtFID* is (1 + LPIPS)(1 + FID), both for systems that have
painted all pairs. They are computed as StyleID's evaluation does, except that its ArtFID takes LPIPS of
AlexNet; FID compares with published figures only at 512 pixels, on the same pictures and with the same
weights of Inception-v3. Those were given by the user, sha256 {weights}."""


def page(cells: Sequence[Cell], scale: Mapping[str, str], fids: Sequence[Fid] = ()) -> str:
    """Markdown; ``scale`` says how large photographs and paintings are."""
    cells = sorted(cells, key=lambda c: c.method in NULLS)  # these two come last, whenever they were measured
    rows = [c for c in cells if "strength=" not in c.method]
    curves = [c for c in cells if "strength=" in c.method]
    paintings, photos = ({getattr(c, field) for c in cells} for field in ("painting", "photo"))
    lost = won_by_nulls(cells) | fids_won_by_nulls(fids)
    parts = [table(rows, lost, fids), ""] if rows else []
    if curves:
        parts += ["The same at other strengths, to tell more style from better:", ""]
        parts += [table(curves, lost, fids, preparation=False), ""]
    sizes = ", ".join(f"{what} {pixels}" for what, pixels in scale.items())
    return "\n".join(
        [*parts, f"{len(photos)} photographs x {len(paintings)} paintings; {sizes} pixels.", "", NOTES]
        + (["", _FID_NOTE.format(weights=", ".join(sorted({fid.weights for fid in fids})))] if fids else [])
    )


def table(
    cells: Sequence[Cell],
    lost: Container[str] = (),
    fids: Sequence[Fid] = (),
    *,
    preparation: bool = True,
) -> str:
    """A line for each method; the columns of the fields ``lost`` are marked."""
    measured = {fid.method: fid for fid in fids}
    head = ["system", "pairs", *(["preparation"] if preparation else [])]
    titles = {metric.field: metric.title for metric in METRICS} | (FIDS if fids else {})
    head += [title + (MARK if field in lost else "") for field, title in titles.items()]
    lines = []
    for method, name in unique_names({c.method: c.name for c in cells}).items():
        own = [c for c in cells if c.method == method and not c.error]
        if not own:
            lines.append([name, "0", next(c.error for c in cells if c.method == method)])
            continue
        line = [name, str(len(own)), *([_preparation(own)] if preparation else [])]
        for metric in METRICS:
            line.append(interval({(c.painting, c.photo): getattr(c, metric.field) for c in own}))
        if method in measured:
            line += [f"{getattr(measured[method], field):.3g}" for field in FIDS]
        lines.append(line)
    return "\n".join(markdown(head, lines))


def _preparation(cells: Sequence[Cell]) -> str:
    """The median over paintings."""
    seconds = {c.painting: c.prepare for c in cells if c.prepare is not None}
    return duration(float(np.median(list(seconds.values())))) if seconds else ""


def won_by_nulls(cells: Sequence[Cell]) -> set[str]:
    """The fields of those metrics by which a null row is as good as the best system or better.

    Systems are compared with the null rows on the pairs that both have.
    """
    found = set()
    for metric in METRICS:
        systems = _values(cells, metric, nulls=False).values()
        for null in _values(cells, metric, nulls=True).values():
            rivals = [other for other in systems if null.keys() & other.keys()]
            if rivals and all(_wins(null, rival) for rival in rivals):
                found.add(metric.field)
    return found


def fids_won_by_nulls(fids: Sequence[Fid]) -> set[str]:
    """``fid`` and ``artfid``, likewise."""
    found = set()
    for field in FIDS:
        nulls = [getattr(fid, field) for fid in fids if fid.method in NULLS]
        systems = [getattr(fid, field) for fid in fids if fid.method not in NULLS]
        if nulls and systems and min(nulls) <= min(systems):
            found.add(field)
    return found


def _values(cells: Sequence[Cell], metric: Metric, *, nulls: bool) -> dict[str, dict[tuple[str, str], float]]:
    """By method and pair; larger is worse."""
    sign = -1 if metric.more_is_better else 1
    found: dict[str, dict[tuple[str, str], float]] = {}
    for c in cells:
        if not c.error and (c.method in NULLS) == nulls:
            found.setdefault(c.method, {})[c.painting, c.photo] = sign * getattr(c, metric.field)
    return found


def _wins(one: Mapping[tuple[str, str], float], other: Mapping[tuple[str, str], float]) -> bool:
    pairs = one.keys() & other.keys()
    return sum(one[p] for p in pairs) <= sum(other[p] for p in pairs)


def plot(cells: Sequence[Cell], path: Path) -> None:
    """Style loss against LPIPS: systems as points, strengths of one system as a line; SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    good = [c for c in cells if not c.error]
    for index, (name, points) in enumerate(_series(good).items()):
        x, y = zip(*points, strict=True)
        axes.plot(x, y, "o-" if len(points) > 1 else "s", color=f"C{index % 10}", markersize=5, label=name)
    figure.legend(loc="outside right center")
    axes.set(yscale="log", xlabel="LPIPS to the photograph", ylabel="style loss under VGG-19")
    axes.grid(alpha=0.3)
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "metastyle", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, file.getvalue().encode(), overwrite=True)


def _series(cells: Sequence[Cell]) -> dict[str, list[tuple[float, float]]]:
    """The points (x, y) of every system, and of every curve in the order of its strengths."""
    found: dict[str, list[tuple[float, float]]] = {}
    for method, name in unique_names({c.method: c.name for c in cells}).items():
        own = [c for c in cells if c.method == method]
        point = tuple(float(np.mean([getattr(c, field) for c in own])) for field in (ACROSS, UP))
        label = f"{_without_strength(name)}, strengths" if "strength=" in method else name
        found.setdefault(label, []).append((point[0], point[1]))
    return found


def _without_strength(name: str) -> str:
    """The name of a curve: that of one of its points, ``AdaIN, strength 0.4`` or ``adain strength=0.4``."""
    return re.split(r",? strength[ =]", name)[0]
