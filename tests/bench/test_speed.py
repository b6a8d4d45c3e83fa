from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from metastyle.bench import runners, speed
from metastyle.bench.runners import Local
from metastyle.bench.speed import Speed, duration, measure, reference_of, table
from metastyle.errors import MetastyleError

CPU = torch.device("cpu")


class Clock:
    """Seconds that pass only when a system says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK, LOOKED = Clock(), threading.Event()


@pytest.fixture(autouse=True)
def known_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runners read ``CLOCK``, and set ``LOOKED`` whenever they have looked at the memory."""
    taken = runners._taken

    def looking(device: torch.device) -> int:
        size = taken(device)
        LOOKED.set()
        return size

    monkeypatch.setattr(runners.time, "perf_counter", CLOCK)
    monkeypatch.setattr(runners, "_taken", looking)


class Known:
    """A system whose speed and memory are known."""

    parameters = 1_500_000
    styles = "any"

    def __init__(self, device: torch.device, seconds: float = 0.02, megabytes: int = 0, name: str = "known"):
        self.name, self.seconds, self.megabytes = name, seconds, megabytes
        self.seen: set[int] = set()

    def prepare(self, style: Tensor) -> Any:
        CLOCK.now += 0.05

        def stylize(photo: Tensor) -> Tensor:
            ballast = torch.ones(self.megabytes * 250_000)
            if photo.shape[2] not in self.seen:  # the memory is watched during the first picture of a size
                self.seen.add(photo.shape[2])
                for _ in range(2):  # the first look may have begun before the ballast was there
                    LOOKED.clear()
                    assert LOOKED.wait(60)
            CLOCK.now += self.seconds * photo.shape[2] / 64
            return photo + 0 * ballast.sum()

        return stylize


def broken(device: torch.device) -> Known:
    raise MetastyleError("its weights are missing: fetch them")


class Hungry(Known):
    def prepare(self, style: Tensor) -> Any:
        def stylize(photo: Tensor) -> Tensor:
            if photo.shape[2] > 64:
                raise RuntimeError("not enough\nmemory")
            return photo

        return stylize


def run(methods: dict[str, Any], **options: Any) -> list[Speed]:
    style, photo = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 90, 128)
    makers = {name: partial(Local, make, CPU) for name, make in methods.items()}
    said = list(measure(makers, style, photo, sizes=(64, 128), **options))
    assert all(isinstance(one, str | Speed) for one in said)
    return [one for one in said if isinstance(one, Speed)]


def test_seconds_memory_and_preparation_are_measured() -> None:
    rows = run(
        {
            "a": lambda d: Known(d, 0.02, name="Johnson et al."),
            "b": lambda d: Known(d, 0.06, 120),
        },
        rounds=2,
    )
    cells = {(row.method, row.size): row for row in rows}
    assert len(cells) == 4 and not any(row.error for row in rows)
    for size, factor in ((64, 1), (128, 2)):
        a, b = cells["a", size], cells["b", size]
        assert (a.seconds, a.fastest, a.slowest) == pytest.approx((0.02 * factor,) * 3) and a.rounds == 2
        assert b.seconds == pytest.approx(0.06 * factor)
        assert b.memory is not None and b.memory > 60e6
        assert a.prepare == pytest.approx(0.05)
    written = table(rows)
    assert written.splitlines()[2].startswith("| Johnson et al. | 1.50M | any | 0.")
    assert "| 1.00 |" in written.splitlines()[2] and len(written.splitlines()) == 4


def test_the_floor_is_multiply_adds_at_the_fastest_rate_seen() -> None:
    class Product(Known):
        def prepare(self, style: Tensor) -> Any:
            paint = super().prepare(style)
            return lambda photo: paint(photo) + 0 * (torch.ones(20, 50) @ torch.ones(50, 3)).sum()

    rates = iter([1e6, 3e6, 2e6])
    rows = run({"a": lambda d: Product(d, 0.02)}, rounds=2, rate=lambda: next(rates))
    assert [row.operations for row in rows] == [3000, 3000]
    assert [row.floor for row in rows] == pytest.approx([0.001, 0.001])
    head, _, line = table(rows).splitlines()
    assert head.endswith("| × floor 128² |") and line.endswith("| 40 |") and "| 20 |" in line
    assert "floor" not in table(run({"a": Known}, rounds=1))


REUSING = """
import torch
from metastyle.bench.runners import Local

class Mine:
    name, parameters, styles = "mine", 7, "any"
    def prepare(self, style):
        return lambda photo: photo + 0 * torch.ones(30_000_000).sum()

freed = torch.ones(30_000_000)
kept = torch.ones(10)
del freed
runner = Local(lambda device: Mine(), torch.device("cpu"))
picture = torch.zeros(1, 3, 8, 8)
runner.prepare(picture)
print(runner.repaint(picture, watch=True)[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator is the GNU C library's")
def test_memory_that_was_freed_before_counts_when_it_is_taken_again() -> None:
    keeping = {"MALLOC_MMAP_THRESHOLD_": "2000000000", "MALLOC_TRIM_THRESHOLD_": "4000000000"}
    done = subprocess.run(
        [sys.executable, "-c", REUSING], check=True, capture_output=True, text=True, env=os.environ | keeping
    )
    assert int(done.stdout) > 60e6


def test_a_failing_system_does_not_stop_the_others() -> None:
    rows = run({"broken": broken, "hungry": Hungry, "well": lambda d: Known(d, 0.001)}, rounds=1)
    cells = {(row.method, row.size): row for row in rows}
    assert cells["broken", 64].error == cells["broken", 128].error == "its weights are missing: fetch them"
    assert cells["hungry", 128].error == "not enough memory" and not cells["hungry", 64].error
    assert not cells["well", 128].error
    assert "not enough memory" in table(rows)


def test_without_johnson_ratios_are_relative_to_metastyle() -> None:
    rows = [
        Speed("a", "AdaIN", 512, 1.0, 1.0, 1.0, 3),
        Speed("m", "MetaStyle, 60 steps", 512, 0.5, 0.4, 0.6, 3),
    ]
    head, _, one, other = table(rows).splitlines()
    assert "| ratio to MetaStyle 512² | memory 512² |" in head
    assert "| 2.00 |  |" in one and "| 1.00 |  |" in other
    untimed = Speed("j", "Johnson et al.", 512, error="not trained")
    assert reference_of([*rows, untimed]) == "MetaStyle, 60 steps"
    assert reference_of(rows[:1]) == "Johnson et al." and "| ratio 512² |" in table(rows[:1])


def test_preparation_includes_earlier_training() -> None:
    class Loaded(Known):
        earlier = 480.0

    row = run({"loaded": lambda d: Loaded(d, 0.001)}, rounds=1)[0]
    assert row.prepare == pytest.approx(480.05)
    assert "| 8 min |" in table([row])
    assert (duration(0.31), duration(45.2)) == ("0.3 s", "45 s")


def test_a_system_that_returns_another_shape_is_an_error_of_its_own() -> None:
    class Larger(Known):
        def prepare(self, style: Tensor) -> Any:
            return lambda photo: torch.zeros(1, 3, 200, 200)

    rows = run({"larger": Larger, "well": lambda d: Known(d, 0.001)}, rounds=1)
    assert "made a picture of shape" in rows[0].error and not rows[2].error


def test_a_slow_system_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "PATIENCE", 0.01)
    rows = run({"slow": lambda d: Known(d, 0.03)}, rounds=5)
    assert [row.rounds for row in rows] == [1, 1]
