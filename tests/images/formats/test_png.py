from __future__ import annotations

import io
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from metastyle.errors import MetastyleError
from metastyle.images.decode import open_picture
from metastyle.images.encode import save_picture
from metastyle.images.origin import Origin, read_origin, stamp

TEXT = b"x" * 3_000_000  # more than Pillow accepts
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LARGE = {
    "compressed text": b"zTXt" + b"workflow\0\0" + zlib.compress(TEXT),
    "compressed international text": b"iTXt" + b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(TEXT),
    "text": b"tEXt" + b"workflow\0" + TEXT,
    "profile": b"iCCP" + b"icc\0\0" + zlib.compress(SRGB + bytes(2_000_000)),
}
END = 12  # bytes of the last chunk


def chunk(body: bytes) -> bytes:
    return (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def png(pixels: NDArray[np.uint8], *bodies: bytes, before: bool = True, **options: object) -> bytes:
    """A PNG with more chunks, before its pixels or after them."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    data = stream.getvalue()
    at = data.index(b"IDAT") - 4 if before else len(data) - END
    return data[:at] + b"".join(map(chunk, bodies)) + data[at:]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("kind", LARGE)
def test_large_metadata_does_not_cost_the_picture(kind: str, before: bool, colors: NDArray[np.uint8]) -> None:
    picture = open_picture(png(colors, LARGE[kind], before=before))
    np.testing.assert_array_equal(picture.pixels, colors)


def test_many_texts_do_not_cost_the_picture(colors: NDArray[np.uint8]) -> None:
    texts = [b"zTXt" + b"%d\0\0" % i + zlib.compress(TEXT[:900_000]) for i in range(80)]
    np.testing.assert_array_equal(open_picture(png(colors, *texts)).pixels, colors)


def test_the_rest_of_the_metadata_is_kept(colors: NDArray[np.uint8]) -> None:
    exif = Image.Exif()
    exif[274] = 3  # upside down
    picture = open_picture(png(colors, LARGE["compressed text"], exif=exif, dpi=(300, 300), icc_profile=SRGB))
    np.testing.assert_array_equal(picture.pixels, colors[::-1, ::-1])
    assert picture.icc == SRGB
    assert picture.dpi == pytest.approx((300, 300), rel=1e-3)


def test_a_large_profile_is_used_and_written(tmp_path: Path, colors: NDArray[np.uint8]) -> None:
    picture = open_picture(png(colors, LARGE["profile"]))
    assert picture.icc == SRGB + bytes(2_000_000)
    origin = Origin("1" * 32, "2" * 16, "3" * 32)
    save_picture(replace(picture, exif=stamp(picture.exif, origin)), tmp_path / "a.png")
    assert open_picture(tmp_path / "a.png").icc == picture.icc
    assert read_origin(tmp_path / "a.png") == origin


def test_a_profile_that_is_a_bomb_is_ignored(colors: NDArray[np.uint8]) -> None:
    bomb = b"iCCP" + b"icc\0\0" + zlib.compress(SRGB + bytes(200_000_000), 9)
    picture = open_picture(png(colors, bomb))
    np.testing.assert_array_equal(picture.pixels, colors)


def test_damage_beside_large_metadata_is_noticed(colors: NDArray[np.uint8]) -> None:
    data = bytearray(png(colors, LARGE["compressed text"]))
    data[data.index(b"IDAT") + 20] ^= 255
    with pytest.raises(MetastyleError, match="damaged"):
        open_picture(bytes(data))
