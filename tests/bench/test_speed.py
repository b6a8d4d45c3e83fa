from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from metastyle.bench import speed
from metastyle.bench.participants import maker
from metastyle.bench.runners import Local
from metastyle.bench.speed import Speed, duration, measure, published_ratio, reference_of, table
from metastyle.errors import MetastyleError

CPU = torch.device("cpu")


class Sleeper:
    """A system whose speed and memory are known."""

    parameters = 1_500_000
    styles = "any"

    def __init__(
        self, device: torch.device, seconds: float = 0.02, megabytes: int = 0, name: str = "sleeper"
    ):
        self.name, self.seconds, self.megabytes = name, seconds, megabytes

    def prepare(self, style: Tensor) -> Any:
        time.sleep(0.05)

        def stylize(photo: Tensor) -> Tensor:
            ballast = torch.ones(self.megabytes * 250_000)
            time.sleep(self.seconds * photo.shape[2] / 64)
            return photo + 0 * ballast.sum()

        return stylize


def broken(device: torch.device) -> Sleeper:
    raise MetastyleError("its weights are missing: fetch them")


class Hungry(Sleeper):
    def prepare(self, style: Tensor) -> Any:
        def stylize(photo: Tensor) -> Tensor:
            if photo.shape[2] > 64:
                raise RuntimeError("not enough\nmemory")
            return photo

        return stylize


def run(methods: dict[str, Any], **options: Any) -> list[Speed]:
    style, photo = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 90, 128)
    runners = {name: partial(Local, make, CPU) for name, make in methods.items()}
    said = list(measure(runners, style, photo, sizes=(64, 128), **options))
    assert all(isinstance(one, str | Speed) for one in said)
    return [one for one in said if isinstance(one, Speed)]


def test_what_is_slower_is_slower_and_what_is_larger_is_larger() -> None:
    rows = run(
        {
            "a": lambda d: Sleeper(d, 0.02, name="Johnson et al."),
            "b": lambda d: Sleeper(d, 0.06, 120),
        },
        rounds=2,
    )
    cells = {(row.method, row.size): row for row in rows}
    assert len(cells) == 4 and not any(row.error for row in rows)
    for size, slow in ((64, 0.06), (128, 0.12)):
        a, b = cells["a", size], cells["b", size]
        assert a.seconds and b.seconds and b.seconds > a.seconds and b.seconds >= slow
        assert a.fastest and a.slowest and a.fastest <= a.seconds <= a.slowest and a.rounds == 2
        assert b.memory is not None and b.memory > 60e6
        assert a.prepare and a.prepare >= 0.05
    written = table(rows)
    assert written.splitlines()[2].startswith("| Johnson et al. | 1.50M | any | 0.")
    assert "| 1.00 |" in written.splitlines()[2] and len(written.splitlines()) == 4


def test_who_fails_fails_alone() -> None:
    rows = run({"broken": broken, "hungry": Hungry, "well": lambda d: Sleeper(d, 0.001)}, rounds=1)
    cells = {(row.method, row.size): row for row in rows}
    assert cells["broken", 64].error == cells["broken", 128].error == "its weights are missing: fetch them"
    assert cells["hungry", 128].error == "not enough memory" and not cells["hungry", 64].error
    assert not cells["well", 128].error
    assert "not enough memory" in table(rows)


def test_the_posts_times_stand_beside_ours_as_ratios() -> None:
    assert published_ratio("MetaStyle, 60 steps", 256) == "1.07"
    assert published_ratio("Gatys et al.", 512) == "1853"
    assert published_ratio("Mine", 256) == published_ratio("AdaIN-mine", 256) == ""
    rows = [Speed("a", "Johnson et al.", 512, 0.5, 0.4, 0.6, 3), Speed("b", "AdaIN", 512, 1.0, 1.0, 1.0, 3)]
    head, _, one, other = table(rows).splitlines()
    assert head.count("paper's ratio") == 1
    assert "| 1.00 | 1.00 |" in one and "| 2.00 | 2.19 |" in other


def test_without_johnson_ratios_are_to_metastyle() -> None:
    rows = [
        Speed("a", "AdaIN", 512, 1.0, 1.0, 1.0, 3),
        Speed("m", "MetaStyle, 60 steps", 512, 0.5, 0.4, 0.6, 3),
    ]
    head, _, one, other = table(rows).splitlines()
    assert "| ratio to MetaStyle 512² | paper's ratio |" in head
    assert "| 2.00 | 2.21 |" in one and "| 1.00 | 1.00 |" in other
    untimed = Speed("j", "Johnson et al.", 512, error="not trained")
    assert reference_of([*rows, untimed]) == "MetaStyle, 60 steps"
    assert reference_of(rows[:1]) == "Johnson et al." and "| ratio 512² |" in table(rows[:1])


def test_what_a_style_cost_earlier_counts() -> None:
    class Loaded(Sleeper):
        earlier = 480.0

    row = run({"loaded": lambda d: Loaded(d, 0.001)}, rounds=1)[0]
    assert row.prepare is not None and 480 < row.prepare < 481
    assert "| 8 min |" in table([row])
    assert (duration(0.31), duration(45.2)) == ("0.3 s", "45 s")


def test_a_system_that_returns_another_shape_fails_alone() -> None:
    class Larger(Sleeper):
        def prepare(self, style: Tensor) -> Any:
            return lambda photo: torch.zeros(1, 3, 200, 200)

    rows = run({"larger": Larger, "well": lambda d: Sleeper(d, 0.001)}, rounds=1)
    assert "made a picture of shape" in rows[0].error and not rows[2].error


def test_who_takes_long_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "PATIENCE", 0.01)
    rows = run({"slow": lambda d: Sleeper(d, 0.03)}, rounds=5)
    assert [row.rounds for row in rows] == [1, 1]


def test_naming_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_for_a_test.py").write_text(
        "class Mine:\n"
        "    name, parameters, styles = 'Mine', 0, 'any'\n"
        "    def __init__(self, device, gain=1.0):\n"
        "        self.gain = gain\n"
        "    def prepare(self, style):\n"
        "        return lambda photo: photo * self.gain\n"
    )
    monkeypatch.chdir(tmp_path)
    system = maker("mine_for_a_test:Mine gain=0.5")(CPU)
    assert system.prepare(torch.rand(1, 3, 8, 8))(torch.ones(1, 3, 8, 8)).max() == 0.5
    assert maker("metastyle steps=7")(CPU).name == "MetaStyle, 7 steps"
    for text, expected in (
        ("nonsense", "use one of gatys"),
        ("mine_for_a_test:Yours", "Yours"),
        ("no_such_module:X", "no_such_module"),
        ("metastyle steps", "key=value"),
    ):
        with pytest.raises(MetastyleError, match=expected):
            maker(text)
    with pytest.raises(MetastyleError, match="gian"):
        maker("mine_for_a_test:Mine gian=2")(CPU)
