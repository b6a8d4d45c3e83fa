from __future__ import annotations

import errno
from pathlib import Path

import pytest

from metastyle.errors import MetastyleError
from metastyle.weights.cache import cache_if_possible


def test_what_can_be_kept_is_kept_and_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache_if_possible(tmp_path / "deep" / "er" / "x", "this", lambda path: path.write_text("kept"))
    assert (tmp_path / "deep" / "er" / "x").read_text() == "kept" and not caplog.messages


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "full"), OSError(errno.EROFS, "Read-only file system"), MetastyleError("no")],
)
def test_what_cannot_be_kept_is_said_once(
    error: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(path: Path) -> None:
        raise error

    for name in "abc":
        cache_if_possible(tmp_path / name, "this style", fail)
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith("this style will not be cached: ")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache_if_possible(tmp_path / "file" / "cache" / "x", "this", lambda path: path.write_text(""))
    assert f"{tmp_path / 'file' / 'cache'}: Not a directory" in caplog.messages[0]


def test_a_mistake_of_the_program_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        cache_if_possible(tmp_path / "x", "this", lambda path: 1 / 0)
