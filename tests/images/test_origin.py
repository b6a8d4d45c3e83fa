from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from metastyle.images.decode import open_picture
from metastyle.images.encode import WRITABLE_SUFFIXES, save_picture
from metastyle.images.origin import Origin, photo_digest, place_digest, read_origin, stamp
from metastyle.images.picture import Picture

ORIGIN = Origin("a" * 32, "b" * 16, "c" * 32)


def _camera() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    exif[ExifTags.Base.Software] = "its own"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:01:01 00:00:00"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif.tobytes()


@pytest.mark.parametrize("suffix", WRITABLE_SUFFIXES)
@pytest.mark.parametrize("exif", [None, _camera()])
def test_the_origin_can_be_read_from_every_format(suffix: str, exif: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    save_picture(Picture(pixels=pixels, exif=stamp(exif, ORIGIN)), path)
    assert read_origin(path) == ORIGIN
    copy = shutil.copy(path, tmp_path / f"other name{suffix}")
    assert read_origin(Path(copy)) == ORIGIN
    again = open_picture(path)
    assert again.size == (24, 20)
    if suffix in (".png", ".tif", ".tiff", ".bmp"):
        assert np.array_equal(again.pixels, pixels)
    if exif is not None and suffix != ".bmp":
        kept = Image.Exif()
        assert again.exif is not None
        kept.load(again.exif)
        assert kept[ExifTags.Base.Software] == "its own"
        assert kept.get_ifd(ExifTags.IFD.GPSInfo)
    save_picture(again, path, overwrite=True)  # saved again, it has no origin
    assert read_origin(path) is None


def test_a_tiff_stays_compressed(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    picture = Picture(pixels=np.zeros((300, 300, 3), np.uint8), exif=stamp(None, ORIGIN))
    save_picture(picture, path)
    assert path.stat().st_size < 10_000


def test_other_files_have_no_origin(tmp_path: Path) -> None:
    plain = tmp_path / "plain.png"
    Image.new("RGB", (20, 20)).save(plain)
    other = tmp_path / "other.jpg"
    exif = Image.Exif()
    exif[0x000B] = "another program"
    Image.new("RGB", (20, 20)).save(other, exif=exif)
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"\xff\xd8\xff\xe1" + b"x" * 50)
    bmp = tmp_path / "short.bmp"
    Image.new("RGB", (20, 20)).save(bmp)
    bmp.write_bytes(bmp.read_bytes()[:60])
    for path in (plain, other, damaged, bmp, tmp_path / "missing.png", tmp_path, tmp_path / "a.heic"):
        assert read_origin(path) is None


def test_digests_depend_on_content_or_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_bytes(b"a")
    two.write_bytes(b"a")
    assert photo_digest(one) == photo_digest(two) == photo_digest(io.BytesIO(b"a"))
    assert place_digest(one) != place_digest(two)
    monkeypatch.chdir(tmp_path)
    assert place_digest(Path("1")) == place_digest(one)
    two.write_bytes(b"other")
    assert photo_digest(one) != photo_digest(two)
    with pytest.raises(OSError, match="No such file"):
        photo_digest(tmp_path / "3")
