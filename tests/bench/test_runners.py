"""Systems in separate processes; test_speed.py tests what both kinds of runners have in common."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from metastyle.bench.runners import Separate
from metastyle.bench.speed import Speed, measure
from metastyle.errors import MetastyleError

CPU = torch.device("cpu")
MODULE = """
import os
import torch

class Mine:
    parameters, styles = 7, "any"
    def __init__(self, device, megabytes=0):
        self.name, self.weights = f"mine in {os.getpid()}", torch.ones(megabytes * 250_000)
    def prepare(self, style):
        mean = style.mean()
        return lambda photo: 0 * photo + mean + self.weights[:1].sum()

class Dead(Mine):
    def prepare(self, style):
        def stylize(photo):
            if photo.shape[2] > 32:
                os._exit(3)
            return photo
        return stylize

class Refusing(Mine):
    def prepare(self, style):
        raise ValueError("not\\nthis painting")
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "mine_in_a_process.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    assert not multiprocessing.active_children()  # all processes have ended


def test_each_system_has_its_own_process_and_memory() -> None:
    texts = {
        "light": "mine_in_a_process:Mine",
        "heavy": "mine_in_a_process:Mine megabytes=200",
        "dead": "mine_in_a_process:Dead",
        "refusing": "mine_in_a_process:Refusing",
    }
    runners = {name: partial(Separate, text, None, CPU) for name, text in texts.items()}
    pictures = torch.full((1, 3, 32, 32), 0.25), torch.rand(1, 3, 64, 64)
    found = list(measure(runners, *pictures, sizes=(64, 32), rounds=1, alone=True))
    rows = {(r.method, r.size): r for r in found if isinstance(r, Speed)}
    assert len({rows[name, 64].name for name in ("light", "heavy")}) == 2 and rows["light", 64].alone
    memory = {name: rows[name, 64].memory or 0 for name in ("light", "heavy")}
    assert memory["light"] < 100e6 and 190e6 < memory["heavy"] - memory["light"] < 260e6
    assert rows["dead", 64].error == "its process ended with code 3"
    assert rows["refusing", 32].error == rows["refusing", 64].error == "not this painting"
    assert rows["light", 64].parameters == 7 and not rows["light", 64].error


def test_a_system_that_cannot_be_loaded_is_reported() -> None:
    runner = Separate("adain strenght=2", None, CPU)
    with pytest.raises(MetastyleError, match="--method adain strenght=2"):
        runner.prepare(torch.rand(1, 3, 32, 32))
    runner.close()
