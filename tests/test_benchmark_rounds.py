"""``benchmarks/rounds.py``, which the scripts in ``benchmarks`` share."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def rounds() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "rounds.py"
    spec = importlib.util.spec_from_file_location("rounds", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_functions_are_called_in_turns(rounds: ModuleType) -> None:
    order: list[str] = []
    ways = {name: lambda name=name: (order.append(name), len(order))[1] for name in "ab"}
    assert rounds.in_turns(ways, 3) == {"a": [1, 3, 5], "b": [2, 4, 6]}
    assert order == list("ababab")
    assert rounds.in_turns(ways, 0) == {"a": [], "b": []}


def test_the_ratio_is_the_median_over_rounds(rounds: ModuleType) -> None:
    assert rounds.ratio([2.0, 20.0, 200.0], [1.0, 10.0, 400.0]) == 2


def test_wall_and_processor_time_are_measured(rounds: ModuleType) -> None:
    taken = rounds.seconds(sum, range(10_000))
    assert taken.wall > 0 and taken.processor >= 0


def test_a_fresh_process_returns_the_json_of_its_last_line(rounds: ModuleType) -> None:
    program = "import json, os; print('noise'); print(json.dumps({'asked': os.environ['ASKED']}))"
    assert rounds.fresh(["-c", program], os.environ | {"ASKED": "é"}) == {"asked": "é"}


def test_results_and_their_page_are_written_beside_the_script(rounds: ModuleType, tmp_path: Path) -> None:
    rounds.write(str(tmp_path / "some.py"), {"rows": [1]}, "# Page\n")
    assert json.loads((tmp_path / "some.json").read_text()) == {"rows": [1]}
    assert (tmp_path / "some.md").read_text() == "# Page\n"
    about = rounds.machine(threads=1)
    assert about["threads"] == 1 and about["cores"] >= 1 and about["load"] >= 0
