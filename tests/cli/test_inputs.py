from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from metastyle.cli.inputs import (
    WRITABLE,
    check_is_file,
    check_is_picture,
    check_output,
    expand_home,
    is_nameless,
    is_pipe,
    parse_shard,
)
from metastyle.errors import MetastyleError
from metastyle.images.encode import WRITABLE_SUFFIXES


def test_writable_extensions_are_those_of_the_library() -> None:
    assert set(WRITABLE) == set(WRITABLE_SUFFIXES)


def test_shards_are_parsed() -> None:
    assert parse_shard("2/5") == (2, 5)
    for text in ("0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", ""):
        with pytest.raises(MetastyleError, match="use I/N"):
            parse_shard(text)


def test_checking_an_output_creates_nothing(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "deep" / "a.png", overwrite=False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MetastyleError, match="is a folder"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(MetastyleError, match="cannot be written"):
        check_output(tmp_path / ("x" * 300), overwrite=False)


def test_an_unwritable_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.open", refused)
    for path in (tmp_path / "a.png", tmp_path / "new" / "a.png"):
        with pytest.raises(MetastyleError, match=r"a\.png: cannot be written: Permission denied"):
            check_output(path, overwrite=True)


def test_a_tilde_that_the_shell_has_left_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.chdir(tmp_path)
    assert expand_home("~/new/") == "/home/somebody/new/"
    assert expand_home("~nobody-of-this-name/a.jpg") == "~nobody-of-this-name/a.jpg"
    assert expand_home("a~/b") == "a~/b" and expand_home("~" + "x" * 5000).startswith("~x")
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "a.jpg").touch()
    assert expand_home("~/a.jpg") == "~/a.jpg"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("https://example.org/a.jpg", "https://example.org/a.jpg is a URL: download it, and give the file"),
        ("file:///home/me/a.jpg", "file://home/me/a.jpg is a URL: give the path /home/me/a.jpg"),
        ("in/frame%03d.png", "'metastyle stylize \"in/frame*.png\"' repaints each"),
        ("frame%d.png", "stands for numbered pictures"),
        ("100%done.png", "100%done.png: cannot be read: No such file"),
    ],
)
def test_urls_and_frame_patterns_are_refused_with_advice(text: str, line: str) -> None:
    with pytest.raises(MetastyleError) as caught:
        check_is_file(Path(text))
    assert line in str(caught.value)


def test_films_and_urls_are_refused_as_pictures(tmp_path: Path) -> None:
    clip = tmp_path / "clip.MP4"
    clip.touch()
    with pytest.raises(MetastyleError, match=r"clip.MP4 is a film: 'metastyle video "):
        check_is_picture(clip)
    with pytest.raises(MetastyleError, match="results are written to files"):
        check_output(Path("https://example.org/a.png"), overwrite=False)


def test_checking_a_pipe_does_not_open_it(tmp_path: Path) -> None:
    fifo = tmp_path / "a.png"
    os.mkfifo(fifo)
    check_is_file(fifo)  # opening it would block
    assert is_pipe(fifo) and not is_pipe(tmp_path) and not is_pipe(Path("\0"))
    assert [is_nameless(Path(p)) for p in ("/dev/stdin", "/dev/fd/63", "/dev/shm/a.png", str(fifo))] == [
        True,
        True,
        False,
        False,
    ]
