"""The initial theta and Psi, and the measurements before the first iteration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metastyle.core.initialization import Initialization, StylePredictor
from metastyle.core.losses import StyleTarget, gram_matrix
from metastyle.errors import MetastyleError
from metastyle.training.config import DataConfig, TrainingConfig
from metastyle.training.cutting import cut, painting, photograph, readable
from metastyle.training.events import Preparing
from metastyle.training.loss_scale import PhotoGrams
from metastyle.training.sources import Entry
from metastyle.training.target_cache import Painting, TargetCache
from metastyle.weights.initialization import load_initialization

PHOTOS = 48
"""Number of photographs from which the normalization is estimated."""
PAINTINGS = 200
"""Number of paintings from which the predictor's standardization is estimated."""


def new_initialization(config: TrainingConfig) -> tuple[Initialization, bool]:
    """theta and Psi at iteration 0, and whether the predictor's standardization still has to be measured.

    Raises:
        MetastyleError: the initial weights cannot be read, or have a predictor although none is configured.
    """
    predict = config.objective.predictor
    with torch.random.fork_rng(devices=[]):  # leaves the caller's generator as it is
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
    predictor: StylePredictor,
    entries: list[Entry],
    data: DataConfig,
    cache: TargetCache,
    describe: Callable[[Painting], StyleTarget],
) -> Iterator[Preparing]:
    """Set the predictor's mean and deviation from up to 200 paintings (they come in a hashed order)."""
    statistics: list[Tensor] = []
    total = min(PAINTINGS, len(entries))
    for entry, item in readable(entries, total, lambda entry: painting(entry, data, cache)):
        statistics.append(describe(item).statistics)
        yield Preparing(f"paintings ({entry.name})", len(statistics), total)
    stacked = torch.stack(statistics)
    predictor.mean.copy_(stacked.mean(0))
    predictor.std.copy_(stacked.std(0, correction=0) + 1e-3)


def measure_photos(
    entries: list[Entry], config: TrainingConfig, folder: Path, features: Callable[[Tensor], list[Tensor]]
) -> PhotoGrams:
    """Moments of the Gram matrices of up to 48 unprocessed photographs.

    ``features`` gives the style layers of pictures (1, 3, H, W) uint8.
    """
    data, rng = config.data, np.random.default_rng(config.run.seed)
    squares = readable(
        entries,
        min(PHOTOS, len(entries)),
        lambda entry: cut(photograph(entry, data.photo_cache, folder), data.crop, data, rng),
    )
    return PhotoGrams.estimate([[gram_matrix(f)[0] for f in features(one[None])] for _, one in squares])
