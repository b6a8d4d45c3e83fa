"""Repainting with an image transformation network, as MetaStyle, Johnson et al. and Shen et al. do."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.core.grain import add_grain
from metastyle.core.network import STRIDE, TransformationNetwork
from metastyle.rendering.stylizer import Stylizer
from metastyle.systems.system import Stylize


def repainting(network: TransformationNetwork, device: torch.device, grain: float = 0.0) -> Stylize:
    """The project's rendering: in strips on a processor, in one pass on other devices."""
    if device.type == "cpu":
        return Stylizer(network, device="cpu", grain=grain).render_tensor
    network = network.to(device).eval().requires_grad_(False)

    @torch.inference_mode()
    def stylize(photo: Tensor) -> Tensor:
        height, width = photo.shape[2:]
        padded = F.pad(photo, (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect")
        return network(add_grain(padded, grain))[:, :, :height, :width]  # type: ignore[no-any-return]

    return stylize
