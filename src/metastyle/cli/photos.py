"""What a call will do, settled before any work: its photographs, its results, and what is finished."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from metastyle.cli.inputs import (
    PIPE,
    WRITABLE,
    Job,
    check_is_picture,
    check_picture_output,
    is_nameless,
)
from metastyle.cli.result_names import MOST_OF_ONE_NAME, candidates, name_results, path_key, result_name
from metastyle.errors import MetastyleError


@dataclass
class FoundPhotos:
    """The jobs of a call, and the pictures that it leaves alone."""

    jobs: list[Job] = field(default_factory=list)
    photos: list[Path] = field(default_factory=list)
    """All photographs of the call, finished or not, of all shards."""
    finished: list[Path] = field(default_factory=list)
    """Results of earlier calls that were made in the same way from the same photographs."""
    unknown: list[Path] = field(default_factory=list)
    """Files that count as results by their names alone, because they lack metadata."""
    refused: dict[Path, str] = field(default_factory=dict)
    """Photographs for which nothing can be written, with the reason."""
    left_out: dict[Path, str] = field(default_factory=dict)
    """Pictures that are not photographs, and what they are."""
    notes: list[str] = field(default_factory=list)
    """Lines about results in unexpected places."""


def find_photos(
    photos: Sequence[Path],
    style: str,
    output: Path | None,
    *,
    overwrite: bool,
    into_folder: bool = False,
    look: str = "",
    shard: tuple[int, int] = (1, 1),
    not_photos: Sequence[Path] = (),
    may_be_empty: bool = False,
) -> FoundPhotos:
    """Find the photographs of a call, and settle where each result goes.

    Folders stand for the pictures in them, and patterns for the matching files. Results go next to their
    photographs, into the folder ``output``, or, for a single photograph, into the file ``output``.
    Photographs with the same name keep their folders' names. Among several photographs, those are finished
    whose results declare that they were made from them in this look; for a single photograph, an existing
    result is an error.

    Args:
        style: the style's name in results' names.
        into_folder: ``output`` is a folder, whether it exists or not.
        look: digest of everything that affects how results look.
        shard: (i, n) takes every n-th photograph from the i-th on, so that n workers share the work.
        not_photos: paintings and masks, which may be in a folder with the photographs.
        may_be_empty: a folder without pictures is not an error.

    Raises:
        MetastyleError: there is nothing to do, a file is missing, a folder is not writable, or a result
            exists.
    """
    if is_single(photos):
        check_is_picture(photos[0])
        job = Job(photos[0], _single_output(photos[0], style, output, into_folder))
        if job.output != PIPE:
            check_picture_output(job.output, overwrite=overwrite)
        return FoundPhotos([job], list(photos))
    folder = output if into_folder else _output_folder(output)
    found = FoundPhotos()
    found.photos = _photographs(photos, not_photos, look, found, may_be_empty)
    jobs, notes = name_results(found.photos, style, folder)
    found.notes += notes
    first, workers = shard
    inputs = {path_key(path) for path in [*(job.photo for job in jobs), *not_photos]}
    _settle(jobs[first - 1 :: workers], inputs, folder, look, overwrite, found)
    return found


def is_single(photos: Sequence[Path]) -> bool:
    """Whether a single photograph is given by name, not a folder or a pattern."""
    return len(photos) == 1 and not photos[0].is_dir() and not is_pattern(photos[0])


def is_pattern(path: Path) -> bool:
    """Whether this is a pattern such as ``holiday/*.jpg`` that the shell has not expanded."""
    return any(c in str(path) for c in "*?[") and not path.exists()


def _single_output(photo: Path, style: str, output: Path | None, into_folder: bool) -> Path:
    if output is None:
        return PIPE if is_nameless(photo) else photo.parent / result_name(photo, style)
    return output / result_name(photo, style) if into_folder or output.is_dir() else output


def _output_folder(output: Path | None) -> Path | None:
    if output == PIPE:
        raise MetastyleError("-o - takes one photograph: give a folder for several")
    if output is not None and (output.is_file() or output.suffix.lower() in WRITABLE):
        raise MetastyleError(f"{output} is a file name: give a folder for several photographs")
    return output


def _photographs(
    given: Sequence[Path], not_photos: Sequence[Path], look: str, found: FoundPhotos, may_be_empty: bool
) -> list[Path]:
    """The photographs to be repainted; other pictures among them go to ``found.left_out``."""
    from metastyle.images.decode import list_pictures

    named: list[Path] = []
    listed: list[Path] = []
    for path in given:
        if is_pattern(path):
            matching = [p for p in sorted(_matching(path)) if p.is_file()]
            if not matching:
                raise MetastyleError(f"{path}: no files match")
            listed += matching
        elif path.is_dir():
            inside = list_pictures(path)
            for picture in inside:
                if any(_same(picture, other) for other in not_photos):
                    found.left_out[picture] = "a painting or a mask of this call"
            if not may_be_empty and all(picture in found.left_out for picture in inside):
                raise MetastyleError(f"{path}: no pictures in this folder")
            listed += inside
        else:
            try:
                check_is_picture(path)
            except MetastyleError as error:
                if not path.is_file():
                    raise
                found.refused[path] = str(error)  # clip.mp4 of *.*
            else:
                named.append(path)
    everything = [p for p in dict.fromkeys([*named, *listed]) if p not in found.left_out]
    results = _results_among(everything, look, may_stand_alone=set(named))
    found.left_out |= {path: "a result of an earlier call" for path in everything if path in results}
    wanted = [path for path in everything if path not in results]
    if not wanted and not may_be_empty and not found.refused:
        raise MetastyleError("nothing to repaint: all of these pictures are results of earlier calls")
    return wanted


def _results_among(pictures: Sequence[Path], look: str, may_stand_alone: set[Path]) -> set[Path]:
    """The pictures whose metadata say that they were made from another of the pictures, or in this look."""
    from metastyle.images.origin import place_digest, read_origin

    origins = {p: origin for p in pictures if p != PIPE and (origin := read_origin(p))}
    if not origins:
        return set()
    places = {place_digest(p): p for p in pictures if p != PIPE}
    results = {p for p, origin in origins.items() if places.get(origin.place, p) != p}
    results |= {p for p, origin in origins.items() if origin.look == look and p not in may_stand_alone}
    if len(results) < len(origins):  # was the folder moved?
        digests = {_digest(p) for p in pictures}
        results |= {p for p, origin in origins.items() if origin.photo in digests}
    return results


def _settle(
    jobs: Sequence[Job], inputs: set[str], folder: Path | None, look: str, overwrite: bool, found: FoundPhotos
) -> None:
    """Divide the jobs into open, finished and impossible ones."""
    taken = set(inputs)
    errors: list[MetastyleError] = []
    for job in jobs:
        try:
            output = _free(job, folder, look, overwrite, found, taken)
            if output is None:
                continue
            # An existing file here was recognized, and will be replaced.
            check_picture_output(output, overwrite=overwrite)
        except MetastyleError as error:
            errors.append(error)
            found.refused[job.photo] = str(error)
            continue
        if output != job.output:
            found.notes.append(f"{job.output} is another picture: {job.photo} becomes {output}")
        taken.add(path_key(output))
        found.jobs.append(Job(job.photo, output))
    if errors and len(errors) == len(jobs) and not any(map(_is_own, errors)):
        raise errors[0]


def _free(
    job: Job, folder: Path | None, look: str, overwrite: bool, found: FoundPhotos, taken: set[str]
) -> Path | None:
    """The path of the result; None if it exists.

    Raises:
        MetastyleError: a result of this photograph exists that was made differently and may not be replaced.
    """
    from metastyle.images.origin import read_origin

    own = _own_results(job, folder, taken)
    finished = [output for output, made_in in own.items() if made_in == look]
    if overwrite and own:
        return [*finished, *own][0]
    if finished:
        found.finished.append(finished[0])
        return None
    for output, made_in in own.items():
        why = "in another style or with other options" if made_in else "before the photograph was changed"
        raise _MadeOtherwise(f"{output} was made {why}: --overwrite replaces it, -o FOLDER keeps both")
    for output in candidates(job, folder):
        if path_key(output) in taken:
            continue
        if not _exists(output):
            return output
        if output == job.output and read_origin(output) is None:
            if overwrite:
                return output
            found.unknown.append(output)
            return None
    raise MetastyleError(f"{job.output}: {MOST_OF_ONE_NAME} other pictures have this name: use -o FOLDER")


def _own_results(job: Job, folder: Path | None, taken: set[str]) -> dict[Path, str | None]:
    """Results of this photograph, in all places of earlier calls, and their looks.

    The look is None for a result that was made before the photograph was changed.
    """
    from metastyle.images.origin import place_digest, read_origin

    own: dict[Path, str | None] = {}
    flat = [] if folder is None else [folder / job.output.name]
    for output in dict.fromkeys([job.output, *flat, *candidates(job, folder)]):
        if not _exists(output):
            if output.parent == job.output.parent and output != job.output:
                break  # img-2.png, img-3.png and so on end here
            continue
        origin = None if path_key(output) in taken else read_origin(output)
        if origin is None:
            continue
        if origin.photo == _digest(job.photo):
            own[output] = origin.look
        elif not is_nameless(job.photo) and origin.place == place_digest(job.photo):
            own[output] = None
    return own


class _MadeOtherwise(MetastyleError):
    """A different result exists."""


def _is_own(error: MetastyleError) -> bool:
    """Whether the error concerns one photograph, not the whole folder."""
    return isinstance(error, _MadeOtherwise)


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long: check_picture_output says so
        return False


def _digest(photo: Path) -> str:
    from metastyle.cli.inputs import source
    from metastyle.images.origin import photo_digest

    try:
        return photo_digest(source(photo))
    except OSError:  # unreadable; reported when it is opened
        return ""


def _matching(pattern: Path) -> Iterable[Path]:
    fixed = next(parent for parent in pattern.parents if not any(c in str(parent) for c in "*?["))
    return fixed.glob(str(pattern.relative_to(fixed)))


def _same(path: Path, other: Path) -> bool:
    return other.exists() and path.samefile(other)
