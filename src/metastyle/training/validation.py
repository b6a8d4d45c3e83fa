"""Validation: losses and pictures on held-out paintings and photographs, before any adaptation step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.func import functional_call

from metastyle.core.grain import add_grain
from metastyle.core.initialization import Initialization
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import StyleTarget, perceptual_loss
from metastyle.images.convert import from_tensor
from metastyle.images.picture import eight_bits
from metastyle.images.sheet import sheet
from metastyle.training.augmentation import Pixels
from metastyle.training.config import DataConfig
from metastyle.training.cutting import center, decode, painting, readable
from metastyle.training.sources import Entry
from metastyle.training.target_cache import Painting, TargetCache
from metastyle.training.task import Validation

_COLUMNS, _PAINTINGS = 4, 6  # of the sheet


@dataclass(frozen=True)
class ValidationSet:
    """Held-out paintings and photographs, which are the same throughout a run."""

    photos: Tensor
    """(B, 3, n, n) uint8."""
    paintings: list[tuple[str, Pixels, StyleTarget]]
    """Name, pixels as found, target."""


def validation_set(
    contents: list[Entry],
    styles: list[Entry],
    data: DataConfig,
    cache: TargetCache,
    describe: Callable[[Painting], StyleTarget],
) -> ValidationSet:
    """The readable held-out pictures, decoded, at the final size of training."""
    crop = data.late_crop or data.crop
    squares = readable(contents, len(contents), lambda entry: center(decode(entry.read(), entry.name), crop))
    paintings = readable(
        styles,
        len(styles),
        lambda entry: (decode(entry.read(), entry.name), describe(painting(entry, data, cache))),
    )
    return ValidationSet(
        torch.stack([square for _, square in squares]),
        [(entry.name, pixels, target) for entry, (pixels, target) in paintings],
    )


@torch.no_grad()
def validate(
    initialization: Initialization,
    loss_network: LossNetwork,
    photos: Tensor,
    paintings: list[tuple[str, Pixels, StyleTarget]],
    weights: tuple[float, float],
    grain: float = 0.0,
) -> Validation:
    """The zero-step loss of each painting over the photographs (B, 3, n, n) in [0, 1], and a sheet.

    The sheet shows four photographs, their renderings M(c; theta) without a painting, and their renderings
    M(c; w_0) for each of the first six paintings. ``weights`` are alpha and beta.
    """
    content = loss_network(photos, [CONTENT_LAYER])[CONTENT_LAYER]
    losses: dict[str, tuple[float, float, float]] = {}
    seen = add_grain(photos, grain)
    rows = [[None, *_pixels(photos)], [None, *_pixels(initialization.network(seen[:_COLUMNS]))]]
    labels = [["", "photographs"], ["", "theta, no painting"]]
    for name, pixels, target in paintings:
        pictures = functional_call(initialization.network, initialization.start(target), (seen,))
        loss = perceptual_loss(loss_network(pictures), content, target, *weights)
        losses[name] = loss.total.item(), loss.content.item(), loss.style.item()
        if len(losses) <= _PAINTINGS:
            rows.append([pixels, *_pixels(pictures)])
            labels.append([Path(name).stem[-24:], f"w_0, loss {losses[name][0]:.4g}"])
    return Validation(losses, sheet(rows, labels, cell=photos.shape[-1]))


def _pixels(pictures: Tensor) -> list[Pixels | None]:
    return [eight_bits(from_tensor(picture.float().clamp(0, 1))) for picture in pictures[:_COLUMNS]]
