"""The exceptions that are meant for users."""

from __future__ import annotations


class MetastyleError(Exception):
    """An error that a user can fix: one line that says what is wrong and what to do.

    The command line prints it and exits with code 2; anything else that escapes is a bug.
    """

    def __str__(self) -> str:
        """The line, with unprintable characters escaped, such as a line break in a file name."""
        return printable(super().__str__())


class ExistsError(MetastyleError):
    """Something exists where a result would go: ``what`` says what. The command line adds its own advice."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: pass overwrite=True, or choose another name")
        self.what = what

    def __reduce__(self) -> tuple[type[ExistsError], tuple[str]]:
        return ExistsError, (self.what,)


def printable(text: str) -> str:
    """``text`` on one line of printable characters."""
    if text.isprintable():
        return text
    words = text.encode("utf-8", "backslashreplace").decode().split()
    return " ".join("".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in word) for word in words)
