"""The weights made by ``metastyle train-baseline``: one safetensors file per trained part.

Training writes float16. With ``eight_bits``, weights are stored as int8 with a scale per output channel,
which halves the file again; docs/baselines.md has its effect.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from metastyle.errors import MetastyleError
from metastyle.files import read_bytes, write_bytes
from metastyle.weights.tensor_files import FLOATS, TensorFile, check_format, decode, encode

SHIPPED = Path(__file__).parents[3] / "systems-weights"
"""The folder of trained parts in a source tree; an installed package has none."""

FORMAT = "metastyle-baseline"
VERSION = 2
"""Version of files with int8 weights; others have version 1, which earlier releases also read."""

_SCALE = ".scale"
_LARGEST = 1 << 30  # Shen et al.'s network takes 435 MB

M = TypeVar("M", bound=nn.Module)


def trained_path(part: str, folder: Path | None = None) -> Path:
    """The file of the trained ``part``, such as ``wct-3``, in ``folder`` or in the source tree's."""
    return (SHIPPED if folder is None else folder) / f"{part}.safetensors"


def save_trained(
    module: nn.Module, part: str, path: Path, settings: dict[str, Any], *, eight_bits: bool = False
) -> None:
    """Write a module's weights and training settings; an existing file is replaced.

    Args:
        module: its state is written.
        part: the name of the part.
        path: the file.
        settings: any JSON value.
        eight_bits: weights of convolutions and linear maps as int8; float16 otherwise.

    Raises:
        MetastyleError: weights are beyond float16's range, or ``path`` cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        half = tensor.to(torch.float16)
        if not half.isfinite().all():
            raise MetastyleError(f"{part}: {name} does not fit float16: it has not been trained well")
        if eight_bits and name.split(".")[-1] == "weight" and tensor.dim() > 1:
            tensors[name], tensors[name + _SCALE] = _quantized(tensor)
        else:
            tensors[name] = half
    metadata = {
        "format": FORMAT,
        "format_version": "2" if eight_bits else "1",
        "part": part,
        "settings": json.dumps(settings, sort_keys=True),
    }
    write_bytes(path, encode(tensors, metadata), overwrite=True)


def load_trained(module: M, part: str, folder: Path | None = None) -> M:
    """Load trained weights into a module (which may be on the meta device): float32 on the CPU, frozen.

    They are searched in ``folder`` and then in the source tree.

    Raises:
        MetastyleError: they are in neither, or the file is damaged or belongs to another part.
    """
    path = trained_path(part, folder)
    if not path.is_file() and trained_path(part).is_file():
        path = trained_path(part)
    if not path.is_file():
        raise MetastyleError(missing(f"the weights of '{part}' are missing", f"{part} --style DIR", folder))
    tensors, _ = read_trained(module, part, path)
    module.load_state_dict(tensors, assign=True)
    return module.eval().requires_grad_(False)


def read_trained(module: nn.Module, part: str, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights in a file, float16 or float32, in the shapes of the module's, and their training settings.

    Raises:
        MetastyleError: the file is missing or damaged, or belongs to another part.
    """
    content = _read(path)
    tensors = _dequantized(content.tensors)
    expected = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in tensors.items()}
    if content.metadata.get("part") != part or expected != found:
        raise MetastyleError(
            f"{path}: holds the weights of '{content.metadata.get('part')}', not of '{part}'"
        )
    return tensors, json.loads(content.metadata["settings"])


def missing(what: str, arguments: str, folder: Path | None) -> str:
    """An error line that names what is missing and the command that trains it.

    ``arguments`` are those of ``train-baseline`` except the photographs and the output folder, which is
    ``folder`` or the command's default.
    """
    where = "" if folder is None else f"{folder}: "
    command = f"metastyle train-baseline {arguments} --content DIR -o {folder or 'runs/baselines'}"
    return f"{where}{what}: {command}, or name a folder that has them (--weights DIR)"


def read_settings(path: Path) -> dict[str, Any]:
    """The training settings of the weights in a file.

    Raises:
        MetastyleError: it is not such a file.
    """
    settings: dict[str, Any] = json.loads(_read(path).metadata["settings"])
    return settings


def _read(path: Path) -> TensorFile:
    content = decode(read_bytes(path, _LARGEST), str(path), types=FLOATS | {"I8"})
    check_format(content.metadata, FORMAT, VERSION, "baseline", path)
    return content


def _quantized(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(O, ...) -> int8 (O, ...) from -127 to 127, and its scale (O,)."""
    rows = weight.detach().float().flatten(1)
    scale = (rows.abs().amax(dim=1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    return (rows / scale[:, None]).round().to(torch.int8).view_as(weight), scale


def _dequantized(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights multiplied by their scales; those without a scale are unchanged."""
    found = {name: t for name, t in tensors.items() if not name.endswith(_SCALE)}
    for name, tensor in found.items():
        scale = tensors.get(name + _SCALE)
        if scale is not None and scale.shape == tensor.shape[:1]:
            found[name] = tensor * scale.view(-1, *[1] * (tensor.dim() - 1))
    return found
