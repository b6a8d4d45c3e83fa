"""Atomic writing, and reading within a size limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from metastyle.errors import MetastyleError
from metastyle.files import read_bytes, reason, write_bytes


def test_reading_is_limited_and_its_errors_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"12345")
    assert read_bytes(file, 5) == b"12345"
    assert read_bytes(file, 5, first=2) == b"12"
    for path, message in (
        (file, "larger than 4 bytes"),
        (tmp_path, "not a file"),
        (tmp_path / "g", "no such file"),
    ):
        with pytest.raises(MetastyleError, match=message):
            read_bytes(path, 4)
    with pytest.raises(MetastyleError, match="nul"):
        read_bytes(tmp_path / "nul\0", 4)


def test_writing_is_atomic_and_leaves_no_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ("n" * 250)
    write_bytes(file, b"old", overwrite=False)
    with pytest.raises(MetastyleError, match="already exists"):
        write_bytes(file, b"new", overwrite=False)
    assert file.read_bytes() == b"old"
    write_bytes(file, b"new", overwrite=True)
    assert file.read_bytes() == b"new"
    with pytest.raises(MetastyleError, match="is a folder"):
        write_bytes(tmp_path, b"new", overwrite=True)
    with pytest.raises(MetastyleError, match="there is no folder"):
        write_bytes(tmp_path / "no" / "f", b"new", overwrite=True)

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "the disk is full")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(MetastyleError, match="the disk is full"):
        write_bytes(file, b"newer", overwrite=True)
    assert file.read_bytes() == b"new" and list(tmp_path.iterdir()) == [file]


def test_a_full_disk_has_a_readable_reason() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError) as caught, full.open("wb", buffering=0) as stream:
        stream.write(b"x")
    assert reason(caught.value) == "the disk is full"
