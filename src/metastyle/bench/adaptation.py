"""How good an adaptation is: loss on whole photographs at real size against adaptation steps.

One scale for every figure: photographs with a long edge of 384 pixels, the painting with one of 512, and the
loss with alpha = 1 and beta = 1e5, whatever an adaptation used. Gram matrices depend on scale, so
figures of other sizes do not compare.

A variant is a start, a source of contents and settings; each is adapted to each painting and then measured.
Where the learning rate falls, every number of steps is a run of its own, because a user who asks for ten
steps gets the schedule of ten steps; where it is constant, one run is measured at several steps. References
are other systems on the same pictures. Finished cells and their pictures are kept, so an interrupted
measurement resumes, and several processes can each measure a few of the paintings.
"""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.bench.adaptation_variants import Variant, check_variant
from metastyle.bench.participants import Maker
from metastyle.bench.pictures import apply, check_same, file_name, sentence, wait, whole
from metastyle.bench.table import Table, shared_table
from metastyle.core.adaptation import Adaptation
from metastyle.core.device import pick_device
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import Loss, StyleTarget, perceptual_loss, style_target
from metastyle.core.network import STRIDE
from metastyle.core.settings import AdaptationSettings
from metastyle.images.contents import OTHER_ZOOM, Contents, spread
from metastyle.images.convert import from_tensor
from metastyle.images.decode import open_picture
from metastyle.images.encode import save_picture
from metastyle.images.picture import Picture
from metastyle.systems.system import System

STEPS = (0, 10, 20, 60, 200)
SIZE = 384
"""Long edge of the photographs."""
STYLE_SIZE = 512
"""Long edge of the paintings."""


@dataclass(frozen=True)
class Cell:
    """The loss of one photograph in the style of one painting."""

    variant: str
    painting: str
    photo: str
    steps: int | None
    """None for a reference, which takes no steps of this kind."""
    total: float
    content: float
    style: float
    seconds: float
    """Of the adaptation alone; for a reference, of preparing the style and of an earlier training for it."""


@dataclass(frozen=True)
class Failure:
    """A reference that has no cells for a painting, and why."""

    reference: str
    painting: str
    error: str


class Photo(NamedTuple):
    """A photograph as it is measured."""

    name: str
    pixels: Tensor
    """(1, 3, H, W) in [0, 1]."""
    features: Tensor
    """Its content features."""


def measure(
    variants: Sequence[Variant],
    paintings: Sequence[Path],
    photos: Sequence[Path],
    training_photos: Sequence[Path],
    loss_network: LossNetwork,
    folder: Path,
    *,
    steps: Sequence[int] = STEPS,
    size: int = SIZE,
    style_size: int = STYLE_SIZE,
    device: str = "auto",
    part: str = "",
) -> Iterator[Cell]:
    """Fill the table and yield its cells, those measured earlier first.

    size, style_size: long edges of photographs and paintings, in pixels; a variant whose own ``style_size``
        differs adapts to the painting at that size, and is measured at this one.
    part: name of this process's file of results, if several processes measure different paintings.

    Raises:
        MetastyleError: ``folder`` holds results of other pictures, or of another variant of the same name.
    """
    results = results_of(folder, part)
    measuring = copy.deepcopy(loss_network).to(pick_device(device))
    seen = look_at(photos, measuring, size)
    check_same(folder / "made.json", {}, {photo.name: photo.pixels for photo in seen})
    for variant in variants:
        check_variant(folder / "made.json", variant, photos, training_photos)
    yield from results
    own = [open_picture(path) for path in photos]

    @functools.cache
    def training(count: int) -> list[Picture]:
        return [open_picture(path) for path in spread(training_photos, count)]

    given: dict[str, Callable[[AdaptationSettings], Contents]] = {
        "procedural": lambda _: Contents(),
        "self": lambda _: Contents(lambda: own),
        "photos": lambda settings: Contents(lambda: training(settings.pool), procedural=0.0, zoom=OTHER_ZOOM),
    }

    for painting in paintings:
        style = whole(painting, style_size)
        check_same(folder / "made.json", {painting.stem: style}, {})
        target = style_target(measuring, style.to(seen[0].pixels.device))
        for variant in variants:
            keys = {n: [(variant.name, painting.stem, p.name, n) for p in seen] for n in set(steps)}
            missing = sorted(n for n, some in keys.items() if any(key not in results for key in some))
            if not missing:
                continue
            constant = variant.settings.schedule == "constant"
            for counts in [missing] if constant else [[n] for n in missing]:
                settings = replace(variant.settings, steps=counts[-1])
                if constant:  # a run that is measured several times must not depend on its last step
                    settings = replace(settings, early_scale=1.0)
                sized = replace(settings, steps=settings.pool) if constant else settings
                pool = given[variant.contents](settings).pool(sized.contents, sized.size, sized.seed)
                own_style = whole(painting, settings.style_size)
                run = Adaptation(variant.start()[0], loss_network, own_style, pool, settings, device)
                for count, seconds in _pauses(run, counts):
                    lacking = [p for p, key in zip(seen, keys[count], strict=True) if key not in results]
                    found = evaluate(run.render, measuring, lacking, target)
                    yield from _keep(results, folder, variant.name, painting.stem, count, found, seconds)


