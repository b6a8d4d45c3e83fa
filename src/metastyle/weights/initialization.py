"""The meta-trained initialization as a file: theta, and the predictor behind Psi if there is one."""

from __future__ import annotations

import copy
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from metastyle.core.initialization import Initialization, StylePredictor
from metastyle.core.network import TransformationNetwork
from metastyle.errors import MetastyleError
from metastyle.files import read_bytes, write_bytes
from metastyle.weights.tensor_files import check_format, decode, encode, tensor_digest
from metastyle.weights.weight_file import WeightFile

INITIALIZATION = WeightFile(
    name="initialization",
    what="start of adaptation: the meta-trained image transformation network and its style predictor",
    origin="trained by this project's own code",
    license="MIT, as the project",
    file_name="metastyle.safetensors",
)

SHIPPED = Path(__file__).with_name(INITIALIZATION.file_name)
"""The file in the package."""

FORMAT = "metastyle-initialisation"
VERSION = 1

_EXACT = ("predictor.mean", "predictor.std")
_LARGEST = 256 << 20
_WIDEST = 4096


def load_initialization(path: Path | None = None) -> tuple[Initialization, str]:
    """Read an initialization; None reads the one in the package.

    Returns:
        The module, float32 on the CPU in evaluation mode, which belongs to the caller; and its hash, the
        ``tensor_digest`` of its numbers, which is the ``base`` of all styles adapted from it.

    Raises:
        MetastyleError: The file is missing, unknown, truncated, damaged, or made by a newer version.
    """
    if path is not None:
        return _read(path)
    initialization, base = shipped_initialization()
    return copy.deepcopy(initialization), base


def shipped_initialization() -> tuple[Initialization, str]:
    """The initialization in the package, read and checked once per process.

    It is shared, so it must not be changed; otherwise it is what ``load_initialization`` returns.
    """
    return _read_once(SHIPPED)


def _read(path: Path) -> tuple[Initialization, str]:
    content = decode(read_bytes(path, _LARGEST), str(path))
    check_format(content.metadata, FORMAT, VERSION, "initialization", path)
    initialization = _empty(content.tensors, path)
    expected = {name: tuple(t.shape) for name, t in initialization.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in content.tensors.items()}
    if expected != found:
        wrong = min(expected.items() ^ found.items())[0]
        raise MetastyleError(f"{path}: {wrong!r} is missing, unknown, or of another shape than the network's")
    for name, tensor in content.tensors.items():
        if not tensor.isfinite().all():
            raise MetastyleError(f"{path}: '{name}' holds numbers that are not finite")
        if name == "predictor.std" and not (tensor > 0).all():
            raise MetastyleError(f"{path}: '{name}' holds numbers that are not above 0")
    initialization.load_state_dict(content.tensors, assign=True)
    return initialization.eval(), content.digest


@lru_cache(maxsize=1)
def _read_once(path: Path) -> tuple[Initialization, str]:
    with torch.inference_mode(False):  # later callers may want gradients
        return _read(path)


def save_initialization(
    initialization: Initialization, path: Path, settings: dict[str, Any], *, overwrite: bool = False
) -> str:
    """Write an initialization in float16 (the predictor's standardization in float32).

    Equal arguments give equal bytes.

    Args:
        settings: How it was trained, as values that JSON can hold.

    Returns:
        The hash of the rounded numbers, as ``load_initialization`` returns it for the file.

    Raises:
        MetastyleError: A number is beyond float16's range, or ``path`` cannot be written.
    """
    state = initialization.state_dict()
    tensors = {name: t if name in _EXACT else t.to(torch.float16) for name, t in state.items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise MetastyleError(
                f"the initialization's {name} does not fit float16: it has not been trained well"
            )
    metadata = {
        "format": FORMAT,
        "format_version": str(VERSION),
        "settings": json.dumps(settings, sort_keys=True),
    }
    write_bytes(path, encode(tensors, metadata), overwrite=overwrite)
    return tensor_digest(tensors)


def _empty(tensors: dict[str, torch.Tensor], path: Path) -> Initialization:
    """An initialization of the file's form without storage, for which no random numbers are drawn."""
    with torch.device("meta"):
        network = TransformationNetwork()
        if not any(name.startswith("predictor.") for name in tensors):
            return Initialization(network)
        encode_weight = tensors.get("predictor.encode.weight")
        if encode_weight is None or encode_weight.dim() != 2 or not 0 < len(encode_weight) <= _WIDEST:
            raise MetastyleError(f"{path}: its style predictor has no usable 'predictor.encode.weight'")
        return Initialization(network, StylePredictor(hidden=len(encode_weight)))
