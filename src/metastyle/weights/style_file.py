"""A style as a file, and the cache of finished adaptations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from metastyle.core.settings import StyleKind
from metastyle.core.style import Style
from metastyle.errors import MetastyleError
from metastyle.files import read_bytes, write_bytes
from metastyle.weights.initialization import check_format
from metastyle.weights.tensor_files import decode, encode

FORMAT = "metastyle-style"
VERSION = 1

_LARGEST = 64 << 20  # a style takes 3.4 MB in float16


def save_style(
    style: Style, path: Path, *, overwrite: bool = False, dtype: torch.dtype = torch.float16
) -> None:
    """Write a style as safetensors. Equal styles give equal bytes.

    ``dtype`` is what the parameters are rounded to: float16 (3.4 MB, 85 kB at rank 2, 16 kB for
    instance norm) or float32.

    Raises:
        MetastyleError: parameters beyond the range of ``dtype``, or ``path`` exists or cannot be written.
    """
    if dtype not in (torch.float16, torch.float32):
        raise MetastyleError(f"a style cannot be saved as {dtype}: use float16 or float32")
    tensors = {name: p.to(dtype) for name, p in style.parameters.items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise MetastyleError(f"the style's {name} exceeds the range of float16: save it in float32")
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


def load_style(path: Path) -> Style:
    """Read and check a style file.

    Whether its base model is the one at hand is the caller's question: ``check_base``.

    Raises:
        MetastyleError: missing, foreign, truncated, damaged, or made by a newer version.
    """
    content = decode(read_bytes(path, _LARGEST), str(path))
    metadata = content.metadata
    check_format(metadata, FORMAT, VERSION, "style", path)
    try:
        return Style(
            parameters=content.tensors,
            kind=cast(StyleKind, metadata["kind"]),
            base=metadata["base"],
            painting=metadata["painting"],
            painting_sha256=metadata["painting_sha256"],
            settings=json.loads(metadata["settings"]),
            curve=json.loads(metadata["curve"]),
        )
    except KeyError as error:
        raise MetastyleError(f"{path}: damaged: it does not state its {error.args[0]}") from None
    except (ValueError, RecursionError):
        raise MetastyleError(f"{path}: damaged: its settings or loss curve cannot be read") from None
    except MetastyleError as error:
        raise MetastyleError(f"{path}: damaged: {error}") from None


def recall(path: Path) -> Style | None:
    """The style remembered at ``path``; None if there is none that can be read: it is learned again."""
    try:
        return load_style(path)
    except MetastyleError:
        return None


def check_base(style: Style, base: str) -> None:
    """Raise MetastyleError unless ``style`` was adapted from the initialization with the hash ``base``."""
    if style.base != base:
        raise MetastyleError(
            f"the style '{style.painting}' was made for another base model ({style.base[:12]}; here it is"
            f" {base[:12]}): adapt to the painting again"
        )


def cache_key(
    *, painting: str, base: str, settings: Mapping[str, Any], contents: str, start: str | None = None
) -> str:
    """sha256 of all that decides an adaptation's result on one machine.

    ``painting`` and ``contents`` are hashes of pixels, ``base`` the initialization's hash, ``settings``
    what JSON can hold, ``start`` the hash of the parameters that it went on from.
    """
    record: dict[str, Any] = {"painting": painting, "base": base, "settings": dict(settings)}
    record |= {"contents": contents, "start": start}
    text = json.dumps(record | {"format_version": VERSION}, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def style_cache_path(cache_dir: Path, key: str) -> Path:
    """Where the style of this ``cache_key`` is remembered. The folder need not exist."""
    return cache_dir / "styles" / f"{key}.safetensors"
