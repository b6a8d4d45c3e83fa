"""The expected numbers in the page's unit tests are what Python computes."""

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
    for stored, computed in zip(kept["grain"]["grained"], current["grain"]["grained"], strict=True):
        assert abs(stored - computed) < 1e-5
    for noise in ("noise", "other_noise"):
        for stored, computed in zip(kept[noise], current[noise], strict=True):
            assert stored[:3] == computed[:3]
            assert abs(stored[3] - computed[3]) < 1e-5
    assert kept["rates"] == current["rates"]
    assert kept["halves"] == current["halves"]
    assert kept["constants"] == current["constants"]
    assert kept["file"] == current["file"]
