"""The example pictures and the code that draws them, in ``examples``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def draw() -> Iterator[ModuleType]:
    """``examples/draw.py``, which imports its neighbours as a script does."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield importlib.import_module("draw")
    finally:
        sys.path.remove(str(EXAMPLES))
        for name in [name for name in sys.modules if name == "draw" or name.split(".")[0] == "atelier"]:
            del sys.modules[name]


def test_every_picture_has_a_file_and_a_line_in_the_readme(draw: ModuleType) -> None:
    files = sorted(str(path.relative_to(EXAMPLES)) for path in EXAMPLES.glob("*/*.jpg"))
    assert files == sorted(place for place, _ in draw.PICTURES.values())
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [place for place in files if f"({place})" not in readme] == []


@pytest.mark.parametrize("name", ["portrait", "street", "cat", "wall"])
def test_a_photograph_drawn_small_resembles_its_file(draw: ModuleType, name: str) -> None:
    place, paint = draw.PICTURES[name]
    small = (64, 96)
    drawn = np.clip(paint(np.random.default_rng(1), small), 0, 1)
    assert drawn.shape == (*small, 3)
    file = Image.open(EXAMPLES / place).convert("RGB")
    assert max(file.size) == 1024 and (EXAMPLES / place).stat().st_size <= draw.LIMITS[name]
    stored = np.asarray(file.resize(small[::-1], Image.Resampling.BOX), np.float32) / 255
    # Noises differ between sizes; places and colors of things do not.
    blocks = [picture.reshape(8, 8, 12, 8, 3).mean(axis=(1, 3)) for picture in (drawn, stored)]
    assert np.abs(blocks[0] - blocks[1]).mean() < 0.05
    assert np.corrcoef(blocks[0].ravel(), blocks[1].ravel())[0, 1] > 0.9


def test_the_same_seed_draws_the_same_picture(draw: ModuleType) -> None:
    _, paint = draw.PICTURES["street"]
    one, again, other = (paint(np.random.default_rng(seed), (48, 72)) for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
