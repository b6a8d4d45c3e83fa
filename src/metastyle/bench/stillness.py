"""How still a stylized film is: the difference between neighboring frames along the true motion.

The warping error of Lai et al., "Learning Blind Video Temporal Consistency" (ECCV 2018), with true optical
flow in place of an estimate: a pixel's color in one frame against the color where it has gone in the next,
over the pixels that are seen in both. The film itself has such an error (light changes, motion blurs), which
is listed with it. Flicker of whole areas is measured separately, as *drift*: the same difference, averaged
over squares of 32 pixels first, so that strokes which merely move do not count.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from metastyle.bench.motion import Clip, FramePair, Pixels
from metastyle.bench.table import Table, markdown, write_rows
from metastyle.core.network import TransformationNetwork
from metastyle.films.smoothing import Smoother, warp
from metastyle.films.temporal import TemporalPainter, TemporalSettings
from metastyle.images.convert import from_tensor, to_tensor
from metastyle.images.picture import Picture, resize
from metastyle.rendering.frozen import FrozenStylizer, average, frame_statistics
from metastyle.rendering.stylizer import Stylizer
from metastyle.systems.adain import AdaIN

SQUARE = 32
SMOOTHINGS = (0.5, 0.7)
OWN, FOLLOWING = "each frame's own", "following"


Paint: TypeAlias = Callable[[Sequence[Pixels]], dict[str, list[Pixels]]]
"""The frames of one shot -> results by the way they were painted; the first way is the ordinary one."""


@dataclass(frozen=True)
class Row:
    """One way to paint one clip in one style. Errors are root mean squares in 8-bit levels."""

    style: str
    clip: str
    way: str
    error: float
    drift: float
    sharpness: float
    """Mean difference of horizontal neighbors, in levels."""
    departure: float
    """Mean difference from frames that were painted independently, in levels."""
    film_error: float
    film_drift: float


@dataclass(frozen=True)
class Speed:
    """Processor seconds for a frame, and the median of the ratios to the ordinary way within a round."""

    way: str
    size: str
    seconds: float
    ratio: float


def paint(network: TransformationNetwork, grain: float, frames: Sequence[Pixels]) -> dict[str, list[Pixels]]:
    """The frames of one shot, painted in every way, on the processor."""
    stylizer = Stylizer(network, device="cpu", grain=grain)
    measured = [frame_statistics(stylizer, frame) for frame in frames]
    spread = sorted({round(i * (len(frames) - 1) / 3) for i in range(4)})

    def frozen(*indices: int) -> FrozenStylizer:
        statistics = average([measured[i] for i in indices])
        return FrozenStylizer(network, statistics=statistics, device="cpu", grain=grain)

    still = TemporalPainter(stylizer, smoothing=0)
    first, four = frozen(0), frozen(*spread)
    ways = {
        OWN: [stylizer.render(frame) for frame in frames],
        "the first frame's": [first.render(frame) for frame in frames],
        "four frames', averaged": [four.render(frame) for frame in frames],
        "running mean": [frozen(*range(i + 1)).render(frame) for i, frame in enumerate(frames)],
        FOLLOWING: [still(frame) for frame in frames],
    }
    for share in SMOOTHINGS:
        ways[f"{OWN}, smoothing {share}"] = smoothed(frames, ways[OWN], share)
    for share in SMOOTHINGS:  # as films are painted: the grain moves with the camera
        painter = TemporalPainter(stylizer, smoothing=share)
        ways[f"{FOLLOWING}, smoothing {share}"] = [painter(frame) for frame in frames]
    return ways


def smoothed(frames: Sequence[Pixels], results: Sequence[Pixels], share: float) -> list[Pixels]:
    """Results of one shot, each mixed with the one before it."""
    smoother = Smoother(share)
    mixed = [results[0]]
    for (before, frame), result in zip(pairwise(frames), results[1:], strict=True):
        mixed.append(smoother.smooth(frame, result, before, mixed[-1]))
    return mixed


def errors(frames: Sequence[Pixels], pairs: Sequence[FramePair]) -> tuple[float, float]:
    """Warping error and drift, root mean squares in levels, averaged over the pairs."""
    each = [_pair_errors(frames[p.first], frames[p.first + 1], p) for p in pairs]
    return float(np.mean([e for e, _ in each])), float(np.mean([d for _, d in each]))


def _pair_errors(first: Pixels, second: Pixels, pair: FramePair) -> tuple[float, float]:
    difference = (warp(second, pair.flow)[0] - first) * pair.visible[..., None]
    error = np.sqrt(np.square(difference).sum() / (3 * max(1, pair.visible.sum())))
    height, width = (n // SQUARE for n in pair.visible.shape)

    def sums(values: Pixels) -> Pixels:
        cut = values[: height * SQUARE, : width * SQUARE]
        total: Pixels = cut.reshape(height, SQUARE, width, SQUARE, -1).sum((1, 3))
        return total

    counts = sums(pair.visible[..., None].astype(np.float64))[..., 0]
    enough = counts > SQUARE**2 / 2
    means = sums(difference)[enough] / counts[enough, None]
    return float(error), float(np.sqrt(np.square(means).mean())) if enough.any() else 0.0


def adain_painter(painting: Picture, size: int = 512) -> Paint:
    """A painter that uses AdaIN, whose statistics are each frame's own, without adaptation."""
    style = to_tensor(resize(painting, size).pixels)
    stylize = AdaIN.load(torch.device("cpu")).prepare(style)

    def painted(frames: Sequence[Pixels]) -> dict[str, list[Pixels]]:
        return {"AdaIN, each frame's own": [from_tensor(stylize(to_tensor(frame))) for frame in frames]}

    return painted


