"""A style as a file, and the name of that file in the cache of adapted styles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.files import read_bytes, write_bytes
from metastyle.weights.tensor_files import check_format, decode, encode

FORMAT = "metastyle-style"
VERSION = 1

_LARGEST = 64 << 20  # a style takes 3.4 MB in float16


class StyleRecord(NamedTuple):
    """The unchecked fields of a style file; ``metastyle.Style`` has the same fields and checks them."""

    parameters: Mapping[str, Tensor]
    """float32, whatever the type in the file."""
    kind: Any
    base: str
    painting: str
    painting_sha256: str
    settings: Any
    """Any JSON value."""
    curve: Any
    """Any JSON value."""


def write_style(style: StyleRecord, path: Path, *, overwrite: bool = False) -> None:
    """Write a style as safetensors in float16. Equal styles give equal bytes.

    A file has 3.4 MB with all parameters, 85 kB at rank 2, and 16 kB with the instance norms alone.

    Raises:
        MetastyleError: A parameter is beyond the range of float16, or ``path`` exists or cannot be written.
    """
    tensors = {name: p.to(torch.float16) for name, p in style.parameters.items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise MetastyleError(
                f"the style's {name} is beyond the range of float16: adapt with a smaller learning rate"
            )
    metadata = {
        "format": FORMAT,
        "format_version": str(VERSION),
        "kind": style.kind,
        "base": style.base,
        "painting": style.painting,
        "painting_sha256": style.painting_sha256,
        "settings": json.dumps(style.settings, sort_keys=True),
        "curve": json.dumps(style.curve),
    }
    write_bytes(path, encode(tensors, metadata), overwrite=overwrite)


def read_style(path: Path) -> StyleRecord:
    """Read a style file.

    ``metastyle.Style`` checks whether its numbers and provenance are valid.

    Raises:
        MetastyleError: The file is missing, not a style, truncated, damaged, or made by a newer version.
    """
    content = decode(read_bytes(path, _LARGEST), str(path))
    metadata = content.metadata
    check_format(metadata, FORMAT, VERSION, "style", path)
    try:
        return StyleRecord(
            parameters=content.tensors,
            kind=metadata["kind"],
            base=metadata["base"],
            painting=metadata["painting"],
            painting_sha256=metadata["painting_sha256"],
            settings=json.loads(metadata["settings"]),
            curve=json.loads(metadata["curve"]),
        )
    except KeyError as error:
        raise MetastyleError(f"{path}: damaged: it lacks its {error.args[0]}") from None
    except (ValueError, RecursionError):
        raise MetastyleError(f"{path}: damaged: its settings or loss curve cannot be read") from None


def style_cache_path(
    cache_dir: Path,
    *,
    painting: str,
    base: str,
    settings: Mapping[str, Any],
    contents: str,
    start: str | None = None,
) -> Path:
    """The path of an adapted style in the cache: its name is a hash of everything that affects the result.

    Args:
        cache_dir: The folder of the cache, which need not exist.
        painting: The hash of the painting's pixels.
        base: The hash of the initialization.
        settings: Those of the adaptation, as values that JSON can hold.
        contents: The hash of the contents that the adaptation trains on.
        start: The hash of the parameters that the adaptation starts from, if it does not start from Psi's.
    """
    record: dict[str, Any] = {"painting": painting, "base": base, "settings": dict(settings)}
    record |= {"contents": contents, "start": start}
    text = json.dumps(record | {"format_version": VERSION}, sort_keys=True, allow_nan=False)
    return cache_dir / "styles" / f"{hashlib.sha256(text.encode()).hexdigest()}.safetensors"
