from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiffs
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from metastyle.errors import MetastyleError
from metastyle.images.decode import open_picture
from metastyle.images.picture import Picture

GRAY_INVERTED, GRAY, RGB, PALETTE, MASK, CMYK, YCBCR, LAB = 0, 1, 2, 3, 4, 5, 6, 8
COLORS = {GRAY_INVERTED: 1, GRAY: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, LAB: 3}
UNSIGNED, SIGNED, FLOATING = 1, 2, 3
HEIGHT, WIDTH = 17, 19


def samples(channels: int, bits: int, sample_format: int, seed: int) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    if sample_format == FLOATING:
        return rng.random((HEIGHT, WIDTH, channels)).astype(np.float16 if bits == 16 else np.float32)
    kind = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    return rng.integers(0, 1 << bits, (HEIGHT, WIDTH, channels), dtype=kind)


def scaled(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Scale the values so that the largest is white in 8 or 16 bits."""
    top = 255 if bits <= 8 else 65535
    return np.rint(values * (top / ((1 << bits) - 1))).astype(np.int64)


def srgb(values: NDArray[Any], photometric: int, bits: int, colors: list[int]) -> NDArray[Any]:
    """The expected picture, (H, W, 3)."""
    if photometric == PALETTE:
        palette = np.array(colors).reshape(3, -1).T >> 8
        return palette[values[..., 0]]
    if photometric in (CMYK, LAB):
        eight = np.rint(values * (255 / ((1 << bits) - 1)))
        if photometric == LAB and bits == 16:
            eight[..., 1:] = np.rint(values[..., 1:].astype(np.int16) / 256).clip(-128, 127) % 256
        mode = "CMYK" if photometric == CMYK else "LAB"
        image = Image.frombytes(mode, (WIDTH, HEIGHT), eight.astype(np.uint8).tobytes())
        if photometric == LAB:
            lab, to = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
            intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
            flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
            return np.asarray(ImageCms.profileToProfile(image, lab, to, intent, "RGB", flags=flags)).astype(
                int
            )
        return np.asarray(image.convert("RGB")).astype(int)
    if photometric == YCBCR:
        return np.asarray(Image.frombytes("YCbCr", (WIDTH, HEIGHT), values.tobytes()).convert("RGB")).astype(
            int
        )
    plain = scaled(values, bits)
    if photometric == GRAY_INVERTED:
        plain = (255 if bits <= 8 else 65535) - plain
    return np.broadcast_to(plain, (HEIGHT, WIDTH, 3))


KINDS = st.fixed_dictionaries(
    {
        "photometric": st.sampled_from(sorted(COLORS)),
        "bits": st.sampled_from([1, 2, 4, 8, 12, 16, 32]),
        "sample_format": st.sampled_from([None, UNSIGNED, UNSIGNED, SIGNED, FLOATING]),
        "planar": st.booleans(),
        "compression": st.sampled_from([tiffs.NONE, tiffs.LZW, tiffs.ZIP, tiffs.OLD_ZIP, tiffs.PACKBITS]),
        "predictor": st.sampled_from([1, 1, 2]),
        "order": st.sampled_from("<>"),
        "extra": st.sampled_from([(), (), (0,), (1,), (2,), (0, 2)]),
        "tile": st.sampled_from([None, None, 16]),
        "big": st.sampled_from([False, False, True]),
        "seed": st.integers(0, 3),
    }
)


def check(kind: dict[str, Any]) -> bool:
    """Whether the TIFF opens, as the expected picture, or is refused with a description of its kind."""
    kind = dict(kind)
    photometric, bits, seed = kind["photometric"], kind["bits"], kind.pop("seed")
    if kind["sample_format"] == FLOATING and bits not in (16, 32):
        kind["sample_format"] = UNSIGNED
    if bits not in (8, 16, 32) or kind["sample_format"] == FLOATING:
        kind["predictor"] = 1
    if bits < 8 and 1 in kind["extra"]:  # premultiplied colors of so few bits are lost
        kind["extra"] = (2,)
    colors, extra = COLORS[photometric], kind["extra"]
    values = samples(colors + len(extra), bits, kind["sample_format"] or UNSIGNED, seed)
    plain = values[..., :colors].copy()
    alphas = [values[..., colors + i] for i, e in enumerate(extra) if e in (1, 2)]
    premultiplied = 1 in extra
    if premultiplied and kind["sample_format"] != FLOATING:
        alphas[0][...] |= 1 << (bits - 1)  # enough to recover the color
        share = alphas[0][..., None] / ((1 << bits) - 1)
        values[..., :colors] = np.rint(plain * share)
    table: list[int] = []
    if photometric == PALETTE and bits <= 8:
        table = np.random.default_rng(9).integers(0, 65536, 3 << bits).tolist()
        kind["tags"] = {320: ("H", table)}
    if photometric == YCBCR:
        kind["tags"] = {530: ("H", [1, 1])}
    try:
        picture = open_picture(tiffs.tiff(values, **kind))
    except MetastyleError as error:
        assert "not supported" in str(error) and (
            "this kind of TIFF" in str(error) or (kind["big"] and kind["order"] == ">")
        )
        return False
    assert kind["sample_format"] in (None, UNSIGNED)
    expected = srgb(plain, photometric, bits, table)
    top = 255 if expected.max() < 256 else 65535
    if picture.pixels.dtype == np.uint8 and top == 65535:
        expected, top = expected / 257, 255  # Pillow divides by alpha in 8 bits
    # Dividing by an alpha of at least one half at most doubles the rounding error.
    allowed = (
        {CMYK: 2, LAB: 1, YCBCR: 2}.get(photometric, 0)
        + (3 * (16 if bits == 12 else 1) if premultiplied else 0)
        + (0.5 if top == 255 else 0)
    )
    assert np.abs(picture.pixels - expected).max() <= allowed
    if alphas and photometric != CMYK:
        assert picture.alpha is not None
        wanted = alphas[0] / ((1 << bits) - 1) * np.iinfo(picture.alpha.dtype).max
        assert np.abs(picture.alpha - wanted).max() <= 1
    return True


@given(KINDS)
@settings(deadline=None, max_examples=400)
def test_every_layout_opens_correctly_or_is_refused(kind: dict[str, Any]) -> None:
    check(kind)


@pytest.mark.parametrize("compression", [tiffs.NONE, tiffs.LZW, tiffs.ZIP, tiffs.PACKBITS])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("photometric", "bits", "extra"),
    [
        *((GRAY_INVERTED, bits, ()) for bits in (1, 2, 4, 8, 12, 16)),
        *((GRAY, bits, ()) for bits in (1, 2, 4, 8, 12, 16)),
        (GRAY, 8, (2,)),
        *((RGB, bits, extra) for bits in (8, 16) for extra in ((), (0,), (1,), (2,))),
        *((PALETTE, bits, ()) for bits in (1, 2, 4, 8)),
        (CMYK, 8, ()),
        (CMYK, 16, ()),
        (LAB, 8, ()),
    ],
)
def test_common_layouts_open(
    photometric: int, bits: int, extra: tuple[int, ...], order: str, planar: bool, compression: int
) -> None:
    kind = {"photometric": photometric, "bits": bits, "extra": extra, "order": order, "planar": planar}
    assert check(kind | {"compression": compression, "predictor": 1, "sample_format": None, "seed": 4})


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({339: ("H", [3, 3, 3])}, "RGB, 3 samples of 8 floating-point bits, compression raw"),
        ({339: ("H", [1, 2, 1])}, "RGB, 3 samples of 8 bits"),
        ({258: ("H", [5, 6, 5])}, "RGB, 3 samples of 5 and 6 bits"),
        ({262: ("H", [6])}, "YCbCr"),  # by default, 2 x 2 pixels share their chroma
        ({262: ("H", [32845])}, "LogLuv"),
        ({262: ("H", [5])}, "CMYK"),
        ({262: ("H", [5]), 332: ("H", [2])}, "CMYK"),
    ],
)
def test_the_error_describes_an_unsupported_kind(tags: dict[int, tiffs.Tag], message: str) -> None:
    with pytest.raises(MetastyleError, match=f"this kind of TIFF is not supported.*{message}"):
        open_picture(tiffs.tiff(samples(3, 8, UNSIGNED, 0), RGB, 8, tags=tags))


def test_separate_planes_keep_profile_and_orientation(icc: Any) -> None:
    profile = icc.adobe_rgb
    tags: dict[int, tiffs.Tag] = {
        274: ("H", [6]),
        34675: ("B", list(profile)),
    }
    values = samples(3, 16, UNSIGNED, 0)
    opened: list[Picture] = [
        open_picture(tiffs.tiff(values, RGB, 16, planar=planar, tags=tags, big=big))
        for planar in (False, True)
        for big in (False, True)
    ]
    assert opened[0].size == (HEIGHT, WIDTH)
    for picture in opened[1:]:
        assert (picture.pixels == opened[0].pixels).all() and picture.icc == profile


@pytest.mark.parametrize("part", [0.3, 0.6, 0.8])
def test_truncated_separate_planes_are_refused(part: float) -> None:
    pages, parts = tiffs.directory(samples(3, 16, UNSIGNED, 0), RGB, 16, planar=True)
    whole = tiffs.chain([(pages, parts)])
    cut = whole.index(parts[-1]) if part > 0.7 else int(part * len(whole))
    with pytest.raises(MetastyleError):
        open_picture(whole[:cut])
    swapped = bytearray(whole)
    swapped[cut - 40 : cut] = b""
    with pytest.raises(MetastyleError):
        open_picture(bytes(swapped))
