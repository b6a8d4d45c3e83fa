"""Paths on the command line: files, pipes, folders and results, checked before any work."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from metastyle.errors import MetastyleError

PIPE = Path("<pipe>")
"""Stands for ``-`` on the command line: stdin as a photograph, stdout as a result."""

STYLE_SUFFIX = ".safetensors"
FILMS = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2ts", ".mts", ".ts", ".wmv"}
    | {".flv", ".3gp", ".ogv", ".mxf", ".vob"}
)
WRITABLE = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp")
"""Formats of results; a photograph in another format gives a PNG."""


@dataclass(frozen=True)
class Job:
    """One photograph and where its result goes."""

    photo: Path
    output: Path


def parse_shard(text: str) -> tuple[int, int]:
    """``2/5``, the second of five workers, as (2, 5).

    Raises:
        MetastyleError: the text does not have this form.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise MetastyleError(f"--shard is '{text}': use I/N, such as 2/5 for the second of five workers")
    return int(match[1]), int(match[2])


def expand_home(text: str) -> str:
    """Expand ``~/a.jpg``, unless a file has this name: shells only expand it at the start of a word."""
    if not text.startswith("~") or os.path.exists(text):  # noqa: PTH110 (no error for any text)
        return text
    return os.path.expanduser(text)  # noqa: PTH111 (keeps the slash of a folder)


def is_folder(text: str) -> bool:
    """Whether the text names a folder, or one that is to be created: ``new/``."""
    return text.endswith(("/", os.sep)) or Path(text).is_dir()


def is_pipe(path: Path) -> bool:
    """Whether the path can be read only once: ``-``, a FIFO, ``<(...)`` or ``/dev/stdin``."""
    try:
        return path == PIPE or path.is_fifo()
    except ValueError:
        return False


def is_nameless(path: Path) -> bool:
    """Whether the path is no name for a picture: ``-``, ``/dev/stdin``, ``/dev/fd/63``."""
    return path == PIPE or re.match(r"/(dev/(stdin|fd/)|proc/)", str(path)) is not None


class Piped(io.BytesIO):
    """The bytes of a pipe, with a name for error messages."""

    name = "stdin"


_read: dict[Path, tuple[object, Piped]] = {}


def source(path: Path) -> Path | Piped:
    """The path of a file, or the bytes of a pipe."""
    return read_pipe(path) if is_pipe(path) else path


def read_pipe(path: Path = PIPE) -> Piped:
    """All bytes of a pipe, which is read once."""
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
    """Raise MetastyleError unless the path is a pipe or a file that can be opened."""
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
    """``check_is_file`` for a picture, whose extension must not be that of a film."""
    check_is_file(path)
    if path.suffix.lower() in FILMS:
        raise MetastyleError(
            f"{path} is a film: 'metastyle video {path} --style STYLE' repaints it,"
            " with --preview TIME one frame of it, as a picture"
        )


def _no_file(path: Path) -> str | None:
    """Advice for a path that is not a file, if the intention is clear."""
    text = str(path)
    if scheme := re.match(r"([a-z][a-z0-9+.-]+):/+", text, re.IGNORECASE):
        url = f"{scheme[1]}://{text[scheme.end() :]}"
        if scheme[1].lower() == "file":
            return f"{url} is a URL: give the path /{text[scheme.end() :]}"
        return f"{url} is a URL: download it, and give the file"
    if number := re.search(r"%[0-9]*d(?![a-z])", path.name):
        files = text.replace(number[0], "*")
        return (
            f"{path} stands for numbered pictures: 'metastyle stylize \"{files}\"' repaints each,"
            " 'metastyle video' a film of them"
        )
    return None


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise MetastyleError if ``path`` cannot be written, as far as is known in advance."""
    try:
        if path.is_dir():
            raise MetastyleError(f"{path} is a folder: give a file name")
        if path.exists() and not overwrite:
            raise MetastyleError(f"{path} exists: add --overwrite, or choose another name with -o")
        if not path.parent.exists() and re.match(r"[a-z][a-z0-9+.-]+:/", str(path), re.IGNORECASE):
            raise MetastyleError(f"{path} is a URL: results are written to files")
        # Links are followed: their targets are replaced.
        existing = next(parent for parent in Path(os.path.realpath(path)).parents if parent.exists())
        if not existing.is_dir():
            raise MetastyleError(f"{path}: {existing} is not a folder")
        with tempfile.TemporaryFile(dir=existing):  # accounts for access lists, quotas and mounts
            pass
    except (OSError, ValueError) as error:
        raise MetastyleError(f"{path}: cannot be written: {_reason(error)}") from None


def check_picture_output(path: Path, *, overwrite: bool) -> None:
    """``check_output`` for a picture, whose extension must be one of ``WRITABLE``."""
    if path.suffix.lower() not in WRITABLE:
        kind = f"'{path.suffix}'" if path.suffix else "a name without extension"
        raise MetastyleError(f"{path}: pictures cannot be written as {kind}: use {', '.join(WRITABLE)}")
    check_output(path, overwrite=overwrite)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
