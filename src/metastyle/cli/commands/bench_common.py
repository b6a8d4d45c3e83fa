"""What ``bench`` commands share: systems, photographs and paintings as inputs, and their outcome."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metastyle.cli.errors import DONE, SOME_FAILED
from metastyle.cli.output import Outcome
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from torch import Tensor

    from metastyle.bench.participants import Maker

LISTS = ("paintings", "photographs", "references")
"""What a file of chosen pictures holds; references are the paintings that other systems are measured on."""


def makers(method: list[str] | None, weights: Path | None) -> Mapping[str, Maker]:
    """The systems that --method names; without it, the rows of the comparison."""
    from metastyle.bench.participants import maker
    from metastyle.systems.registry import ROWS

    return {text: maker(text, weights) for text in method or ROWS}


def read_pairs(
    content: Path, style: Path, photos: int, paintings: int, size: int, style_size: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Photographs as squares and paintings, by name."""
    from metastyle.bench.pictures import square, whole
    from metastyle.images.decode import open_picture

    photo_paths, painting_paths = choose(content, photos), choose(style, paintings)
    squares = {path.stem: square(open_picture(path), size) for path in photo_paths}
    return squares, {path.stem: whole(path, style_size) for path in painting_paths}


def choose(where: Path, count: int, names: Sequence[str] | None = None) -> list[Path]:
    """Pictures of a folder: those of ``names``, or ``count`` spread evenly; or one picture, if it is a file.

    Raises:
        MetastyleError: there are no pictures, one is missing, or two have the same name.
    """
    from metastyle.images.contents import spread
    from metastyle.images.decode import list_pictures

    if names is not None:
        paths = [where / name for name in names]
        for path in paths:
            if not path.is_file():
                raise MetastyleError(f"{path}: no such file, but the list of pictures names it")
    else:
        paths = [where] if where.is_file() else spread(list_pictures(where), count)
    if not paths:
        raise MetastyleError(f"{where}: no pictures in this folder")
    if len({path.stem for path in paths}) < len(paths):
        raise MetastyleError(f"{where}: two pictures have the same name except for the extension: rename one")
    return paths


def read_lists(path: Path) -> dict[str, list[str]]:
    """A TOML file with the lists ``paintings``, ``photographs`` and ``references``: names of files.

    The list of references may be empty.

    Raises:
        MetastyleError: it cannot be read or holds something else, or a reference is not among the paintings.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # invalid TOML raises ValueError
        raise MetastyleError(f"{path}: cannot be read as TOML: {' '.join(str(error).split())}") from None
    for name in LISTS:
        some = found.get(name)
        if not isinstance(some, list) or not all(isinstance(one, str) for one in some):
            raise MetastyleError(f"{path}: '{name}' must be a list of file names")
        if not some and name != "references":
            raise MetastyleError(f"{path}: '{name}' is empty: name one file or more")
    for name in found:
        if name not in LISTS:
            raise MetastyleError(f"{path}: '{name}' is not known: use {', '.join(LISTS)}")
    for one in found["references"]:
        if one not in found["paintings"]:
            raise MetastyleError(f"{path}: '{one}' is one of the references, but not one of the paintings")
    return found


def scale_of(size: int, style_size: int) -> dict[str, str]:
    """The sizes of photographs and paintings in pixels, as results record them."""
    return {"photographs": f"{size} x {size}", "paintings": f"long edge {style_size}"}


def outcome(
    command: str, outputs: Iterable[Path], lines: Sequence[str], results: Iterable[tuple[str, str]]
) -> Outcome:
    """The outcome of a comparison that goes on when a system fails.

    ``results`` are (method, error), with an empty error for success; each error is reported once.
    """
    failed = dict.fromkeys((method, error) for method, error in results if error)
    return Outcome(
        command,
        outputs=[{"output": path} for path in outputs],
        errors=[{"method": method, "error": error} for method, error in failed],
        lines=list(lines),
        problems=[f"{method}: {error}" for method, error in failed],
        code=SOME_FAILED if failed else DONE,
    )
