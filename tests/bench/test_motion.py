"""Flow files and sequences are read, and occluded pixels are not counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metastyle.bench.motion import (
    Clip,
    fade_in,
    films_of,
    lands_alone,
    pan,
    read_flo,
    read_sequence,
    visitor,
)
from metastyle.errors import MetastyleError
from metastyle.films.smoothing import warp

SHARED = Path(__file__).parents[3] / "shared"


def write_flo(path: Path, flow: np.ndarray) -> None:
    height, width = flow.shape[:2]
    head = np.float32(202021.25).tobytes() + np.array([width, height], "<i4").tobytes()
    path.write_bytes(head + flow.astype("<f4").tobytes())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two frames, the second moved two pixels to the right, with masks for the first."""
    picture = np.random.default_rng(0).integers(0, 256, (24, 42, 3), np.uint8)
    for name in ("clean", "flow", "occlusions", "invalid"):
        (tmp_path / name).mkdir()
    Image.fromarray(picture[:, 2:]).save(tmp_path / "clean" / "frame_0001.png")
    Image.fromarray(picture[:, :-2]).save(tmp_path / "clean" / "frame_0002.png")
    flow = np.zeros((24, 40, 2), np.float32)
    flow[..., 0] = 2
    write_flo(tmp_path / "flow" / "frame_0001.flo", flow)
    for name, rows in (("occlusions", slice(0, 3)), ("invalid", slice(20, 24))):
        mask = np.zeros((24, 40), np.uint8)
        mask[rows] = 255
        Image.fromarray(mask).save(tmp_path / name / "frame_0001.png")
    return tmp_path


def own_error(clip: Clip) -> float:
    step = clip.pairs[0]
    moved, _ = warp(clip.frames[step.first + 1], step.flow)
    return float(np.abs(moved - clip.frames[step.first])[step.visible].max())


def test_a_sequence_is_read_with_its_masks(folder: Path) -> None:
    clip = read_sequence(folder)
    assert len(clip.frames) == 2 and len(clip.pairs) == 1
    expected = np.zeros((24, 40), bool)
    expected[3:20, :38] = True
    np.testing.assert_array_equal(clip.pairs[0].visible, expected)
    assert own_error(clip) < 0.01
    small = read_sequence(folder, reduce=2)
    assert small.frames[0].shape == (12, 20, 3)
    assert (small.pairs[0].flow[..., 0] == 1).all()
    assert small.pairs[0].visible[2:10, :19].all() and not small.pairs[0].visible[:2].any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PIEH", "not a .flo file"),
        (np.float32(1).tobytes() + bytes(20), "not a .flo file"),
        (np.float32(202021.25).tobytes() + np.array([-1, 5], "<i4").tobytes(), "is impossible"),
        (np.float32(202021.25).tobytes() + np.array([2, 2], "<i4").tobytes() + bytes(8), "take 44"),
    ],
)
def test_a_damaged_flow_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.flo").write_bytes(content)
    with pytest.raises(MetastyleError, match=message):
        read_flo(tmp_path / "a.flo")


def test_folders_without_frames_or_flow_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "flow" / "frame_0001.flo").unlink()
    with pytest.raises(MetastyleError, match="has no flow"):
        read_sequence(folder)
    (folder / "clean" / "frame_0002.png").unlink()
    with pytest.raises(MetastyleError, match="has no frames"):
        read_sequence(folder)


def test_pixels_with_the_same_target_are_left_out() -> None:
    flow = np.zeros((20, 30, 2), np.float32)
    flow[5:15, 5:10, 0] = 8  # an object that moves onto columns 13 to 17 and hides them
    alone = lands_alone(flow)
    assert not alone[5:15, 5:10].any() and not alone[5:15, 13:18].any()
    assert alone[:3].all() and alone[17:].all() and alone[:, 20:].all()


def test_films_made_from_pictures_have_exact_flow(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (60, 100, 3), np.uint8)
    panned = pan("p", picture, height=32, width=48, count=5)
    assert len(panned.pairs) == 4 and own_error(panned) < 0.01
    faded = fade_in("f", panned, over=4)
    assert faded.frames[0].mean() < 0.3 * panned.frames[0].mean()
    assert (faded.frames[4] == panned.frames[4]).all()
    passing = visitor("v", picture, picture[:40, :30], count=6)
    assert all(own_error(Clip("", passing.frames, [s])) < 0.01 for s in passing.pairs)
    assert any((a != b).any() for a, b in zip(passing.frames, passing.frames[1:], strict=False))
    assert min(s.visible.mean() for s in passing.pairs) > 0.5
    Image.fromarray(picture).save(tmp_path / "a.png")
    clips = films_of(tmp_path / "a.png", tmp_path / "a.png", count=4, height=32, width=48)
    assert [c.name for c in clips] == ["pan", "fade", "visitor"]
    with pytest.raises(MetastyleError, match="a pan needs"):
        pan("p", picture, height=61, width=48, count=5)


@pytest.mark.shared
def test_the_flow_of_a_real_sequence_matches_its_frames() -> None:
    sequence = SHARED / "video" / "sintel_alley_1_gt"
    if not sequence.is_dir():
        pytest.skip("needs the research data beside the project")
    clip = read_sequence(sequence, reduce=2)
    assert [s.first for s in clip.pairs] == [0, 1, 2]
    for step in clip.pairs:
        first, second = (clip.frames[step.first + i].astype(float) for i in (0, 1))
        moved, _ = warp(second, step.flow)
        left = np.abs(moved - first)[step.visible].mean()
        assert left < 0.5 * np.abs(second - first)[step.visible].mean()
