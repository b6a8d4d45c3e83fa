"""A run on disk: one safetensors file, written atomically; nothing is pickled.

The tensors are ``model.*``, the weights; ``average.*``, their moving average; ``first.*`` and ``second.*``,
Adam's moments of each parameter; ``momentum.*``, Muon's; and those of the task, such as ``photos.*`` for the
normalization. Everything else (iteration, seconds, settings ...) is JSON in the file's metadata. There is no
random state to save, because every random number is a function of the seed and the iteration.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from metastyle.core.muon import Muon
from metastyle.errors import MetastyleError
from metastyle.files import read_bytes, write_bytes
from metastyle.training.old_names import current_numbers, current_parameters
from metastyle.weights.tensor_files import decode, encode

_FORMAT = "metastyle-training-state"
_LARGEST = 4 << 30


def save_state(path: Path, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Write a checkpoint, replacing an existing one atomically."""
    metadata = {"format": _FORMAT, "format_version": "1", "numbers": json.dumps(numbers, sort_keys=True)}
    write_bytes(path, encode(tensors, metadata), overwrite=True)


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and numbers of a saved run, under their current names.

    Raises:
        MetastyleError: the file is damaged or not a checkpoint.
    """
    content = decode(read_bytes(path, _LARGEST), str(path))
    if content.metadata.get("format") != _FORMAT:
        raise MetastyleError(f"{path}: not a checkpoint of a training: use another output folder")
    numbers = current_numbers(json.loads(content.metadata["numbers"]), str(path))
    return current_parameters(content.tensors), numbers


def check_same_run(
    path: Path,
    numbers: dict[str, Any],
    settings: dict[str, Any],
    defaults: dict[str, Any],
    free_to_change: Collection[str],
) -> None:
    """Refuse to resume a run with settings other than those it began with.

    Args:
        path: the checkpoint.
        numbers: its numbers.
        settings: those of the run that is about to resume.
        defaults: for settings that are missing from checkpoints of earlier versions.
        free_to_change: names of settings that may differ.

    Raises:
        MetastyleError: a setting differs that may not; the error names it.
    """
    for name, value in settings.items():
        then = numbers["settings"].get(name, defaults.get(name))
        if name not in free_to_change and then != value:
            raise MetastyleError(
                f"{path}: this run has {name} = {then!r}, not {value!r}: "
                "use the same value, or another output folder"
            )


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix.``, without the prefix."""
    start = prefix + "."
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with ``prefix.`` prepended to their names."""
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
    """The number of steps that Adam has taken with each parameter it has updated."""
    return {name: float(adam.state[p]["step"]) for name, p in named.items() if p in adam.state}


def restore_adam(
    adam: torch.optim.Adam,
    named: dict[str, nn.Parameter],
    tensors: dict[str, Tensor],
    steps: dict[str, float],
) -> None:
    """Restore the moments, in the memory layout that Adam itself would have used."""
    fused = {p for group in adam.param_groups if group.get("fused") for p in group["params"]}
    for name, parameter in named.items():
        if f"first.{name}" in tensors:
            # Fused kernels count steps on the parameter's device, other kernels on the CPU.
            device = parameter.device if parameter in fused else "cpu"
            adam.state[parameter] = {
                "step": torch.tensor(steps[name], dtype=torch.float32, device=device),
                "exp_avg": torch.empty_like(parameter).copy_(tensors[f"first.{name}"]).detach(),
                "exp_avg_sq": torch.empty_like(parameter).copy_(tensors[f"second.{name}"]).detach(),
            }


def muon_tensors(muon: Muon, named: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """Muon's momentum under the names of the parameters; empty before the first step."""
    return {f"momentum.{name}": muon.state[p]["momentum"] for name, p in named.items() if p in muon.state}


def restore_muon(muon: Muon, named: dict[str, nn.Parameter], tensors: dict[str, Tensor]) -> None:
    """Restore the momentum, in the memory layout that Muon itself would have used."""
    for name, parameter in named.items():
        if f"momentum.{name}" in tensors:
            kept = torch.empty_like(parameter).copy_(tensors[f"momentum.{name}"]).detach()
            muon.state[parameter] = {"momentum": kept}
