"""Opening a damaged file gives a picture or an error in one line: no traceback, no warning, no hang."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import encoded, tiff
from PIL import Image

from metastyle.errors import MetastyleError
from metastyle.images.decode import from_pil, open_picture
from metastyle.images.encode import save_picture
from metastyle.images.picture import Picture

DATA = Path(__file__).parent / "data"
TRUNCATIONS, FLIPS, SPLICES = 10, 17, 11


def _sources(icc: Any) -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (20, 24, 4), dtype=np.uint8)
    wide = rng.integers(0, 65536, (20, 24, 3), dtype=np.uint16)
    rgba = Image.fromarray(noise)
    rgb, gray = rgba.convert("RGB"), rgba.convert("L")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    full = {"exif": exif, "icc_profile": icc.adobe_rgb}
    more = {"save_all": True, "append_images": [rgb.rotate(180)]}
    return {
        "baseline.jpg": encoded(rgb, "JPEG", dpi=(72, 72), **full),
        "progressive.jpg": encoded(rgb, "JPEG", progressive=True),
        "gray.jpg": encoded(gray, "JPEG", icc_profile=icc.gray),
        "cmyk.jpg": encoded(rgb.convert("CMYK"), "JPEG", icc_profile=icc.cmyk),
        "rgb.png": encoded(rgb, "PNG", dpi=(72, 72), **full),
        "rgba.png": encoded(rgba, "PNG"),
        "palette.png": encoded(rgb.quantize(16), "PNG", transparency=b"\0\x80\xff"),
        "bits.png": encoded(rgb.convert("1"), "PNG"),
        "gray16.png": encoded(Image.fromarray(wide[..., 0].copy()), "PNG"),
        "animated.png": encoded(rgb, "PNG", **more),
        "lossy.webp": encoded(rgb, "WEBP", **full),
        "lossless.webp": encoded(rgba, "WEBP", lossless=True),
        "animated.webp": encoded(rgb, "WEBP", **more),
        "rgb.avif": encoded(rgb, "AVIF", **full),
        "rgba.avif": encoded(rgba, "AVIF"),
        "raw.tif": encoded(rgb, "TIFF", **full),
        "deflate.tif": encoded(rgba, "TIFF", compression="tiff_adobe_deflate"),
        "lzw.tif": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": encoded(rgb, "TIFF", compression="jpeg"),
        "wide.tif": tiff(wide, photometric="rgb"),
        "wide_deflate.tif": tiff(wide, photometric="rgb", compression="zlib", byteorder=">"),
        "rgb.bmp": encoded(rgb, "BMP"),
        "palette.bmp": encoded(rgb.quantize(16), "BMP"),
        "still.gif": encoded(rgb, "GIF"),
        "animated.gif": encoded(rgb, "GIF", **more),
        "rotated.heic": (DATA / "rotated.heic").read_bytes(),
        "ten_bits.heic": (DATA / "ten_bits.heic").read_bytes(),
    }


@pytest.fixture(scope="module")
def sources(icc: Any) -> dict[str, bytes]:
    return _sources(icc)


def _damaged(data: bytes, other: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    for _ in range(TRUNCATIONS):
        yield data[: int(rng.integers(1, len(data)))]
    for _ in range(FLIPS):
        changed = bytearray(data)
        reach = len(data) if rng.random() < 0.5 else min(len(data), 120)  # headers matter most
        for at in rng.integers(0, reach, int(rng.integers(1, 6))):
            changed[at] ^= 1 << int(rng.integers(8))
        yield bytes(changed)
    for _ in range(SPLICES):
        kind, at = int(rng.integers(4)), int(rng.integers(4, len(data)))
        size = int(rng.integers(1, 64))
        yield (
            data[:at] + other[at:],  # the head of one format, the body of another
            data[:at] + data[at + size :],
            data[:at] + rng.bytes(size) + data[at + size :],
            data[:at] + data[max(0, at - size) :],
        )[kind]


def _opens_or_explains(data: bytes | Path, save_to: Path | None = None) -> bool:
    name = "<bytes>" if isinstance(data, bytes) else str(data)
    try:
        picture = open_picture(data, max_pixels=1_000_000)
    except MetastyleError as error:
        message = str(error)
        assert message.startswith(name) and message.isprintable() and len(message) < 500, message
        return False
    assert isinstance(picture, Picture) and min(picture.size) >= 16
    assert picture.size[0] * picture.size[1] <= 1_000_000
    if save_to is not None:  # all metadata that was read can be written
        save_picture(picture, save_to, overwrite=True)
        save_to.unlink()
    return True


def test_a_thousand_damaged_files_open_or_are_refused(
    sources: dict[str, bytes], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng, tried, opened = np.random.default_rng(20), 0, 0
    names = list(sources)
    for name in names:
        other = sources[names[int(rng.integers(len(names)))]]
        for count, data in enumerate(_damaged(sources[name], other, rng)):
            if count % 4:
                opened += _opens_or_explains(data, tmp_path / ("p.tif", "p.jpg", "p.png")[count % 3])
            else:  # some as files, which decoders read in other ways
                path = tmp_path / name
                path.write_bytes(data)
                opened += _opens_or_explains(path)
                path.unlink()
            tried += 1
        printed = capfd.readouterr()
        assert printed == ("", "") or name.endswith(".tif")  # libtiff's own messages cannot be silenced
    assert tried >= 1000 and 100 < opened < tried - 500  # some are refused and some are not
    assert not list(tmp_path.iterdir())


def test_undamaged_sources_open(sources: dict[str, bytes]) -> None:
    for name, data in sources.items():
        assert _opens_or_explains(data), name


def test_truncated_files_are_refused(sources: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in sources.items():
        if name.startswith("animated"):
            continue  # their first half contains the first frame
        path = tmp_path / name
        for part in (0.5, 0.75):
            path.write_bytes(data[: int(part * len(data))])
            assert not _opens_or_explains(path), (name, part)
            assert not _opens_or_explains(path.read_bytes()), (name, part)


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=200)
def test_arbitrary_bytes_open_or_are_refused(data: bytes) -> None:
    _opens_or_explains(data)


_ISO = (b"\0\0\0\x1cftypavif", b"\0\0\0\x1cftypheic", b"\0\0\0\x1cftypmif1")
_TIFF = (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08")
_HEADS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\0\0\0WEBPVP8 ", b"BM", b"GIF89a", *_ISO, *_TIFF)


@given(st.sampled_from(_HEADS), st.binary(max_size=400))
@settings(deadline=None, max_examples=300)
def test_arbitrary_bytes_after_a_valid_header_open_or_are_refused(head: bytes, data: bytes) -> None:
    _opens_or_explains(head + data)


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_changed_files_open_or_are_refused(sources: dict[str, bytes], data: st.DataObject) -> None:
    original = sources[data.draw(st.sampled_from(sorted(sources)))]
    at = data.draw(st.integers(0, len(original) - 1))
    length = data.draw(st.integers(0, 40))
    _opens_or_explains(original[:at] + data.draw(st.binary(max_size=40)) + original[at + length :])


# ---- not a picture at all


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "does not exist"),
        (lambda p: p.mkdir(), "is a folder: use a picture"),
        (lambda p: p.write_bytes(b""), "is empty"),
        (lambda p: p.write_text("hello " * 100), "is not a picture or is damaged at its start; JPEG, PNG"),
        (lambda p: p.symlink_to(p.parent / "nowhere"), "does not exist"),
        (lambda p: p.symlink_to(p), "cannot be read: Too many levels"),
        (lambda p: p.symlink_to("/dev/null"), "is not a regular file"),
    ],
)
def test_a_path_without_a_picture_is_refused(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "p.jpg"
    make(path)
    with pytest.raises(MetastyleError, match=message) as caught:
        open_picture(path)
    assert str(caught.value).startswith(str(path))


def test_unusual_names_and_sources_are_refused_in_one_line() -> None:
    for name in ("a\0b.jpg", "two\nlines.jpg", "x" * 5000, "\udcff.jpg", ""):
        with pytest.raises(MetastyleError) as caught:
            open_picture(name)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 500
    for source in (b"", io.BytesIO()):
        with pytest.raises(MetastyleError, match="is empty"):
            open_picture(source)
    closed = io.BytesIO(b"x")
    closed.close()
    for source in (None, 7, [b"x"], closed, io.StringIO("text")):
        with pytest.raises(MetastyleError):
            open_picture(source)  # type: ignore[arg-type]
    with pytest.raises(MetastyleError, match="binary mode"):
        open_picture(io.StringIO("text"))  # type: ignore[arg-type]


def test_an_unreadable_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.png"
    Image.new("RGB", (20, 20)).save(path)
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        pass
    else:  # root can read everything, so the call is made to fail

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(MetastyleError, match="cannot be read: Permission denied"):
        open_picture(path)


def test_a_read_error_is_reported() -> None:
    class Failing(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(MetastyleError, match="cannot be read: Input/output error"):
        open_picture(Failing(b"x" * 100))


def test_a_pil_image_that_cannot_be_decoded_is_refused(sources: dict[str, bytes]) -> None:
    data = sources["rgb.png"]
    with (
        Image.open(io.BytesIO(data[: len(data) // 2])) as image,
        pytest.raises(MetastyleError, match="damaged"),
    ):
        from_pil(image)


# ---- bombs: small files that take much memory or time to decode


def _png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts
    )


def _resized_header(data: bytes, at: int, form: str, *values: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, *values)
    return bytes(changed)


def _tiff_of_tags(count: int, size: int) -> bytes:
    """Thousands of tags that all claim the same bytes."""
    tags = {256: (3, 1, 24), 257: (3, 1, 20), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8),
            277: (3, 1, 1), 278: (3, 1, 20), 279: (4, 1, 480)}  # fmt: skip
    offset = 8 + 2 + 12 * count + 4
    tags |= {1000 + n: (7, size, offset) for n in range(count - len(tags))}
    entries = b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", count) + entries + bytes(4 + size)


def _many_scans(progressive: bytes) -> bytes:
    """A progressive JPEG whose last scan is repeated ten thousand times."""
    last = progressive.rindex(b"\xff\xda")
    return progressive[:-2] + progressive[last:-2] * 10_000 + b"\xff\xd9"


BOMBS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "png header": lambda s: _png(30_000, 30_000, (b"IDAT", zlib.compress(bytes(1000)))),
    "png text": lambda s: _png(
        24, 20, *[(b"zTXt", b"k\0\0" + zlib.compress(bytes(1 << 26)))] * 3, (b"IDAT", zlib.compress(b""))
    ),
    "png profile": lambda s: _png(
        24, 20, (b"iCCP", b"k\0\0" + zlib.compress(bytes(1 << 26))), (b"IDAT", zlib.compress(b""))
    ),
    "jpeg header": lambda s: _resized_header(
        s["gray.jpg"], s["gray.jpg"].index(b"\xff\xc0") + 5, ">HH", 65500, 65500
    ),
    "jpeg scans": lambda s: _many_scans(s["progressive.jpg"]),
    "gif header": lambda s: _resized_header(s["still.gif"], 6, "<HH", 65535, 65535),
    "bmp header": lambda s: _resized_header(s["rgb.bmp"], 18, "<ii", 1 << 30, 1 << 30),
    "tiff header": lambda s: _resized_header(
        s["raw.tif"], s["raw.tif"].index(struct.pack("<HHI", 256, 4, 1)) + 8, "<I", 1 << 30
    ),
    "tiff tags": lambda s: _tiff_of_tags(20_000, 1 << 20),
    "webp header": lambda s: _resized_header(s["animated.webp"], 24, "<HBHB", 0x3FFF, 0, 0x3FFF, 0),
}


_RESET = Path("/proc/self/clear_refs")


def _peak() -> int:
    """The largest memory of this process since the last reset, in KiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.skipif(not _RESET.exists(), reason="peak memory can only be reset on Linux")
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_without_much_memory(name: str, sources: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(BOMBS[name](sources))
    _RESET.write_text("5", encoding="ascii")
    before = _peak()
    try:
        picture = open_picture(path)
    except MetastyleError as error:
        assert str(error).startswith(str(path)) and str(error).isprintable()
    else:
        assert name == "tiff tags" and picture.size == (24, 20)
    grown = (_peak() - before) / 1024
    assert grown < 200, f"{grown:.0f} MiB"


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.heic"
    with path.open("wb") as stream:
        stream.write(b"\0\0\0\x1cftypheic")
        stream.truncate(3 << 30)  # takes no space on the disk
    with pytest.raises(MetastyleError, match=r"has 3\.2 GB, too much for 100 megapixels"):
        open_picture(path)
