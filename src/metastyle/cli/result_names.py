"""The names of results: distinct, whatever photographs they are made from."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from metastyle.cli.inputs import PIPE, WRITABLE, Job, is_nameless

MOST_OF_ONE_NAME = 99


def result_name(photo: Path, style: str) -> str:
    """The file name of ``photo`` repainted in ``style``."""
    stem, suffix = ("photo", ".png") if is_nameless(photo) else (photo.stem, photo.suffix)
    return f"{stem}-{style}{suffix if suffix.lower() in WRITABLE else '.png'}"


def name_results(photos: Sequence[Path], style: str, folder: Path | None) -> tuple[list[Job], list[str]]:
    """A job for each photograph, with distinct result names, and notes for people."""
    jobs = [Job(p, (Path() if is_nameless(p) else p.parent) / result_name(p, style)) for p in photos]
    beside = Counter(path_key(str(job.output)) for job in jobs)
    jobs = [
        # photo.heic beside photo.png, both of which become a PNG
        Job(job.photo, job.output.with_name(result_name(_with_kind(job.photo), style)))
        if beside[path_key(str(job.output))] > 1
        and job.photo != PIPE
        and job.photo.suffix.lower() not in WRITABLE
        else job
        for job in jobs
    ]
    if folder is None:
        return jobs, []
    homes: dict[str, set[Path]] = {}
    for job in jobs:
        homes.setdefault(path_key(job.output.name), set()).add(job.output.parent)
    if all(len(folders) == 1 for folders in homes.values()):
        return [Job(job.photo, folder / job.output.name) for job in jobs], []
    names = _folder_names({job.output.parent for job in jobs})
    note = f"photographs with the same name come from several folders: {folder} gets subfolders like theirs"
    return [Job(job.photo, folder / names[job.output.parent] / job.output.name) for job in jobs], [note]


def _with_kind(photo: Path) -> Path:
    return photo.with_name(f"{photo.stem}-{photo.suffix[1:].lower()}{photo.suffix}")


def _folder_names(folders: Iterable[Path]) -> dict[Path, Path]:
    """For each folder, the shortest end of its path that makes all of them distinct."""
    parts = {folder: folder.resolve().parts[1:] for folder in folders}
    longest = max(map(len, parts.values()))
    for count in range(1, longest + 1):
        names = {folder: Path(*own[-count:]) for folder, own in parts.items()}
        if len({path_key(str(name)) for name in names.values()}) == len({*parts.values()}):
            break
    return names


def candidates(job: Job, folder: Path | None) -> Iterator[Path]:
    """Names for a result, to be used if the ones before belong to other pictures."""
    yield job.output
    if folder is not None and not is_nameless(job.photo):
        above = job.photo.parent.resolve().parts[1:]
        yield from (folder.joinpath(*above[-n:], job.output.name) for n in (1, 2) if len(above) >= n)
    stem, suffix = job.output.stem, job.output.suffix
    yield from (job.output.with_name(f"{stem}-{n}{suffix}") for n in range(2, MOST_OF_ONE_NAME + 1))


def path_key(path: Path | str) -> str:
    """A text that is equal for all paths or names of a file."""
    text = os.path.realpath(path) if isinstance(path, Path) else path
    return text.casefold() if sys.platform in ("darwin", "win32") else text
