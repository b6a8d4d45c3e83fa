from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import decoded, frame_times, moving
from PIL import Image

import metastyle
from metastyle.errors import MetastyleError
from metastyle.films.animation import as_film, is_animation
from metastyle.images.decode import open_picture

FRAMES = moving(8, (32, 24))
TIMES = [120, 40, 40, 200, 40, 40, 40, 40]  # milliseconds
WAYS: dict[str, dict[str, Any]] = {
    ".gif": {},
    ".png": {},
    ".webp": {"lossless": True},
    ".avif": {"quality": 100, "subsampling": "4:4:4"},
}


def write(path: Path, alpha: Image.Image | None = None, **options: Any) -> Path:
    first, *others = (Image.fromarray(pixels) for pixels in FRAMES)
    if alpha is not None:
        for image in (first, *others):
            image.putalpha(alpha)
    first.save(path, save_all=True, append_images=others, duration=TIMES, **options)
    return path


def film(path: Path, **options: Any) -> Path:
    """The unchanged frames as a film."""
    made = metastyle.film(path, "mosaic", strength=0, frame_by_frame=True, quality=4, device="cpu", **options)
    assert made.path is not None and made.damage is None
    return made.path


@pytest.mark.parametrize("suffix", WAYS)
def test_what_is_called_animated_can_be_made_into_a_film(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / f"a{suffix}", **WAYS[suffix])
    with caplog.at_level(logging.WARNING, logger="metastyle"):
        open_picture(path)
    assert "the first of its 8 frames is used ('metastyle video' repaints them all)" in caplog.text
    out = film(path)
    assert np.diff([float(t) for t in frame_times(out)]) == pytest.approx(np.array(TIMES[:-1]) / 1000)
    for (_, pixels), expected in zip(decoded(out), FRAMES, strict=True):
        assert np.abs(pixels - expected.astype(int)).mean() < 9  # 4:2:0, and the palette of a GIF


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_transparent_parts_become_white(suffix: str, tmp_path: Path) -> None:
    alpha = Image.new("L", (32, 24), 255)
    alpha.paste(0, (0, 0, 16, 24))
    options: dict[str, Any] = {"disposal": 2} if suffix == ".gif" else WAYS[suffix]
    for _, pixels in decoded(film(write(tmp_path / f"a{suffix}", alpha, **options))):
        assert pixels[:, :14].min() > 245
        assert pixels[:, 18:].mean() < 200


def test_a_webp_that_is_not_animated_is_a_picture(tmp_path: Path) -> None:
    Image.fromarray(FRAMES[0]).save(tmp_path / "a.webp", exif=b"Exif\0\0")
    assert not is_animation(tmp_path / "a.webp")
    assert not is_animation(tmp_path) and not is_animation(tmp_path / "none.webp")
    with pytest.raises(MetastyleError, match="is a picture"):
        film(tmp_path / "a.webp")


def test_frames_without_a_duration_are_shown_for_a_tenth_of_a_second(tmp_path: Path) -> None:
    first, *others = (Image.fromarray(pixels) for pixels in FRAMES)
    first.save(tmp_path / "a.webp", save_all=True, append_images=others, duration=0, lossless=True)
    times = [float(t) for t in frame_times(film(tmp_path / "a.webp"))]
    assert times == pytest.approx([i / 10 for i in range(8)])


def test_the_temporary_film_is_repeatable_and_removed(tmp_path: Path) -> None:
    path, contents = write(tmp_path / "a.webp"), []
    for _ in range(2):
        with as_film(path) as made:
            contents.append(made.read_bytes())
        assert not made.exists()
    assert contents[0] == contents[1]


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_truncated_animation_is_refused_in_one_line(share: float, tmp_path: Path) -> None:
    path = write(tmp_path / "a.webp", lossless=True)
    path.write_bytes(path.read_bytes()[: max(30, int(path.stat().st_size * share))])
    with pytest.raises(MetastyleError, match="damaged") as caught, as_film(path):
        pass
    assert "\n" not in str(caught.value)


def test_an_animation_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.webp", lossless=True)
    data = bytearray(path.read_bytes())
    data[24:30] = b"\xff\x3f\0\xff\x3f\0"  # 16384 x 16384 pixels
    path.write_bytes(data)
    with pytest.raises(MetastyleError), as_film(path):
        pass
