"""Fixtures that several folders of tests share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from metastyle.core.loss_network import LossNetwork
from metastyle.core.network import TransformationNetwork, instance_norm_parameters
from metastyle.weights.vgg16 import load_loss_network
from metastyle.weights.weight_file import UnreachableWeightsError


@pytest.fixture(scope="session")
def loss_network() -> LossNetwork:
    """VGG-16 with its published weights, downloaded into the user's cache if they are missing."""
    try:
        return load_loss_network()
    except UnreachableWeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def random_loss_network() -> LossNetwork:
    """VGG-16 with random weights, for tests in which the values of the loss do not matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LossNetwork()


@pytest.fixture(scope="session")
def network() -> TransformationNetwork:
    """Random weights; the norms are not the identity, and the results are far from gray."""
    torch.manual_seed(0)
    network = TransformationNetwork().eval()
    with torch.no_grad():
        for parameter in instance_norm_parameters(network).values():
            parameter.add_(0.3 * torch.randn_like(parameter))
        network.out.weight.mul_(5)
    return network


@pytest.fixture(scope="session")
def make_picture() -> Callable[..., np.ndarray]:
    def make(height: int, width: int, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
        """Noise over a ramp, so that no part has the statistics of the whole."""
        noise = np.random.default_rng(seed).random((height, width, 3))
        ramp = np.linspace(0, 0.6, height)[:, None, None] * np.linspace(0.2, 1, width)[None, :, None]
        values = ramp + 0.4 * noise
        return (values * (1 if dtype == np.float32 else np.iinfo(dtype).max)).astype(dtype)

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads than free cores make small pictures many times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """All threads that the test starts must end with it; those that ran before may stay."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
