"""The events that a training yields; the caller decides what to show."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Preparing:
    """Something is being measured before the first iteration."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Started:
    """The first iteration is about to begin."""

    iteration: int
    """0, or the iteration of the checkpoint that is resumed."""
    seconds: float
    """Seconds of training before this session."""
    contents: int
    """Number of training photographs."""
    styles: int
    """Number of training paintings."""
    processes: int
    device: str
    output: Path


@dataclass(frozen=True)
class Iterated:
    """Iteration ``iteration`` has ended."""

    iteration: int
    progress: float
    """0 to 1."""
    seconds: float
    """Seconds of training, over all sessions."""
    seconds_left: float
    steps_per_second: float
    losses: dict[str, float]
    """The weighted parts of the loss, averaged since the last such event."""
    gradient_norm: float
    """Gradient norm of the last iteration, before clipping."""
    learning_rate: float
    crop: int
    """Side of the photographs, in pixels."""
    broken: int
    """Number of unreadable pictures so far."""
    skipped: int
    """Number of iterations skipped so far because their gradient was not finite."""

    @property
    def total(self) -> float:
        """The sum of the parts of the loss."""
        return sum(self.losses.values())

    def numbers(self) -> dict[str, float]:
        """All numbers by name, as in a line of the log."""
        numbers: dict[str, float] = dataclasses.asdict(self)
        del numbers["losses"]
        return numbers | {"total": self.total} | self.losses


@dataclass(frozen=True)
class Validated:
    """The loss before any adaptation step on held-out paintings and photographs, not normalized."""

    iteration: int
    seconds: float
    total: float
    content: float
    style: float
    totals: dict[str, float]
    """Losses by painting."""


@dataclass(frozen=True)
class Sampled:
    """A sheet of pictures was written."""

    iteration: int
    path: Path


@dataclass(frozen=True)
class Saved:
    """The checkpoint and the weights were written: a run that is killed now resumes from here."""

    iteration: int
    path: Path


@dataclass(frozen=True)
class Finished:
    """The last event."""

    iteration: int
    seconds: float
    reason: Literal["done", "stopped"]
    """``stopped`` means by SIGTERM or Ctrl-C; the same call resumes."""
    weights: Path
    """The file with the current weights."""


TrainingEvent = Preparing | Started | Iterated | Validated | Sampled | Saved | Finished
