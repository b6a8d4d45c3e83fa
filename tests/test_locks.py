"""A folder is claimed by one run at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from metastyle.errors import MetastyleError
from metastyle.locks import CLAIM, claimed

HOLD = """
import sys
from pathlib import Path
from metastyle.locks import claimed
with claimed(Path(sys.argv[1]), "at work"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_claim_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    with claimed(folder, "making this film"):
        with pytest.raises(MetastyleError) as caught, claimed(folder, "making this film"):
            pass
        assert str(caught.value) == f"another run is making this film: {folder} is in use"
        (folder / "something").write_text("")
    with claimed(folder, "making this film"):
        assert (folder / "something").exists()


def test_an_empty_folder_is_removed(tmp_path: Path) -> None:
    with claimed(tmp_path / "work", "at work"):
        assert (tmp_path / "work").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_releases_its_claim(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        with pytest.raises(MetastyleError, match="another run is at work"), claimed(folder, "at work"):
            pass
        process.kill()
        process.wait()
    assert (folder / CLAIM).exists()  # the file by itself claims nothing
    with claimed(folder, "at work"):
        pass


def test_a_removed_folder_can_be_claimed_again(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    with claimed(folder, "at work"):
        (folder / CLAIM).unlink()
        folder.rmdir()
        with claimed(folder, "at work"):
            assert (folder / CLAIM).exists()


def test_a_folder_that_cannot_be_created_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = pytest.raises(MetastyleError, match="cannot be written: Not a directory")
    with refused, claimed(tmp_path / "file" / "work", "at work"):
        pass
