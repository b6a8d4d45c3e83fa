"""LPIPS (VGG), version 0.1: how different two pictures look, by features weighted to agree with people.

Zhang, Isola, Efros, Shechtman, Wang (CVPR 2018), equation 1:

    d(x, y) = sum_l mean_p || w_l (f_l(x)_p - f_l(y)_p) ||^2,    f_l(x)_p of unit length over channels

The five layers are those of the loss network, whose normalization on entry is LPIPS's own, and relu5_3 above
it. It is implemented here because torchmetrics' LPIPS needs torchvision; a test checks that the two agree.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metastyle.weights.lpips import CONVOLUTIONS, WIDTHS

_EPSILON = 1e-8
LAYERS = tuple(WIDTHS)[:4]
"""Those of the loss network."""


class Lpips(nn.Module):
    """What follows the loss network: three convolutions, and the weights of the five layers' channels."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """``tensors`` are those of ``weights.lpips.load_lpips``."""
        super().__init__()
        for name in CONVOLUTIONS:
            convolution = nn.Conv2d(512, 512, 3, padding=1, device="meta")
            parts = {part: tensors[f"{name}.{part}"] for part in ("weight", "bias")}
            convolution.load_state_dict(parts, assign=True)
            self.add_module(name, convolution)
        for layer in WIDTHS:
            self.register_buffer(f"channels_{layer}", tensors[layer].view(1, -1, 1, 1))
        self.requires_grad_(False)

    def complete(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss network's features at ``LAYERS`` and, computed from the last of them, relu5_3."""
        x = F.max_pool2d(features["relu4_3"], 2)
        for name in CONVOLUTIONS:
            x = F.relu(self.get_submodule(name)(x))
        return {**{layer: features[layer] for layer in LAYERS}, "relu5_3": x}

    def forward(self, features: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> Tensor:
        """The distance of pictures, (B,), from their features at ``LAYERS``, (B, C, H, W) each."""
        first, second = self.complete(features), self.complete(others)
        distances = []
        for layer in WIDTHS:
            difference = (_unit(first[layer]) - _unit(second[layer])).square()
            distances.append((self.get_buffer(f"channels_{layer}") * difference).sum(1).mean((1, 2)))
        return torch.stack(distances).sum(0)


def _unit(features: Tensor) -> Tensor:
    """Features (B, C, H, W) of length one over channels at every place."""
    return features / (features.square().sum(1, keepdim=True) + _EPSILON).sqrt()
