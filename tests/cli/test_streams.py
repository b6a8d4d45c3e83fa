"""If stdout or stderr fails, the work is still done, and the exit code reports the failure."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metastyle.cli import streams
from metastyle.cli.output import Speaker, complain
from metastyle.cli.streams import STDERR, STDOUT, Outlet, guarded

Run = Callable[..., Any]
Draw = Callable[..., Path]
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")


@pytest.fixture
def photos(tmp_path: Path, draw: Draw) -> Path:
    """Three photographs, two of which have names that some terminals cannot show."""
    folder = tmp_path / "photos"
    draw(folder / "a.png")
    draw(folder / "é.png")
    draw(folder / "c.png").rename(os.fsdecode(os.fsencode(folder) + b"/\xe9.png"))
    return folder


def start(command: list[str], *arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    variables = os.environ | {"OMP_NUM_THREADS": "1"} | options.pop("env", {})
    return subprocess.run(
        [*command, *map(str, arguments)], check=False, timeout=120, env=variables, **options
    )


def painted(folder: Path) -> int:
    return len(list((folder / "out").glob("*-plain.png")))


@pytest.mark.parametrize(
    ("encoding", "options"),
    [("utf-8:strict", []), ("ascii:strict", ["--json"]), ("latin-1:surrogateescape", ["--json"])],
)
def test_names_that_the_terminal_cannot_encode_are_escaped(
    encoding: str, options: list[str], command: list[str], photos: Path, style_file: Path
) -> None:
    done = start(
        [*command, "stylize", str(photos), "-s", str(style_file), "-o", str(photos / "out"), *options],
        capture_output=True,
        env={"PYTHONIOENCODING": encoding},
    )
    assert done.returncode == 0, done.stderr
    assert painted(photos) == 3 and b"unexpected" not in done.stderr
    lines = done.stdout.decode(encoding.split(":")[0], "surrogateescape").splitlines()
    if options:
        (document,) = map(json.loads, lines)
        named = sorted(os.fsencode(one["photo"]) for one in document["outputs"])
        assert named == sorted(os.fsencode(path) for path in photos.glob("*.png"))
    else:
        assert len(lines) == 3


CLOSED = {
    "<&- >&- 2>&-": (0, b""),
    "--json >&-": (2, b"metastyle: stdout cannot be written: it is closed\n"),
    "--json 2>&-": (0, None),
}


@pytest.mark.parametrize("how", CLOSED)
def test_work_is_done_with_closed_streams(
    how: str, command: list[str], photos: Path, style_file: Path
) -> None:
    options, redirections = ("--json", how[7:]) if how.startswith("--json") else ("", how)
    done = start(
        ["sh", "-c", f'exec "$@" {options} {redirections}', "sh", *command],
        *("stylize", photos, "--style", style_file, "-o", photos / "out"),
        capture_output=True,
    )
    code, last = CLOSED[how]
    assert done.returncode == code, done.stderr
    assert painted(photos) == 3
    if last is not None:
        assert done.stderr.endswith(last) and b"unexpected" not in done.stderr
    if options and code == 0:
        assert len(json.loads(done.stdout)["outputs"]) == 3


@needs_full
def test_a_full_disk_behind_stdout_is_reported_after_the_work(
    command: list[str], photos: Path, style_file: Path
) -> None:
    with FULL.open("w") as full:
        done = start(
            [*command, "stylize", str(photos), "-s", str(style_file), "-o", str(photos / "out")],
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert painted(photos) == 3
    assert done.returncode == 2
    assert done.stderr.endswith(b"metastyle: stdout cannot be written: No space left on device\n")


@needs_full
def test_a_full_disk_behind_stderr_is_ignored(command: list[str], photos: Path, style_file: Path) -> None:
    with FULL.open("w") as full:
        done = start(
            [*command, "stylize", str(photos), "-s", str(style_file), "-o", str(photos / "out"), "--json"],
            stdout=subprocess.PIPE,
            stderr=full,
        )
    assert (done.returncode, painted(photos)) == (0, 3)
    assert len(json.loads(done.stdout)["outputs"]) == 3


def test_a_broken_pipe_does_not_stop_the_work(command: list[str], photos: Path, style_file: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = start(
        [*command, "stylize", str(photos), "-s", str(style_file), "-o", str(photos / "out")],
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    assert painted(photos) == 3
    assert done.returncode == 141 and b"metastyle:" not in done.stderr


@needs_full
def test_a_picture_that_stdout_cannot_take_is_an_error(
    command: list[str], photos: Path, style_file: Path
) -> None:
    with FULL.open("w") as full:
        done = start(
            [*command, "stylize", str(photos / "a.png"), "-s", str(style_file), "-o", "-"],
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 2
    assert done.stderr.endswith(b"metastyle: stdout cannot be written: No space left on device\n")


class Failing(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize("error", [OSError(27, "File too large"), ValueError("I/O operation on closed file")])
def test_the_error_of_a_failed_stream_is_kept(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(error))
    monkeypatch.setattr(sys, "stderr", Failing(error))
    with guarded():
        Speaker().line("a")
        Speaker(json=True).document({"a": "b"})
        complain("c")
        assert STDOUT.lost is error and STDERR.lost is error
    with guarded():
        assert STDOUT.lost is None


def test_messages_for_a_missing_stderr_do_not_go_to_stdout(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    result = run("stylize", "missing.jpg", "--style", "night", "--json", "--debug")
    assert result.code == 2
    assert result.document["exit_code"] == 2


def test_a_non_blocking_stream_blocks_inside_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(reading), os.fdopen(writing, "w", encoding="ascii", errors="strict") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with guarded():
            assert os.get_blocking(writing)
            stream.write("é\n")
            STDOUT.flush()
            assert os.read(reading, 100) == b"\\xe9\n"
        assert not os.get_blocking(writing) and stream.errors == "strict"


def test_json_is_valid_on_an_escaping_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", stream)
    Speaker(json=True).document({"photo": Path("é\udce9.png")})
    assert json.loads(stream.buffer.getvalue()) == {"photo": "é\udce9.png"}  # type: ignore[attr-defined]


def test_an_outlet_without_a_stream_fails_only_on_deliver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams.sys, "stdout", None)
    outlet = Outlet("stdout")
    outlet.write("progress")
    outlet.flush()
    assert outlet.lost is None and not outlet.isatty()
    outlet.deliver("a result")
    assert outlet.lost is not None
