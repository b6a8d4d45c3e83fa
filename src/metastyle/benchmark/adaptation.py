"""How fast a painting is learned: loss on unseen photographs against adaptation steps, and against seconds.

A variant is a start, a source of contents and settings; each is adapted to each painting and then
measured on photographs that it has not seen. Where the rate falls, every number of steps is a run of its
own, because a user who asks for ten steps gets ten steps' schedule; where it is constant, one run is measured
along its way. References are other systems' losses on the same photographs. Finished cells are kept in
``results.json``, so an interrupted measurement goes on where it stopped.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
import torch
from torch import Tensor

from metastyle.api import content_pool
from metastyle.baselines.protocol import System
from metastyle.benchmark.pictures import apply, escaped, sentence
from metastyle.benchmark.systems import Maker
from metastyle.core.adaptation import Adaptation, AdaptationSettings
from metastyle.core.hardware import pick_device
from metastyle.core.initialisation import Initialisation
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import StyleTarget, perceptual_loss, style_target
from metastyle.errors import MetastyleError
from metastyle.media.images import Picture, list_pictures, open_picture, resize, to_tensor
from metastyle.weights.initialisation import load_initialisation
from metastyle.weights.tensor_files import write_bytes

STEPS = (0, 1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True)
class Variant:
    """One line of the plot."""

    name: str
    model: str = "shipped"
    """``shipped``, ``random``, or the path of an initialisation file."""
    contents: Literal["synthetic", "photos", "self"] = "synthetic"
    """Procedural pictures, the training photographs, or the very photographs that are measured."""
    settings: AdaptationSettings = field(default_factory=AdaptationSettings)

    def start(self) -> Initialisation:
        if self.model == "random":
            torch.manual_seed(self.settings.seed)
            return Initialisation()
        return load_initialisation(None if self.model == "shipped" else Path(self.model))[0]


@dataclass(frozen=True)
class Cell:
    """The loss that a variant reaches on the unseen photographs after so many steps on one painting."""

    variant: str
    painting: str
    steps: int | None
    """None for a reference, which takes no steps of this kind."""
    total: float
    content: float
    style: float
    seconds: float


@dataclass(frozen=True)
class Failure:
    """Why a reference has no cell for a painting."""

    reference: str
    painting: str
    error: str


def measure(
    variants: Sequence[Variant],
    paintings: Sequence[Path],
    photos: Sequence[Path],
    training_photos: Sequence[Path],
    loss_network: LossNetwork,
    folder: Path,
    *,
    steps: Sequence[int] = STEPS,
    size: int = 256,
    device: str = "auto",
) -> Iterator[Cell]:
    """Fill the table and yield its cells, those measured earlier first.

    Photographs are measured at ``size`` x ``size`` in float32; paintings as each variant's settings say.
    """
    results = folder / "results.json"
    for variant in variants:
        _check_same(folder, variant.name, {"size": size, "variant": asdict(variant)}, photos)
    done = {key(c): c for c in read(results)}
    yield from done.values()
    own = [open_picture(path) for path in photos]

    @functools.cache
    def training(count: int) -> list[Picture]:
        return [open_picture(path) for path in spread(training_photos, count)]

    unseen = torch.cat([square(picture, size) for picture in own])
    for painting in paintings:
        picture = open_picture(painting)
        for variant in variants:
            missing = sorted(n for n in set(steps) if (variant.name, painting.stem, n) not in done)
            constant = variant.settings.schedule == "constant"
            if not missing:
                continue
            style = to_tensor(resize(picture, variant.settings.style_size).pixels)
            target = style_target(loss_network, style)
            for counts in [missing] if constant else [[n] for n in missing]:
                settings = replace(variant.settings, steps=counts[-1])
                # Of a run that is measured along its way, the pool must not depend on where it ends.
                sized = replace(settings, steps=settings.pool) if constant else settings
                if variant.contents == "photos":
                    learned = training(settings.pool)
                else:
                    learned = {"synthetic": [], "self": own}[variant.contents]
                contents = content_pool(learned, sized)
                run = Adaptation(variant.start(), loss_network, style, contents, settings, device)
                for count, seconds in _pauses(run, counts):
                    losses = evaluate(run.render, loss_network, unseen, target)
                    cell = Cell(variant.name, painting.stem, count, *losses, seconds)
                    done[key(cell)] = cell
                    write(results, list(done.values()))
                    yield cell


def measure_references(
    methods: Mapping[str, Maker],
    paintings: Sequence[Path],
    photos: Sequence[Path],
    loss_network: LossNetwork,
    folder: Path,
    *,
    size: int = 256,
    style_size: int = 512,
    device: str = "auto",
) -> Iterator[Cell | Failure]:
    """What other systems reach on the same photographs; finished cells are not measured again.

    A system that cannot do a painting has a ``Failure`` there.
    """
    results, where = folder / "results.json", pick_device(device)
    for method in methods:
        _check_same(folder, method, {"size": size, "style_size": style_size}, photos)
    done = {key(c): c for c in read(results)}
    unseen = torch.cat([square(open_picture(path), size) for path in photos])
    for method, make in methods.items():
        system: System | None = None
        for painting in paintings:
            known = done.get((method, painting.stem, None))
            if known is not None:
                yield known
                continue
            style = to_tensor(resize(open_picture(painting), style_size).pixels)
            try:
                started = time.perf_counter()
                system = system or make(where)
                stylise = system.prepare(style.to(where))
                losses = evaluate(
                    lambda photo, stylise=stylise: apply(stylise, photo.to(where)).cpu(),  # type: ignore[misc]
                    loss_network,
                    unseen,
                    style_target(loss_network, style),
                )
            except Exception as error:  # whatever a system does, the others are measured
                yield Failure(method, painting.stem, sentence(error))
                continue
            cell = Cell(method, painting.stem, None, *losses, time.perf_counter() - started)
            done[key(cell)] = cell
            write(results, list(done.values()))
            yield cell


def _check_same(folder: Path, name: str, facts: dict[str, Any], photos: Sequence[Path]) -> None:
    """Cells of one name are of one variant and the same photographs: what made.json knows of it.

    Raises:
        MetastyleError: ``folder`` holds other ones.
    """
    path = folder / "made.json"
    made = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    names = hashlib.sha256("\n".join(path.name for path in photos).encode()).hexdigest()[:16]
    facts = facts | {"photographs": f"{len(photos)}, {names}"}
    if "variant" in facts:  # where a model lies does not matter
        facts["variant"] = facts["variant"] | {"model": Path(facts["variant"]["model"]).name}
    then = made.setdefault(name, facts)
    if then != facts:
        differing = next(k for k in facts if then.get(k) != facts[k])
        raise MetastyleError(
            f"{folder}: '{name}' was measured there with another {differing}: use another -o, or another name"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, json.dumps(made, indent=1).encode(), overwrite=True)


def _pauses(run: Adaptation, counts: Sequence[int]) -> Iterator[tuple[int, float]]:
    """Stop a run after each of ``counts`` steps (ascending); the seconds are those of the steps alone."""
    steps, taken, seconds = iter(run), 0, 0.0
    for count in counts:
        started = time.perf_counter()
        for _ in range(count - taken):
            next(steps)
        taken = count
        seconds += time.perf_counter() - started
        yield count, seconds


def evaluate(
    render: Callable[[Tensor], Tensor], loss_network: LossNetwork, photos: Tensor, target: StyleTarget
) -> tuple[float, float, float]:
    """Total, content and style loss of what ``render`` makes of ``photos``, averaged over them."""
    losses = []
    for photo in torch.split(photos, 1):
        picture = render(photo)
        with torch.no_grad():
            features = loss_network(photo, [CONTENT_LAYER])[CONTENT_LAYER]
            losses.append(torch.stack(perceptual_loss(loss_network(picture), features, target)))
    total, content, style = torch.stack(losses).mean(dim=0).tolist()
    return total, content, style


def square(picture: Picture, size: int) -> Tensor:
    """The middle square of a photograph (1, 3, size, size) in [0, 1]."""
    height, width = picture.pixels.shape[:2]
    reduced = to_tensor(resize(picture, -(-size * max(height, width) // min(height, width))).pixels)
    top, left = (reduced.shape[2] - size) // 2, (reduced.shape[3] - size) // 2
    return reduced[:, :, top : top + size, left : left + size]


def key(cell: Cell) -> tuple[str, str, int | None]:
    return (cell.variant, cell.painting, cell.steps)


def read(path: Path) -> list[Cell]:
    return [Cell(**row) for row in json.loads(path.read_text())] if path.exists() else []


def write(path: Path, cells: Sequence[Cell]) -> None:
    """Whole or not at all: an interrupted measurement is taken up from this file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, json.dumps([asdict(cell) for cell in cells], indent=1).encode(), overwrite=True)


