"""The one exception that a user is meant to read."""

from __future__ import annotations


class MetastyleError(Exception):
    """Something that a user can mend: one line that says what is wrong and what would be right.

    The command line prints it and exits with code 2; anything else that escapes is a bug.
    """

    def __str__(self) -> str:
        """The line; what is not printable in it, such as a line break in a file's name, is written out."""
        return printable(super().__str__())


class ExistsError(MetastyleError):
    """Something is where a result would go: ``what`` says what. The command line adds its own advice."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: pass overwrite=True, or choose another name")
        self.what = what

    def __reduce__(self) -> tuple[type[ExistsError], tuple[str]]:
        return ExistsError, (self.what,)


def printable(text: str) -> str:
    """``text`` on one line, each character printable."""
    if text.isprintable():
        return text
    words = text.encode("utf-8", "backslashreplace").decode().split()
    return " ".join("".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in word) for word in words)
