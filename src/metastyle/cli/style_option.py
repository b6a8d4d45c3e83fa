"""Parses ``--style``: a painting, a style file, the name of a built-in style, or a mixture."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metastyle.cli.contents import asked_for
from metastyle.cli.inputs import (
    FILMS,
    PIPE,
    STYLE_SUFFIX,
    check_is_file,
    expand_home,
    is_nameless,
    source,
)
from metastyle.cli.options import AdaptationOptions, AdaptationSources
from metastyle.errors import MetastyleError
from metastyle.weights.builtin_styles import builtin_path, unknown_style

PHOTO = "photo"
"""Used instead of a style in a mask: the unchanged photograph."""


@dataclass(frozen=True)
class Part:
    """One style of a mixture and its weight; None if none was given."""

    path: Path
    weight: float | None = None

    @property
    def is_style_file(self) -> bool:
        return self.path.suffix.lower() == STYLE_SUFFIX

    @property
    def is_painting(self) -> bool:
        return not self.is_style_file

    @property
    def name(self) -> str:
        return "style" if is_nameless(self.path) else self.path.stem


def read_parts(texts: Sequence[str]) -> list[Part]:
    """The parts of a mixture, from ``STYLE`` or ``STYLE:WEIGHT`` each; all exist and can be opened.

    Raises:
        MetastyleError: there is no such file or built-in style, or a weight is unusable or missing.
    """
    parts = [_located(text) for text in texts]
    bare = [part for part in parts if part.weight is None]
    if bare and len(bare) < len(parts):
        raise MetastyleError(f"{bare[0].name} has no weight: give all styles one (STYLE:WEIGHT), or none")
    if len(parts) > 1 and not any(part.weight is None or part.weight > 0 for part in parts):
        raise MetastyleError("all weights are 0: at least one must be positive")
    return parts


def weights_of(parts: Sequence[Part]) -> list[float] | None:
    """One weight per part, or None for equal shares."""
    weights = [part.weight for part in parts if part.weight is not None]
    return weights or None


def mixture_name(parts: Sequence[Part]) -> str:
    """The mixture's name in the names of results."""
    return "+".join(part.name for part in parts)


@dataclass(frozen=True)
class Masked:
    """A style inside a mask; without a part, the photograph stays unchanged there."""

    mask: Path
    part: Part | None


def read_masks(texts: Sequence[str]) -> list[Masked]:
    """``MASK=STYLE`` each, or ``MASK=photo``.

    Raises:
        MetastyleError: the text does not have this form, or there is no such mask or style.
    """
    masks = []
    for text in texts:
        mask, equals, style = text.rpartition("=")
        mask, style = expand_home(mask), expand_home(style)
        if not (mask and equals and style):
            raise MetastyleError(f"--mask is '{text}': use MASK=STYLE, such as sky.png=night, or MASK=photo")
        check_is_file(Path(mask))
        masks.append(Masked(Path(mask), None if style == PHOTO else read_parts([style])[0]))
    return masks


def parse_part(text: str) -> tuple[str, float | None]:
    """``STYLE:WEIGHT`` or ``STYLE``; a colon without a number after it belongs to the file name."""
    name, colon, number = text.rpartition(":")
    try:
        weight = float(number) if colon and name else None
    except ValueError:
        weight = None
    if weight is None:
        return text, None
    if not (math.isfinite(weight) and weight >= 0):
        raise MetastyleError(f"the weight in '{text}' is {weight:g}: use a number from 0")
    return name, weight


def _located(text: str) -> Part:
    if text == str(PIPE) or Path(text).exists():
        name, weight = text, None
    else:
        name, weight = parse_part(text)
    path = Path(name)
    if path == PIPE:
        return Part(path, weight)
    if path.is_dir():
        raise MetastyleError(f"{path} is a folder: give a painting, a {STYLE_SUFFIX} style or a style's name")
    if path.exists():
        check_is_file(path)
        if path.suffix.lower() in FILMS:
            raise MetastyleError(f"{path} is a film: give a picture as the painting")
        return Part(path, weight)
    builtin = builtin_path(name)
    if builtin is None and path.suffix:
        check_is_file(path)  # reports that there is no such file
    if builtin is None:
        raise unknown_style(name)
    return Part(builtin, weight)


def look_digest(
    parts: Sequence[Part],
    masks: Sequence[Masked],
    adaptation: AdaptationOptions,
    sources: AdaptationSources,
    **options: Any,
) -> str:
    """A digest of everything that affects how results look; other results do not count as finished.

    It covers the bytes of styles and masks, and the given options. Defaults of another machine, or added
    photographs in a folder, do not require repainting everything; another ``--content`` does.
    """
    painted = any(part.is_painting for part in [*parts, *(one.part for one in masks if one.part)])
    record = {
        "styles": [_part(part) for part in parts],
        "masks": [[_content(one.mask), one.part and _part(one.part)] for one in masks],
        "learning": vars(adaptation) if painted else None,
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
