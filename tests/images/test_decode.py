from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import NOISE8, NOISE16, Colors, difference, encoded, png16, tiff
from PIL import ExifTags, Image, ImageCms

from metastyle.errors import MetastyleError
from metastyle.images.decode import from_pil, list_pictures, open_picture
from metastyle.images.picture import MIN_SIDE

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_is_read_exactly(channels: int) -> None:
    picture = open_picture(png16(NOISE16[..., :channels]))
    assert picture.gray == (channels < 3)
    color = NOISE16[..., :1] if channels < 3 else NOISE16[..., :3]
    assert picture.pixels.dtype == np.uint16 and (picture.pixels == color).all()
    if channels in (2, 4):
        assert picture.alpha is not None and (picture.alpha == NOISE16[..., channels - 1]).all()
    else:
        assert picture.alpha is None


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_png_color_key_is_transparent(channels: int) -> None:
    key = NOISE16[3, 5, :channels]
    picture = open_picture(png16(NOISE16[..., :channels], (b"tRNS", key.astype(">u2").tobytes())))
    assert picture.alpha is not None and picture.alpha.dtype == np.uint16
    assert picture.alpha[3, 5] == 0
    assert ((picture.alpha == 0) == (NOISE16[..., :channels] == key).all(axis=2)).all()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"compression": "zlib"},
        {"compression": "zlib", "byteorder": ">"},
        {"tile": (16, 16)},
    ],
    ids=str,
)
def test_16_bit_tiff_is_read_exactly(options: dict[str, Any]) -> None:
    for channels, kind in ((1, "minisblack"), (3, "rgb"), (4, "rgb")):
        extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
        array = NOISE16[..., :channels] if channels > 1 else NOISE16[..., 0]
        picture = open_picture(tiff(array, photometric=kind, **extra, **options))
        assert picture.pixels.dtype == np.uint16
        assert (picture.pixels == (NOISE16[..., :1] if channels == 1 else NOISE16[..., :3])).all()
        assert (picture.alpha is None) == (channels != 4)
        if picture.alpha is not None:
            assert (picture.alpha == NOISE16[..., 3]).all()


def test_signed_or_floating_point_pictures_are_refused() -> None:
    for dtype in (np.int16, np.float32):
        with pytest.raises(MetastyleError, match="8 or 16 bits"):
            open_picture(tiff((NOISE16[..., 0] - 30000.0).astype(dtype), photometric="minisblack"))


def test_palettes_and_single_bits_are_read_exactly(tmp_path: Path, colors: Colors) -> None:
    palette = Image.fromarray(colors).quantize(64)
    expected = np.asarray(palette.convert("RGB"))
    for name in ("PNG", "GIF", "BMP", "TIFF"):
        picture = open_picture(encoded(palette, name))
        assert (picture.pixels == expected).all() and picture.alpha is None
    for name in ("PNG", "GIF"):
        index = palette.getpixel((0, 0))
        keyed = open_picture(encoded(palette, name, transparency=index))
        assert keyed.alpha is not None and ((keyed.alpha == 0) == (np.asarray(palette) == index)).all()
    bits = Image.fromarray(colors[..., 0] > 120)
    for name in ("PNG", "TIFF", "BMP"):
        picture = open_picture(encoded(bits, name))
        assert picture.gray and (picture.pixels[..., 0] == np.where(np.asarray(bits), 255, 0)).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("name", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_read_from_gray_and_color(mode: str, name: str) -> None:
    image = Image.fromarray(NOISE8[..., 2:] if mode == "LA" else NOISE8)
    options = {"lossless": True, "exact": True} if name == "WEBP" else {}
    picture = open_picture(encoded(image, name, **options))
    assert picture.alpha is not None and (picture.alpha == NOISE8[..., 3]).all()
    assert (picture.pixels == (NOISE8[..., 2:3] if mode == "LA" else NOISE8[..., :3])).all()


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_cmyk_without_a_profile_is_converted(name: str) -> None:
    ink = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    ink.paste((0, 0, 0, 255), (0, 0, 16, 32))
    pixels = open_picture(encoded(ink, name)).pixels
    assert pixels[16, 4].max() < 8 and pixels[16, 28, 0] < 8 and pixels[16, 28, 1:].min() > 247


def test_a_lab_tiff_is_converted_to_srgb() -> None:
    lab = ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    image = transform.apply(Image.new("RGB", (20, 20), (200, 60, 90)))
    pixels = open_picture(encoded(image, "TIFF")).pixels
    assert np.abs(pixels.astype(int) - (200, 60, 90)).max() <= 4


def test_animations_give_their_first_frame(colors: Colors) -> None:
    first, second = Image.fromarray(colors), Image.new("RGB", colors.shape[1::-1], "black")
    for name, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("GIF", {}), ("AVIF", {})):
        picture = open_picture(encoded(first, name, save_all=True, append_images=[second], **options))
        assert difference(picture.pixels, colors) < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied_and_removed_from_the_metadata(
    orientation: int, name: str, colors: Colors
) -> None:
    undo = {  # how a viewer turns the stored picture upright, by the EXIF standard
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Camera"
    picture = open_picture(encoded(Image.fromarray(colors), name, exif=exif))
    assert difference(picture.pixels, np.ascontiguousarray(undo[orientation](colors))) < 2.5
    kept = Image.Exif()
    assert picture.exif is not None
    kept.load(picture.exif)
    assert dict(kept) == {ExifTags.Base.Make: "Camera"}


def test_orientation_is_applied_to_16_bits_and_alpha() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture = open_picture(png16(NOISE16, (b"eXIf", exif.tobytes()[6:])))
    assert (picture.pixels == np.rot90(NOISE16[..., :3], -1)).all()
    assert picture.alpha is not None and (picture.alpha == np.rot90(NOISE16[..., 3], -1)).all()


def test_a_rotated_heic_is_turned_upright(colors: Colors) -> None:
    picture = open_picture(DATA / "rotated.heic")
    assert difference(picture.pixels, np.ascontiguousarray(np.rot90(colors, -1))) < 2
    assert picture.exif is not None and b"Camera" in picture.exif


def test_heic_may_have_alpha_gray_or_ten_bits(colors: Colors) -> None:
    alpha = open_picture(DATA / "alpha.heic")
    assert difference(alpha.pixels, colors) < 2
    assert alpha.alpha is not None and (alpha.alpha[:, 24:] > 250).all() and (alpha.alpha[:, :16] < 136).all()
    gray = open_picture(DATA / "gray.heic")
    assert gray.gray and np.abs(gray.pixels[..., 0].astype(int) - colors[..., 0]).mean() < 2
    ten = open_picture(DATA / "ten_bits.heic")
    assert ten.pixels.dtype == np.uint16 and difference(ten.pixels, colors.astype(np.uint16) * 257) < 300
    assert ten.pixels.max() == 65535 and len(np.unique(ten.pixels)) > 256


def test_bytes_streams_and_paths_give_the_same_pixels(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(NOISE8), "PNG")
    path = tmp_path / "a picture.with.dots"
    path.write_bytes(data)

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: Any) -> int:
            raise io.UnsupportedOperation("seek")

    stream = io.BytesIO(data)
    stream.seek(11)
    pictures = [open_picture(s) for s in (str(path), path, data, stream, Pipe(data))]
    assert not stream.closed
    assert [p.name for p in pictures] == [str(path), str(path), "<bytes>", "<stream>", "<stream>"]
    assert all((p.pixels == NOISE8[..., :3]).all() for p in pictures)


