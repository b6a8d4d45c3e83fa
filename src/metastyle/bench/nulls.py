"""Two pictures that no system made. A metric that one of them wins does not measure style transfer alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.bench.participants import Maker
from metastyle.systems.system import Stylize


class Photograph:
    """The photograph, unchanged."""

    name = "(the photograph)"
    styles = "any"
    parameters = 0

    def __init__(self, device: torch.device) -> None:
        """Nothing is loaded."""

    def prepare(self, style: Tensor) -> Stylize:
        """Ignore the painting."""
        return lambda photo: photo


class Painting:
    """The painting, scaled and cut to the photograph's size."""

    name = "(the painting)"
    styles = "any"
    parameters = 0

    def __init__(self, device: torch.device) -> None:
        """Nothing is loaded."""

    def prepare(self, style: Tensor) -> Stylize:
        """Ignore the photographs."""
        return lambda photo: covering(style, photo.shape[2], photo.shape[3])


NULLS: dict[str, Maker] = {
    "null photograph": Photograph,
    "null painting": Painting,
}


def with_nulls(methods: Mapping[str, Maker]) -> dict[str, Maker]:
    """The systems and, after them, the two pictures that no system made."""
    return {**methods, **NULLS}


def covering(picture: Tensor, height: int, width: int) -> Tensor:
    """A picture (1, 3, H, W) in [0, 1], scaled to just cover height x width, and its middle cut out."""
    scale = max(height / picture.shape[2], width / picture.shape[3])
    size = [
        max(side, round(own * scale)) for side, own in zip((height, width), picture.shape[2:], strict=True)
    ]
    if size != list(picture.shape[2:]):
        picture = F.interpolate(picture, size, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return picture[:, :, top : top + height, left : left + width]
