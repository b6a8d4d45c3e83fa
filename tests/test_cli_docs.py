from __future__ import annotations

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "make_cli_docs.py"


def test_the_page_matches_the_help() -> None:
    made = runpy.run_path(str(SCRIPT))
    written = made["PAGE"].read_text(encoding="utf-8")
    assert written == made["page"](), "docs/cli.md is stale: python scripts/make_cli_docs.py"
    assert "metastyle stylize photo.jpg --style painting.jpg" in written
