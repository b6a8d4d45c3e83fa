"""The interface of what the training loop trains: meta-training, or one part of a compared system."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from torch import Tensor, nn

from metastyle.training.augmentation import Pixels
from metastyle.training.data import Episode, Episodes
from metastyle.training.events import Preparing

Batch = TypeVar("Batch")


class Loss(NamedTuple):
    """The loss of one batch."""

    minimized: Tensor
    """A scalar; the gradients of an iteration's batches are summed."""
    parts: dict[str, Tensor]
    """Its weighted parts by name, which are reported, summed over an iteration's batches."""


@dataclass(frozen=True)
class Validation:
    """The quality of the weights on held-out pictures."""

    losses: dict[str, tuple[float, float, float]]
    """Total, content and style loss for each painting."""
    sheet: Pixels
    """A sheet of pictures for inspection."""


@dataclass(frozen=True)
class Record:
    """The progress of a run, for the metadata of its weights."""

    iteration: int
    seconds: float
    losses: dict[str, float]
    """The parts of the loss as last reported."""
    curve: list[dict[str, float]]
    """All validations: iteration, seconds, total, content and style."""


class Task(ABC, Generic[Batch]):
    """Networks, data and loss. The loop owns the optimizer, the average of the weights and the files.

    Attributes:
        module: computes the loss in ``forward``; it is wrapped for mixed precision and several processes.
        learned: the part of ``module`` that is averaged and saved.
        parameters: those that are updated, by their names in checkpoints.
        hidden: names of those that Muon may update, kernels between hidden layers; none by default.
        rate_factors: factors of the learning rate, for parameters whose factor is not 1.
        settings: ``section.key`` or ``key`` to a JSON value; a resumed run must have the same.
        defaults: values of settings that are missing from checkpoints of earlier versions.
        free_to_change: names of settings that a resumed run may change.
        digest: identifies the pictures.
        photographs: number of training photographs.
        paintings: number of training paintings.
        workers: number of processes that decode pictures.
        stem: prefix of the names of a run's files, as in ``STEM.state``; empty for ``state.safetensors``.
    """

    module: nn.Module
    learned: nn.Module
    parameters: dict[str, nn.Parameter]
    hidden: frozenset[str] = frozenset()
    rate_factors: dict[str, float]
    settings: dict[str, Any]
    defaults: dict[str, Any]
    free_to_change: frozenset[str]
    digest: str
    photographs: int
    paintings: int
    workers: int
    stem: str

    @abstractmethod
    def episodes(self, rank: int, world_size: int) -> Episodes:
        """The data for the iterations of one of ``world_size`` processes."""

    @abstractmethod
    def crop(self, progress: float) -> int:
        """The side of the photographs, in pixels, at a progress from 0 to 1."""

    @abstractmethod
    def batches(self, episode: Episode, progress: float) -> Sequence[Batch]:
        """An iteration's batches, on the device. Their gradients are summed, so each carries its share."""

    @abstractmethod
    def loss(self, module: nn.Module, batch: Batch) -> Loss:
        """The loss of one batch; ``module`` is ``self.module``, wrapped."""

    @abstractmethod
    def write(self, learned: nn.Module, record: Record) -> Path:
        """Write the weights ``learned`` (averaged, if an average is kept) and return their file."""

    def prepare(self) -> Iterator[Preparing]:
        """Measure and fit before the first iteration of a new run; called in the first process only."""
        yield from ()

    def validate(self, learned: nn.Module) -> Validation | None:
        """Validate ``learned``; None if the task has no validation."""
        return None

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON values that ``restore`` needs in addition to the weights and Adam's moments."""
        return {}, {}

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Restore what ``state`` returned; both mappings may hold more."""
