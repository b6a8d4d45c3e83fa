"""The device to compute on, and its fast precision."""

from __future__ import annotations

import torch

from metastyle.core.settings import Hardware, PhotoPrecision, Precision
from metastyle.errors import MetastyleError

DEVICE_TYPES = ("cpu", "cuda", "mps")
"""Types that ``pick_device`` may return."""


def pick_device(name: str = "auto") -> torch.device:
    """The device of this name; ``auto`` takes CUDA, else Apple's MPS, else the CPU.

    Raises:
        MetastyleError: the name is unknown, or this machine has no such device.
    """
    name = str(name)  # a torch.device is accepted, too
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise MetastyleError(f"device '{name}' is unknown: use auto, cpu, cuda, cuda:N or mps") from None
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present.get(device.type, False):
        raise MetastyleError(f"device '{name}' is not on this machine: use auto or cpu")
    return device


def compute_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu":
        # Emulated bfloat16 is slower than float32, so ask for the instruction set, not for the type.
        # Older releases of torch cannot tell; float32 is right everywhere.
        flags = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        native = flags.get("avx512_bf16", False) or flags.get("amx_bf16", False)
        return torch.bfloat16 if native else torch.float32
    return torch.float32


def photo_precision(precision: PhotoPrecision, device: torch.device) -> Precision:
    """The precision for photographs on ``device``.

    The two differ by less than a level of 255 (benchmarks/precision.md). No GPU has been measured.
    """
    if precision != "auto":
        return precision
    native = device.type == "cpu" and compute_dtype(device) == torch.bfloat16
    return "bfloat16" if native else "float32"


def hardware_of(device: torch.device) -> Hardware:
    """What ``device`` is for the defaults of an adaptation."""
    if device.type == "cuda":
        return "cuda"
    return "bfloat16" if compute_dtype(device) == torch.bfloat16 else "cpu"
