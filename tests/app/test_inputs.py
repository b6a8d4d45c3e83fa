from __future__ import annotations

import errno
from pathlib import Path

import pytest

from metastyle.app.inputs import WRITABLE, check_number, check_output, parse_shard
from metastyle.errors import MetastyleError
from metastyle.media.encoding import WRITABLE_SUFFIXES


def test_results_are_written_as_what_the_library_writes() -> None:
    assert set(WRITABLE) == set(WRITABLE_SUFFIXES)


def test_shards() -> None:
    assert parse_shard("2/5") == (2, 5)
    for text in ("0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", ""):
        with pytest.raises(MetastyleError, match="use I/N"):
            parse_shard(text)


def test_outputs_are_checked_without_a_trace(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "deep" / "a.png", overwrite=False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MetastyleError, match="is a folder"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(MetastyleError, match="cannot be written"):
        check_output(tmp_path / ("x" * 300), overwrite=False)


def test_a_folder_that_cannot_be_written_to_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.open", refused)
    for path in (tmp_path / "a.png", tmp_path / "new" / "a.png"):
        with pytest.raises(MetastyleError, match=r"a\.png: cannot be written: Permission denied"):
            check_output(path, overwrite=True)


def test_numbers() -> None:
    check_number("--strength", 1.0, 0, 1)
    check_number("--size", None, 16, 100)
    for value in (2.0, -0.1, float("nan"), float("inf")):
        with pytest.raises(MetastyleError, match=r"^--strength is .*: use 0 to 1$"):
            check_number("--strength", value, 0, 1)
