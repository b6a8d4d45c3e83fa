"""A published weight file: its description, its cache, and its verification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.files import read_bytes, write_bytes
from metastyle.weights.cache import cache_if_possible, default_cache_dir
from metastyle.weights.tensor_files import decode, encode, tensor_digest

_LARGEST = 128 << 20


class Progress(Protocol):
    """Called during a download with the bytes received, the total bytes, and the name of the download."""

    def __call__(self, done: int, total: int, what: str, /) -> object: ...


class UnreachableWeightsError(MetastyleError):
    """No source had the weights; ``details`` has a line for each source that was tried."""

    def __init__(self, message: str, details: list[str]) -> None:
        super().__init__(message)
        self.details = details


@dataclass(frozen=True)
class WeightFile:
    """One set of weights that the program needs."""

    name: str
    what: str
    origin: str
    license: str
    """The license, as stated by the source."""
    file_name: str
    """The file's name in the cache, or in the package."""
    digests: tuple[str, ...] = ()
    """Accepted ``tensor_digest`` values; empty if the file has its own checksum."""

    def is_known(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether these are the published numbers."""
        return tensor_digest(tensors) in self.digests

    def cached_path(self, cache_dir: Path | None = None) -> Path:
        """The file's path after it has been fetched; None is the user's cache folder."""
        return (default_cache_dir() if cache_dir is None else cache_dir) / self.file_name

    def read(self, path: Path) -> dict[str, Tensor]:
        """Read a cached file and verify its numbers.

        Raises:
            MetastyleError: it is missing, or not the published file.
        """
        content = decode(read_bytes(path, _LARGEST), str(path))
        if content.digest not in self.digests:
            raise MetastyleError(f"{path}: damaged: not the published numbers of '{self.name}'")
        return content.tensors

    def keep(self, tensors: Mapping[str, Tensor], cache_dir: Path | None) -> None:
        """Write fetched tensors to the cache, if possible."""
        metadata = {"what": self.what, "origin": self.origin, "license": self.license}
        write = partial(write_bytes, data=encode(tensors, metadata), overwrite=True)
        cache_if_possible(self.cached_path(cache_dir), self.what, write)
