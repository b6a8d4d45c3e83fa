"""The built-in styles: adapted with the project's own code, and usable without any download.

Each is an ordinary style file in the package. In the file, ``settings["artwork"]`` has the painting's title
and artist, and the license of the style.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from metastyle.errors import MetastyleError

STYLES = Path(__file__).with_name("styles")
"""The folder of the built-in styles, one style file each."""

PHOTOGRAPH = STYLES / "photograph.jpg"
"""A photograph drawn by the project, on which styles are shown."""


@dataclass(frozen=True)
class Artwork:
    """The painting of a built-in style."""

    name: str
    """The name for ``--style``."""
    title: str
    artist: str
    year: str
    terms: str
    """The license under which the style is shipped and used."""
    path: Path
    size: int
    """Size of the style file in bytes."""


def builtin_names() -> list[str]:
    """Names of the built-in styles, sorted; reads no file."""
    return sorted(path.stem for path in STYLES.glob("*.safetensors"))


def builtin_path(name: str) -> Path | None:
    """The file of the built-in style ``name``, ignoring case; None if there is no such style."""
    wanted = name.strip().lower().replace(" ", "-")
    return STYLES / f"{wanted}.safetensors" if wanted in builtin_names() else None


def style_path(path: Path) -> Path:
    """``path``, if there is such a file or it has a suffix; else the file of the built-in style it names.

    Raises:
        MetastyleError: there is neither such a file nor such a built-in style.
    """
    if path.exists():
        return path
    if builtin := builtin_path(str(path)):
        return builtin
    if path.suffix:
        return path
    raise unknown_style(str(path))


def unknown_style(name: str) -> MetastyleError:
    """The error for a ``name`` that is neither a file's nor a built-in style's."""
    names = builtin_names()
    near = get_close_matches(name.lower(), names, n=1)
    return MetastyleError(
        f"'{name}' is neither a file nor one of the {len(names)} built-in styles: "
        + (f"did you mean {near[0]}?" if near else "'metastyle styles' lists them")
    )


def artworks() -> list[Artwork]:
    """All built-in styles with their provenance.

    Raises:
        MetastyleError: a file in the package is damaged.
    """
    return [_artwork(path) for name in builtin_names() if (path := builtin_path(name))]


def _artwork(path: Path) -> Artwork:
    from metastyle.weights.style_file import read_style  # imports torch, which the names alone do not need

    record: dict[str, Any] = read_style(path).settings.get("artwork", {})
    try:
        words = {key: str(record[key]) for key in ("title", "artist", "year", "terms")}
    except KeyError as error:
        raise MetastyleError(f"{path}: damaged: it does not state the artwork's {error.args[0]}") from None
    return Artwork(path.stem, **words, path=path, size=path.stat().st_size)
