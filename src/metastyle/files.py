"""Files are written completely or not at all, and read within a size limit."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from metastyle.errors import ExistsError, MetastyleError, printable

_LARGEST_JSON = 256 << 20


def as_path(name: str, value: object) -> Path:
    """The argument ``name`` as a path.

    Raises:
        MetastyleError: it is not a path.
    """
    if not isinstance(value, str | os.PathLike):
        raise MetastyleError(f"{name} is {one_line(repr(value))}: use a path")
    return Path(value)


def check_target(path: Path, *, overwrite: bool) -> None:
    """Raise MetastyleError, before any work is done, if a path cannot be written."""
    name = one_line(path)
    try:
        os.path.realpath(path)  # raises for a null byte, which the tests below would not notice
        if path.is_dir():
            raise MetastyleError(f"{name} is a folder: use a file name")
        if not path.parent.is_dir():
            raise MetastyleError(f"{name} cannot be written: there is no folder {one_line(path.parent)}")
        if not overwrite and os.path.lexists(path):
            raise ExistsError(f"{name} already exists")
    except (OSError, ValueError) as error:
        raise MetastyleError(f"{name} cannot be written: {reason(error)}") from error


@contextmanager
def replacing(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A stream that becomes the file ``path`` at the end of the block, and leaves no trace if it raises.

    A link is followed: its target is replaced. OSError becomes a MetastyleError that names the file.
    """
    check_target(path, overwrite=overwrite)
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            with beside.open("xb") as stream:
                yield stream
            check_target(path, overwrite=overwrite)
            beside.replace(target)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
    except OSError as error:
        raise MetastyleError(f"{one_line(path)} cannot be written: {reason(error)}") from error


def read_bytes(path: Path, limit: int, *, first: int | None = None) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes, or the ``first`` of them."""
    try:
        if not path.exists():
            raise MetastyleError(f"{path}: no such file")
        if not path.is_file():
            raise MetastyleError(f"{path}: not a file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(limit if first is None else first)
    except (OSError, ValueError) as error:
        raise MetastyleError(f"{path}: cannot be read: {reason(error)}") from None
    if size > limit:
        raise MetastyleError(f"{path}: larger than {limit:,} bytes, the limit for such files")
    return data


def read_json(path: Path, kind: type | tuple[type, ...]) -> Any:
    """The value in a JSON file of the program's own, which is a ``kind``.

    Raises:
        MetastyleError: the file cannot be read or is too large, is not JSON, or holds another kind of value.
    """
    data = read_bytes(path, _LARGEST_JSON)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested too deeply
        raise MetastyleError(f"{one_line(path)}: damaged: it is not JSON") from None
    if not isinstance(value, kind):
        raise MetastyleError(f"{one_line(path)}: damaged: it holds a {type(value).__name__}")
    return value


def write_bytes(path: Path, data: bytes, *, overwrite: bool) -> None:
    """Write a file atomically: readers see either the old file or the complete new one."""
    with replacing(path, overwrite=overwrite) as file:
        file.write(data)


def sync(path: Path) -> None:
    """Have a file's bytes and its name on the disk, so that a power cut does not take them.

    Raises:
        OSError: they cannot be written.
    """
    for place in (path, path.parent) if os.name == "posix" else (path,):
        descriptor = os.open(place, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def one_line(text: object) -> str:
    """A path or message as one printable line."""
    shown = printable(str(text))
    return shown if len(shown) <= 300 else f"{shown[:140]}...{shown[-150:]}"


def reason(error: BaseException) -> str:
    """A one-line description of an error."""
    if isinstance(error, OSError) and error.errno is not None:
        if error.errno == errno.ENOSPC:
            return "the disk is full"
        return one_line(error.strerror or error)
    return one_line(error) or type(error).__name__
