from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="the extra 'scale' is not installed: pip install 'metastyle[scale]'")

Run = Callable[..., Any]
Draw = Callable[..., Path]


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_two_workers_write_the_same_bytes_as_one_process(
    run: Run, style_file: Path, tmp_path: Path, draw: Draw
) -> None:
    photos = [draw(tmp_path / "in" / f"{i}.png", i) for i in range(3)]
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    first = run("stylize", tmp_path / "in", "--style", style_file, "-o", alone)
    second = run("stylize", tmp_path / "in", "--style", style_file, "-o", shared, "--workers", 2, "--json")
    assert first.code == second.code == 1
    assert len(second.document["outputs"]) == 3 and len(second.document["errors"]) == 1
    for photo in photos:
        name = f"{photo.stem}-plain.png"
        assert (alone / name).read_bytes() == (shared / name).read_bytes()
    assert not ray.is_initialized()
