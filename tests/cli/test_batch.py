from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metastyle.cli import batch
from metastyle.cli.batch import Batch, RenderArguments, arrivals
from metastyle.cli.inputs import Job
from metastyle.cli.output import Display, Speaker
from metastyle.images.picture import Picture

Draw = Callable[..., Path]


def test_new_and_changed_files_arrive_once_they_have_stopped_changing(
    tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = draw(tmp_path / "old.png"), tmp_path / "new.png"
    happenings: list[Callable[[], object]] = [
        lambda: None,
        lambda: new.write_bytes(b"half"),
        lambda: new.write_bytes(b"half of it"),
        lambda: None,  # unchanged for one interval, so it is taken
        lambda: None,
        lambda: os.utime(old, (1, 1)),
        lambda: None,  # unchanged again after a change, so it is taken
    ]
    steps = iter(happenings)
    log: list[int] = []

    def sleep(_: float) -> None:
        log.append(len(log))
        next(steps)()

    monkeypatch.setattr(batch.time, "sleep", sleep)

    def list_jobs() -> list[Job]:
        return [Job(path, path.with_suffix(".out")) for path in (old, new) if path.exists()]

    found = arrivals(list_jobs, {old})
    assert [job.photo for job in next(found)] == [new] and log[-1] == 3
    assert [job.photo for job in next(found)] == [old] and log[-1] == 6


WAIT = 20.0
"""Seconds to wait for another stage before a test fails."""


class Stages(Batch):
    """A batch of four photographs, 0 to 3, whose stages are recorded and can wait for others or fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(Display(quiet=True), Speaker(quiet=True))
        self.jobs = [Job(Path(f"{i}"), Path(f"{i}.out")) for i in range(4)]
        self.begun = {(stage, i): threading.Event() for stage in ("read", "paint", "write") for i in range(4)}
        self.wait_for: dict[tuple[str, int], tuple[str, int]] = {}
        self.fail: dict[tuple[str, int], BaseException] = {}
        self.painters: set[threading.Thread] = set()
        self.groups: list[list[int]] = []
        monkeypatch.setattr(batch, "paint_together", self._paint_together)
        monkeypatch.setattr(batch, "write_one", self._write_one)

    def stage(self, name: str, index: int) -> None:
        self.begun[name, index].set()
        if (name, index) in self.wait_for:
            assert self.begun[self.wait_for[name, index]].wait(WAIT), f"{name} {index} waited in vain"
        if (name, index) in self.fail:
            raise self.fail[name, index]

    def open(self, photo: Path) -> Picture:
        self.stage("read", int(photo.name))
        return Picture(pixels=np.full((1, 1, 3), int(photo.name), np.uint8))

    def _paint_together(self, photos: Sequence[Picture], *_: Any) -> tuple[list[Picture], float]:
        self.painters.add(threading.current_thread())
        self.groups.append([int(photo.pixels[0, 0, 0]) for photo in photos])
        for index in self.groups[-1]:
            self.stage("paint", index)
        return list(photos), 0.0

    def _write_one(self, job: Job, painted: Picture, *_: Any, **__: Any) -> dict[str, Any]:
        self.stage("write", int(painted.pixels[0, 0, 0]))
        return {"photo": job.photo, "output": job.output, "width": 1, "height": 1, "seconds": 0.0}

    def run(self, together: int = 1) -> None:
        self.repaint(self.jobs, RenderArguments(None, [], 0.0, {}, ""), overwrite=False, together=together)

    @property
    def done(self) -> list[str]:
        return [record["photo"].name for record in self.written]


def test_reading_painting_and_writing_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Stages(monkeypatch)
    stages.wait_for = {("write", 0): ("paint", 1), ("paint", 1): ("read", 2), ("read", 3): ("paint", 2)}
    stages.run()
    assert stages.done == ["0", "1", "2", "3"] and not stages.failed
    assert stages.painters == {threading.main_thread()}  # torch's threads belong to the thread that calls it


def test_at_most_one_photograph_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Stages(monkeypatch)
    seen = []
    paint = stages._paint_together

    def look(photos: Sequence[Picture], *rest: Any) -> tuple[list[Picture], float]:
        index = int(photos[0].pixels[0, 0, 0])
        seen.append(any(stages.begun["read", later].is_set() for later in range(index + 2, 4)))
        return paint(photos, *rest)

    monkeypatch.setattr(batch, "paint_together", look)
    stages.run()
    assert seen == [False] * 4


def test_failures_of_all_stages_are_reported_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Stages(monkeypatch)
    stages.fail = {
        ("write", 0): OSError(28, "No space left on device"),
        ("read", 1): OSError(2, "No such file or directory"),
        ("paint", 2): ValueError("odd"),
    }
    stages.wait_for = {("write", 0): ("read", 2)}  # the first fails last
    stages.run()
    assert [path.name for path in stages.failed] == ["0", "1", "2"]
    assert stages.done == ["3"] and stages.bug


def test_pictures_painted_before_an_interruption_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Stages(monkeypatch)
    stages.wait_for = {("write", 0): ("paint", 1)}
    stages.fail = {("paint", 1): KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        stages.run()
    assert stages.done == ["0"] and not stages.failed
    assert not stages.begun["paint", 2].is_set()


def test_photographs_are_painted_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Stages(monkeypatch)
    stages.wait_for = {("write", 0): ("paint", 3), ("paint", 0): ("read", 3)}  # a whole group is read ahead
    stages.run(together=3)
    assert stages.groups == [[0, 1, 2], [3]]
    assert stages.done == ["0", "1", "2", "3"] and not stages.failed


def test_a_failure_does_not_affect_others_of_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Stages(monkeypatch)
    stages.fail = {
        ("read", 0): OSError(2, "No such file or directory"),
        ("paint", 1): ValueError("odd"),
        ("write", 2): OSError(28, "No space left on device"),
    }
    stages.run(together=4)
    assert stages.groups == [[1, 2, 3], [1], [2], [3]]
    assert list(map(str, stages.failed)) == ["0", "1", "2"] and stages.done == ["3"]


def test_the_first_photograph_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Stages(monkeypatch)
    opened: list[str] = []
    open_one = stages.open
    monkeypatch.setattr(stages, "open", lambda photo: opened.append(photo.name) or open_one(photo))
    stages.fail = {("read", 0): ValueError("odd")}
    stages.jobs = stages.readable(stages.jobs)
    stages.run()
    assert opened == ["0", "1", "2", "3"] and stages.done == ["1", "2", "3"]
