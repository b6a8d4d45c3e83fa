"""A run on disk: one safetensors file, written atomically; nothing is pickled.

The tensors are ``model.*``, the weights; ``average.*``, their moving average; ``first.*`` and ``second.*``,
Adam's moments of each parameter; ``momentum.*``, Muon's; and those of the task, such as ``photos.*`` for the
normalization. Everything else (iteration, seconds, settings ...) is JSON in the file's metadata. There is no
random state to save, because every random number is a function of the seed and the iteration.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.files import read_bytes, write_bytes
from metastyle.training.old_names import current_numbers, current_parameters
from metastyle.training.task import Task
from metastyle.weights.tensor_files import decode, encode

_FORMAT = "metastyle-training-state"
_LARGEST = 4 << 30


def prepare_folder(folder: Path) -> None:
    """Make the folder of a run, and remove what a killed process left half written.

    Raises:
        MetastyleError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MetastyleError(f"{error.filename}: this folder cannot be made: {error.strerror}") from None
    for part in folder.glob(".*.part"):
        part.unlink()


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


def check_same_run(path: Path, numbers: dict[str, Any], task: Task[Any]) -> None:
    """Refuse to resume a run with settings or pictures other than those it began with.

    Args:
        path: the checkpoint.
        numbers: its numbers.
        task: the task of the run that is about to resume.

    Raises:
        MetastyleError: a setting differs that may not, which the error names, or the pictures do.
    """
    for name, value in task.settings.items():
        then = numbers["settings"].get(name, task.defaults.get(name))
        if name not in task.free_to_change and then != value:
            raise MetastyleError(
                f"{path}: this run has {name} = {then!r}, not {value!r}: "
                "use the same value, or another output folder"
            )
    if numbers["pictures"] != task.digest:
        raise MetastyleError(
            f"{path}: the pictures have changed since this run began: "
            "restore them, or use another output folder"
        )


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix.``, without the prefix."""
    start = prefix + "."
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with ``prefix.`` prepended to their names."""
    return {f"{prefix}.{name}": t for name, t in tensors.items()}
