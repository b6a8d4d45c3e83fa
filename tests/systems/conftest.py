"""Networks with random weights, and small pictures of smooth noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from metastyle.core.loss_network import LossNetwork
from metastyle.systems.vgg19 import Encoder
from metastyle.weights.vgg19 import ADAIN_DECODER, VGG19, load_published
from metastyle.weights.weight_file import UnreachableWeightsError

Draw = Callable[..., Tensor]


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """All five levels, with weights that keep the scale of activations."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = Encoder(5)
        for parameter in encoder.parameters():
            if parameter.dim() == 4:
                torch.nn.init.kaiming_normal_(parameter)
    return encoder


@pytest.fixture(scope="session")
def published() -> dict[str, dict[str, Tensor]]:
    """The published weights, downloaded into the user's cache if they are missing."""
    try:
        return {file.name: load_published(file) for file in (VGG19, ADAIN_DECODER)}
    except UnreachableWeightsError as error:
        pytest.skip(str(error))


@pytest.fixture
def draw() -> Draw:
    """``draw(seed, height, width)``: a picture (1, 3, H, W) in [0, 1]."""

    def picture(seed: int = 0, height: int = 64, width: int = 64) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        small = torch.rand(1, 3, 7, 9, generator=generator)
        smooth = F.interpolate(small, (height, width), mode="bicubic", align_corners=False)
        return (smooth + 0.1 * torch.rand(1, 3, height, width, generator=generator)).clamp(0, 1)

    return picture


@pytest.fixture(scope="session")
def features() -> LossNetwork:
    """VGG-16 with random weights that keep the scale of activations."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = LossNetwork()
        for parameter in network.parameters():
            if parameter.dim() == 4:
                torch.nn.init.kaiming_normal_(parameter)
    return network


def _pictures(folder: Path, count: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for k in range(count):
        small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(small).resize((44 + k, 40), Image.Resampling.BICUBIC).save(folder / f"{k}.png")
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photographs."""
    return _pictures(tmp_path_factory.mktemp("data") / "photos", 5, seed=1)


@pytest.fixture(scope="session")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of paintings."""
    return _pictures(tmp_path_factory.mktemp("data") / "paintings", 4, seed=2)
