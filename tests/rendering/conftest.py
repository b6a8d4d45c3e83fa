"""The network's own result, which the renderers must match."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from metastyle.core.network import TransformationNetwork


@pytest.fixture(scope="session")
def whole(network: TransformationNetwork) -> Callable[[np.ndarray], np.ndarray]:
    def whole(pixels: np.ndarray) -> np.ndarray:
        """Apply the network to the whole picture in one pass: float32 (H, W, 3)."""
        scale = 1 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max
        x = torch.from_numpy(pixels.astype(np.float32) / np.float32(scale)).permute(2, 0, 1)[None]
        height, width = x.shape[2:]
        with torch.inference_mode():
            y = network(F.pad(x, (0, -width % 4, 0, -height % 4), mode="reflect"))
        return y[0, :, :height, :width].permute(1, 2, 0).numpy()

    return whole
