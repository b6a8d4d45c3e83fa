"""The studio's command with odd arguments; the studio itself has tests of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")

Run = Callable[..., Any]
OPTIONS = "--port --device --json --no-open --export -- - 0 -1 nan 70000 cpu a=b site"
WORDS = st.one_of(st.sampled_from(OPTIONS.split()), st.text(max_size=8))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """What would have been served; nothing waits for requests, and the user's own folder is left alone."""
    served: list[object] = []
    monkeypatch.setattr("metastyle.studio.settings.default_folder", lambda: tmp_path / "own")
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: served.extend(sockets))
    monkeypatch.setattr("metastyle.studio.export.export_site", lambda folder: 1)
    return served


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(WORDS, max_size=4))
@example(words=[])
@example(words=["--port", "70000"])
def test_odd_arguments_serve_or_say_one_line(words: list[str], run: Run, served: list[object]) -> None:
    served.clear()
    result = run("studio", "--no-open", "--port=0", "--quiet", *words)
    if "-h" in words or "--help" in words:
        return
    assert result.code == 0 or (result.code == 2 and not served), result.err
    if result.code:
        assert result.err.startswith("metastyle: ") and result.err.count("\n") == 1
        assert "unexpected" not in result.err
