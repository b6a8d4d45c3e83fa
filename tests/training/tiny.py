"""A loss network small enough for tests, and a training run that another process can be told to do.

``runpy`` executes this file: in tests for the class, in other processes (``JOB`` then says what to do).
"""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metastyle.core.loss_network import STYLE_LAYERS, LossNetwork


class TinyLossNetwork(nn.Module):
    """Four 1x1 convolutions under the names and with the widths of VGG-16's style layers; always the same."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            widths = (3, 64, 128, 256, 512)
            for k in range(4):
                self.add_module(f"conv{k}", nn.Conv2d(widths[k], widths[k + 1], 1))
                nn.init.kaiming_normal_(self.get_submodule(f"conv{k}").weight)
        self.requires_grad_(False)

    prepared = LossNetwork.prepared

    def forward(self, x: Tensor, layers: Sequence[str] = STYLE_LAYERS) -> dict[str, Tensor]:
        features = {}
        for k, name in enumerate(STYLE_LAYERS):
            x = F.relu(self.get_submodule(f"conv{k}")(x))
            features[name] = x
            x = F.avg_pool2d(x, 2)
        return {name: features[name] for name in layers}


def work(job: dict[str, Any]) -> None:
    from metastyle.training.config import load_config
    from metastyle.training.meta import train

    os.environ.update(job["environment"])
    torch.set_num_threads(1)
    for _ in train(load_config("smoke", job["overrides"]), loss_network=TinyLossNetwork()):
        pass
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if "JOB" in globals():
    work(globals()["JOB"])
