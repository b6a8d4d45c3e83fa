"""What is settled before the first iteration: the start of theta, the references, the validation set."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from metastyle.core.initialization import Initialization, StylePredictor
from metastyle.core.loss_network import LossNetwork
from metastyle.core.losses import StyleTarget, gram_matrix
from metastyle.errors import MetastyleError
from metastyle.training.augmentation import Pixels
from metastyle.training.config import DataConfig, TrainingConfig
from metastyle.training.data import Painting, center, cut, decode, painting, photograph
from metastyle.training.events import Preparing
from metastyle.training.loss_scale import PhotoGrams
from metastyle.training.sources import Entry
from metastyle.training.target_cache import TargetCache
from metastyle.weights.initialization import load_initialization

PHOTOS = 48
"""Photographs that the normalization is estimated from."""
PAINTINGS = 200
"""Paintings that the predictor's standardization is estimated from."""

_T = TypeVar("_T")
Describe = Callable[[Painting], StyleTarget]


def new_initialization(config: TrainingConfig) -> tuple[Initialization, bool]:
    """theta and Psi at iteration 0, and whether the predictor's standardization is still to be measured."""
    predict = config.objective.predictor
    with torch.random.fork_rng(devices=[]):  # the caller's generator stays as it was
        torch.manual_seed(config.run.seed)
        if config.run.init is None:
            return Initialization(predictor=StylePredictor() if predict else None), predict
        loaded, _ = load_initialization(Path(config.run.init))
        if loaded.predictor is not None and not predict:
            raise MetastyleError(f"{config.run.init}: has a style predictor: set objective.predictor = true")
        if loaded.predictor is None and predict:
            return Initialization(loaded.network, StylePredictor()).train(), True
        return loaded.train(), False


def measure_paintings(
    predictor: StylePredictor, entries: list[Entry], data: DataConfig, cache: TargetCache, describe: Describe
) -> Iterator[Preparing]:
    """Set the predictor's mean and deviation from up to 200 paintings (they come in a hashed order)."""
    statistics: list[Tensor] = []
    total = min(PAINTINGS, len(entries))
    for entry, item in _readable(entries, total, lambda entry: painting(entry, data, cache)):
        statistics.append(describe(item).statistics)
        yield Preparing(f"paintings ({entry.name})", len(statistics), total)
    stacked = torch.stack(statistics)
    predictor.mean.copy_(stacked.mean(0))
    predictor.std.copy_(stacked.std(0, correction=0) + 1e-3)


def measure_photos(
    entries: list[Entry], config: TrainingConfig, folder: Path, features: Callable[[Tensor], list[Tensor]]
) -> PhotoGrams:
    """Moments of the Gram matrices of up to 48 untouched photographs.

    ``features`` gives the style layers of pictures (1, 3, H, W) uint8.
    """
    data, rng = config.data, np.random.default_rng(config.run.seed)
    grams = [
        [gram_matrix(f)[0] for f in features(square[None])]
        for _, square in _readable(
            entries,
            min(PHOTOS, len(entries)),
            lambda entry: cut(photograph(entry, data.photo_cache, folder), data.crop, data, rng),
        )
    ]
    return PhotoGrams.estimate(grams)


@dataclass(frozen=True)
class ValidationSet:
    """Held-out paintings and photographs, the same throughout a run."""

    photos: Tensor
    """(B, 3, n, n) uint8."""
    paintings: list[tuple[str, Pixels, StyleTarget]]
    """Name, pixels as found, target."""


def validation_set(
    contents: list[Entry], styles: list[Entry], data: DataConfig, cache: TargetCache, describe: Describe
) -> ValidationSet:
    crop = data.late_crop or data.crop
    squares = _readable(contents, len(contents), lambda entry: center(decode(entry.read(), entry.name), crop))
    paintings = _readable(
        styles,
        len(styles),
        lambda entry: (decode(entry.read(), entry.name), describe(painting(entry, data, cache))),
    )
    return ValidationSet(
        torch.stack([square for _, square in squares]),
        [(entry.name, pixels, target) for entry, (pixels, target) in paintings],
    )


def _readable(entries: list[Entry], count: int, use: Callable[[Entry], _T]) -> Iterator[tuple[Entry, _T]]:
    """The first ``count`` pictures that can be read, and what was made of them."""
    found = 0
    for entry in entries:
        if found == count:
            return
        try:
            item = use(entry)
        except (MetastyleError, OSError, ValueError):
            continue
        found += 1
        yield entry, item
    if found == 0:
        raise MetastyleError(f"none of {len(entries)} pictures could be read, {entries[0].name} among them")


def loss_network_for(loss_network: LossNetwork, dtype: torch.dtype) -> LossNetwork:
    """A copy in which frozen convolutions are converted once; autocast would convert them at every call.

    Channels last in memory: on a CPU an iteration is 6 % faster for it.
    """
    copied = copy.deepcopy(loss_network)
    copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for convolution in copied.children():
        convolution.to(dtype)
    return copied