def test_a_stream_keeps_its_name_and_stays_open(tmp_path: Path) -> None:
    for name, image in (
        ("p.tif", Image.fromarray(NOISE8)),
        ("p.gif", Image.fromarray(NOISE8[..., 0].copy())),
    ):
        image.save(tmp_path / name)
        with (tmp_path / name).open("rb") as stream:
            assert open_picture(stream).name == str(tmp_path / name)
            assert not stream.closed


def test_pil_images_of_most_modes_are_converted(colors: Colors) -> None:
    rgb = Image.fromarray(colors)
    for mode in (
        "1",
        "L",
        "LA",
        "P",
        "RGB",
        "RGBA",
        "CMYK",
        "YCbCr",
        "HSV",
        "LAB",
        "I;16",
        "I",
        "RGBX",
        "PA",
    ):
        if mode == "LAB":
            lab = ImageCms.createProfile("LAB")
            image = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB").apply(rgb)
        elif mode == "PA":
            image = rgb.quantize(64).convert("PA")
        else:
            image = rgb.convert("L").convert(mode) if mode.startswith("I") else rgb.convert(mode)
        picture = from_pil(image)
        assert picture.size == rgb.size
        assert (picture.alpha is not None) == mode.endswith("A")
        assert picture.gray == (mode in ("1", "L", "LA", "I", "I;16"))
        if mode in ("RGBA", "CMYK", "YCbCr", "HSV", "LAB", "RGBX"):
            assert difference(picture.pixels, colors) < 4, mode
    with pytest.raises(MetastyleError, match=r"<image> is damaged.*mode F"):
        from_pil(rgb.convert("F"))


def test_list_pictures_ignores_hidden_files_folders_and_other_formats(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", ".hidden.png", "notes.txt", "c.heic", "._c.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "inside.png").touch()
    assert [p.name for p in list_pictures(tmp_path)] == ["a.png", "b.JPG", "c.heic"]
    assert list_pictures(str(tmp_path / "folder.png"))[0].name == "inside.png"
    for wrong, message in ((tmp_path / "none", "No such file"), (tmp_path / "a.png", "is a file")):
        with pytest.raises(MetastyleError, match=message):
            list_pictures(wrong)


@pytest.mark.parametrize("size", [(15, 40), (40, 15), (1, 1)])
def test_pictures_that_are_too_small_are_refused(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    Image.new("RGB", size).save(path)
    for attempt in (lambda: open_picture(path), lambda: from_pil(Image.new("RGB", size))):
        with pytest.raises(MetastyleError, match=f"{size[0]}x{size[1]} pixels; .* at least {MIN_SIDE}x"):
            attempt()


def test_max_pixels_is_inclusive() -> None:
    data = encoded(Image.new("RGB", (40, 50)), "PNG")
    assert open_picture(data, max_pixels=2000).size == (40, 50)
    with pytest.raises(MetastyleError, match="40x50 pixels"):
        open_picture(data, max_pixels=1999)
    with pytest.raises(MetastyleError, match="positive"):
        open_picture(data, max_pixels=0)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".avif"])
def test_the_first_frame_of_an_animation_is_used_with_a_warning(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (Image.new("RGB", (32, 24), color) for color in ((200, 40, 40), (30, 60, 220)))
    path = tmp_path / f"moving{suffix}"
    first.save(path, save_all=True, append_images=[second], duration=100)
    picture = open_picture(path)
    assert np.abs(picture.pixels.astype(int) - (200, 40, 40)).max() < 12
    assert [r.getMessage() for r in caplog.records] == [
        f"{path} is animated: the first of its 2 frames is used ('metastyle video' repaints them all)"
    ]


def test_pictures_that_are_not_animated_cause_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for suffix in (".gif", ".png", ".webp", ".avif", ".tif"):
        Image.new("RGB", (32, 24), "red").save(tmp_path / f"still{suffix}")
    for path in tmp_path.iterdir():
        open_picture(path)
    assert not caplog.records
