"""A blind comparison: people choose between the pictures of two systems, whose sides are shuffled.

The page has pictures of ``bench protocol`` and nothing that says whose they are; the key is a separate file.
The viewer saves a file of answers, which is scored with the key.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from metastyle.bench.nulls import NULLS
from metastyle.bench.pictures import file_name, picture_path
from metastyle.errors import MetastyleError
from metastyle.files import read_bytes, write_bytes
from metastyle.images.decode import open_picture
from metastyle.images.picture import eight_bits

PHOTO, PAINTING = NULLS
SIDES = ("left", "right")
Z = 1.959964
"""The normal quantile of a 95 % interval."""
_LARGEST = 640  # pixels of a picture's long edge in the page
_LARGEST_FILE = 4 << 20


@dataclass(frozen=True)
class Key:
    """Everything that the page does not say."""

    page: str
    """Identifies the page in the key and in answers."""
    ours: str
    other: str
    seed: int
    pairs: list[tuple[str, str, str]]
    """Painting, photograph, and the side where ``ours`` is, in the page's order."""


@dataclass(frozen=True)
class Preference:
    """How often ours was chosen."""

    ours: int
    other: int
    undecided: int

    @property
    def decided(self) -> int:
        """Pairs where a side was chosen."""
        return self.ours + self.other


def draw(folder: Path, ours: str, other: str, count: int, seed: int) -> Key:
    """Choose pairs that both methods have painted in ``folder``, the output of ``bench protocol``.

    Raises:
        MetastyleError: there are none.
    """
    both = sorted(_painted(folder, ours) & _painted(folder, other))
    for method in (ours, other):
        if not _painted(folder, method):
            raise MetastyleError(
                f"{folder}: has no pictures of '{method}': paint them with metastyle bench protocol"
            )
    given = _painted(folder, PHOTO) & _painted(folder, PAINTING)
    both = [pair for pair in both if pair in given]
    if not both:
        raise MetastyleError(f"{folder}: '{ours}' and '{other}' have painted no pair in common")
    rng = random.Random(seed)
    chosen = rng.sample(both, min(count, len(both)))
    pairs = [(painting, photo, rng.choice(SIDES)) for painting, photo in chosen]
    text = json.dumps([ours, other, seed, pairs])
    return Key(hashlib.sha256(text.encode()).hexdigest()[:16], ours, other, seed, pairs)


def write(folder: Path, key: Key, output: Path) -> list[Path]:
    """Write look.html and key.json, and return their paths."""
    pictures: dict[str, str] = {}
    pairs = []
    for painting, photo, side in key.pairs:
        for kind, name in ((PHOTO, photo), (PAINTING, painting)):
            pictures.setdefault(f"{kind} {name}", _uri(picture_path(folder, kind, painting, photo)))
        sides = {side: key.ours, SIDES[1 - SIDES.index(side)]: key.other}
        shown = {s: _uri(picture_path(folder, method, painting, photo)) for s, method in sides.items()}
        given = {"photo": f"{PHOTO} {photo}", "painting": f"{PAINTING} {painting}"}
        pairs.append(given | {s: shown[s] for s in SIDES})
    data = json.dumps({"page": key.page, "pictures": pictures, "pairs": pairs})
    template = Path(__file__).with_name("look.html").read_text(encoding="utf-8")
    output.mkdir(parents=True, exist_ok=True)
    files = [output / "look.html", output / "key.json"]
    page = template.replace("{data}", data.replace("<", "\\u003c"))  # a name cannot close the script element
    write_bytes(files[0], page.encode(), overwrite=True)
    write_bytes(files[1], (json.dumps(asdict(key), indent=1) + "\n").encode(), overwrite=True)
    return files


def read_key(path: Path) -> Key:
    """Read a key that ``write`` wrote.

    Raises:
        MetastyleError: it is not such a file.
    """
    found = _json(path)
    try:
        pairs = [(str(painting), str(photo), str(side)) for painting, photo, side in found.pop("pairs")]
        return Key(**found, pairs=pairs)
    except (TypeError, ValueError, KeyError, AttributeError):
        raise MetastyleError(f"{path}: not a key of bench look") from None


def score(key: Key, answers: Sequence[Path]) -> Preference:
    """Count the choices of one or more people.

    Raises:
        MetastyleError: a file has no answers, or answers for another page.
    """
    counts = {"ours": 0, "other": 0, "none": 0}
    for path in answers:
        found = _json(path)
        choices = found.get("choices") if isinstance(found, dict) else None
        if not isinstance(choices, list) or not all(choice in (*SIDES, "none") for choice in choices):
            raise MetastyleError(f"{path}: not answers saved by a page of bench look")
        if found.get("page") != key.page or len(choices) > len(key.pairs):
            raise MetastyleError(f"{path}: answers for another page than this key's")
        for choice, (_, _, side) in zip(choices, key.pairs, strict=False):
            counts[choice if choice == "none" else "ours" if choice == side else "other"] += 1
    return Preference(counts["ours"], counts["other"], counts["none"])


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval (1927) of the share of ``successes`` among ``count``, at least 1."""
    share, spread = successes / count, Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def sentence(key: Key, found: Preference) -> str:
    """The outcome in words."""
    undecided = f", no difference in {found.undecided}" if found.undecided else ""
    if not found.decided:
        return f"{key.ours} against {key.other}: nothing was chosen{undecided}"
    low, high = wilson(found.ours, found.decided)
    return (
        f"{key.ours} was preferred to {key.other} in {found.ours} of {found.decided} pairs{undecided}: "
        f"{found.ours / found.decided:.0%} (95 % interval {low:.0%} to {high:.0%})"
    )


def _painted(folder: Path, method: str) -> set[tuple[str, str]]:
    """(painting, photograph) of the pictures that a method has made."""
    where = folder / "pictures" / file_name(method)
    return {(path.parent.name, path.stem) for path in where.glob("*/*.png")}


def _uri(path: Path) -> str:
    picture = Image.fromarray(eight_bits(open_picture(path).pixels))
    picture.thumbnail((_LARGEST, _LARGEST))
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=92)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _json(path: Path) -> Any:
    try:
        return json.loads(read_bytes(path, _LARGEST_FILE))
    except (ValueError, RecursionError):
        raise MetastyleError(f"{path}: not JSON") from None
