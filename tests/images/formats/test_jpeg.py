from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from metastyle.errors import MetastyleError
from metastyle.images.decode import open_picture

RNG = np.random.default_rng(8)
NOISE = RNG.integers(0, 256, (40, 56, 3), dtype=np.uint8)
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "subsampled": {"subsampling": "4:2:0"},
    "restarts": {"restart_marker_blocks": 2},
    "progressive restarts": {"progressive": True, "restart_marker_blocks": 3},
    "optimized": {"optimize": True, "quality": 95},
}


def jpeg(pixels: NDArray[np.uint8], mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def film(size: int) -> bytes:
    """Bytes after a picture that contain the markers a decoder looks for."""
    return b"\0\0\0\x18ftypmp42" + b"\xff\xda\0\x08" * 500 + RNG.bytes(size) + b"\xff\xd9\xff\xd8"


@pytest.mark.parametrize("kind", KINDS)
def test_data_after_the_end_is_ignored(kind: str, colors: NDArray[np.uint8]) -> None:
    alone = jpeg(colors, **KINDS[kind])
    for after in (film(3_000_000), jpeg(NOISE, progressive=True) * 30, b"\0" * 5000, b"\xff"):
        assert (open_picture(alone + after).pixels == open_picture(alone).pixels).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
def test_only_the_two_end_bytes_may_be_missing(kind: str, mode: str, colors: NDArray[np.uint8]) -> None:
    for pixels in (NOISE, colors):
        whole = jpeg(pixels, mode, **KINDS[kind])
        expected = open_picture(whole).pixels.astype(int)
        for cut in (1, 2):
            assert (open_picture(whole[:-cut]).pixels == expected).all()
        for cut in range(3, 60):
            try:
                opened = open_picture(whole[:-cut])
            except MetastyleError as error:
                assert "is damaged, truncated or of an unknown kind" in str(error)
            else:  # the missing bytes were of blocks beyond the edge, or refined nothing
                assert np.abs(opened.pixels - expected).max() <= 3
        for share in range(20, 95, 5):
            with pytest.raises(MetastyleError):
                open_picture(whole[: len(whole) * share // 100])


def test_a_progressive_jpeg_cut_between_two_scans_is_refused(colors: NDArray[np.uint8]) -> None:
    whole = jpeg(colors, progressive=True)
    starts = [at for at in range(len(whole)) if whole[at : at + 2] in (b"\xff\xda", b"\xff\xc4")]
    assert len(starts) > 8
    for at in starts:
        for cut in range(at, at + 12):
            with pytest.raises(MetastyleError):
                open_picture(whole[:cut])


def test_jpegs_with_thousands_of_scans_are_refused(colors: NDArray[np.uint8]) -> None:
    for options in ({"progressive": True}, {}):
        data = jpeg(colors, **options)
        last = data.rindex(b"\xff\xda")
        many = data[:-2] + data[last:-2] * 10_000 + b"\xff\xd9"
        with pytest.raises(MetastyleError, match=r"is not a normal JPEG: it has 100.. scans"):
            open_picture(many)
