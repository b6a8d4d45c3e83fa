from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from metastyle.errors import MetastyleError
from metastyle.images.picture import (
    MIN_SIDE,
    Picture,
    check_output,
    from_pil,
    from_tensor,
    list_pictures,
    open_picture,
    resize,
    save_picture,
    to_pil,
    to_tensor,
)

DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).parents[3] / "shared"
RNG = np.random.default_rng(7)
NOISE16 = RNG.integers(0, 65536, (20, 24, 4), dtype=np.uint16)
NOISE8 = RNG.integers(0, 256, (20, 24, 4), dtype=np.uint8)

Colors = NDArray[np.uint8]


def encoded(image: Image.Image, format_name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=format_name, **options)
    return stream.getvalue()


def tiff(array: NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def png16(samples: NDArray[np.uint16], *chunks: tuple[bytes, bytes]) -> bytes:
    """A 16-bit PNG of 1 to 4 channels, unfiltered: no library here writes one."""
    height, width, channels = samples.shape
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    data = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 16, (None, 0, 4, 2, 6)[channels], 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts
    )


def difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    assert a.shape == b.shape and a.dtype == b.dtype
    return float(np.abs(a.astype(np.int64) - b.astype(np.int64)).mean())


# ---- round trips


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp", ".PNG"])
def test_lossless_formats_return_every_pixel(tmp_path: Path, suffix: str) -> None:
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
def test_without_alpha_a_picture_is_laid_on_white(tmp_path: Path, suffix: str, dtype: Any) -> None:
    top = np.iinfo(dtype).max
    pixels, alpha = np.zeros((16, 16, 3), dtype), np.full((16, 16), round(0.25 * top), dtype)
    save_picture(Picture(pixels, alpha), tmp_path / f"p{suffix}")
    again = open_picture(tmp_path / f"p{suffix}")
    assert again.alpha is None and np.abs(again.pixels.astype(int) - 191).max() <= 1


def test_gray_is_written_as_gray_only_while_it_is_gray(tmp_path: Path, colors: Colors) -> None:
    (tmp_path / "g.png").write_bytes(encoded(Image.fromarray(colors[..., 0].copy()), "PNG"))
    gray = open_picture(tmp_path / "g.png")
    assert gray.gray and (gray.pixels == colors[..., :1]).all()
    for suffix in (".png", ".jpg", ".tif", ".webp", ".avif", ".bmp"):
        save_picture(gray, tmp_path / f"again{suffix}")
        assert difference(open_picture(tmp_path / f"again{suffix}").pixels, gray.pixels) < 1
    with Image.open(tmp_path / "again.png") as again:
        assert again.mode == "L"
    save_picture(gray.with_pixels(colors), tmp_path / "stylized.png")
    assert (open_picture(tmp_path / "stylized.png").pixels == colors).all()


# ---- 16 bits


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_gray_survives_exactly(tmp_path: Path, suffix: str) -> None:
    gray = np.repeat(NOISE16[..., :1], 3, axis=2)
    save_picture(Picture(gray, gray=True), tmp_path / f"p{suffix}")
    again = open_picture(tmp_path / f"p{suffix}")
    assert again.gray and again.pixels.dtype == np.uint16 and (again.pixels == gray).all()


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


def test_16_bit_color_is_rounded_to_8_bits_on_saving(tmp_path: Path) -> None:
    save_picture(Picture(NOISE16[..., :3], NOISE16[..., 3]), tmp_path / "p.png")
    again = open_picture(tmp_path / "p.png")
    expected = np.rint(NOISE16 / 257).astype(np.uint8)
    assert again.alpha is not None
    assert (again.pixels == expected[..., :3]).all() and (again.alpha == expected[..., 3]).all()


def test_signed_or_floating_point_pictures_are_refused() -> None:
    for dtype in (np.int16, np.float32):
        with pytest.raises(MetastyleError, match="8 or 16 bits"):
            open_picture(tiff((NOISE16[..., 0] - 30000.0).astype(dtype), photometric="minisblack"))


# ---- what else files are like


def test_palettes_and_single_bits(tmp_path: Path, colors: Colors) -> None:
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
def test_cmyk_without_profile(name: str) -> None:
    ink = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    ink.paste((0, 0, 0, 255), (0, 0, 16, 32))
    pixels = open_picture(encoded(ink, name)).pixels
    assert pixels[16, 4].max() < 8 and pixels[16, 28, 0] < 8 and pixels[16, 28, 1:].min() > 247


