"""A network, pictures, and what the network itself makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from metastyle.core.network import TransformationNetwork, instance_norm_parameters


@pytest.fixture(scope="session")
def network() -> TransformationNetwork:
    """Random, with norms that are not the identity and results far from gray."""
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
        """Noise over a ramp: every part has other statistics than the whole."""
        noise = np.random.default_rng(seed).random((height, width, 3))
        ramp = np.linspace(0, 0.6, height)[:, None, None] * np.linspace(0.2, 1, width)[None, :, None]
        values = ramp + 0.4 * noise
        return (values * (1 if dtype == np.float32 else np.iinfo(dtype).max)).astype(dtype)

    return make


@pytest.fixture(scope="session")
def whole(network: TransformationNetwork) -> Callable[[np.ndarray], np.ndarray]:
    def whole(pixels: np.ndarray) -> np.ndarray:
        """The network itself on the whole picture, in one pass: float32 (H, W, 3)."""
        scale = 1 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max
        x = torch.from_numpy(pixels.astype(np.float32) / np.float32(scale)).permute(2, 0, 1)[None]
        height, width = x.shape[2:]
        with torch.inference_mode():
            y = network(F.pad(x, (0, -width % 4, 0, -height % 4), mode="reflect"))
        return y[0, :, :height, :width].permute(1, 2, 0).numpy()

    return whole