def measure_references(
    methods: Mapping[str, Maker],
    paintings: Sequence[Path],
    photos: Sequence[Path],
    loss_network: LossNetwork,
    folder: Path,
    *,
    size: int = SIZE,
    style_size: int = STYLE_SIZE,
    device: str = "auto",
    part: str = "",
) -> Iterator[Cell | Failure]:
    """Measure other systems on the same pictures; finished cells are not measured again.

    A painting at which a system fails gets a ``Failure``.
    """
    results, where = results_of(folder, part), pick_device(device)
    measuring = copy.deepcopy(loss_network).to(where)
    seen = look_at(photos, measuring, size)
    check_same(folder / "made.json", {}, {photo.name: photo.pixels for photo in seen})
    for method, make in methods.items():
        system: System | None = None
        for painting in paintings:
            keys = [(method, painting.stem, photo.name, None) for photo in seen]
            lacking = [p for p, key in zip(seen, keys, strict=True) if key not in results]
            if not lacking:
                yield from (cell for key in keys if (cell := results.get(*key)))
                continue
            style = whole(painting, style_size)
            check_same(folder / "made.json", {painting.stem: style}, {})
            try:
                system = system or make(where)
                started = time.perf_counter()
                stylize = system.prepare(style.to(where))
                wait(where)
                seconds = time.perf_counter() - started + getattr(system, "earlier", 0.0)
                target = style_target(measuring, style.to(where))
                found = evaluate(functools.partial(apply, stylize), measuring, lacking, target)
            except Exception as error:  # whatever a system does, the others are measured
                yield Failure(method, painting.stem, sentence(error))
                continue
            _keep(results, folder, method, painting.stem, None, found, seconds)
            yield from (cell for key in keys if (cell := results.get(*key)))


def results_of(folder: Path, part: str = "") -> Table[Cell]:
    """The cells of a folder, whichever process measured them; ``part`` names this process's file."""
    return shared_table(folder, Cell, ("variant", "painting", "photo", "steps"), part)


def picture_path(folder: Path, name: str, painting: str, photo: str, steps: int | None) -> Path:
    """The path of a cell's picture: one file for each variant and number of steps."""
    taken = "" if steps is None else f", {steps} steps"
    return folder / "pictures" / painting / photo / f"{file_name(name)}{taken}.jpg"


def _keep(
    results: Table[Cell],
    folder: Path,
    name: str,
    painting: str,
    steps: int | None,
    found: Iterable[tuple[str, Tensor, Loss]],
    seconds: float,
) -> list[Cell]:
    """Store what ``evaluate`` found; pictures are written before their cells."""
    cells = []
    for photo, picture, loss in found:
        path = picture_path(folder, name, painting, photo, steps)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_picture(Picture(pixels=from_tensor(picture)), path, overwrite=True, quality=92)
        total, content, style = (float(f"{x.item():.6g}") for x in loss)
        cells.append(Cell(name, painting, photo, steps, total, content, style, round(seconds, 2)))
    results.add(*cells)
    return cells


def look_at(paths: Sequence[Path], loss_network: LossNetwork, size: int) -> list[Photo]:
    """Photographs as they are measured, on the loss network's device."""
    device = next(loss_network.parameters()).device
    found = []
    with torch.no_grad():
        for path in paths:
            pixels = whole(path, size).to(device)
            found.append(Photo(path.stem, pixels, loss_network(pixels, [CONTENT_LAYER])[CONTENT_LAYER]))
    return found


@torch.no_grad()
def evaluate(
    render: Callable[[Tensor], Tensor],
    loss_network: LossNetwork,
    photos: Iterable[Photo],
    target: StyleTarget,
) -> list[tuple[str, Tensor, Loss]]:
    """Each photograph's name, what ``render`` makes of it, and that picture's loss (alpha = 1, beta = 1e5).

    Every measurement here goes through this function. ``render`` gets photographs (1, 3, H, W) padded by
    reflection to sides that are a multiple of 4, and its results are cropped back, as in the product.
    """
    found = []
    for photo in photos:
        height, width = photo.pixels.shape[2:]
        padded = F.pad(photo.pixels, (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect")
        picture = render(padded)[:, :, :height, :width].to(photo.pixels.device)
        loss = perceptual_loss(loss_network(picture), photo.features, target)
        found.append((photo.name, picture.cpu(), loss))
    return found


def _pauses(run: Adaptation, counts: Sequence[int]) -> Iterator[tuple[int, float]]:
    """Pause a run after each of ``counts`` steps (ascending); the seconds are those of the steps alone."""
    steps, taken, seconds = iter(run), 0, 0.0
    for count in counts:
        started = time.perf_counter()
        for _ in range(count - taken):
            next(steps)
        taken = count
        seconds += time.perf_counter() - started
        yield count, seconds
