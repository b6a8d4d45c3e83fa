"""The log of a run: metrics.jsonl, one JSON object per line, and TensorBoard's files if it is installed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from metastyle.files import write_bytes


class Metrics:
    """Appends to ``folder/metrics.jsonl``, or ``folder/STEM.metrics.jsonl``; a context manager.

    Lines after ``iteration``, from which the run resumes, are removed first: a killed run may have
    logged more than it saved, or half a line. Without a folder, nothing is written.
    """

    def __init__(self, folder: Path | None, iteration: int, stem: str = "") -> None:
        self._file: TextIO | None = None
        self._board: Any = None
        if folder is None:
            return
        path = folder / (f"{stem}.metrics.jsonl" if stem else "metrics.jsonl")
        if path.exists():
            kept = [line for line in path.read_bytes().splitlines() if _iteration(line) <= iteration]
            write_bytes(path, b"".join(line + b"\n" for line in kept), overwrite=True)
        self._file = path.open("a", encoding="utf-8")
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard" / stem), purge_step=iteration + 1)

    def write(self, kind: str, values: dict[str, Any]) -> None:
        """Add a line; ``values`` holds ``iteration`` and its numbers."""
        if self._file is None:
            return
        self._file.write(json.dumps({"kind": kind, **values}) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)) and name != "iteration":
                    self._board.add_scalar(f"{kind}/{name}", value, values["iteration"])

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()


class RunningLosses:
    """The parts of the loss by name, averaged from one report to the next.

    Attributes:
        steps: number of iterations since the last report.
        reported: the means of the last report; empty before the first.
    """

    def __init__(self) -> None:
        self.steps, self.reported = 0, dict[str, float]()
        self._sums: dict[str, float] = {}

    def add(self, losses: Mapping[str, float]) -> None:
        """Add those of an iteration."""
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + loss
        self.steps += 1

    def report(self) -> dict[str, float]:
        """The means since the last report, which end with this one."""
        self.reported = {name: loss / self.steps for name, loss in self._sums.items()}
        self._sums, self.steps = {}, 0
        return self.reported

    def numbers(self) -> dict[str, Any]:
        """JSON values for the checkpoint."""
        return {"window": {"sums": self._sums, "steps": self.steps}, "losses": self.reported}

    def restore(self, numbers: Mapping[str, Any]) -> None:
        """Restore what ``numbers`` returned; the mapping may hold more."""
        self._sums, self.steps = numbers["window"]["sums"], numbers["window"]["steps"]
        self.reported = numbers["losses"]


def _iteration(line: bytes) -> float:
    try:
        return int(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
