"""Redraw the example pictures: ``python examples/draw.py`` for all, ``draw.py night lake`` for a few.

Needs numpy and Pillow; a picture takes 15 seconds to three minutes on one core. Each starts from a fresh
seed, so the order does not matter and the same versions of numpy and Pillow give the same picture.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from atelier import (
    cat,
    fauve,
    garden,
    harbour,
    lake,
    mosaic,
    night,
    portrait,
    street,
    table,
    wall,
    woodblock,
)
from atelier.tools import Array, save

HERE = Path(__file__).parent
LIMITS = dict.fromkeys(("portrait", "street", "cat", "wall"), 250_000)
"""Bytes of a picture where they are not 330,000."""
PICTURES: dict[str, tuple[str, Callable[[np.random.Generator], Array]]] = {
    "night": ("paintings/night.jpg", night.paint),
    "fauve": ("paintings/fauve.jpg", fauve.paint),
    "mosaic": ("paintings/mosaic.jpg", mosaic.paint),
    "woodblock": ("paintings/woodblock.jpg", woodblock.paint),
    "garden": ("paintings/garden.jpg", garden.paint),
    "harbour": ("paintings/harbour.jpg", harbour.paint),
    "lake": ("photos/lake.jpg", lake.paint),
    "table": ("photos/table.jpg", table.paint),
    "portrait": ("photos/portrait.jpg", portrait.paint),
    "street": ("photos/street.jpg", street.paint),
    "cat": ("photos/cat.jpg", cat.paint),
    "wall": ("photos/wall.jpg", wall.paint),
}


def main(names: list[str]) -> None:
    unknown = sorted(set(names) - set(PICTURES))
    if unknown:
        sys.exit(f"no picture named {', '.join(unknown)}; there are {', '.join(PICTURES)}")
    for name in names or PICTURES:
        place, paint = PICTURES[name]
        size = save(paint(np.random.default_rng(1)), HERE / place, 1024, LIMITS.get(name, 330_000))
        print(f"{place}: {size // 1024} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
