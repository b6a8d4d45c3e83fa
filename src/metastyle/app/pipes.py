"""What comes through pipes: it can be read once, and is wanted more than once."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from metastyle.app.inputs import PIPE
from metastyle.errors import MetastyleError


class Piped(io.BytesIO):
    """What came through a pipe, under a name that errors can use."""

    name = "stdin"


_read: dict[Path, tuple[object, Piped]] = {}


def source(path: Path) -> Path | Piped:
    """A file's path, or for ``-`` what came through stdin."""
    return read_pipe() if path == PIPE else path


def read_pipe() -> Piped:
    """Everything on stdin, read when it is first asked for."""
    if PIPE not in _read or _read[PIPE][0] is not sys.stdin:
        if sys.stdin is None:
            raise MetastyleError("- reads a picture from stdin, which is closed: give a file name")
        if sys.stdin.isatty():
            raise MetastyleError("- reads a picture from a pipe, and stdin is a terminal: give a file name")
        _read[PIPE] = (sys.stdin, Piped(sys.stdin.buffer.read()))
    return _read[PIPE][1]
