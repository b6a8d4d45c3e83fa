"""The studio command with random arguments; tests/studio tests the studio itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from metastyle.cli.commands.studio import _address, studio
from metastyle.errors import MetastyleError
from metastyle.locks import claimed

pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")

Run = Callable[..., Any]
OPTIONS = "--port --device --json --no-open --export -- - 0 -1 nan 70000 cpu a=b site"
WORDS = st.one_of(st.sampled_from(OPTIONS.split()), st.text(max_size=8))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """The sockets that would be served; no server runs, and the user's own folder is not used."""
    served: list[object] = []
    monkeypatch.setattr("metastyle.studio.settings.default_folder", lambda: tmp_path / "own")
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: served.extend(sockets))
    monkeypatch.setattr("metastyle.studio.site.export_site", lambda folder: 1)
    return served


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(WORDS, max_size=4))
@example(words=[])
@example(words=["--port", "70000"])
def test_random_arguments_are_served_or_refused_in_one_line(
    words: list[str], run: Run, served: list[object]
) -> None:
    served.clear()
    result = run("studio", "--no-open", "--port=0", "--quiet", *words)
    if "-h" in words or "--help" in words:
        return
    assert result.code == 0 or (result.code == 2 and not served), result.err
    if result.code:
        assert result.err.startswith("metastyle: ") and result.err.count("\n") == 1
        assert "unexpected" not in result.err


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with claimed(tmp_path / "own", "a test"), pytest.raises(MetastyleError, match="in use"):
        studio(port=0, no_open=True, folder=tmp_path / "own")
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("host", "address"),
    [("::1", "http://[::1]:5/"), ("0.0.0.0", "http://127.0.0.1:5/"), ("me.local", "http://me.local:5/")],
)
def test_the_printed_address_can_be_opened(host: str, address: str) -> None:
    assert _address(host, 5, None) == address
    assert _address(host, 5, "x") == f"{address}?token=x"
