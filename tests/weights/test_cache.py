from __future__ import annotations

import errno
from pathlib import Path

import pytest

from metastyle.errors import MetastyleError
from metastyle.weights.cache import cache_if_possible


def test_a_file_is_cached_without_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache_if_possible(tmp_path / "deep" / "er" / "x", "this", lambda path: path.write_text("kept"))
    assert (tmp_path / "deep" / "er" / "x").read_text() == "kept" and not caplog.messages


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "full"), OSError(errno.EROFS, "Read-only file system"), MetastyleError("no")],
)
def test_a_failing_cache_is_reported_once(
    error: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(path: Path) -> None:
        raise error

    for name in "abc":
        cache_if_possible(tmp_path / name, "this style", fail)
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith("this style will not be cached: ")


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache_if_possible(tmp_path / "file" / "cache" / "x", "this", lambda path: path.write_text(""))
    assert f"{tmp_path / 'file' / 'cache'}: Not a directory" in caplog.messages[0]


def test_other_exceptions_are_not_caught(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        cache_if_possible(tmp_path / "x", "this", lambda path: 1 / 0)
