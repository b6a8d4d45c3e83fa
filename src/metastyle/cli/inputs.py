"""Paths on the command line: files, pipes, folders and results, checked before any work."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from math import inf
from pathlib import Path

from metastyle.errors import MetastyleError

PIPE = Path("<pipe>")
"""What ``-`` on the command line becomes: stdin for a photograph, stdout for a result."""

STYLE_SUFFIX = ".safetensors"
FILMS = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2ts", ".mts", ".ts", ".wmv"}
    | {".flv", ".3gp", ".ogv", ".mxf", ".vob"}
)
WRITABLE = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp")
"""Kinds of picture that results are written as; a photograph of another kind becomes a PNG."""


@dataclass(frozen=True)
class Job:
    """One photograph and where its result goes."""

    photo: Path
    output: Path


def parse_shard(text: str) -> tuple[int, int]:
    """``2/5``, the second of five workers, as (2, 5).

    Raises:
        MetastyleError: not of this form.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise MetastyleError(f"--shard is '{text}': use I/N, such as 2/5 for the second of five workers")
    return int(match[1]), int(match[2])


def expand_home(text: str) -> str:
    """``~/a.jpg`` in full, unless a file has this name: the shell only does it where a word begins."""
    if not text.startswith("~") or os.path.exists(text):  # noqa: PTH110 (no error for any text)
        return text
    return os.path.expanduser(text)  # noqa: PTH111 (keeps the slash of a folder)


def is_folder(text: str) -> bool:
    """Whether what was typed is a folder, there or to be made: ``new/``."""
    return text.endswith(("/", os.sep)) or Path(text).is_dir()


def is_pipe(path: Path) -> bool:
    """``-``, a FIFO, or what ``<(...)`` and ``/dev/stdin`` are: it can be read once."""
    try:
        return path == PIPE or path.is_fifo()
    except ValueError:
        return False


def is_nameless(path: Path) -> bool:
    """Whether the path says nothing about the picture: ``-``, ``/dev/stdin``, ``/dev/fd/63``."""
    return path == PIPE or re.match(r"/(dev/(stdin|fd/)|proc/)", str(path)) is not None


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


def check_is_file(path: Path) -> None:
    """A file that can be opened, or a pipe; contents are not looked at."""
    if is_pipe(path):
        return
    try:
        if path.is_dir():
            raise MetastyleError(f"{path} is a folder: give a file")
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise MetastyleError(_no_file(path) or f"{path}: cannot be read: {_reason(error)}") from None


def check_is_picture(path: Path) -> None:
    """``check_is_file``, and it is not called like a film."""
    check_is_file(path)
    if path.suffix.lower() in FILMS:
        raise MetastyleError(
            f"{path} is a film: 'metastyle video {path} --style STYLE' repaints it,"
            " with --preview TIME one frame of it, as a picture"
        )


def _no_file(path: Path) -> str | None:
    """What to do about a path that is no file, where it is plain what was meant."""
    text = str(path)
    if scheme := re.match(r"([a-z][a-z0-9+.-]+):/+", text, re.IGNORECASE):
        url = f"{scheme[1]}://{text[scheme.end() :]}"
        if scheme[1].lower() == "file":
            return f"{url} is a URL: give the path /{text[scheme.end() :]}"
        return f"{url} is a URL: download it, and give the file"
    if number := re.search(r"%[0-9]*d(?![a-z])", path.name):
        files = text.replace(number[0], "*")
        return (
            f"{path} stands for numbered pictures: 'metastyle stylize \"{files}\"' repaints each for itself,"
            " 'metastyle video' a film of them"
        )
    return None


def check_output(path: Path, *, overwrite: bool) -> None:
    """Nothing is in the way of writing ``path``, as far as can be told without writing."""
    try:
        if path.is_dir():
            raise MetastyleError(f"{path} is a folder: give a file name")
        if path.exists() and not overwrite:
            raise MetastyleError(f"{path} exists: add --overwrite, or choose another name with -o")
        if not path.parent.exists() and re.match(r"[a-z][a-z0-9+.-]+:/", str(path), re.IGNORECASE):
            raise MetastyleError(f"{path} is a URL: results are written to files")
        # Links are followed: what they point to is replaced.
        existing = next(parent for parent in Path(os.path.realpath(path)).parents if parent.exists())
        if not existing.is_dir():
            raise MetastyleError(f"{path}: {existing} is not a folder")
        with tempfile.TemporaryFile(dir=existing):  # nothing else knows about lists of rights, quotas, mounts
            pass
    except (OSError, ValueError) as error:
        raise MetastyleError(f"{path}: cannot be written: {_reason(error)}") from None


def check_picture_output(path: Path, *, overwrite: bool) -> None:
    """``check_output`` for a picture: its extension must be one that is written."""
    if path.suffix.lower() not in WRITABLE:
        kind = f"'{path.suffix}'" if path.suffix else "a name without extension"
        raise MetastyleError(f"{path}: pictures cannot be written as {kind}: use {', '.join(WRITABLE)}")
    check_output(path, overwrite=overwrite)


def check_number(option: str, value: float | None, low: float, high: float) -> None:
    """``low`` <= ``value`` <= ``high``; None and only None needs no check."""
    if value is not None and not low <= value <= high:
        limits = f"at least {low:,}" if high == inf else f"{low:g} to {high:g}"
        raise MetastyleError(f"{option} is {value:g}: use {limits}")


def check_look(
    size: int | None, largest: int, strength: float, brush: float | None, grain: float | None
) -> None:
    """The options that pictures and films have in common lie in their ranges."""
    check_number("--size", size, 16, largest)
    check_number("--strength", strength, 0, 2)
    check_number("--brush", brush, 0.25, 8)
    check_number("--grain", grain, 0, 2)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
