"""Looking at a run: losses and pictures on held-out paintings, without any adaptation step."""

from __future__ import annotations

from collections.abc import Sequence
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

_COLUMNS, _PAINTINGS = 4, 6


@torch.no_grad()
def look(
    initialization: Initialization,
    loss_network: LossNetwork,
    photos: Tensor,
    paintings: Sequence[tuple[str, Pixels, StyleTarget]],
    weights: tuple[float, float],
    grain: float = 0.0,
) -> tuple[dict[str, tuple[float, float, float]], Pixels]:
    """The zero-step loss (total, content, style) of each painting over the photographs, and a sheet.

    The sheet shows four photographs, what M(c; theta) makes of them without any painting, and what
    M(c; w_0) makes of them for each of the first six paintings.
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
    return losses, sheet(rows, labels, cell=photos.shape[-1])


def _pixels(pictures: Tensor) -> list[Pixels | None]:
    return [eight_bits(from_tensor(picture.float().clamp(0, 1))) for picture in pictures[:_COLUMNS]]
