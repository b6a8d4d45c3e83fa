"""A loss network small enough for tests, and a training run for another process.

Tests execute this file with ``runpy`` for the class, other processes also for the run that ``JOB`` describes.
"""

import itertools
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metastyle.core.loss_network import STYLE_LAYERS, LossNetwork


class TinyLossNetwork(nn.Module):
    """Four 1x1 convolutions with the names and widths of VGG-16's style layers and constant weights."""

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


def kill_at(moment: str, number: int) -> None:
    """Kill this process ``"before"`` or ``"after"`` its ``number``-th replacement of the saved state."""
    replace, saves = Path.replace, itertools.count(1)

    def replacing(self: Path, target: Path) -> Path:
        last = Path(target).name == "state.safetensors" and next(saves) == number
        if last and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = replace(self, target)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    Path.replace = replacing  # type: ignore[method-assign]


def work(job: dict[str, Any]) -> None:
    from metastyle.training.config_file import load_config
    from metastyle.training.meta import train

    os.environ.update(job["environment"])
    torch.set_num_threads(1)
    if job["kill"] is not None:
        kill_at(*job["kill"])
    for _ in train(load_config("smoke", job["overrides"]), loss_network=TinyLossNetwork()):
        pass
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if "JOB" in globals():
    work(globals()["JOB"])
