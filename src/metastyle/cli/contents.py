"""The contents that adaptation trains on: the pictures to be repainted, or those of ``--content``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metastyle.cli.inputs import source
from metastyle.cli.output import Display
from metastyle.cli.photos import is_pattern
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.cli.inputs import Piped
    from metastyle.images.contents import Contents
    from metastyle.images.picture import Picture

PROCEDURAL = "procedural"
"""Used instead of photographs: pictures drawn by a program."""


def asked_for(content: Path | None) -> str | None:
    """``--content`` as a text that is equal for equal contents; an existing path takes precedence."""
    if content is None:
        return None
    return PROCEDURAL if _is_procedural(content) else str(content.absolute())


def _is_procedural(content: Path) -> bool:
    return content == Path(PROCEDURAL) and not content.exists()


def contents_of(
    content: Path | None, own: Contents | None, most: int, display: Display
) -> Path | Piped | list[Picture] | Contents | None:
    """The contents named by ``content``, or else ``own``; None means procedural pictures.

    At most ``most`` photographs of a folder are used; unreadable ones are left out, with a note.

    Raises:
        MetastyleError: none of a folder's pictures can be read.
    """
    if content is None:
        return own
    if _is_procedural(content):
        return None
    return _folder(content, most, display) if content.is_dir() else source(content)


def _folder(folder: Path, most: int, display: Display) -> list[Picture]:
    from metastyle.images.decode import list_pictures, open_picture

    pictures: list[Picture] = []
    unreadable: list[MetastyleError] = []
    for path in list_pictures(folder):
        if len(pictures) == most:
            break
        try:
            pictures.append(open_picture(path))
        except MetastyleError as error:
            unreadable.append(error)
    if not pictures:
        first = f": {unreadable[0]}" if unreadable else ""
        raise MetastyleError(f"{folder}: no pictures in this folder to adapt on{first}")
    if unreadable:
        count = len(unreadable)
        display.note(f"{count} of {len(pictures) + count} photographs of --content left out:")
        for why in unreadable:
            display.note(f"  {why}")
    return pictures


def photographs(
    given: Sequence[Path], found: Sequence[Path], size: int, opened: Picture | None = None
) -> Contents:
    """The photographs that a call repaints, as contents for crops of ``size`` pixels.

    Photographs that are ``given`` by name are identified by their pixels. Folders and patterns are identified
    by their paths, so that added or removed photographs do not require another adaptation.

    Args:
        found: all photographs of ``given``; up to ``MOST_PHOTOS`` readable ones are used, evenly spread.
        opened: the photograph, if there is only one and it has been opened.
    """
    from metastyle.images.contents import Contents, reduced, shorter_side

    def read() -> list[Picture]:
        if opened is not None:
            return [reduced(opened, shorter_side(size))]
        return _readable(found, size)

    if not any(path.is_dir() or is_pattern(path) for path in given):
        return Contents(read)
    return Contents(
        read,
        place=_digest(sorted(str(path.resolve()) for path in given)),
        stand=_digest(sorted(_name_and_size(path) for path in found)),
        differing="other photographs in the same folders",
    )


def cached_for_others(name: str, settings: Mapping[str, Any], contents: object) -> str | None:
    """A line about a cached style that was adapted on other contents than the current ones."""
    from metastyle.images.contents import Contents

    if isinstance(contents, Contents) and contents.differs(settings):
        return f"{name} was adapted on {contents.differing}: --adapt-again uses the current contents"
    return None


def _readable(found: Sequence[Path], size: int) -> list[Picture]:
    """The first readable photograph of each of ``MOST_PHOTOS`` equal parts."""
    from metastyle.images.contents import MOST_PHOTOS, open_reduced, shorter_side

    pictures: list[Picture] = []
    count = min(MOST_PHOTOS, len(found))
    for index in range(count):
        for path in found[index * len(found) // count : (index + 1) * len(found) // count]:
            try:
                pictures.append(open_reduced(source(path), shorter_side(size)))
            except MetastyleError:  # reported when it is repainted
                continue
            break
    return pictures


def _name_and_size(path: Path) -> tuple[str, int]:
    try:
        return path.name, path.stat().st_size
    except OSError:  # gone again
        return path.name, -1


def _digest(record: list[Any]) -> str:
    from metastyle.images.origin import digest

    return digest(json.dumps(record).encode())
