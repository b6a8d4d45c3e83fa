"""Which photographs a call means, where each result goes, and whether that can be done: before any work."""

from __future__ import annotations

import re
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


@dataclass(frozen=True)
class Plan:
    """What a call has to do."""

    jobs: list[Job]
    finished: list[Path]
    """Results of an earlier call, which stay as they are."""


def plan(
    photos: Sequence[Path],
    style: str,
    output: Path | None,
    *,
    overwrite: bool,
    shard: tuple[int, int] = (1, 1),
    not_photos: Sequence[Path] = (),
    may_be_empty: bool = False,
) -> Plan:
    """Every job of a call, or an error that names what stands in its way.

    Folders stand for the pictures in them, patterns for the files that match. Results lie beside their
    photographs, in the folder ``output``, or, for a single photograph, in the file ``output``. Of several
    photographs, those whose results exist are finished; one photograph's existing result is an error.

    Args:
        style: the style's name in results' names.
        shard: (i, n) takes every n-th photograph from the i-th on, so that n workers share the work.
        not_photos: pictures that a folder may hold beside photographs: paintings and masks.
        may_be_empty: a folder without pictures is no error.

    Raises:
        MetastyleError: nothing to do, a missing file, two results of one name, an existing result.
    """
    if is_single(photos):
        check_is_file(photos[0])
        job = Job(photos[0], _single_output(photos[0], style, output))
        if job.output != PIPE:
            check_picture_output(job.output, overwrite=overwrite)
        return Plan([job], [])
    folder = _output_folder(output)
    jobs = [
        Job(p, (p.parent if folder is None or p == PIPE else folder) / result_name(p, style))
        for p in _photographs(photos, style, not_photos, may_be_empty)
    ]
    taken: dict[Path, Path] = {}
    for job in jobs:
        if job.output in taken:
            raise MetastyleError(
                f"{job.photo} and {taken[job.output]} would both become {job.output}: do them in two calls"
            )
        taken[job.output] = job.photo
    first, workers = shard
    jobs = jobs[first - 1 :: workers]
    finished = [] if overwrite else [job for job in jobs if job.output.is_file()]
    for job in jobs:
        check_picture_output(job.output, overwrite=overwrite or job in finished)
    return Plan([job for job in jobs if job not in finished], [job.output for job in finished])


def is_single(photos: Sequence[Path]) -> bool:
    """One photograph, named itself: neither a folder nor a pattern."""
    return len(photos) == 1 and not photos[0].is_dir() and not is_pattern(photos[0])


def is_pattern(path: Path) -> bool:
    """``holiday/*.jpg``, where the shell has not replaced it already."""
    return any(c in str(path) for c in "*?[") and not path.exists()


def parse_shard(text: str) -> tuple[int, int]:
    """``2/5``, the second of five workers, as (2, 5).

    Raises:
        MetastyleError: not of this form.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise MetastyleError(f"--shard is '{text}': use I/N, such as 2/5 for the second of five workers")
    return int(match[1]), int(match[2])


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


def check_look(size: int | None, largest: int, strength: float, brush: float | None) -> None:
    """The options that pictures and films have in common lie in their ranges."""
    check_number("--size", size, 16, largest)
    check_number("--strength", strength, 0, 2)
    check_number("--brush", brush, 0.25, 8)


def _single_output(photo: Path, style: str, output: Path | None) -> Path:
    if output is None:
        return PIPE if photo == PIPE else photo.parent / result_name(photo, style)
    return output / result_name(photo, style) if output.is_dir() else output


def _output_folder(output: Path | None) -> Path | None:
    if output == PIPE:
        raise MetastyleError("-o - takes one photograph: give a folder for several")
    if output is not None and (output.is_file() or output.suffix.lower() in WRITABLE):
        raise MetastyleError(f"{output} is a file name: give a folder for several photographs")
    return output


def result_name(photo: Path, style: str) -> str:
    """The file name of ``photo`` repainted in ``style``."""
    stem, suffix = ("photo", ".png") if photo == PIPE else (photo.stem, photo.suffix)
    return f"{stem}-{style}{suffix if suffix.lower() in WRITABLE else '.png'}"


def _photographs(
    given: Sequence[Path], style: str, not_photos: Sequence[Path], may_be_empty: bool
) -> list[Path]:
    from metastyle.media.images import list_pictures

    found: list[Path] = []
    for path in given:
        if is_pattern(path):
            matching = [p for p in sorted(_matching(path)) if p.is_file()]
            if not matching:
                raise MetastyleError(f"{path}: no files match")
            found += matching
        elif path.is_dir():
            inside = list_pictures(path)
            # Results of an earlier call are not photographs, nor is the painting that lies beside them.
            results = {p.parent / result_name(p, style) for p in inside}
            inside = [p for p in inside if p not in results and not any(_same(p, q) for q in not_photos)]
            if not inside and not may_be_empty:
                raise MetastyleError(f"{path}: no pictures in this folder")
            found += inside
        else:
            check_is_file(path)
            found.append(path)
    return list(dict.fromkeys(found))


def _matching(pattern: Path) -> Iterable[Path]:
    fixed = next(parent for parent in pattern.parents if not any(c in str(parent) for c in "*?["))
    return fixed.glob(str(pattern.relative_to(fixed)))


def _same(path: Path, other: Path) -> bool:
    return other.exists() and path.samefile(other)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