def test_lab_tiff_has_its_colors() -> None:
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
def test_orientation_is_applied_and_forgotten(orientation: int, name: str, colors: Colors) -> None:
    undo = {  # how a viewer turns the stored picture upright, from the EXIF standard's drawing
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


def test_orientation_turns_16_bits_and_alpha_too() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture = open_picture(png16(NOISE16, (b"eXIf", exif.tobytes()[6:])))
    assert (picture.pixels == np.rot90(NOISE16[..., :3], -1)).all()
    assert picture.alpha is not None and (picture.alpha == np.rot90(NOISE16[..., 3], -1)).all()


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


def test_exif_too_long_for_a_jpeg_is_left_out_of_it(tmp_path: Path, colors: Colors) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 70_000
    picture = open_picture(encoded(Image.fromarray(colors), "PNG", exif=exif))
    save_picture(picture, tmp_path / "p.jpg")
    save_picture(picture, tmp_path / "p.png")
    assert open_picture(tmp_path / "p.jpg").exif is None
    assert open_picture(tmp_path / "p.png").exif == picture.exif


# ---- HEIC (five small files made by libheif from the picture ``colors``)


def test_heic_is_upright(colors: Colors) -> None:
    picture = open_picture(DATA / "rotated.heic")
    assert difference(picture.pixels, np.ascontiguousarray(np.rot90(colors, -1))) < 2
    assert picture.exif is not None and b"Camera" in picture.exif


def test_heic_alpha_gray_and_ten_bits(colors: Colors) -> None:
    alpha = open_picture(DATA / "alpha.heic")
    assert difference(alpha.pixels, colors) < 2
    assert alpha.alpha is not None and (alpha.alpha[:, 24:] > 250).all() and (alpha.alpha[:, :16] < 136).all()
    gray = open_picture(DATA / "gray.heic")
    assert gray.gray and np.abs(gray.pixels[..., 0].astype(int) - colors[..., 0]).mean() < 2
    ten = open_picture(DATA / "ten_bits.heic")
    assert ten.pixels.dtype == np.uint16 and difference(ten.pixels, colors.astype(np.uint16) * 257) < 300
    assert ten.pixels.max() == 65535 and len(np.unique(ten.pixels)) > 256


# ---- sources


def test_bytes_streams_and_paths_give_the_same(tmp_path: Path) -> None:
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


def test_pil_images_of_any_mode(colors: Colors) -> None:
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


def test_to_pil_and_back(colors: Colors) -> None:
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


def test_a_picture_has_one_shape_and_type() -> None:
    for wrong in (NOISE8, NOISE8[..., 0], NOISE8[..., :3].astype(float)):
        with pytest.raises(ValueError, match="uint8 or uint16"):
            Picture(wrong)
    with pytest.raises(ValueError, match="alpha must be uint8"):
        Picture(NOISE8[..., :3], NOISE16[..., 3])
    with pytest.raises(ValueError, match="expected uint8 pixels"):
        Picture(NOISE8[..., :3]).with_pixels(NOISE16[..., :3])


def test_list_pictures(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", ".hidden.png", "notes.txt", "c.heic", "._c.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "inside.png").touch()
    assert [p.name for p in list_pictures(tmp_path)] == ["a.png", "b.JPG", "c.heic"]
    assert list_pictures(str(tmp_path / "folder.png"))[0].name == "inside.png"
    for wrong, message in ((tmp_path / "none", "No such file"), (tmp_path / "a.png", "is a file")):
        with pytest.raises(MetastyleError, match=message):
            list_pictures(wrong)


# ---- sizes


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("with_alpha", [False, True])
@pytest.mark.parametrize(("edge", "size"), [(28, (28, 20)), (112, (112, 80)), (20, (20, 16)), (56, (56, 40))])
def test_resize(dtype: Any, with_alpha: bool, edge: int, size: tuple[int, int], colors: Colors) -> None:
    factor = np.iinfo(dtype).max // 255
    pixels = (colors.astype(np.uint32) * factor).astype(dtype)
    alpha = np.full((40, 56), np.iinfo(dtype).max, dtype) if with_alpha else None
    scaled = resize(Picture(pixels, alpha, dpi=(72, 72), gray=False, name="p"), edge)
    assert scaled.size == size and scaled.pixels.dtype == dtype and scaled.dpi == (72, 72)
    assert (scaled.alpha is not None) == with_alpha
    ideal = np.asarray(Image.fromarray(colors).resize(size, Image.Resampling.LANCZOS)).astype(int) * factor
    assert np.abs(scaled.pixels.astype(int) - ideal).max() <= 1.01 * factor


def test_resizing_16_bits_uses_all_of_them() -> None:
    ramp = np.linspace(1000, 1400, 200).astype(np.uint16)  # within two steps of 8 bits
    scaled = resize(Picture(np.repeat(np.tile(ramp, (20, 1))[..., None], 3, axis=2)), 400)
    assert len(np.unique(scaled.pixels)) > 200


def test_what_is_transparent_does_not_bleed_when_resized() -> None:
    pixels, alpha = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    pixels[:, :33] = (200, 40, 40)
    pixels[:, 33:] = (0, 255, 0)  # hidden
    alpha[:, :33] = 255
    scaled = resize(Picture(pixels, alpha), 32)
    assert scaled.alpha is not None
    seen = scaled.pixels[scaled.alpha > 8].astype(int)
    assert np.abs(seen - (200, 40, 40)).max() <= 3


@pytest.mark.parametrize("edge", [0, -5, 15, 1.5, True, float("nan"), float("inf"), 10**9])
def test_nonsense_sizes_are_refused(edge: Any, colors: Colors) -> None:
    with pytest.raises(MetastyleError, match="size"):
        resize(Picture(colors), edge)


# ---- tensors


@given(
    st.sampled_from([np.uint8, np.uint16]).flatmap(
        lambda dtype: arrays(dtype, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))
    )
)
@settings(deadline=None, max_examples=60)
def test_tensors_round_trip_exactly(pixels: NDArray[Any]) -> None:
    pixels.setflags(write=False)
    tensor = to_tensor(pixels)
    assert tensor.shape == (1, 3, *pixels.shape[:2]) and tensor.dtype == torch.float32
    assert tensor.min() >= 0 and tensor.max() <= 1 and tensor.is_contiguous()
    assert (from_tensor(tensor, pixels.dtype) == pixels).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_level_survives_a_tensor(dtype: Any) -> None:
    levels = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 16, 1).repeat(3, axis=2)
    assert (from_tensor(to_tensor(levels), dtype) == levels).all()


