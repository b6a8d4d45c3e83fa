"""Tensors on disk: safetensors, checked when read, with the same bytes for the same tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from metastyle.errors import MetastyleError

MAX_HEADER = 16 << 20
"""Largest header in bytes; a style's header takes a few kilobytes."""

FLOATS = frozenset({"F32", "F16", "BF16"})
"""The usual types of tensors in files."""


@dataclass(frozen=True)
class TensorFile:
    """The content of a safetensors file; tensors are float32, whatever the type in the file."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]

    @cached_property
    def digest(self) -> str:
        """The ``tensor_digest`` of the numbers."""
        return tensor_digest(self.tensors)


def tensor_digest(tensors: Mapping[str, Tensor]) -> str:
    """The sha256 of the numbers: for each name in sorted order, name, shape and little-endian float32 data.

    It does not depend on the file format, so it identifies weights that come from different sources.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().astype("<f4", copy=False).data)
    return digest.hexdigest()


def encode(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file with a checksum of numbers and metadata. Equal input gives equal bytes."""
    tensors = {name: t.detach().to("cpu").contiguous() for name, t in tensors.items()}
    complete = dict(metadata, checksum=_checksum(tensor_digest(tensors), metadata))
    data = safetensors.save(tensors, complete)
    # The library writes metadata in random order: write the header again, sorted.
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def decode(data: bytes, source: str, *, checksum: bool = True, types: frozenset[str] = FLOATS) -> TensorFile:
    """Read a safetensors file from memory; ``source`` names it in errors.

    With ``checksum``, the file must have the correct checksum that ``encode`` writes.
    """
    size = int.from_bytes(data[:8], "little")
    if data[8:9] != b"{":
        raise MetastyleError(f"{source}: not a safetensors file" + ("" if data else " (it is empty)"))
    if size > MAX_HEADER:
        raise MetastyleError(
            f"{source}: not a safetensors file that can be read: its header claims {size:,} bytes"
        )
    if size > len(data) - 8:
        raise MetastyleError(
            f"{source}: truncated: its header claims {size:,} bytes, the file has {len(data):,}"
        )
    try:
        header = json.loads(data[8 : 8 + size])
        metadata = header.pop("__metadata__", {})
        foreign = {entry["dtype"] for entry in header.values()} - types
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        raise MetastyleError(f"{source}: damaged: its header is not what safetensors prescribes") from None
    if foreign:
        raise MetastyleError(
            f"{source}: holds numbers of type {sorted(map(str, foreign))[0]!r}: use float32 or float16"
        )
    try:
        tensors = {name: t.to(torch.float32) for name, t in safetensors.load(data).items()}
    except (SafetensorError, ValueError, RuntimeError, KeyError) as error:
        raise MetastyleError(f"{source}: truncated or damaged ({error})") from None
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise MetastyleError(f"{source}: damaged: its metadata is not text")
    written = metadata.pop("checksum", None)
    content = TensorFile(tensors, metadata)
    if checksum and written is not None and written != _checksum(content.digest, metadata):
        raise MetastyleError(f"{source}: damaged: its content does not match its checksum")
    if checksum and written is None:
        raise MetastyleError(f"{source}: a safetensors file, but not one that metastyle wrote (no checksum)")
    return content


def check_format(metadata: dict[str, str], expected: str, version: int, what: str, path: Path) -> None:
    """Raise MetastyleError unless the metadata declare the format ``expected`` in a known version."""
    found = metadata.get("format")
    if found != expected:
        raise MetastyleError(
            f"{path}: not a metastyle {what}: its format is {repr(found) if found else 'not declared'}"
        )
    text = metadata.get("format_version", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise MetastyleError(f"{path}: damaged: its format version is {text!r}")
    if int(text) > version:
        raise MetastyleError(
            f"{path}: made by a newer metastyle (format {text}; this one reads {version}): upgrade metastyle"
        )


def _checksum(digest: str, metadata: Mapping[str, str]) -> str:
    text = json.dumps(dict(metadata), sort_keys=True)
    return hashlib.sha256(f"{digest}\n{text}".encode()).hexdigest()
