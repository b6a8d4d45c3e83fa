from __future__ import annotations

import io
import logging
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiffs
from numpy.typing import NDArray
from pictures import png16
from PIL import ExifTags, Image

from metastyle.images.decode import from_pil, open_picture
from metastyle.images.encode import save_picture
from metastyle.images.stated_colors import Stated, from_code_points, to_srgb

# The chart in linear sRGB, all of it within sRGB.
Y, X = np.mgrid[0:20, 0:24]
LIGHT = np.stack([X / 23, Y / 19, (X + Y) / 42], axis=-1) * 0.9 + 0.02
XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)  # IEC 61966-2-1
BT2020 = np.array(
    [[0.6370, 0.1446, 0.1689], [0.2627, 0.6780, 0.0593], [0.0, 0.0281, 1.0610]]
)  # BT.2020, table 4
P3 = np.array([[0.4866, 0.2657, 0.1982], [0.2290, 0.6917, 0.0793], [0.0, 0.0451, 1.0439]])  # SMPTE EG 432-1
ADOBE = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
CHROMATICITIES = {
    "srgb": (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    "p3": (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000),
}


def srgb_curve(light: NDArray[Any]) -> NDArray[Any]:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clip(0) ** (1 / 2.4) - 0.055)


def pq(light: NDArray[Any]) -> NDArray[Any]:
    """The inverse EOTF of SMPTE ST 2084, with white at 203 cd/m2."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    y = (light.clip(0) * 203 / 10000) ** m1
    return ((c1 + c2 * y) / (1 + c3 * y)) ** m2


def hlg(light: NDArray[Any]) -> NDArray[Any]:
    """The inverse OOTF of BT.2100 for 1000 cd/m2, then its OETF."""
    shown = light.clip(1e-9) * 203 / 1000
    luminance = (shown @ BT2020[1])[..., None]
    scene = shown * luminance ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log((12 * scene - b).clip(1e-9)) + c)


def chart(curve: Any, to_xyz: NDArray[Any] = XYZ, light: NDArray[Any] = LIGHT) -> NDArray[np.uint16]:
    """The chart with another transfer curve and other primaries, in 16 bits."""
    return np.rint(curve(light @ (np.linalg.inv(to_xyz) @ XYZ).T).clip(0, 1) * 65535).astype(np.uint16)


def error(pixels: NDArray[Any]) -> float:
    return float(np.abs(pixels / np.iinfo(pixels.dtype).max - srgb_curve(LIGHT)).max())


def cicp(primaries: int, transfer: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes([primaries, transfer, 0, 1])


def gamma(value: int) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", value)


def chromaticities(name: str) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *CHROMATICITIES[name])


PNGS: dict[str, tuple[NDArray[np.uint16], list[tuple[bytes, bytes]]]] = {
    "PQ": (chart(pq, BT2020), [cicp(9, 16)]),
    "HLG": (chart(hlg, BT2020), [cicp(9, 18)]),
    "PQ in P3": (chart(pq, P3), [cicp(12, 16)]),
    "P3": (chart(srgb_curve, P3), [cicp(12, 13)]),
    "BT.2020": (chart(srgb_curve, BT2020), [cicp(9, 1)]),
    "linear": (chart(lambda v: v), [cicp(1, 8)]),
    "code points say sRGB": (chart(srgb_curve), [cicp(1, 13), gamma(100000)]),
    "unspecified": (chart(srgb_curve), [cicp(2, 2)]),
    "gAMA 1": (chart(lambda v: v), [gamma(100000)]),
    "gAMA 1/1.8": (chart(lambda v: v.clip(0) ** (1 / 1.8)), [gamma(55556)]),
    "gAMA 1/2.2 means sRGB": (chart(srgb_curve), [gamma(45455), chromaticities("srgb")]),
    "cHRM": (chart(srgb_curve, P3), [gamma(45455), chromaticities("p3")]),
    "sRGB above gAMA": (chart(srgb_curve), [(b"sRGB", b"\0"), gamma(100000), chromaticities("p3")]),
    "gAMA of nothing": (chart(srgb_curve), [gamma(0)]),
    "cHRM of nothing": (chart(srgb_curve), [(b"cHRM", bytes(32))]),
    "cHRM of one color": (chart(srgb_curve), [(b"cHRM", struct.pack(">8I", *[30000] * 8))]),
}


@pytest.mark.parametrize("kind", PNGS)
def test_colors_stated_by_a_png_are_converted(kind: str) -> None:
    samples, chunks = PNGS[kind]
    picture = open_picture(png16(samples, *chunks))
    assert picture.pixels.dtype == np.uint16 and error(picture.pixels) < 0.004
    if kind.endswith(("sRGB", "nothing", "unspecified", "color")):
        assert (picture.pixels == samples).all()


def test_the_gamma_of_a_gray_png_is_used() -> None:
    gray = LIGHT[..., :1]
    samples = np.rint(gray * 65535).astype(np.uint16)
    picture = open_picture(png16(samples, gamma(100000)))
    assert picture.gray
    assert np.abs(picture.pixels[..., :1] / 65535 - srgb_curve(gray)).max() < 1e-3


def test_code_points_override_a_profile_and_a_profile_overrides_gamma(icc: Any) -> None:
    profile = (b"iCCP", b"adobe\0\0" + zlib.compress(icc.adobe_rgb))
    curve = lambda v: v.clip(0) ** (256 / 563)  # noqa: E731
    adobe = chart(curve, ADOBE)
    with_gamma = open_picture(png16(adobe, profile, gamma(100000)))
    assert with_gamma.icc == icc.adobe_rgb and error(with_gamma.pixels) < 0.02
    with_both = open_picture(png16(chart(pq, BT2020), cicp(9, 16), profile))
    assert with_both.icc is None and error(with_both.pixels) < 0.004


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize(("name", "curve"), [("pq", pq), ("hlg", hlg)])
def test_hdr_stated_by_a_profile_is_converted(
    name: str, curve: Any, kind: str, icc: Any, caplog: pytest.LogCaptureFixture
) -> None:
    eight = Image.fromarray((chart(curve, BT2020) >> 8).astype(np.uint8))
    ways: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "JPEG": {"subsampling": 0}}
    stream = io.BytesIO()
    quality = {} if kind in ("PNG", "TIFF") else {"quality": 100}
    eight.save(stream, kind, icc_profile=getattr(icc, name), **quality | ways.get(kind, {}))
    with caplog.at_level(logging.WARNING):
        picture = open_picture(stream.getvalue())
    assert picture.icc is None and error(picture.pixels) < 0.2  # 8 bits are few for HDR
    assert np.abs(picture.pixels / 255 - srgb_curve(LIGHT)).mean() < 0.02
    assert f"is HDR ({name.upper()})" in caplog.text


def test_a_profile_that_is_not_hdr_is_used_whatever_its_code_points(icc: Any) -> None:
    stream = io.BytesIO()
    eight = Image.fromarray((chart(lambda v: v.clip(0) ** (256 / 563), ADOBE) >> 8).astype(np.uint8))
    eight.save(stream, "PNG", icc_profile=icc.p3_points)
    picture = open_picture(stream.getvalue())
    assert picture.icc == icc.p3_points and error(picture.pixels) < 0.03


@pytest.mark.parametrize("cut", [20, 128, 131, 140, 200, -4, -8])
def test_a_truncated_profile_is_ignored(cut: int, icc: Any) -> None:
    stream = io.BytesIO()
    Image.fromarray((chart(srgb_curve) >> 8).astype(np.uint8)).save(stream, "PNG", icc_profile=icc.pq[:cut])
    assert error(open_picture(stream.getvalue()).pixels) < 0.01 or cut < 0


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_highlights_are_clipped_with_a_warning(transfer: int, caplog: pytest.LogCaptureFixture) -> None:
    curve = pq if transfer == 16 else hlg
    with caplog.at_level(logging.WARNING):
        picture = open_picture(png16(chart(curve, BT2020, LIGHT * 3), cicp(9, transfer)))
    assert [r.getMessage() for r in caplog.records] == [
        f"<bytes> is HDR ({'PQ' if transfer == 16 else 'HLG'}): "
        "converted to standard dynamic range (sRGB), highlights above white are clipped"
    ]
    expected = srgb_curve((LIGHT * 3).clip(0, 1))
    # HLG ends at 4.9 times white, which these highlights do not reach.
    assert np.abs(picture.pixels / 65535 - expected).max() < 0.006
    caplog.clear()
    open_picture(png16(chart(srgb_curve, P3), cicp(12, 13)))
    assert not caplog.records


def boxed(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def with_nclx(avif: bytes, primaries: int, transfer: int) -> bytes:
    """Replace the code points in the first nclx box of an AVIF."""
    at = avif.index(b"colrnclx") + 8
    return avif[:at] + struct.pack(">HH", primaries, transfer) + avif[at + 4 :]


@pytest.mark.parametrize(
    ("curve", "to_xyz", "points", "allowed"),
    [(pq, BT2020, (9, 16), 0.15), (srgb_curve, P3, (12, 13), 0.06), (srgb_curve, XYZ, (1, 13), 0.06)],
)
def test_colors_stated_by_an_avif_are_converted(
    curve: Any, to_xyz: Any, points: tuple[int, int], allowed: float
) -> None:
    eight = (chart(curve, to_xyz) >> 8).astype(np.uint8)
    stream = io.BytesIO()
    alpha = np.full((*eight.shape[:2], 1), 200, np.uint8)
    image = Image.fromarray(np.concatenate([eight, alpha], axis=2))
    image.save(stream, "AVIF", quality=100, subsampling="4:4:4")
    picture = open_picture(with_nclx(stream.getvalue(), *points))
    assert error(picture.pixels) < allowed
    plain = error(np.asarray(image)[..., :3])
    assert plain > 2 * allowed or points == (1, 13)


def test_a_damaged_color_box_is_ignored() -> None:
    stream = io.BytesIO()
    Image.fromarray((chart(srgb_curve) >> 8).astype(np.uint8)).save(stream, "AVIF", quality=100)
    data = stream.getvalue()
    at = data.index(b"colrnclx")
    for points in ((65535, 65535), (0, 0), (3, 3)):
        assert error(open_picture(with_nclx(data, *points)).pixels) < 0.06
    open_picture(data[:at] + b"junk" + data[at + 4 :])


def adobe_exif(space: int | None, index: str | None) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    if space is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = space
    if index is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifInteroperabilityOffset] = {1: index}
    return exif


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("space", "index", "is_adobe"),
    [
        (65535, "R03", True),
        (2, None, True),
        (None, "R03", True),
        (1, "R98", False),
        (65535, None, False),
        (1, "R03", False),
    ],
)
def test_adobe_rgb_is_recognized_as_cameras_mark_it(
    name: str, space: int | None, index: str | None, is_adobe: bool, tmp_path: Path, icc: Any
) -> None:
    eight = np.rint(chart(lambda v: v.clip(0) ** (256 / 563), ADOBE) / 257).astype(np.uint8)
    options: dict[str, Any] = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(
        name, {}
    )
    stream = io.BytesIO()
    if name == "TIFF" and index == "R03":
        pytest.skip("Pillow's TIFF writer omits doubly nested tags")
    exif = adobe_exif(space, index).tobytes()
    Image.fromarray(eight).save(stream, name, exif=exif, **options)
    picture = open_picture(stream.getvalue())
    allowed = 0.06 if name == "JPEG" else 0.02
    assert (error(picture.pixels) < allowed) == is_adobe
    save_picture(picture, tmp_path / "p.jpg")
    assert np.abs(open_picture(tmp_path / "p.jpg").pixels.astype(int) - picture.pixels).max() < 12
    with Image.open(stream) as image:
        again = from_pil(image)
        assert (again.pixels == picture.pixels).all() and again.exif == picture.exif
    kept = Image.Exif()
    assert picture.exif is not None
    kept.load(picture.exif)
    assert not kept.get_ifd(ExifTags.IFD.Exif)  # it would describe colors that have been converted
    stream = io.BytesIO()
    Image.fromarray(eight).save(stream, name, exif=exif, icc_profile=icc.adobe_rgb, **options)
    with_profile = open_picture(stream.getvalue())  # converted once, not twice
    assert with_profile.icc == icc.adobe_rgb and error(with_profile.pixels) < allowed


def test_primaries_in_the_tags_of_a_tiff_are_used() -> None:
    white, *colors = (CHROMATICITIES["p3"][i : i + 2] for i in range(0, 8, 2))
    image = Image.fromarray((chart(srgb_curve, P3) >> 8).astype(np.uint8))
    stream = io.BytesIO()
    image.save(
        stream,
        "TIFF",
        tiffinfo={318: tuple(v / 1e5 for v in white), 319: tuple(v / 1e5 for c in colors for v in c)},
    )
    assert error(open_picture(stream.getvalue()).pixels) < 0.015
    planes = tiffs.tiff(chart(srgb_curve), 2, 16, planar=True)
    assert (open_picture(planes).pixels == chart(srgb_curve)).all()


def test_all_code_points_can_be_converted_or_ignored() -> None:
    samples = chart(srgb_curve)
    for primaries in range(256):
        for transfer in (0, 1, 2, 4, 5, 6, 7, 8, 11, 13, 14, 15, 16, 17, 18, 255):
            stated = from_code_points(primaries, transfer)
            if stated is not None:
                out = to_srgb(samples[:2], stated)
                assert out.dtype == np.uint16 and out.max() > out.min()
    assert from_code_points(1, 13) is None and from_code_points(2, 2) is None
    assert from_code_points(9, 16) != Stated()


def test_white_stays_white_with_all_primaries() -> None:
    white = np.full((2, 2, 3), 255, np.uint8)
    for primaries in (4, 5, 6, 7, 9, 11, 12):
        stated = from_code_points(primaries, 13)
        assert stated is not None and to_srgb(white, stated).min() >= 254