def test_from_tensor_rounds_and_clamps() -> None:
    values = torch.tensor([-0.2, 0.0, 0.499 / 255, 0.501 / 255, 254.6 / 255, 1.0, 7.0])
    expected = [0, 0, 0, 1, 255, 255, 255]
    for tensor in (values.expand(1, 3, 1, 7), values.expand(3, 1, 7), values.expand(1, 3, 1, 7).double()):
        assert from_tensor(tensor)[0, :, 0].tolist() == expected
    half = torch.full((3, 600, 2), 0.5, dtype=torch.bfloat16, requires_grad=True)
    assert (from_tensor(half) == 128).all()


def test_from_tensor_refuses_what_is_no_picture() -> None:
    with pytest.raises(MetastyleError, match="diverged"):
        from_tensor(torch.full((1, 3, 4, 4), float("nan")))
    for shape in ((2, 3, 4, 4), (1, 4, 4, 4), (4, 4)):
        with pytest.raises(ValueError, match="expected a tensor"):
            from_tensor(torch.zeros(shape))
    with pytest.raises(ValueError, match="uint8 or uint16"):
        from_tensor(torch.zeros(3, 4, 4), np.float32)


# ---- what is refused


@pytest.mark.parametrize("size", [(15, 40), (40, 15), (1, 1)])
def test_too_small(size: tuple[int, int], tmp_path: Path) -> None:
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


def test_check_output_says_before_the_work_what_saving_would_say(tmp_path: Path) -> None:
    check_output(tmp_path / "new.png")
    (tmp_path / "old.png").touch()
    check_output(tmp_path / "old.png", overwrite=True)
    for path, message in (
        (tmp_path / "old.png", "already exists"),
        (tmp_path / "new.heic", r"'\.heic'; use one of \.jpg"),
        (tmp_path / "new", "without extension"),
        (tmp_path / "none" / "new.png", "there is no folder"),
    ):
        with pytest.raises(MetastyleError, match=message):
            check_output(path)


@pytest.mark.shared
def test_real_pictures_survive_every_format(tmp_path: Path) -> None:
    paths = sorted((SHARED / "images" / "held_out").rglob("*.jpg"))[:4]
    if not paths:
        pytest.skip("the research data does not lie beside the project")
    for path in paths:
        picture = resize(open_picture(path), 256)
        for suffix in (".jpg", ".png", ".webp", ".avif", ".tif", ".bmp"):
            target = tmp_path / f"{path.stem}{suffix}"
            save_picture(picture, target)
            assert difference(open_picture(target).pixels, picture.pixels) < 4, target.name


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".avif"])
def test_of_an_animation_the_first_frame_is_taken_and_it_is_said(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (Image.new("RGB", (32, 24), color) for color in ((200, 40, 40), (30, 60, 220)))
    path = tmp_path / f"moving{suffix}"
    first.save(path, save_all=True, append_images=[second], duration=100)
    picture = open_picture(path)
    assert np.abs(picture.pixels.astype(int) - (200, 40, 40)).max() < 12
    assert [r.getMessage() for r in caplog.records] == [
        f"{path} is animated: the first of its 2 frames is taken ('metastyle video' repaints them all)"
    ]


def test_of_a_picture_that_stands_still_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [Image.new("RGB", (32, 24), color) for color in ("red", "blue")]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    for suffix in (".gif", ".png", ".webp", ".avif"):
        pages[0].save(tmp_path / f"still{suffix}")
    for path in tmp_path.iterdir():
        open_picture(path)
    assert not caplog.records
