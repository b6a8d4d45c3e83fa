"""How fast systems repaint, what a style costs in advance, and how much memory it takes, side by side.

All systems are prepared for one style, each in a process of its own, then repaint in turns, so that a machine
that slows down slows all of them. If a system fails, its cell says why, and the others are measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional as F

from metastyle.bench.pictures import sentence, unique_names
from metastyle.bench.runners import Prepared, Repainted, Runner
from metastyle.bench.table import markdown

PATIENCE = 60.0
"""Seconds after which a system is not timed again at a size."""
REFERENCE = "Johnson et al."
QUICK = ("wct", "adain", "avatar-net", "style-swap", "microast", "metastyle")
"""Those that take seconds for a painting and a picture, which are measured by default."""


@dataclass(frozen=True)
class Speed:
    """One system at one size, or the ``error`` instead."""

    method: str
    name: str
    size: int
    """Side of the square photograph, in pixels."""
    seconds: float | None = None
    """Median over the rounds."""
    fastest: float | None = None
    slowest: float | None = None
    rounds: int = 0
    memory: int | None = None
    """Peak of bytes while repainting, beyond what the process held before the system was loaded; if
    not ``alone``, beyond what one process of all systems held before the picture."""
    prepare: float | None = None
    """Seconds that the style cost once, including those of a training whose result was loaded."""
    parameters: int | None = None
    styles: str = ""
    error: str = ""
    alone: bool = False
    """Whether the system had its own process: memory is all that it took beyond Python and torch."""
    operations: int | None = None
    """Multiply-adds for a picture (``bench/floor.py``)."""
    floor: float | None = None
    """Seconds that these take at the fastest rate of matrix products seen in the run."""


def measure(
    runners: Mapping[str, Callable[[], Runner]],
    style: Tensor,
    photo: Tensor,
    *,
    sizes: Sequence[int] = (256, 512),
    rounds: int = 5,
    alone: bool = False,
    rate: Callable[[], float] | None = None,
) -> Iterator[Speed | str]:
    """Prepare every system for ``style``, then time it on ``photo`` reduced to squares of each size.

    style, photo: (1, 3, H, W) in [0, 1].  alone: each runner is a process of its own.  rate: measures the
    machine's multiply-adds per second, once a round; without it there is no floor.  Yields sentences about
    what is being done, and finally a ``Speed`` for every method and size.
    """
    turns = _Turns(alone)
    try:
        for method, make in runners.items():
            yield f"preparing {method}"
            turns.prepare(method, make, style)
        squares = {size: _square(photo, size) for size in sorted(sizes)}  # memory that was freed stays taken
        for turn in range(rounds + 1):  # the first warms up, and its memory is looked at
            turns.rate = max(turns.rate, rate() if rate else 0.0)
            for size, square in squares.items():
                for method in turns.prepared:
                    if turns.wants(method, size):
                        when = f"round {turn} of {rounds}" if turn else "warming up"
                        yield f"{when}: {method} at {size}"
                        turns.repaint(method, size, square, first=turn == 0)
    finally:
        turns.close()
    for method in runners:
        for size in sizes:
            yield turns.result(method, size)


class _Turns:
    """The measurements of every system so far."""

    def __init__(self, alone: bool) -> None:
        self.prepared: dict[str, Prepared] = {}
        self.rate = 0.0
        self._alone = alone
        self._runners: dict[str, Runner] = {}
        self._failed: dict[str, str] = {}
        self._times: dict[tuple[str, int], list[float]] = {}
        self._seen: dict[tuple[str, int], Repainted] = {}
        self._trouble: dict[tuple[str, int], str] = {}

    def prepare(self, method: str, make: Callable[[], Runner], style: Tensor) -> None:
        """Start a system and prepare the style with it."""
        try:
            self._runners[method] = make()
            self.prepared[method] = self._runners[method].prepare(style)
        except Exception as error:  # whatever a system does, the others are measured
            self._failed[method] = sentence(error)

    def wants(self, method: str, size: int) -> bool:
        """Whether the system should be timed again."""
        return (method, size) not in self._trouble and sum(self._times.get((method, size), ())) <= PATIENCE

    def repaint(self, method: str, size: int, square: Tensor, *, first: bool) -> None:
        """Time one picture."""
        taken = self._times.setdefault((method, size), [])
        try:
            found = self._runners[method].repaint(square, watch=first)
        except Exception as error:  # whatever a system does, the others are measured
            self._trouble[method, size] = sentence(error)
            return
        if first:
            self._seen[method, size] = found
        if not first or found.seconds > PATIENCE:  # then once is enough
            taken.append(found.seconds)

    def result(self, method: str, size: int) -> Speed:
        """The row of a system at one size."""
        if method in self._failed:
            return Speed(method, method, size, error=self._failed[method])
        one = self.prepared[method]
        seen = self._seen.get((method, size))
        operations = seen.operations if seen else None
        found = Speed(
            method,
            one.name,
            size,
            memory=seen.memory if seen else None,
            prepare=one.seconds,
            parameters=one.parameters,
            styles=one.styles,
            alone=self._alone,
            operations=operations,
            floor=operations / self.rate if operations and self.rate else None,
        )
        if (method, size) in self._trouble:
            return replace(found, error=self._trouble[method, size])
        taken = self._times[method, size]
        return replace(
            found,
            seconds=statistics.median(taken),
            fastest=min(taken),
            slowest=max(taken),
            rounds=len(taken),
        )

    def close(self) -> None:
        """Close all runners."""
        for runner in self._runners.values():
            runner.close()


def _square(photo: Tensor, size: int) -> Tensor:
    return F.interpolate(photo, (size, size), mode="bicubic", antialias=True).clamp(0, 1)


def reference_of(rows: Sequence[Speed]) -> str:
    """The system whose time is 1: Johnson et al. or, without it, MetaStyle, whose network is the same."""
    names = [row.name for row in rows if row.seconds is not None]
    ours = next((name for name in names if name.startswith("MetaStyle")), REFERENCE)
    return REFERENCE if REFERENCE in names else ours


def table(rows: Sequence[Speed]) -> str:
    """Markdown: seconds, their ratio to Johnson et al. (see ``reference_of``), and what a style costs."""
    sizes, reference = sorted({row.size for row in rows}), reference_of(rows)
    to = "" if reference == REFERENCE else f" to {reference.split(',')[0]}"
    floors = any(row.floor for row in rows)
    head = ["system", "parameters", "styles", "preparation"]
    for size in sizes:
        head += [f"{size}²", f"ratio{to} {size}²", f"memory {size}²"]
        head += [f"× floor {size}²"] if floors else []
    lines = []
    base: dict[int, float | None] = {}
    for row in rows:
        if row.name == reference:
            base.setdefault(row.size, row.seconds)  # the first of several
    names = unique_names({row.method: row.name for row in rows})
    for method, name in names.items():
        own = {row.size: row for row in rows if row.method == method}
        first = own[sizes[0]]
        cells = [
            name,
            "" if first.parameters is None else f"{first.parameters / 1e6:.2f}M",
            first.styles,
            "" if first.prepare is None else duration(first.prepare),
        ]
        for size in sizes:
            row, wanted = own[size], base.get(size)
            ratio = row.seconds / wanted if row.seconds is not None and wanted else None
            cells += [
                _times(row),
                "" if ratio is None else times(ratio),
                "" if row.memory is None or row.seconds is None else f"{row.memory / 1e6:.0f} MB",
            ]
            if floors:
                cells.append(times(row.seconds / row.floor) if row.seconds and row.floor else "")
        lines.append(cells)
    return "\n".join(markdown(head, lines))


def duration(seconds: float) -> str:
    """``0.3 s``, ``45 s`` or ``12 min``."""
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.{1 if seconds < 10 else 0}f} s"


def times(ratio: float) -> str:
    """A ratio as in a table: ``1.02`` or ``38``."""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _times(row: Speed) -> str:
    if row.seconds is None:
        return row.error
    spread = f" ({row.fastest:.3g}–{row.slowest:.3g})" if row.rounds > 1 else ""
    return f"{row.seconds:.3g} s{spread}"
