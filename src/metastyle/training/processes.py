"""The processes of a training: one, or several started by torchrun."""

from __future__ import annotations

import logging
import os
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from metastyle.core.device import pick_device

Precision = Literal["float32", "bfloat16"]


def launched() -> tuple[int, int]:
    """The number of processes that torchrun started on this machine and in total; 1 and 1 without it."""
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        return int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    return 1, 1


class _Autocast(MixedPrecision):  # type: ignore[misc]
    """Autocast alone: Fabric would also round photographs and Gram matrices to bfloat16."""

    def convert_input(self, data: Any) -> Any:
        return data


def launch(device_name: str, precision: Precision, here: int = 1, everywhere: int = 1) -> Fabric:
    """Join ``everywhere`` processes, of which ``here`` run on this machine."""
    device = pick_device(device_name)
    log = logging.getLogger("lightning_fabric")
    level = log.level
    log.setLevel(logging.WARNING)  # it would print notes on precision and processes to stderr
    try:
        fabric = Fabric(
            accelerator=device.type,
            devices=here if here > 1 or device.index is None else [device.index],
            num_nodes=everywhere // here,
            strategy="ddp" if everywhere > 1 else "auto",
            plugins=_Autocast("bf16-mixed", device.type) if precision == "bfloat16" else None,
        )
        fabric.launch()
    finally:
        log.setLevel(level)
    return fabric
