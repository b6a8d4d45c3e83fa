"""A run on disk: one safetensors file, written whole and renamed into place, nothing pickled.

Tensors: ``model.*`` what is learned, ``average.*`` its moving average, ``first.*`` and ``second.*`` Adam's
moments of each parameter, ``photos.*`` the normalization. Everything that is a number or a text (iteration,
seconds, configuration ...) is JSON in the file's metadata. There are no random generators to keep: every
draw is a function of the seed and the iteration.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from metastyle.errors import MetastyleError
from metastyle.files import read_bytes, write_bytes
from metastyle.training.old_names import current_parameters, current_settings
from metastyle.weights.tensor_files import decode, encode

_FORMAT = "metastyle-training-state"
_LARGEST = 4 << 30


def save_state(path: Path, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    metadata = {"format": _FORMAT, "format_version": "1", "numbers": json.dumps(numbers, sort_keys=True)}
    write_bytes(path, encode(tensors, metadata), overwrite=True)


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and numbers of a saved run, under the current names.

    Raises:
        MetastyleError: the file is damaged or something else.
    """
    content = decode(read_bytes(path, _LARGEST), str(path))
    if content.metadata.get("format") != _FORMAT:
        raise MetastyleError(f"{path}: not a training state: use another output folder")
    numbers = json.loads(content.metadata["numbers"])
    if "config" in numbers:
        numbers["config"] = current_settings(numbers["config"], str(path))
    numbers["adam_steps"] = current_parameters(numbers["adam_steps"])
    return current_parameters(content.tensors), numbers


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix.``, without it."""
    start = prefix + "."
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": t for name, t in tensors.items()}


def adam_tensors(adam: torch.optim.Adam, named: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """Adam's moments under the names of the parameters; empty before the first step."""
    moments: dict[str, Tensor] = {}
    for name, parameter in named.items():
        if parameter in adam.state:
            moments[f"first.{name}"] = adam.state[parameter]["exp_avg"]
            moments[f"second.{name}"] = adam.state[parameter]["exp_avg_sq"]
    return moments


def adam_steps(adam: torch.optim.Adam, named: dict[str, nn.Parameter]) -> dict[str, float]:
    """How many steps Adam has taken with each parameter that it has moved."""
    return {name: float(adam.state[p]["step"]) for name, p in named.items() if p in adam.state}


def restore_adam(
    adam: torch.optim.Adam,
    named: dict[str, nn.Parameter],
    tensors: dict[str, Tensor],
    steps: dict[str, float],
) -> None:
    """Put the moments back, in the memory layout that Adam itself would have given them."""
    fused = {p for group in adam.param_groups if group.get("fused") for p in group["params"]}
    for name, parameter in named.items():
        if f"first.{name}" in tensors:
            # Fused kernels count steps on the parameter's device, the others on the CPU.
            device = parameter.device if parameter in fused else "cpu"
            adam.state[parameter] = {
                "step": torch.tensor(steps[name], dtype=torch.float32, device=device),
                "exp_avg": torch.empty_like(parameter).copy_(tensors[f"first.{name}"]).detach(),
                "exp_avg_sq": torch.empty_like(parameter).copy_(tensors[f"second.{name}"]).detach(),
            }
