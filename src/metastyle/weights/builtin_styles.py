"""The built-in styles: adapted by the project's own code, and usable at once without any download.

Each is an ordinary style file in the package. The file itself states under ``settings["artwork"]`` what the
painting is, who made it, and on which terms the numbers may be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metastyle.errors import MetastyleError

STYLES = Path(__file__).with_name("styles")
"""The folder of the built-in styles, one style file each."""

PHOTOGRAPH = STYLES / "photograph.jpg"
"""Drawn by the project, to show styles on."""


@dataclass(frozen=True)
class Artwork:
    """What a built-in style was adapted to."""

    name: str
    """What ``--style`` takes."""
    title: str
    artist: str
    year: str
    terms: str
    """Why the style may be shipped and used."""
    path: Path
    size: int
    """Bytes of the style file."""


def builtin_names() -> list[str]:
    """Names of the built-in styles, sorted. Touches no file's content."""
    return sorted(path.stem for path in STYLES.glob("*.safetensors"))


def builtin_path(name: str) -> Path | None:
    """The file of the built-in style ``name``, whatever its case; None if there is none of that name."""
    wanted = name.strip().lower().replace(" ", "-")
    return STYLES / f"{wanted}.safetensors" if wanted in builtin_names() else None


def artworks() -> list[Artwork]:
    """All built-in styles with their provenance.

    Raises:
        MetastyleError: a file of the package is damaged.
    """
    return [_artwork(path) for name in builtin_names() if (path := builtin_path(name))]


def _artwork(path: Path) -> Artwork:
    from metastyle.weights.style_file import read_style  # brings torch, which the names alone do not need

    record: dict[str, Any] = read_style(path).settings.get("artwork", {})
    try:
        words = {key: str(record[key]) for key in ("title", "artist", "year", "terms")}
    except KeyError as error:
        raise MetastyleError(f"{path}: damaged: it does not state the artwork's {error.args[0]}") from None
    return Artwork(path.stem, **words, path=path, size=path.stat().st_size)