def measure(painters: Mapping[str, Paint], clips: Sequence[Clip], folder: Path) -> Iterator[Row]:
    """Fill the table and yield its rows; rows that ``results.json`` has already are not measured again.

    painters: by the style's name, the function that paints the frames of one shot in one or more ways.
    """
    rows = Table(folder / "results.json", Row, ("style", "clip", "way"))
    yield from rows
    done = {(row.style, row.clip) for row in rows}
    for style, painter in painters.items():
        for clip in clips:
            if (style, clip.name) in done:
                continue
            film = errors(clip.frames, clip.pairs)
            painted = painter(clip.frames)
            reference = np.asarray(next(iter(painted.values())), np.float32)
            found = []
            for way, results in painted.items():
                values = np.asarray(results, np.float32)
                sharpness = float(np.abs(np.diff(values, axis=2)).mean())
                departure = float(np.abs(values - reference).mean())
                error, drift = errors(results, clip.pairs)
                found.append(Row(style, clip.name, way, error, drift, sharpness, departure, *film))
                yield found[-1]
            rows.add(*found)


def measure_speed(
    network: TransformationNetwork,
    grain: float,
    folder: Path,
    *,
    height: int = 360,
    width: int = 640,
    rounds: int = 7,
) -> list[Speed]:
    """Time the ways in turns, in one process, and keep the times in ``speeds.json``."""
    ramp = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 120, width)).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 60, (height, width, 3), np.uint8)
    frame = ramp[:, :, None] + noise
    stylizer = Stylizer(network, device="cpu", grain=grain)
    frozen = FrozenStylizer(network, [frame], device="cpu", grain=grain)
    plain = TemporalPainter(stylizer, smoothing=0)
    default = TemporalPainter(stylizer)
    every = TemporalSettings().every

    def some(painter: TemporalPainter) -> Callable[[], float]:
        """As many frames as there are between two measurements, so that every round has one."""

        def seconds() -> float:
            return _seconds(lambda: [painter(frame) for _ in range(every)]) / every

        return seconds

    ways: dict[str, Callable[[], float]] = {
        OWN: lambda: _seconds(lambda: stylizer.render(frame)),
        "frozen, folded": lambda: _seconds(lambda: frozen.render(frame)),
        FOLLOWING: some(plain),
        "following, smoothing 0.5": some(default),
    }
    for painter in (plain, default):
        painter(frame)  # the first frame of a shot costs more
    times: dict[str, list[float]] = {way: [] for way in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(way())
    speeds = [
        Speed(
            name,
            f"{width}x{height}",
            statistics.median(values),
            statistics.median(a / b for a, b in zip(values, times[OWN], strict=True)),
        )
        for name, values in times.items()
    ]
    write_rows(folder / "speeds.json", speeds)
    return speeds


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def table(rows: Sequence[Row], speeds: Sequence[Speed]) -> str:
    """Markdown: error and drift of each way for each clip, averaged over the styles, and times."""
    clips, ways = (list(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("clip", "way"))

    def mean(name: str, **where: str) -> float:
        return float(
            np.mean([getattr(r, name) for r in rows if all(getattr(r, k) == v for k, v in where.items())])
        )

    def pair(error: float, drift: float) -> str:
        return f"{error:.1f} / {drift:.2f}"

    film = [pair(mean("film_error", clip=c), mean("film_drift", clip=c)) for c in clips]
    written = [["(the film itself)", *film]]
    for way in ways:
        cells = [pair(mean("error", way=way, clip=c), mean("drift", way=way, clip=c)) for c in clips]
        relative = mean("sharpness", way=way) / mean("sharpness", way=OWN)
        written.append([way, *cells, f"{relative:.2f}", f"{mean('departure', way=way):.1f}"])
    lines = markdown(["statistics", *clips, "sharpness", "departure"], written)
    if speeds:
        taken = [[s.way, s.size, f"{s.seconds:.2f}", f"{s.ratio:.2f}"] for s in speeds]
        lines += ["", *markdown(["way", "frame", "processor seconds", "ratio"], taken)]
    return "\n".join(lines)
