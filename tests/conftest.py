"""What tests of several rooms share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from metastyle.core.loss_network import LossNetwork
from metastyle.weights.vgg16 import load_loss_network
from metastyle.weights.weight_file import UnreachableWeightsError


@pytest.fixture(scope="session")
def loss_network() -> LossNetwork:
    """VGG-16 with its true weights, fetched into the user's cache where they are not there yet."""
    try:
        return load_loss_network()
    except UnreachableWeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads than free cores slow small pictures down many times over."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
