"""How fast a painting is learned: loss on unseen photographs against adaptation steps, and against seconds.

A variant is a start, a source of contents and settings; each is adapted to each painting and then
measured on photographs that it has not seen. Every number of steps is a run of its own, because a
user who asks for ten steps gets ten steps' learning-rate schedule. Finished cells are kept in
``results.json``, so an interrupted measurement goes on where it stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from metastyle.api import content_pool
from metastyle.core.adaptation import Adaptation, AdaptationSettings
from metastyle.core.initialisation import Initialisation
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import StyleTarget, perceptual_loss, style_target
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
    steps: int
    total: float
    content: float
    style: float
    seconds: float


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
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.json"
    done = {key(c): c for c in read(results)}
    yield from done.values()
    pool = [open_picture(path) for path in training_photos]
    unseen = torch.cat([square(open_picture(path), size) for path in photos])
    own = [open_picture(path) for path in photos]
    for painting in paintings:
        picture = open_picture(painting)
        for variant in variants:
            style = to_tensor(resize(picture, variant.settings.style_size).pixels)
            target = style_target(loss_network, style)
            for count in steps:
                cell = (variant.name, painting.stem, count)
                if cell in done:
                    continue
                settings = replace(variant.settings, steps=count)
                contents = content_pool(
                    {"synthetic": [], "photos": pool, "self": own}[variant.contents], settings
                )
                run = Adaptation(variant.start(), loss_network, style, contents, settings, device)
                started = time.perf_counter()
                for _ in run:
                    pass
                seconds = time.perf_counter() - started
                losses = evaluate(run, loss_network, unseen, target)
                done[cell] = Cell(*cell, *losses, seconds)
                write(results, list(done.values()))
                yield done[cell]


@torch.no_grad()
def evaluate(
    run: Adaptation, loss_network: LossNetwork, photos: Tensor, target: StyleTarget
) -> tuple[float, float, float]:
    """Total, content and style loss of the adapted network, averaged over ``photos`` one by one."""
    losses = []
    for photo in torch.split(photos, 1):
        features = loss_network(photo, [CONTENT_LAYER])[CONTENT_LAYER]
        losses.append(torch.stack(perceptual_loss(loss_network(run.render(photo)), features, target)))
    total, content, style = torch.stack(losses).mean(dim=0).tolist()
    return total, content, style


def square(picture: Picture, size: int) -> Tensor:
    """The middle square of a photograph (1, 3, size, size) in [0, 1]."""
    height, width = picture.pixels.shape[:2]
    reduced = to_tensor(resize(picture, -(-size * max(height, width) // min(height, width))).pixels)
    top, left = (reduced.shape[2] - size) // 2, (reduced.shape[3] - size) // 2
    return reduced[:, :, top : top + size, left : left + size]


def key(cell: Cell) -> tuple[str, str, int]:
    return (cell.variant, cell.painting, cell.steps)


def read(path: Path) -> list[Cell]:
    return [Cell(**row) for row in json.loads(path.read_text())] if path.exists() else []


def write(path: Path, cells: Sequence[Cell]) -> None:
    """Whole or not at all: an interrupted measurement is taken up from this file."""
    write_bytes(path, json.dumps([asdict(cell) for cell in cells], indent=1).encode(), overwrite=True)


def table(cells: Sequence[Cell]) -> str:
    """Markdown: a row for each variant, the geometric mean over paintings of the total loss at each step.

    Losses of different paintings differ by two orders of magnitude; a geometric mean lets each count alike.
    """
    steps = sorted({c.steps for c in cells})
    lines = ["| variant | " + " | ".join(f"{s} steps" for s in steps) + " |", "|---" * (len(steps) + 1) + "|"]
    for name in dict.fromkeys(c.variant for c in cells):
        row = [_mean(cells, name, s) for s in steps]
        lines.append(f"| {name} | " + " | ".join("" if v is None else f"{v:.2f}" for v in row) + " |")
    return "\n".join(lines)


def plot(cells: Sequence[Cell], path: Path) -> None:
    """Loss against steps, one line a variant, both axes logarithmic (0 steps drawn at 0.5)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    steps = sorted({c.steps for c in cells})
    for name in dict.fromkeys(c.variant for c in cells):
        points = [(max(s, 0.5), v) for s in steps if (v := _mean(cells, name, s)) is not None]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=name)
    axes.set(
        xscale="log", yscale="log", xlabel="adaptation steps", ylabel="perceptual loss on unseen photographs"
    )
    axes.set_xticks([max(s, 0.5) for s in steps], [str(s) for s in steps])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def _mean(cells: Sequence[Cell], name: str, steps: int) -> float | None:
    values = [c.total for c in cells if (c.variant, c.steps) == (name, steps)]
    return float(np.exp(np.mean(np.log(values)))) if values else None


def pictures(folder: Path, count: int) -> list[Path]:
    """``count`` pictures of a folder, spread evenly over its sorted names."""
    paths = list_pictures(folder)
    return [paths[i * len(paths) // count] for i in range(min(count, len(paths)))]
