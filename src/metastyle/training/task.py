"""What the training loop trains: meta-training is one task, each part of a compared system another."""

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
    """A scalar; the gradients of an iteration's batches are added up."""
    parts: dict[str, Tensor]
    """Its parts by name, weighted as they enter it: what is reported, summed over an iteration's batches."""


@dataclass(frozen=True)
class Validation:
    """How good the weights are on pictures that are never trained with."""

    losses: dict[str, tuple[float, float, float]]
    """Total, content and style loss for each painting."""
    sheet: Pixels
    """Pictures to look at."""


@dataclass(frozen=True)
class Record:
    """How far a run has come, for the metadata of its weights."""

    iteration: int
    seconds: float
    losses: dict[str, float]
    """The parts of the loss, as reported last."""
    curve: list[dict[str, float]]
    """All validations: iteration, seconds, total, content and style."""


class Task(ABC, Generic[Batch]):
    """Networks, data and loss. The loop owns the optimizer, the average of the weights and the files.

    Attributes:
        module: its ``forward`` computes the loss; it is wrapped for mixed precision and several processes.
        learned: what is averaged and written; a part of ``module``.
        parameters: those that Adam moves, by the names that they have in checkpoints.
        rate_factors: what the learning rate is multiplied by, for the parameters that differ from 1.
        settings: ``section.key`` or ``key`` to a JSON value; a resumed run must have the same.
        defaults: values of settings that checkpoints of earlier versions lack.
        free_to_change: names of settings that a resumed run may change.
        digest: identifies the pictures.
        photographs: how many are trained with.
        paintings: likewise.
        workers: processes that decode pictures.
        stem: how the names of a run's files begin: ``STEM.state``; empty for ``state.safetensors``.
    """

    module: nn.Module
    learned: nn.Module
    parameters: dict[str, nn.Parameter]
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
        """What the iterations of one of ``world_size`` processes see."""

    @abstractmethod
    def crop(self, progress: float) -> int:
        """The side of the photographs, in pixels, at a progress from 0 to 1."""

    @abstractmethod
    def batches(self, episode: Episode, progress: float) -> Sequence[Batch]:
        """An iteration's batches, on the device. Their gradients are added up, so each carries its share."""

    @abstractmethod
    def loss(self, module: nn.Module, batch: Batch) -> Loss:
        """The loss of one batch; ``module`` is ``self.module``, wrapped."""

    @abstractmethod
    def write(self, learned: nn.Module, record: Record) -> Path:
        """Write the weights ``learned`` (averaged, where an average is kept); return their file."""

    def prepare(self) -> Iterator[Preparing]:
        """Before the first iteration of a new run, in the first process only: measure, fit."""
        yield from ()

    def validate(self, learned: nn.Module) -> Validation | None:
        """How good ``learned`` is; None where a task has no validation."""
        return None

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON values that ``restore`` needs beside the weights and Adam's moments."""
        return {}, {}

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Put back what ``state`` gave; both mappings may hold more."""
