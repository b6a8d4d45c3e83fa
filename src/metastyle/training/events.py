"""What ``train`` yields. Whoever drives it decides what to show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Preparing:
    """Before the first iteration: references are computed."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Started:
    """The first iteration is about to begin."""

    iteration: int
    """0, or where a saved state went on."""
    seconds: float
    """Spent before."""
    contents: int
    """Photographs to train with."""
    styles: int
    """Paintings to train with."""
    processes: int
    device: str
    output: Path


@dataclass(frozen=True)
class Step:
    """Iteration ``iteration`` has ended. Losses are means since the last such event."""

    iteration: int
    progress: float
    """0 to 1."""
    seconds: float
    """Of training, over all sittings."""
    seconds_left: float
    steps_per_second: float
    total: float
    content: float
    style: float
    gradient_norm: float
    """Before clipping; of the last step."""
    rate: float
    crop: int
    """Side of the photographs, in pixels."""
    broken: int
    """Pictures that could not be read so far."""
    skipped: int
    """Steps skipped so far because their gradient was not finite."""


@dataclass(frozen=True)
class Validated:
    """The loss without any adaptation step on held-out paintings and photographs, not normalized."""

    iteration: int
    seconds: float
    total: float
    content: float
    style: float
    totals: dict[str, float]
    """By painting."""


@dataclass(frozen=True)
class Sampled:
    """A sheet of pictures was written."""

    iteration: int
    path: Path


@dataclass(frozen=True)
class Saved:
    """The state was written: a run that is killed now goes on from here."""

    iteration: int
    path: Path


@dataclass(frozen=True)
class Finished:
    """The last event."""

    iteration: int
    seconds: float
    reason: Literal["done", "stopped"]
    """``stopped``: by SIGTERM or Ctrl-C; running again goes on."""
    initialization: Path
    """The weights as they are now, float16."""


TrainingEvent = Preparing | Started | Step | Validated | Sampled | Saved | Finished