def table(cells: Sequence[Cell]) -> str:
    """Markdown: a row for each variant, the geometric mean over paintings of the total loss at each step.

    Losses of different paintings differ by two orders of magnitude; a geometric mean lets each count alike.
    Where there are references, a second table is about the paintings that all of them have.
    """
    lines = _rows([c for c in cells if c.steps is not None])
    references = [c for c in cells if c.steps is None]
    if references:
        common = set.intersection(
            *({c.painting for c in references if c.variant == name} for name in _names(references))
        )
        inside = [c for c in cells if c.painting in common]
        if inside:
            lines += ["", f"On the paintings that all references have ({len(common)}):", "", *_rows(inside)]
            lines += ["", "| reference | loss |", "|---|---|"]
            lines += [f"| {escaped(n)} | {_mean(inside, n, None):.2f} |" for n in _names(references)]
    return "\n".join(lines)


def _rows(cells: Sequence[Cell]) -> list[str]:
    steps = sorted({c.steps for c in cells if c.steps is not None})
    lines = ["| variant | " + " | ".join(f"{s} steps" for s in steps) + " |", "|---" * (len(steps) + 1) + "|"]
    for name in _names([c for c in cells if c.steps is not None]):
        row = ["" if (v := _mean(cells, name, s)) is None else f"{v:.2f}" for s in steps]
        lines.append(f"| {escaped(name)} | {' | '.join(row)} |")
    return lines


