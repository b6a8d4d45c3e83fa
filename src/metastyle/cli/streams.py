"""stdout and stderr that never fail, so that work continues even if its output cannot be written."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Literal, cast

_NO_FD = (OSError, ValueError, AttributeError)
"""Errors of a stream that is closed, missing, or not a file."""


class Outlet:
    """The current stdout or stderr: writing never raises, and lost output is recorded.

    A stream may be missing (``>&-``), full, closed by its reader, or unable to encode a file's name.
    """

    def __init__(self, name: Literal["stdout", "stderr"], *, beneath_bars: bool = False) -> None:
        self._name = name
        self._beneath_bars = beneath_bars
        self.lost: Exception | None = None
        """The error by which output was lost, if any."""

    @property
    def stream(self) -> IO[str] | None:
        """The stream, or None if the process has none."""
        stream = getattr(sys, self._name)
        # While bars are shown in a terminal, rich stands before the stream and writes above them.
        return cast(
            "IO[str] | None", getattr(stream, "rich_proxied_file", stream) if self._beneath_bars else stream
        )

    @property
    def encoding(self) -> str:
        return getattr(self.stream, "encoding", None) or "utf-8"

    def encodes(self, text: str) -> bool:
        """Whether the stream can encode ``text``."""
        try:
            text.encode(self.encoding)
        except UnicodeError:
            return False
        return True

    def isatty(self) -> bool:
        try:
            return self.stream is not None and self.stream.isatty()
        except _NO_FD:
            return False

    def write(self, text: str) -> int:
        """Write text, escaping what cannot be encoded. Without a stream, nothing is written or lost."""
        stream = self.stream
        if stream is not None and self.lost is None:
            try:
                try:
                    stream.write(text)
                except UnicodeError:
                    stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
            except (OSError, ValueError) as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        stream = self.stream
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def deliver(self, content: str | bytes) -> None:
        """Write and flush a result; without a stream, it is lost."""
        if self.stream is None:
            self._lose(OSError(errno.EBADF, "it is closed"))
        elif isinstance(content, str):
            self.write(content)
        elif self.lost is None:
            try:
                self.stream.buffer.write(content)  # type: ignore[attr-defined]
            except (OSError, ValueError) as error:
                self._lose(error)
        self.flush()

    def _lose(self, error: Exception) -> None:
        """Record the error and discard what is still buffered, or Python would complain at exit."""
        self.lost = self.lost or error
        stream = self.stream
        with suppress(*_NO_FD):
            fd = stream.fileno()  # type: ignore[union-attr]
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, fd)
            os.close(nowhere)
            stream.flush()  # type: ignore[union-attr]


STDOUT = Outlet("stdout")
STDERR = Outlet("stderr")
BARS = Outlet("stderr", beneath_bars=True)
"""The stream for progress bars."""


@contextmanager
def guarded() -> Iterator[None]:
    """Guard the streams during one run of the command line, so that printing never fails.

    This includes the output of libraries: characters that a stream cannot encode are replaced, and
    non-blocking streams are made blocking.
    """
    _fill_gaps()
    for outlet in (STDOUT, STDERR, BARS):
        outlet.lost = None
    with ExitStack() as undo:
        for stream in (sys.stdout, sys.stderr):
            if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
                undo.callback(stream.reconfigure, errors="strict")
            with suppress(*_NO_FD):
                fd = stream.fileno()
                if not os.get_blocking(fd):
                    os.set_blocking(fd, True)
                    undo.callback(os.set_blocking, fd, False)
        yield


def _fill_gaps() -> None:
    """Reserve the descriptor of a closed stream: a picture could get it, and be printed into."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
