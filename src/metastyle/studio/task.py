"""One job as the worker sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metastyle.files import write_bytes


class CanceledError(Exception):
    """The job is no longer wanted."""


@dataclass
class Task:
    """One job as the worker sees it."""

    id: str
    kind: str
    request: dict[str, Any]
    folder: Path
    """The studio's."""
    device: str
    report: Callable[[dict[str, Any]], None]
    """Reports the job's progress to the server."""
    stop: threading.Event
    """Set when the job should end with what it has reached."""
    cancel: threading.Event
    """Set when the job is canceled."""

    def check(self) -> None:
        """Raise CanceledError if the job is canceled."""
        if self.cancel.is_set():
            raise CanceledError

    def path(self, item_id: str, kind: str) -> Path:
        """Where an item's bytes are."""
        return self.folder / kind / item_id

    def result(self, suffix: str) -> Path:
        """Where the job's result goes."""
        return self.folder / "result" / f"{self.id}{suffix}"

    @property
    def parameters(self) -> Path:
        """Where the parameters of an adaptation under way are written, float16."""
        return self.folder / "work" / f"{self.id}.f16"

    def keep(self, path: Path, data: bytes) -> None:
        """Write a file completely or not at all."""
        write_bytes(path, data, overwrite=True)
