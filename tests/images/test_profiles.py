from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from metastyle.images import profiles
from metastyle.images.decode import from_pil, open_picture
from metastyle.images.encode import save_picture
from metastyle.images.picture import Picture

XYZ_D50_TO_LINEAR_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)
DATA = Path(__file__).parent / "data"


def saved(image: Image.Image, name: str, icc: bytes | None, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=name, icc_profile=icc, **options)
    return stream.getvalue()


def adobe_rgb_in_srgb(values: NDArray[Any], to_xyz: NDArray[Any]) -> NDArray[Any]:
    """Adobe RGB (1998) -> sRGB by its definition: 0..255 in and out, not rounded."""
    linear = (values / 255.0) ** 2.19921875 @ to_xyz.T @ XYZ_D50_TO_LINEAR_SRGB.T
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("name", ["PNG", "TIFF", "JPEG", "WEBP", "AVIF"])
def test_wide_gamut_is_converted_as_its_definition_says(
    name: str, icc: Any, colors: NDArray[np.uint8]
) -> None:
    options = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}.get(name, {"quality": 98})
    picture = open_picture(saved(Image.fromarray(colors), name, icc.adobe_rgb, **options))
    expected = adobe_rgb_in_srgb(colors, icc.adobe_rgb_to_xyz)
    error = np.abs(picture.pixels - expected)
    assert error.mean() < (4 if name in ("JPEG", "AVIF") else 0.6)
    if name in ("PNG", "TIFF", "WEBP"):
        assert error.max() < 4  # near black, where one step of the curve is steep
    assert picture.icc == icc.adobe_rgb and np.abs(expected - colors).mean() > 4


def test_wide_gamut_returns_to_its_own_space_when_saved(
    tmp_path: Path, icc: Any, colors: NDArray[np.uint8]
) -> None:
    muted = (colors // 4 + 90).astype(np.uint8)  # within sRGB, so that nothing is lost on the way
    alpha = np.arange(muted[..., 0].size, dtype=np.uint8).reshape(muted.shape[:2])
    source = Image.fromarray(np.concatenate([muted, alpha[..., None]], axis=2))
    picture = open_picture(saved(source, "PNG", icc.adobe_rgb))
    save_picture(picture, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as again:
        assert again.info["icc_profile"] == icc.adobe_rgb
        assert np.abs(np.asarray(again).astype(int)[..., :3] - muted).max() <= 1
        assert (np.asarray(again)[..., 3] == alpha).all()
    save_picture(Picture(colors, icc=icc.adobe_rgb), tmp_path / "p.bmp")  # holds no profile: sRGB
    assert (open_picture(tmp_path / "p.bmp").pixels == colors).all()


def test_srgb_by_any_name_keeps_every_pixel_and_16_bits(tmp_path: Path, colors: NDArray[np.uint8]) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = open_picture(saved(Image.fromarray(colors), "PNG", srgb))
    assert (picture.pixels == colors).all() and picture.icc == srgb
    save_picture(picture, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as again:
        assert again.info["icc_profile"] == srgb and (np.asarray(again) == colors).all()


def test_gray_profile_becomes_srgb(tmp_path: Path, icc: Any) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = open_picture(saved(Image.fromarray(ramp), "PNG", icc.gray))
    linear = (ramp / 255) ** 1.8
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert picture.gray and np.abs(picture.pixels[..., 0] - expected).max() < 1.6
    wide = open_picture(saved(Image.fromarray(ramp.astype(np.uint16) * 257), "PNG", icc.gray))
    assert wide.pixels.dtype == np.uint8 and (wide.pixels == picture.pixels).all()
    save_picture(picture, tmp_path / "p.png")
    again = open_picture(tmp_path / "p.png")
    assert again.icc is None and again.gray and (again.pixels == picture.pixels).all()


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_cmyk_is_seen_through_its_profile(name: str, tmp_path: Path, icc: Any) -> None:
    ink = Image.new("CMYK", (48, 16), (0, 0, 0, 0))
    ink.paste((0, 255, 0, 0), (16, 0, 32, 16))
    ink.paste((0, 0, 0, 255), (32, 0, 48, 16))
    picture = open_picture(saved(ink, name, icc.cmyk))
    paper, magenta, black = picture.pixels[8, 4], picture.pixels[8, 24], picture.pixels[8, 44]
    assert paper.min() > 250 and black.max() < 8
    lab = Image.new("LAB", (1, 1), (round(50 * 2.55), 128 + 70, 128))
    transform = profiles.lab_to_srgb()
    assert transform is not None
    assert np.abs(magenta.astype(int) - np.asarray(transform.apply(lab))[0, 0]).max() < 12
    save_picture(picture, tmp_path / "p.jpg")
    with Image.open(tmp_path / "p.jpg") as again:
        assert again.mode == "RGB" and "icc_profile" not in again.info


def test_a_profile_for_reading_only_leads_to_srgb(tmp_path: Path, icc: Any) -> None:
    image = Image.new("RGB", (20, 20), (255, 0, 0))
    picture = open_picture(saved(image, "PNG", icc.scanner))
    assert picture.pixels[5, 5, 0] > picture.pixels[5, 5, 2] and (picture.pixels[5, 5] != (255, 0, 0)).any()
    save_picture(picture, tmp_path / "p.png")
    again = open_picture(tmp_path / "p.png")
    assert again.icc is None and (again.pixels == picture.pixels).all()


def test_a_profile_that_cannot_be_meant_is_taken_as_srgb(
    tmp_path: Path, icc: Any, colors: NDArray[np.uint8]
) -> None:
    for profile in (icc.broken, icc.cmyk, icc.gray, b"not a profile", bytes(17 << 20)):
        image = Image.fromarray(colors)
        image.info["icc_profile"] = profile
        picture = from_pil(image)
        assert (picture.pixels == colors).all()
        save_picture(picture, tmp_path / "p.png", overwrite=True)
        assert open_picture(tmp_path / "p.png").icc is None


def test_heic_profile(icc: Any, colors: NDArray[np.uint8]) -> None:
    picture = open_picture(DATA / "adobe_rgb.heic")
    assert picture.icc == icc.adobe_rgb
    assert np.abs(picture.pixels - adobe_rgb_in_srgb(colors, icc.adobe_rgb_to_xyz)).mean() < 3
