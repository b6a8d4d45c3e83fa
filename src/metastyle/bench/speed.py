"""How fast systems repaint, what a style costs in advance, and how much memory it takes, side by side.

All systems are prepared for one style, then repaint in turns in one process, so that a machine that slows
down slows all of them. A system that fails fails alone, and its cell says why.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.bench.participants import Maker
from metastyle.bench.pictures import apply, sentence, unique_names, wait
from metastyle.bench.table import markdown
from metastyle.systems.protocol import Stylize

PUBLISHED = {
    "Gatys et al.": (7.7428, 27.0517),
    "Johnson et al.": (0.0044, 0.0146),
    "WCT": (0.6887, 1.2335),
    "AdaIN": (0.0165, 0.0320),
    "Shen et al.": (0.0045, 0.0147),
    "Avatar-Net": (0.5089, 0.6088),
    "Style-Swap": (0.2679, 1.0890),
    "MetaStyle": (0.0047, 0.0145),
}
"""The paper's Table 1: seconds for 256 x 256 and for 512 x 512, on the authors' GPU."""
PATIENCE = 60.0
"""Seconds after which a system gets no further round at a size."""
_LOOK_EVERY = 0.004


@dataclass(frozen=True)
class Speed:
    """One system at one size; ``error`` says why where there is nothing to report."""

    method: str
    name: str
    size: int
    """Side of the square photograph, in pixels."""
    seconds: float | None = None
    """Median over the rounds,"""
    fastest: float | None = None
    slowest: float | None = None
    rounds: int = 0
    memory: int | None = None
    """Bytes above what was taken before, at the highest, while repainting."""
    prepare: float | None = None
    """Seconds that the style cost once, those of a training whose result was loaded among them."""
    parameters: int | None = None
    styles: str = ""
    error: str = ""


@dataclass
class _Prepared:
    name: str
    stylize: Stylize
    prepare: float
    parameters: int
    styles: str


def measure(
    methods: Mapping[str, Maker],
    style: Tensor,
    photo: Tensor,
    device: torch.device,
    *,
    sizes: Sequence[int] = (256, 512),
    rounds: int = 5,
) -> Iterator[Speed | str]:
    """Prepare every system for ``style``, then time it on ``photo`` reduced to squares of each size.

    style, photo: (1, 3, H, W) in [0, 1].  Yields sentences about what is under way, and in the end a
    ``Speed`` for every method and size.
    """
    prepared: dict[str, _Prepared] = {}
    failed: dict[str, str] = {}
    for method, make in methods.items():
        yield f"preparing {method}"
        try:
            prepared[method] = _prepare(make, style.to(device), device)
        except Exception as error:  # whatever a system does, the others are measured
            failed[method] = sentence(error)
    times: dict[tuple[str, int], list[float]] = {}
    memory: dict[tuple[str, int], int] = {}
    trouble: dict[tuple[str, int], str] = {}
    for turn in range(rounds + 1):  # the first warms up, and its memory is looked at
        for size in sizes:
            x = F.interpolate(photo, (size, size), mode="bicubic", antialias=True).clamp(0, 1).to(device)
            for method, one in prepared.items():
                cell = method, size
                taken = times.setdefault(cell, [])
                if cell in trouble or sum(taken) > PATIENCE:
                    continue
                yield f"{'warming up' if turn == 0 else f'round {turn} of {rounds}'}: {method} at {size}"
                try:
                    if turn == 0:
                        with _watching(device) as peak:
                            warm = _seconds(one.stylize, x, device)
                        memory[cell] = peak[0]
                        if warm > PATIENCE:  # once must be enough
                            taken.append(warm)
                    else:
                        taken.append(_seconds(one.stylize, x, device))
                except Exception as error:  # whatever a system does, the others are measured
                    trouble[cell] = sentence(error)
    for method in methods:
        for size in sizes:
            if method in failed:
                yield Speed(method, method, size, error=failed[method])
                continue
            one, taken = prepared[method], times[method, size]
            facts = {
                "prepare": one.prepare,
                "parameters": one.parameters,
                "styles": one.styles,
                "memory": memory.get((method, size)),
            }
            if (method, size) in trouble:
                yield Speed(method, one.name, size, error=trouble[method, size], **facts)  # type: ignore[arg-type]
            else:
                yield Speed(
                    method,
                    one.name,
                    size,
                    statistics.median(taken),
                    min(taken),
                    max(taken),
                    len(taken),
                    **facts,  # type: ignore[arg-type]
                )


def table(rows: Sequence[Speed], reference: str = "Johnson et al.") -> str:
    """Markdown: seconds, their ratio to ``reference`` where that is there, and what a style costs.

    Beside our ratios at 256 and 512 are those of the paper's own times, because times of different machines
    compare only as ratios.
    """
    sizes = sorted({row.size for row in rows})
    head = ["system", "parameters", "styles", "preparation"]
    for size in sizes:
        head += [f"{size}²", f"ratio {size}²", *(["paper's ratio"] if size in (256, 512) else [])]
        head += [f"memory {size}²"]
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
                *([published_ratio(first.name, size, reference)] if size in (256, 512) else []),
                "" if row.memory is None or row.seconds is None else f"{row.memory / 1e6:.0f} MB",
            ]
        lines.append(cells)
    return "\n".join(markdown(head, lines))


def duration(seconds: float) -> str:
    """``0.3 s``, ``45 s`` or ``12 min``."""
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.{1 if seconds < 10 else 0}f} s"


def times(ratio: float) -> str:
    """``1.02`` or ``38``: a ratio, as a table writes it."""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _times(row: Speed) -> str:
    if row.seconds is None:
        return row.error
    return f"{row.seconds:.3g} s ({row.fastest:.3g}–{row.slowest:.3g})"


def published_ratio(name: str, size: int, reference: str = "Johnson et al.") -> str:
    """The paper's ratio to ``reference`` at 256 or 512, as the table writes it; empty where it has none."""
    which = (256, 512).index(size)
    own = PUBLISHED.get(name.split(",")[0])
    return "" if own is None else times(own[which] / PUBLISHED[reference][which])


def _prepare(make: Maker, style: Tensor, device: torch.device) -> _Prepared:
    system = make(device)
    started = time.perf_counter()
    stylize = system.prepare(style)
    wait(device)
    seconds = time.perf_counter() - started + getattr(system, "earlier", 0.0)
    return _Prepared(system.name, stylize, seconds, system.parameters, system.styles)


def _seconds(stylize: Stylize, photo: Tensor, device: torch.device) -> float:
    if device.type == "cuda":  # the device's own clock: Python's part between two pictures does not count
        with torch.cuda.device(device):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            begin.record()
            apply(stylize, photo)
            end.record()
            end.synchronize()
        return begin.elapsed_time(end) / 1000  # type: ignore[no-any-return]
    wait(device)
    started = time.perf_counter()
    apply(stylize, photo)
    wait(device)
    return time.perf_counter() - started


@contextmanager
def _watching(device: torch.device) -> Iterator[list[int]]:
    """A list whose one number becomes the peak memory of the block, beyond what was held before."""
    peak = [0]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield peak
        peak[0] = torch.cuda.max_memory_allocated(device) - before
        return
    process, done = psutil.Process(), threading.Event()
    before = process.memory_info().rss

    def look() -> None:
        while not done.wait(_LOOK_EVERY):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
