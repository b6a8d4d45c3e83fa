"""Redraw the example pictures: ``python examples/draw.py`` for all, ``draw.py night lake`` for a few.

Needs numpy and Pillow; a picture takes 15 seconds to two minutes on one core. Each starts from a fresh
seed, so the order does not matter and the same versions of numpy and Pillow give the same picture.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from atelier import fauve, garden, harbour, lake, mosaic, night, table, woodblock
from atelier.tools import Array, save

HERE = Path(__file__).parent
PICTURES: dict[str, tuple[str, Callable[[np.random.Generator], Array]]] = {
    "night": ("paintings/night.jpg", night.paint),
    "fauve": ("paintings/fauve.jpg", fauve.paint),
    "mosaic": ("paintings/mosaic.jpg", mosaic.paint),
    "woodblock": ("paintings/woodblock.jpg", woodblock.paint),
    "garden": ("paintings/garden.jpg", garden.paint),
    "harbour": ("paintings/harbour.jpg", harbour.paint),
    "lake": ("photos/lake.jpg", lake.paint),
    "table": ("photos/table.jpg", table.paint),
}


def main(names: list[str]) -> None:
    unknown = sorted(set(names) - set(PICTURES))
    if unknown:
        sys.exit(f"no picture named {', '.join(unknown)}; there are {', '.join(PICTURES)}")
    for name in names or PICTURES:
        place, paint = PICTURES[name]
        size = save(paint(np.random.default_rng(1)), HERE / place, long_edge=1024)
        print(f"{place}: {size // 1024} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
