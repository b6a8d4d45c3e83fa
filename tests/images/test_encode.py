from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import NOISE8, NOISE16, Colors, difference, encoded
from PIL import ExifTags, Image

from metastyle.errors import MetastyleError
from metastyle.images.decode import from_pil, open_picture
from metastyle.images.encode import save_picture, to_pil
from metastyle.images.picture import Picture, resize

SHARED = Path(__file__).parents[3] / "shared"
RNG = np.random.default_rng(3)
PICTURE = Picture(RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8))
OTHER = Picture(RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def refused(picture: Picture, path: Path, **options: Any) -> str:
    with pytest.raises(MetastyleError) as caught:
        save_picture(picture, path, **options)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 500
    return message


def test_an_existing_file_is_only_replaced_on_request(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    save_picture(PICTURE, path)
    before = path.read_bytes()
    assert "already exists" in refused(OTHER, path)
    assert path.read_bytes() == before
    save_picture(OTHER, path, overwrite=True)
    assert (open_picture(path).pixels == OTHER.pixels).all()
    assert names(tmp_path) == ["p.png"]


def test_a_file_that_appears_during_encoding_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.png"
    save = Image.Image.save

    def slow(image: Image.Image, *args: Any, **options: Any) -> None:
        save(image, *args, **options)
        path.write_text("theirs")

    monkeypatch.setattr(Image.Image, "save", slow)
    assert "already exists" in refused(PICTURE, path)
    assert path.read_text() == "theirs" and names(tmp_path) == ["p.png"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    save_picture(PICTURE, real)
    link.symlink_to(real)
    assert "already exists" in refused(OTHER, link)
    save_picture(OTHER, link, overwrite=True)
    assert link.is_symlink() and (open_picture(real).pixels == OTHER.pixels).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif", ".bmp"])
@pytest.mark.parametrize("existing", [False, True])
def test_a_full_disk_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, existing: bool
) -> None:
    path = tmp_path / f"p{suffix}"
    if existing:
        save_picture(PICTURE, path)
    before = path.read_bytes() if existing else None
    real_open = Path.open

    class Full:
        """A file on a disk with room for 300 more bytes."""

        def __init__(self, stream: Any) -> None:
            self.stream, self.room = stream, 300

        def __getattr__(self, name: str) -> Any:
            if name == "fileno":  # some encoders would write past this object
                raise AttributeError(name)
            return getattr(self.stream, name)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.stream.close()

        def write(self, data: bytes) -> int:
            self.room -= len(data)
            if self.room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return int(self.stream.write(data))

    monkeypatch.setattr(
        Path,
        "open",
        lambda p, mode="r", *a, **k: Full(real_open(p, mode)) if "x" in mode else real_open(p, mode, *a, **k),
    )
    message = refused(OTHER, path, overwrite=existing)
    assert message == f"{path} cannot be written: the disk is full"
    monkeypatch.undo()
    assert names(tmp_path) == ([path.name] if existing else [])
    assert not existing or path.read_bytes() == before


def test_an_interruption_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Image.Image, stream: Any, **__: Any) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_picture(PICTURE, tmp_path / "p.png")
    assert not names(tmp_path)


def test_a_failing_encoder_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (ValueError("too\nmuch"), OSError("encoder error -2"), MemoryError()):

        def broken(_: Image.Image, stream: Any, error: Exception = error, **__: Any) -> None:
            stream.write(b"half")
            raise error

        monkeypatch.setattr(Image.Image, "save", broken)
        assert "could not be encoded as PNG" in refused(PICTURE, tmp_path / "p.png")
        assert not names(tmp_path)


def test_an_unwritable_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):  # root may write anywhere, so the call is made to fail

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    assert refused(PICTURE, folder / "p.png") == f"{folder / 'p.png'} cannot be written: Permission denied"
    assert not names(folder)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("p.heic", {}, "pictures cannot be written as '.heic': use one of .jpg, .jpeg, .png, .webp"),
        ("p", {}, "a name without extension"),
        ("none/p.png", {}, "there is no folder"),
        ("folder.png", {}, "is a folder"),
        ("file/p.png", {}, "there is no folder"),
        ("p.png", {"quality": 90}, "a quality applies to .jpg, .webp and .avif"),
        ("p.jpg", {"quality": 0}, "quality is 0"),
        ("p.webp", {"quality": 101}, "quality is 101"),
        ("x" * 300 + ".png", {}, "File name too long"),
        ("a\0b.png", {}, "null byte"),
        ("two\nlines.heic", {}, "cannot be written as"),
    ],
)
def test_impossible_outputs_are_refused(
    tmp_path: Path, name: str, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    assert message in refused(PICTURE, tmp_path / name, **options)
    assert names(tmp_path) == ["file", "folder.png"]


def test_a_picture_too_long_for_webp_is_refused(tmp_path: Path) -> None:
    long = Picture(np.zeros((16, 16384, 3), np.uint8))
    assert "WEBP allows 16383 pixels a side" in refused(long, tmp_path / "p.webp")
    save_picture(long, tmp_path / "p.jpg")
    assert open_picture(tmp_path / "p.jpg").size == (16384, 16)


def test_the_longest_possible_name_works(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".png")
    save_picture(PICTURE, path)
    assert open_picture(path).size == PICTURE.size


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp", ".PNG"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, suffix: str) -> None:
    save_picture(Picture(NOISE8[..., :3]), tmp_path / f"p{suffix}")
    assert (open_picture(tmp_path / f"p{suffix}").pixels == NOISE8[..., :3]).all()


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp", ".avif"])
def test_lossy_formats_stay_close_on_smooth_pictures(tmp_path: Path, suffix: str, colors: Colors) -> None:
    save_picture(Picture(colors), tmp_path / f"p{suffix}")
    again = open_picture(tmp_path / f"p{suffix}")
    assert difference(again.pixels, colors) < 1.5 and not again.gray
    save_picture(Picture(colors), tmp_path / f"worse{suffix}", quality=5)
    worse = open_picture(tmp_path / f"worse{suffix}")
    assert difference(worse.pixels, colors) > difference(again.pixels, colors)


def test_jpeg_keeps_the_full_resolution_of_color(tmp_path: Path) -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2, 0], stripes[:, 1::2, 2] = 255, 160
    save_picture(Picture(stripes), tmp_path / "p.jpg")
    assert difference(open_picture(tmp_path / "p.jpg").pixels, stripes) < 3


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".avif"])
def test_alpha_is_kept(tmp_path: Path, suffix: str, colors: Colors) -> None:
    alpha = np.full(colors.shape[:2], 255, np.uint8)
    alpha[:, :20] = 128
    save_picture(Picture(colors, alpha), tmp_path / f"p{suffix}")
    again = open_picture(tmp_path / f"p{suffix}")
    assert again.alpha is not None and difference(again.alpha, alpha) < 1
    assert difference(again.pixels, colors) < 2.5


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_formats_without_alpha_blend_with_white(tmp_path: Path, suffix: str, dtype: Any) -> None:
    top = np.iinfo(dtype).max
    pixels, alpha = np.zeros((16, 16, 3), dtype), np.full((16, 16), round(0.25 * top), dtype)
    save_picture(Picture(pixels, alpha), tmp_path / f"p{suffix}")
    again = open_picture(tmp_path / f"p{suffix}")
    assert again.alpha is None and np.abs(again.pixels.astype(int) - 191).max() <= 1


