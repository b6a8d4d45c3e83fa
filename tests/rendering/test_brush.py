from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metastyle.core.network import TransformationNetwork
from metastyle.errors import MetastyleError
from metastyle.images.picture import Picture, resize
from metastyle.images.procedural import dead_leaves
from metastyle.rendering.brush import render_with_brush, working_edge
from metastyle.rendering.stylizer import Stylizer


class Inverting:
    """A predictable stylizer, which inverts the picture."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def render(self, pixels: np.ndarray, *, progress: object = None) -> np.ndarray:
        self.sizes.append((pixels.shape[1], pixels.shape[0]))
        if callable(progress):
            progress(1.0)
        top = np.iinfo(pixels.dtype).max
        return (top - pixels).astype(pixels.dtype)


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    side = max(height, width)
    picture = dead_leaves(1, side, seed)[0].transpose(1, 2, 0)
    return np.ascontiguousarray((picture[:height, :width] * 255).astype(np.uint8))


def test_the_working_size_depends_on_picture_and_brush() -> None:
    assert working_edge(3000, 4000, None) == 1024 and working_edge(600, 400, None) == 600
    assert working_edge(3000, 4000, 1) == working_edge(600, 600, 1) == 1024
    assert working_edge(600, 400, 2) == 512 and working_edge(600, 400, 0.5) == 2048
    assert working_edge(30, 2000, None) == 2000 and working_edge(200, 8000, None) == 2560


def test_a_small_picture_is_painted_at_its_own_size() -> None:
    stylizer = Inverting()
    pixels = photo(60, 90)
    assert (render_with_brush(stylizer, pixels) == 255 - pixels).all()  # type: ignore[arg-type]
    assert stylizer.sizes == [(90, 60)]


def test_the_network_gets_the_reduced_and_the_full_picture() -> None:
    stylizer = Inverting()
    render_with_brush(stylizer, photo(200, 300), 8)  # type: ignore[arg-type]
    assert stylizer.sizes == [(128, 85), (300, 200)]
    stylizer = Inverting()
    render_with_brush(stylizer, photo(200, 300), 2)  # type: ignore[arg-type]
    assert stylizer.sizes == [(512, 341)]


@settings(deadline=None, max_examples=15)
@given(st.integers(130, 300), st.integers(130, 300), st.sampled_from([np.uint8, np.uint16]))
def test_size_and_type_are_kept(height: int, width: int, kind: type) -> None:
    pixels = photo(height, width).astype(kind) * (257 if kind is np.uint16 else 1)
    for brush in (8, 4):
        result = render_with_brush(Inverting(), pixels, brush)  # type: ignore[arg-type]
        assert result.shape == pixels.shape and result.dtype == kind
        # Inverting commutes with reducing, so both levels agree and no difference is added.
        assert np.abs(result.astype(int) - (np.iinfo(kind).max - pixels)).mean() < 0.02 * np.iinfo(kind).max


def test_the_result_looks_like_the_preview_when_reduced() -> None:
    torch.manual_seed(0)
    stylizer = Stylizer(TransformationNetwork(), max_memory=50_000_000)
    pixels = photo(384, 512)
    preview = stylizer.render(resize(Picture(pixels=pixels), 128).pixels).astype(int)

    def distance(result: np.ndarray) -> float:
        reduced = resize(Picture(pixels=result), 128).pixels.astype(int)
        return float(np.abs(reduced - preview).mean())

    assert distance(render_with_brush(stylizer, pixels, 8)) < 0.25 * distance(stylizer.render(pixels))


def test_progress_rises_to_one() -> None:
    shares: list[float] = []
    render_with_brush(Inverting(), photo(200, 300), 8, progress=shares.append)  # type: ignore[arg-type]
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) == 2


@pytest.mark.parametrize("brush", [0, 0.2, 9, float("nan"), -1])
def test_brushes_out_of_range_are_refused(brush: float) -> None:
    with pytest.raises(MetastyleError, match="brush is"):
        render_with_brush(Inverting(), photo(64, 64), brush)  # type: ignore[arg-type]


def test_a_panorama_too_narrow_for_a_brush_is_refused() -> None:
    with pytest.raises(MetastyleError, match="use a smaller brush"):
        render_with_brush(Inverting(), np.zeros((30, 2000, 3), np.uint8), 8)  # type: ignore[arg-type]
