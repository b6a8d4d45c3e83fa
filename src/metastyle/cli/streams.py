"""stdout and stderr that never fail: work goes on, whether or not anybody can read about it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Literal, cast

_NO_FD = (OSError, ValueError, AttributeError)
"""What a stream raises that is closed, missing, or no file."""


class Outlet:
    """stdout or stderr, whatever it is at the moment: writing never raises, and losses are recorded.

    A stream may be missing (``>&-``), full, closed by its reader, or unable to encode a file's name.
    """

    def __init__(self, name: Literal["stdout", "stderr"], *, beneath_bars: bool = False) -> None:
        self._name = name
        self._beneath_bars = beneath_bars
        self.lost: Exception | None = None
        """Why something could not be delivered."""

    @property
    def stream(self) -> IO[str] | None:
        """The stream, or None where the process was started without one."""
        stream = getattr(sys, self._name)
        # While bars are shown in a terminal, rich stands before the stream and writes above them.
        return cast(
            "IO[str] | None", getattr(stream, "rich_proxied_file", stream) if self._beneath_bars else stream
        )

    @property
    def encoding(self) -> str:
        return getattr(self.stream, "encoding", None) or "utf-8"

    def encodes(self, text: str) -> bool:
        """Whether ``text`` goes through as it is."""
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
        """Write what can be encoded, the rest as escapes. For a missing stream nothing is written or lost."""
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
        """Remember why, and let what is still buffered go nowhere, or Python would complain when it ends."""
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
"""Where bars are drawn."""


@contextmanager
def guarded() -> Iterator[None]:
    """Guard the streams of one run of the command line, so that nothing that is printed fails.

    That holds for what libraries print, too: characters that a stream cannot encode are replaced. Streams
    that would refuse what does not fit at once are made to wait.
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
    """A closed stream's number must not go to a picture, into which libraries would then print."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