def plot(cells: Sequence[Cell], file: Path | TextIO) -> None:
    """Loss against steps, one line a variant, on logarithmic axes, 0 drawn at 0.5. Streams get SVG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, ScalarFormatter

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    steps = sorted({c.steps for c in cells if c.steps is not None})
    for name in _names([c for c in cells if c.steps is not None]):
        points = [(max(s, 0.5), v) for s in steps if (v := _mean(cells, name, s)) is not None]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=name)
    axes.set(
        xscale="log", yscale="log", xlabel="adaptation steps", ylabel="perceptual loss on unseen photographs"
    )
    axes.set_xticks([max(s, 0.5) for s in steps], [str(s) for s in steps])
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    if isinstance(file, Path):
        figure.savefig(file, dpi=120)
    else:
        figure.savefig(file, format="svg", metadata={"Date": None})


def _names(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(c.variant for c in cells))


def _mean(cells: Sequence[Cell], name: str, steps: int | None) -> float | None:
    values = [c.total for c in cells if (c.variant, c.steps) == (name, steps)]
    return float(np.exp(np.mean(np.log(values)))) if values else None


def pictures(folder: Path, count: int) -> list[Path]:
    """``count`` pictures of a folder, spread evenly over its sorted names."""
    return spread(list_pictures(folder), count)


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """``count`` of ``paths``, evenly spaced, or all of them where there are fewer."""
    count = min(count, len(paths))
    return [paths[i * len(paths) // count] for i in range(count)]
