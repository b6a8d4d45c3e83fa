"""Weights that ``metastyle train-baseline`` makes: float16 safetensors, one file for each trained part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from metastyle.errors import MetastyleError
from metastyle.files import read_bytes, write_bytes
from metastyle.weights.tensor_files import check_format, decode, encode

SHIPPED = Path(__file__).with_name("trained")
"""Where the files lie that come with the package, if any do."""

FORMAT = "metastyle-baseline"
VERSION = 1

_LARGEST = 1 << 30  # Shen et al.'s network takes 435 MB

M = TypeVar("M", bound=nn.Module)


def trained_path(part: str, folder: Path | None = None) -> Path:
    """The file of the trained ``part``, such as ``wct-3``, in ``folder`` or the package's own one."""
    return (SHIPPED if folder is None else folder) / f"{part}.safetensors"


def save_trained(module: nn.Module, part: str, path: Path, settings: dict[str, Any]) -> None:
    """Write a module's numbers, rounded to float16, and how they were trained; an existing file is replaced.

    Raises:
        MetastyleError: numbers beyond float16's range, or ``path`` cannot be written.
    """
    tensors = {name: t.to(torch.float16) for name, t in module.state_dict().items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise MetastyleError(f"{part}: {name} does not fit float16: it has not been trained well")
    metadata = {
        "format": FORMAT,
        "format_version": str(VERSION),
        "part": part,
        "settings": json.dumps(settings, sort_keys=True),
    }
    write_bytes(path, encode(tensors, metadata), overwrite=True)


def load_trained(module: M, part: str, folder: Path | None = None) -> M:
    """Fill a module (which may be on the meta device) with trained numbers; float32 on the CPU, frozen.

    They are looked for in ``folder``, and then in the package.

    Raises:
        MetastyleError: nobody has trained it, or the file is damaged or another part's.
    """
    path = trained_path(part, folder)
    if not path.is_file() and trained_path(part).is_file():
        path = trained_path(part)
    if not path.is_file():
        raise MetastyleError(
            f"{path}: the weights of '{part}' have not been trained: "
            f"metastyle train-baseline {part} --content DIR --style DIR -o {path.parent}"
        )
    content = decode(read_bytes(path, _LARGEST), str(path))
    check_format(content.metadata, FORMAT, VERSION, "baseline", path)
    expected = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in content.tensors.items()}
    if content.metadata.get("part") != part or expected != found:
        raise MetastyleError(
            f"{path}: holds the weights of '{content.metadata.get('part')}', not of '{part}'"
        )
    module.load_state_dict(content.tensors, assign=True)
    return module.eval().requires_grad_(False)


def read_settings(path: Path) -> dict[str, Any]:
    """How the weights in a file were trained.

    Raises:
        MetastyleError: it is no such file.
    """
    content = decode(read_bytes(path, _LARGEST), str(path))
    check_format(content.metadata, FORMAT, VERSION, "baseline", path)
    settings: dict[str, Any] = json.loads(content.metadata["settings"])
    return settings
