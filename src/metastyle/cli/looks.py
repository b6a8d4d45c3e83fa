"""What decides how results look, as one digest: results of another look are not taken for finished."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metastyle.cli.contents import asked_for
from metastyle.cli.options import Learning, Sources
from metastyle.cli.pipes import source
from metastyle.cli.styles import Masked, Part


def look_digest(
    parts: Sequence[Part],
    masks: Sequence[Masked],
    learning: Learning,
    sources: Sources,
    **options: Any,
) -> str:
    """Of the contents of styles and masks and of what was asked for.

    Learning counts as it was asked for, not as it went: the defaults of another machine, or other photographs
    to learn on because they came to the folder, are no reason to paint everything again; ``--content`` is.
    """
    painted = any(part.is_painting for part in [*parts, *(one.part for one in masks if one.part)])
    record = {
        "styles": [_part(part) for part in parts],
        "masks": [[_content(one.mask), one.part and _part(one.part)] for one in masks],
        "learning": vars(learning) if painted else None,
        "contents": asked_for(sources.content) if painted else None,
        "options": options,
    }
    from metastyle.images.origin import digest

    return digest(json.dumps(record, sort_keys=True).encode())


def _part(part: Part) -> list[Any]:
    return [_content(part.path), part.weight]


def _content(path: Path) -> str:
    from metastyle.images.origin import photo_digest

    return photo_digest(source(path))
