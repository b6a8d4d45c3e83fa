"""What ``bench speed``, ``quality`` and ``grid`` are told: systems, photographs and paintings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from metastyle.app.inputs import check_number
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from torch import Tensor

    from metastyle.benchmark.systems import Maker


def makers(method: list[str] | None, weights: Path | None) -> Mapping[str, Maker]:
    """What --method and --weights name; without a method, the rows of the comparison."""
    from metastyle.baselines.systems import ROWS
    from metastyle.benchmark.systems import maker

    return {text: maker(text, weights) for text in method or ROWS}


def read_pairs(
    content: Path, style: Path, photos: int, paintings: int, size: int, style_size: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Photographs as squares and paintings, by name."""
    check_number("--style-size", style_size, 64, 4096)
    check_number("--photos", photos, 1, 10_000)
    check_number("--paintings", paintings, 1, 10_000)
    from metastyle.benchmark.adaptation import pictures, square
    from metastyle.media.images import open_picture, resize, to_tensor

    found = []
    for where, count in ((content, photos), (style, paintings)):
        paths = [where] if where.is_file() else pictures(where, count)
        if not paths:
            raise MetastyleError(f"{where}: no pictures in this folder")
        if len({path.stem for path in paths}) < len(paths):
            raise MetastyleError(
                f"{where}: two pictures have the same name but for the extension: rename one"
            )
        found.append(paths)
    squares = {path.stem: square(open_picture(path), size) for path in found[0]}
    styles = {path.stem: to_tensor(resize(open_picture(path), style_size).pixels) for path in found[1]}
    return squares, styles


def failures(rows: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """What methods failed with, each failure once; of ``rows``, errors are empty where all went well."""
    failed = dict.fromkeys((method, error) for method, error in rows if error)
    return [{"method": method, "error": error} for method, error in failed]
