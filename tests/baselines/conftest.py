"""Networks with random numbers and pictures of smooth noise, small."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.baselines.vgg19 import Encoder

Draw = Callable[..., Tensor]


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """All five levels; activations neither vanish nor explode on the way."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = Encoder(5)
        for parameter in encoder.parameters():
            if parameter.dim() == 4:
                torch.nn.init.kaiming_normal_(parameter)
    return encoder


@pytest.fixture
def draw() -> Draw:
    """``draw(seed, height, width)``: a picture (1, 3, H, W) in [0, 1]."""

    def picture(seed: int = 0, height: int = 64, width: int = 64) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        small = torch.rand(1, 3, 7, 9, generator=generator)
        smooth = F.interpolate(small, (height, width), mode="bicubic", align_corners=False)
        return (smooth + 0.1 * torch.rand(1, 3, height, width, generator=generator)).clamp(0, 1)

    return picture
