"""Which photographs a call means, where each result goes, and whether that can be done: before any work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from metastyle.errors import MetastyleError

PIPE = Path("<pipe>")
"""What ``-`` on the command line becomes: stdin for a photograph, stdout for a result."""

STYLE_SUFFIX = ".safetensors"
WRITABLE = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp")
"""Kinds of picture that results are written as; a photograph of another kind becomes a PNG."""


@dataclass(frozen=True)
class Job:
    """One photograph and where its result goes."""

    photo: Path
    output: Path


def plan(photos: Sequence[Path], style: Path, output: Path | None, *, overwrite: bool) -> list[Job]:
    """Every job of a call, or an error that names what stands in its way.

    Folders stand for the pictures in them. Results lie beside their photographs, in the folder
    ``output``, or, for a single photograph, in the file ``output``.

    Raises:
        MetastyleError: nothing to do, a missing file, two results of one name, an existing result.
    """
    if len(photos) == 1 and not photos[0].is_dir():
        check_is_file(photos[0])
        jobs = [Job(photos[0], _single_output(photos[0], style, output))]
    else:
        found = _photographs(photos, style)
        folder = _output_folder(output)
        jobs = [
            Job(p, (p.parent if folder is None or p == PIPE else folder) / _result_name(p, style))
            for p in found
        ]
    taken: dict[Path, Path] = {}
    for job in jobs:
        if job.output == PIPE:
            continue
        check_picture_output(job.output, overwrite=overwrite)
        if job.output in taken:
            raise MetastyleError(
                f"{job.photo} and {taken[job.output]} would both become {job.output}: do them in two calls"
            )
        taken[job.output] = job.photo
    return jobs


def check_is_file(path: Path) -> None:
    """A file that can be opened, or ``-``; contents are not looked at."""
    if path == PIPE:
        return
    try:
        if path.is_dir():
            raise MetastyleError(f"{path} is a folder: give a file")
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise MetastyleError(f"{path}: cannot be read: {_reason(error)}") from None


def check_output(path: Path, *, overwrite: bool) -> None:
    """Nothing is in the way of writing ``path``, as far as can be told without writing."""
    try:
        if path.is_dir():
            raise MetastyleError(f"{path} is a folder: give a file name")
        if path.exists() and not overwrite:
            raise MetastyleError(f"{path} exists: add --overwrite, or choose another name with -o")
        existing = next(parent for parent in path.absolute().parents if parent.exists())
        if not existing.is_dir():
            raise MetastyleError(f"{path}: {existing} is not a folder")
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


def style_name(style: Path) -> str:
    """The style's name in results' names."""
    return "style" if style == PIPE else style.stem


def _single_output(photo: Path, style: Path, output: Path | None) -> Path:
    if output is None:
        return PIPE if photo == PIPE else photo.parent / _result_name(photo, style)
    return output / _result_name(photo, style) if output.is_dir() else output


def _output_folder(output: Path | None) -> Path | None:
    if output == PIPE:
        raise MetastyleError("-o - takes one photograph: give a folder for several")
    if output is not None and (output.is_file() or output.suffix.lower() in WRITABLE):
        raise MetastyleError(f"{output} is a file name: give a folder for several photographs")
    return output


def _result_name(photo: Path, style: Path) -> str:
    stem, suffix = ("photo", ".png") if photo == PIPE else (photo.stem, photo.suffix)
    return f"{stem}-{style_name(style)}{suffix if suffix.lower() in WRITABLE else '.png'}"


def _photographs(given: Sequence[Path], style: Path) -> list[Path]:
    from metastyle.media.images import list_pictures

    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            check_is_file(path)
            found.append(path)
            continue
        inside = list_pictures(path)
        # Results of an earlier call are not photographs, nor is the painting that lies beside them.
        results = {p.parent / _result_name(p, style) for p in inside}
        inside = [p for p in inside if p not in results and not _same(p, style)]
        if not inside:
            raise MetastyleError(f"{path}: no pictures in this folder")
        found += inside
    return list(_unique(found))


def _same(path: Path, other: Path) -> bool:
    return other.exists() and path.samefile(other)


def _unique(paths: Iterable[Path]) -> Iterable[Path]:
    return dict.fromkeys(paths)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
