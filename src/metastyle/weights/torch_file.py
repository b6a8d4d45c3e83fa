"""Published torch files, read by torch's tensor-only reader, which runs no code of the pickle."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.files import read_bytes


def read_state(path: Path, largest: int) -> dict[str, Tensor]:
    """The tensors of a state dictionary by name, on the CPU; ``largest`` is the most bytes that are read.

    Raises:
        MetastyleError: the file is unreadable, larger than that, or not a dictionary of tensors.
    """
    try:
        state = torch.load(io.BytesIO(read_bytes(path, largest)), map_location="cpu", weights_only=True)
    except (MetastyleError, OSError):
        raise
    except Exception as error:  # undocumented; damaged files raise many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MetastyleError(f"{path}: not a readable file of torch tensors ({reason})") from None
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise MetastyleError(f"{path}: not a state dictionary: it has other values than tensors")
    return {str(name): tensor for name, tensor in state.items()}