def test_gray_is_written_as_gray_unless_colors_were_added(tmp_path: Path, colors: Colors) -> None:
    (tmp_path / "g.png").write_bytes(encoded(Image.fromarray(colors[..., 0].copy()), "PNG"))
    gray = open_picture(tmp_path / "g.png")
    assert gray.gray and (gray.pixels == colors[..., :1]).all()
    for suffix in (".png", ".jpg", ".tif", ".webp", ".avif", ".bmp"):
        save_picture(gray, tmp_path / f"again{suffix}")
        assert difference(open_picture(tmp_path / f"again{suffix}").pixels, gray.pixels) < 1
    with Image.open(tmp_path / "again.png") as again:
        assert again.mode == "L"
    save_picture(replace(gray, pixels=colors), tmp_path / "stylized.png")
    assert (open_picture(tmp_path / "stylized.png").pixels == colors).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_gray_is_kept_exactly(tmp_path: Path, suffix: str) -> None:
    gray = np.repeat(NOISE16[..., :1], 3, axis=2)
    save_picture(Picture(gray, gray=True), tmp_path / f"p{suffix}")
    again = open_picture(tmp_path / f"p{suffix}")
    assert again.gray and again.pixels.dtype == np.uint16 and (again.pixels == gray).all()


def test_16_bit_color_is_rounded_to_8_bits_on_saving(tmp_path: Path) -> None:
    save_picture(Picture(NOISE16[..., :3], NOISE16[..., 3]), tmp_path / "p.png")
    again = open_picture(tmp_path / "p.png")
    expected = np.rint(NOISE16 / 257).astype(np.uint8)
    assert again.alpha is not None
    assert (again.pixels == expected[..., :3]).all() and (again.alpha == expected[..., 3]).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_metadata_is_kept(tmp_path: Path, suffix: str, colors: Colors) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    exif[ExifTags.Base.Artist] = "Ada"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"\1" * 100
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    source = encoded(Image.fromarray(colors), "JPEG", exif=exif, dpi=(300, 300))
    save_picture(open_picture(source), tmp_path / f"p{suffix}")
    with Image.open(tmp_path / f"p{suffix}") as image:
        image.load()
        kept = image.getexif()
        assert kept[ExifTags.Base.Artist] == "Ada"
        assert kept.get(ExifTags.Base.Orientation, 1) == 1
        assert kept.get_ifd(ExifTags.IFD.Exif) == {ExifTags.Base.DateTimeOriginal: "2020:01:02 03:04:05"}
        assert kept.get_ifd(ExifTags.IFD.GPSInfo) == {ExifTags.GPS.GPSLatitudeRef: "N"}
        if suffix in (".jpg", ".png", ".tif"):
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_exif_too_long_for_a_jpeg_is_left_out(tmp_path: Path, colors: Colors) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 70_000
    picture = open_picture(encoded(Image.fromarray(colors), "PNG", exif=exif))
    save_picture(picture, tmp_path / "p.jpg")
    save_picture(picture, tmp_path / "p.png")
    assert open_picture(tmp_path / "p.jpg").exif is None
    assert open_picture(tmp_path / "p.png").exif == picture.exif


