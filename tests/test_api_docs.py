from __future__ import annotations

import runpy
from pathlib import Path

import metastyle

SCRIPT = Path(__file__).parents[1] / "scripts" / "make_api_docs.py"


def test_the_page_matches_the_docstrings() -> None:
    made = runpy.run_path(str(SCRIPT))
    written = made["PAGE"].read_text(encoding="utf-8")
    assert written == made["page"](), "docs/api.md is stale: python scripts/make_api_docs.py"
    assert all(f"## `metastyle.{name}`" in written for name in metastyle.__all__)
