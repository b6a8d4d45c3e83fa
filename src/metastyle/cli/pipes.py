"""What comes through pipes: it can be read once, and is wanted more than once."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from metastyle.cli.inputs import PIPE, is_pipe
from metastyle.errors import MetastyleError


class Piped(io.BytesIO):
    """What came through a pipe, under a name that errors can use."""

    name = "stdin"


_read: dict[Path, tuple[object, Piped]] = {}


def source(path: Path) -> Path | Piped:
    """A file's path, or what came through a pipe."""
    return read_pipe(path) if is_pipe(path) else path


def read_pipe(path: Path = PIPE) -> Piped:
    """Everything that comes through, read when it is first asked for."""
    this: object = sys.stdin if path == PIPE else path.stat().st_ino
    if path not in _read or _read[path][0] != this:
        _read[path] = (this, _everything(path))
    return _read[path][1]


def _everything(path: Path) -> Piped:
    if path != PIPE:
        content = Piped(path.read_bytes())
        content.name = str(path)
        return content
    if sys.stdin is None:
        raise MetastyleError("- reads a picture from stdin, which is closed: give a file name")
    if sys.stdin.isatty():
        raise MetastyleError("- reads a picture from a pipe, and stdin is a terminal: give a file name")
    return Piped(sys.stdin.buffer.read())
