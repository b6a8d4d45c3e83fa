from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from metastyle.app import batch
from metastyle.app.batch import arrivals
from metastyle.app.inputs import Job

Draw = Callable[..., Path]


def test_arrivals(tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there is left alone, what is still growing waits, what has come to rest is taken once."""
    old, new = draw(tmp_path / "old.png"), tmp_path / "new.png"
    happenings: list[Callable[[], object]] = [
        lambda: None,
        lambda: new.write_bytes(b"half"),
        lambda: new.write_bytes(b"half of it"),
        lambda: None,  # unchanged for one interval: taken
        lambda: None,
        lambda: os.utime(old, (1, 1)),
        lambda: None,  # changed since it was done, and at rest again: taken
    ]
    steps = iter(happenings)
    log: list[int] = []

    def sleep(_: float) -> None:
        log.append(len(log))
        next(steps)()

    monkeypatch.setattr(batch.time, "sleep", sleep)

    def look() -> list[Job]:
        return [Job(path, path.with_suffix(".out")) for path in (old, new) if path.exists()]

    found = arrivals(look, {old})
    assert [job.photo for job in next(found)] == [new] and log[-1] == 3
    assert [job.photo for job in next(found)] == [old] and log[-1] == 6
