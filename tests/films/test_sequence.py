from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import Pixels, moving
from PIL import Image

from metastyle.errors import MetastyleError
from metastyle.films.clip import open_clip
from metastyle.films.decode import Damage
from metastyle.films.frames import read_frames
from metastyle.films.sequence import as_film, is_sequence, name_of

FRAMES = moving(11, (32, 24))
RATE = Fraction(24000, 1001)


def write(folder: Path, frames: Sequence[Pixels], suffix: str = ".png") -> Path:
    folder.mkdir(exist_ok=True)
    for index, pixels in enumerate(frames):
        Image.fromarray(pixels).save(folder / f"f{index}{suffix}")
    return folder


@pytest.mark.parametrize(("suffix", "error"), [(".png", 0), (".jpg", 6), (".JPEG", 6)])
def test_frames_are_in_numerical_order(suffix: str, error: float, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", FRAMES, suffix)
    (folder / "notes.txt").touch()
    with as_film(folder, RATE) as film:
        clip = open_clip(film)
        frames = list(read_frames(clip, Damage()))
        assert [clip.seconds_at(f.pts) for f in frames] == pytest.approx(
            [i / RATE for i in range(11)], abs=1e-4
        )
        for frame, pixels in zip(frames, FRAMES, strict=True):
            assert np.abs(frame.pixels - pixels.astype(int)).mean() <= error
    assert not film.exists()


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    folder, contents = write(tmp_path / "in", FRAMES), []
    for _ in range(2):
        with as_film(folder, RATE) as film:
            contents.append(film.read_bytes())
    assert contents[0] == contents[1]


def test_a_damaged_frame_is_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", FRAMES)
    (folder / "f3.png").write_bytes(b"no picture")
    with as_film(folder, RATE) as film:
        damage = Damage()
        assert len(list(read_frames(open_clip(film), damage))) == 10
        assert damage.sentence(film)


def test_folders_and_patterns_are_sequences_but_files_are_not(tmp_path: Path) -> None:
    assert is_sequence(tmp_path) and is_sequence(tmp_path / "f%d.png") and is_sequence(Path("f%05d.jpg"))
    odd = tmp_path / "f%d.mp4"
    odd.touch()
    assert not is_sequence(odd) and not is_sequence(Path("100%.mp4"))
    assert name_of(Path("a/shot_%04d.png")) == Path("a/shot")
    assert name_of(tmp_path / "%d.png") == tmp_path / tmp_path.name
    assert name_of(tmp_path) == tmp_path.resolve()


def test_unusable_sequences_are_refused(tmp_path: Path) -> None:
    def message(sequence: Path) -> str:
        with pytest.raises(MetastyleError) as caught, as_film(sequence, RATE):
            pass
        return str(caught.value)

    folder = tmp_path / "in"
    folder.mkdir()
    assert "there are no PNG or JPEG frames" in message(folder)
    assert "there are no PNG or JPEG frames" in message(tmp_path / "none" / "f%d.png")
    write(folder, FRAMES)
    Image.new("RGB", (40, 24)).save(folder / "f5.png")
    assert "frames must be of one size: f0.png is 32x24, f5.png 40x24" in message(folder)
    Image.new("RGB", (32, 24)).save(folder / "f5.jpg")
    assert "some are PNG, some JPEG" in message(folder)
    (folder / "f1.tif").touch()
    assert "frames must be PNG or JPEG, not .tif" in message(folder / "f%d.tif")
