import shutil
from pathlib import Path

import pytest

from metastyle.errors import MetastyleError
from metastyle.training.sources import find_pictures


def test_folders_are_searched_recursively_and_in_order(contents: Path) -> None:
    names = [entry.name for entry in find_pictures(contents)]
    assert len(names) == 12
    assert names == sorted(names)
    assert "more/1.png" in names


def test_hidden_and_other_files_are_ignored(contents: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(contents, folder)
    (folder / "notes.txt").write_text("not a picture")
    shutil.copy(folder / "0.png", folder / ".hidden.png")
    assert len(find_pictures(folder)) == 12


def test_shards_hold_the_same_bytes_as_files(contents: Path, shards: Path) -> None:
    files = {Path(entry.name).name: entry.read() for entry in find_pictures(contents)}
    members = {Path(entry.name).name: entry.read() for entry in find_pictures(shards)}
    assert members == files
    assert {entry.name.split("/")[0] for entry in find_pictures(shards)} == {"0000.tar", "0001.tar"}
    assert len(find_pictures(shards / "0000.tar")) == 6


def test_ranks_depend_only_on_names(contents: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "moved"
    shutil.copytree(contents, elsewhere)
    assert [e.rank for e in find_pictures(contents)] == [e.rank for e in find_pictures(elsewhere)]


def test_missing_and_unreadable_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(MetastyleError, match="nowhere: no such folder"):
        find_pictures(tmp_path / "nowhere")
    with pytest.raises(MetastyleError, match="holds no pictures"):
        find_pictures(tmp_path)
    (tmp_path / "bad.tar").write_bytes(b"not a tar file" * 100)
    with pytest.raises(MetastyleError, match=r"bad\.tar: not a readable tar shard"):
        find_pictures(tmp_path)
