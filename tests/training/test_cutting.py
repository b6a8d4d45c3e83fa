import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from metastyle.training.config import DataConfig
from metastyle.training.cutting import cut, decode, painting, photograph
from metastyle.training.sources import find_pictures
from metastyle.training.target_cache import TargetCache


@given(
    height=st.integers(16, 60),
    width=st.integers(16, 60),
    crop=st.sampled_from([16, 32, 64]),
    scale=st.sampled_from(["fixed", "random"]),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=40)
def test_cuts_are_squares_from_the_picture(height: int, width: int, crop: int, scale: Any, seed: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(50, 250, width).astype(np.uint8)
    square = cut(pixels, crop, DataConfig(scale=scale), np.random.default_rng(seed))
    assert square.shape == (3, crop, crop) and square.dtype == torch.uint8
    assert square[0].min() >= 45 and square[1].max() == 0


def test_fixed_scale_keeps_the_whole_shorter_side() -> None:
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:16] = 200
    square = cut(pixels, 16, DataConfig(), np.random.default_rng(0))
    assert (square[:, :7] > 190).all() and (square[:, 9:] < 10).all()


def test_random_scale_varies_and_mirrors() -> None:
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 3, 64, 0).repeat(3, 2)
    config = DataConfig(scale="random", mirror=True)
    cuts = [cut(ramp, 16, config, np.random.default_rng(k))[0, 8].int() for k in range(40)]
    spans = [abs(int(c[-1]) - int(c[0])) for c in cuts]
    assert min(spans) < 70 and max(spans) > 140
    assert {int(c[-1]) > int(c[0]) for c in cuts} == {True, False}


def test_photographs_are_cached_at_a_reduced_size(contents: Path, tmp_path: Path) -> None:
    entry = find_pictures(contents)[0]
    whole = photograph(entry, None, tmp_path)
    small = photograph(entry, 16, tmp_path)
    assert min(small.shape[:2]) == 16 < min(whole.shape[:2])
    (cached,) = tmp_path.iterdir()
    assert np.array_equal(photograph(entry, 16, tmp_path), small)
    cached.unlink()
    assert np.array_equal(photograph(entry, 16, tmp_path), small)


def test_a_painting_always_has_the_same_size_within_range_and_cap(styles: Path, tmp_path: Path) -> None:
    config = DataConfig(style_side=(16, 30), style_cap=28)
    sides = set()
    for entry in find_pictures(styles):
        one, two = (painting(entry, config, TargetCache(tmp_path)) for _ in range(2))
        assert one.pixels is not None and two.pixels is not None
        assert torch.equal(one.pixels, two.pixels) and one.cached == two.cached
        shape = one.pixels.shape[2:]
        assert min(shape) >= 16 and max(shape) <= 28
        sides.add(min(shape))
    assert len(sides) > 2


def test_augmentations_give_different_paintings_within_range_and_cap(styles: Path, tmp_path: Path) -> None:
    config, entry = DataConfig(style_side=(32, 40), style_cap=44), find_pictures(styles)[0]
    augmented = [painting(entry, config, TargetCache(tmp_path), number) for number in range(4)]
    assert len({one.cached for one in augmented}) == 4
    assert augmented[0].cached == painting(entry, config, TargetCache(tmp_path)).cached
    for number, one in enumerate(augmented):
        again = painting(entry, config, TargetCache(tmp_path), number)
        assert one.pixels is not None and again.pixels is not None
        assert torch.equal(one.pixels, again.pixels)
        assert max(one.pixels.shape[2:]) <= 44
        assert min(one.pixels.shape[2:]) >= 16  # half of the smallest side


def test_hidden_colors_are_not_seen() -> None:
    seen = []
    for hidden in ((0, 0, 0), (255, 0, 255)):
        picture = Image.new("RGBA", (40, 32), (*hidden, 0))
        picture.paste((90, 120, 60, 255), (0, 0, 20, 32))
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        seen.append(decode(stream.getvalue(), "cut out"))
    assert (seen[0] == (90, 120, 60)).all()
    assert (seen[1] == seen[0]).all()