def test_pictures_round_trip_through_pil(colors: Colors) -> None:
    alpha = NOISE8[..., 3]
    for picture in (
        Picture(colors),
        Picture(NOISE8[..., :3], alpha),
        Picture(np.repeat(NOISE8[..., :1], 3, axis=2), gray=True),
        Picture(np.repeat(NOISE8[..., :1], 3, axis=2), alpha, gray=True),
        Picture(np.repeat(NOISE16[..., :1], 3, axis=2), gray=True),
    ):
        again = from_pil(to_pil(picture))
        assert (again.pixels == picture.pixels).all() and again.gray == picture.gray
        assert (again.alpha is None) == (picture.alpha is None)
    assert [to_pil(Picture(NOISE16[..., :3], g)).mode for g in (None, NOISE16[..., 3])] == ["RGB", "RGBA"]


@pytest.mark.shared
def test_real_photographs_round_trip_through_every_format(tmp_path: Path) -> None:
    paths = sorted((SHARED / "images" / "held_out").rglob("*.jpg"))[:4]
    if not paths:
        pytest.skip("needs the research data beside the project")
    for path in paths:
        picture = resize(open_picture(path), 256)
        for suffix in (".jpg", ".png", ".webp", ".avif", ".tif", ".bmp"):
            target = tmp_path / f"{path.stem}{suffix}"
            save_picture(picture, target)
            assert difference(open_picture(target).pixels, picture.pixels) < 4, target.name
