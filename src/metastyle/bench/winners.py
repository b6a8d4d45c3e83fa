"""Which system is best at what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metastyle.bench import quality, speed
from metastyle.bench.nulls import NULLS
from metastyle.bench.pictures import unique_names


def winners(
    speeds: Sequence[speed.Speed], cells: Sequence[quality.Quality], films: Sequence[quality.FilmQuality]
) -> list[str]:
    """One sentence for each measure: the best, the best of those that take any style, and ours.

    Systems are compared on the largest set of pairs that any has; those that lack some of it are left out and
    named. Times within each other's spread count as equal. Where the unchanged photograph or the painting
    itself would win, the sentence says so: such a measure says little alone.
    """
    every: list[quality.Quality | quality.FilmQuality | speed.Speed]
    every = [*cells, *films, *speeds]
    names = unique_names({row.method: row.name for row in every if not row.error})
    free = {row.method for row in every if row.styles == "any" and not quality.is_reference(row.name)}
    free -= NULLS.keys()
    lines = []
    for score in _scores(speeds, cells, films):
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
        if score.null:
            line += f"; {score.null} itself would win"
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
    null: str = ""
    """The picture that no system made and that would win, if one would."""


def _group(order: Sequence[str], score: _Score) -> list[str]:
    """The first of an order, and those that differ from it by no more than noise."""
    best = score.values[order[0]]
    return [m for m in order if m == order[0] or (score.close is not None and score.close[m] <= best)]


def _listed(methods: Sequence[str], score: _Score, names: Mapping[str, str]) -> str:
    return " and ".join(f"{names[m]} ({score.values[m]:.3g})" for m in methods)


def _scores(
    speeds: Sequence[speed.Speed], cells: Sequence[quality.Quality], films: Sequence[quality.FilmQuality]
) -> list[_Score]:
    scores = []
    for size in sorted({row.size for row in speeds}):
        rows = [r for r in speeds if r.size == size and r.seconds is not None]
        taken = {r.method: r.seconds or 0.0 for r in rows}
        close = {r.method: r.fastest or 0.0 for r in rows}
        scores.append(_Score(f"fastest at {size}², in seconds", taken, close=close))
    good = [c for c in cells if not c.error]
    relative = quality.relative_losses(good)
    if relative:
        what = f"lowest perceptual loss under VGG-16, relative to {quality.REFERENCE}"
        reference = {c.method for c in good if quality.is_reference(c.name)}
        means, left_out = comparable_means(relative, geometric=True)
        means = {m: v for m, v in means.items() if m not in reference}  # which minimizes it for each picture
        scores.append(_without_nulls(what, means, left_out))
    for measure, what in (
        ("other_style", "lowest style loss under VGG-19"),
        ("other_content", "lowest content loss under VGG-19"),
        ("structure", "most structure kept"),
    ):
        by: dict[str, dict[tuple[str, str], float]] = {}
        for c in good:
            by.setdefault(c.method, {})[c.painting, c.photo] = getattr(c, measure)
        means, left_out = comparable_means(by)
        scores.append(_without_nulls(what, means, left_out, more_is_better=measure == "structure"))
    flicker: dict[str, dict[tuple[str, str], float]] = {}
    for film in films:
        if not film.error:
            flicker.setdefault(film.method, {})[film.painting, film.clip] = film.flicker
    means, left_out = comparable_means(flicker)
    scores.append(_without_nulls("least flicker", means, left_out))
    return scores


def _without_nulls(
    what: str, means: Mapping[str, float], left_out: tuple[str, ...], *, more_is_better: bool = False
) -> _Score:
    """The score of the systems, and which picture that no system made would win it."""
    systems = {m: v for m, v in means.items() if m not in NULLS}
    order = sorted(means, key=lambda m: means[m], reverse=more_is_better)
    null = order[0].removeprefix("null ") if systems and order[0] in NULLS else ""
    left_out = tuple(m for m in left_out if m not in NULLS)
    return _Score(what, systems, more_is_better, left_out=left_out, null=f"the {null}" if null else "")


def comparable_means(
    by: Mapping[str, Mapping[tuple[str, str], float]], *, geometric: bool = False
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Means over the pairs that most systems have, and the systems that lack some of them.

    Args:
        by: values by method, and by painting and photograph (or clip); those that are not finite are ignored.
        geometric: take geometric means.
    """
    finite = {m: {p: v for p, v in values.items() if math.isfinite(v)} for m, values in by.items()}
    pairs = max((set(values) for values in finite.values()), key=len, default=set())
    whole = {m: values for m, values in finite.items() if pairs and pairs <= set(values)}
    means = {}
    for method, values in whole.items():
        some = np.array([values[pair] for pair in pairs])
        means[method] = float(np.exp(np.log(some).mean()) if geometric else some.mean())
    return means, tuple(m for m in finite if m not in whole)
