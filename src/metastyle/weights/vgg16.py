"""Where the loss network's weights come from: a named file, the cache, this machine, the network."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from metastyle.core.loss_network import LossNetwork
from metastyle.errors import MetastyleError
from metastyle.files import read_bytes, write_bytes
from metastyle.weights import vgg16_sources as sources
from metastyle.weights.cache import remember
from metastyle.weights.catalog import VGG16, Progress, default_cache_dir
from metastyle.weights.tensor_files import decode, encode
from metastyle.weights.vgg16_formats import known_digest, read_file


class UnreachableWeightsError(MetastyleError):
    """No source had the weights. ``details`` holds one line per source that was asked."""

    def __init__(self, message: str, details: list[str]) -> None:
        super().__init__(message)
        self.details = details


def load_loss_network(
    path: Path | None = None,
    *,
    cache_dir: Path | None = None,
    offline: bool = False,
    progress: Progress | None = None,
) -> LossNetwork:
    """VGG-16 to relu4_3, ready for use: frozen, float32, on the CPU.

    Args:
        path: a file to read the weights from; then nothing else is tried.
        cache_dir: where fetched weights are kept; None is the user's cache folder.
        offline: use no network.
        progress: called while something is fetched.

    Raises:
        MetastyleError: ``path`` is unusable.
        UnreachableWeightsError: no source had them; the message says what to do.
    """
    tensors = read_file(path) if path is not None else _find(cache_dir, offline, progress)
    with torch.random.fork_rng(devices=[]):  # the caller's seed stays as it was
        network = LossNetwork()
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False)


def cached_path(cache_dir: Path | None = None) -> Path:
    """Where the loss network's weights lie once they have been fetched."""
    return (default_cache_dir() if cache_dir is None else cache_dir) / VGG16.file_name


def read_cached(path: Path) -> dict[str, Tensor]:
    """Read and verify the cached file.

    Raises:
        MetastyleError: it is missing, or not what was written.
    """
    tensors = decode(read_bytes(path, 64 << 20), str(path)).tensors
    if not known_digest(tensors):
        raise MetastyleError(f"{path}: damaged: not VGG-16's numbers")
    return tensors


def _find(cache_dir: Path | None, offline: bool, progress: Progress | None) -> dict[str, Tensor]:
    cached = cached_path(cache_dir)
    details = []
    try:
        return read_cached(cached)
    except MetastyleError as error:
        details.append(str(error))
    network = [] if offline else sources.on_the_network(progress)
    for place, read in sources.on_this_machine() + network:
        try:
            tensors = read()
        except (MetastyleError, OSError) as error:
            details.append(f"{place}: {error}")
            continue
        metadata = {"what": VGG16.what, "origin": VGG16.origin, "license": VGG16.license}
        write = partial(write_bytes, data=encode(tensors, metadata), overwrite=True)
        remember(cached, VGG16.what, write)
        return tensors
    raise UnreachableWeightsError(
        "the loss network's weights (VGG-16, a 64 MB download) are neither on this machine nor reachable:"
        " connect once and run 'metastyle weights --fetch', or name a file with --loss-network FILE",
        details,
    )
