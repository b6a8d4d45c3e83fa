"""The numbers that the page's unit tests compare with are those that Python computes today."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_cases_of_the_page_are_current() -> None:
    path = ROOT / "scripts" / "make_studio_cases.py"
    spec = importlib.util.spec_from_file_location("make_studio_cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kept, current = json.loads(module.TARGET.read_text()), module.cases()
    assert kept["color"] == current["color"]
    assert kept["grain"]["picture"] == current["grain"]["picture"]
    for ours, theirs in zip(kept["grain"]["grained"], current["grain"]["grained"], strict=True):
        assert abs(ours - theirs) < 1e-5
    for ours, theirs in zip(kept["noise"], current["noise"], strict=True):
        assert ours[:3] == theirs[:3]
        assert abs(ours[3] - theirs[3]) < 1e-5
