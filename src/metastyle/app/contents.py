"""The photographs that ``--content`` names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from metastyle.app.pipes import source
from metastyle.app.progress import Display
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.app.pipes import Piped
    from metastyle.media.images import Picture


def learning_contents(
    content: Path | None, most: int, display: Display
) -> Path | Piped | list[Picture] | None:
    """What to learn on; of a folder ``most`` photographs, without those that cannot be read, which is said.

    Raises:
        MetastyleError: none of a folder's pictures can be read.
    """
    if content is None or not content.is_dir():
        return None if content is None else source(content)
    from metastyle.media.images import list_pictures, open_picture

    pictures: list[Picture] = []
    unreadable: list[MetastyleError] = []
    for path in list_pictures(content):
        if len(pictures) == most:
            break
        try:
            pictures.append(open_picture(path))
        except MetastyleError as error:
            unreadable.append(error)
    if not pictures:
        first = f": {unreadable[0]}" if unreadable else ""
        raise MetastyleError(f"{content}: no pictures in this folder to learn on{first}")
    if unreadable:
        count = len(unreadable)
        display.note(f"{count} of {len(pictures) + count} photographs to learn on left out:")
        for why in unreadable:
            display.note(f"  {why}")
    return pictures
