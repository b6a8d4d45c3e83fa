from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import encoded
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


def adobe_rgb_in_srgb(values: NDArray[Any], to_xyz: NDArray[Any]) -> NDArray[Any]:
    """Adobe RGB (1998) to sRGB by its definition, in [0, 255], not rounded."""
    linear = (values / 255.0) ** 2.19921875 @ to_xyz.T @ XYZ_D50_TO_LINEAR_SRGB.T
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("name", ["PNG", "TIFF", "JPEG", "WEBP", "AVIF"])
def test_adobe_rgb_is_converted_by_its_definition(name: str, icc: Any, colors: NDArray[np.uint8]) -> None:
    options = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}.get(name, {"quality": 98})
    picture = open_picture(encoded(Image.fromarray(colors), name, icc_profile=icc.adobe_rgb, **options))
    expected = adobe_rgb_in_srgb(colors, icc.adobe_rgb_to_xyz)
    error = np.abs(picture.pixels - expected)
    assert error.mean() < (4 if name in ("JPEG", "AVIF") else 0.6)
    if name in ("PNG", "TIFF", "WEBP"):
        assert error.max() < 4  # near black, where one step of the curve is steep
    assert picture.icc == icc.adobe_rgb and np.abs(expected - colors).mean() > 4


def test_pictures_are_saved_in_their_own_profile(tmp_path: Path, icc: Any, colors: NDArray[np.uint8]) -> None:
    muted = (colors // 4 + 90).astype(np.uint8)  # within sRGB, so that nothing is clipped
    alpha = np.arange(muted[..., 0].size, dtype=np.uint8).reshape(muted.shape[:2])
    source = Image.fromarray(np.concatenate([muted, alpha[..., None]], axis=2))
    picture = open_picture(encoded(source, "PNG", icc_profile=icc.adobe_rgb))
    save_picture(picture, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as again:
        assert again.info["icc_profile"] == icc.adobe_rgb
        assert np.abs(np.asarray(again).astype(int)[..., :3] - muted).max() <= 1
        assert (np.asarray(again)[..., 3] == alpha).all()
    save_picture(Picture(colors, icc=icc.adobe_rgb), tmp_path / "p.bmp")  # has no profile, so sRGB
    assert (open_picture(tmp_path / "p.bmp").pixels == colors).all()


def test_an_srgb_profile_changes_no_pixel(tmp_path: Path, colors: NDArray[np.uint8]) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = open_picture(encoded(Image.fromarray(colors), "PNG", icc_profile=srgb))
    assert (picture.pixels == colors).all() and picture.icc == srgb
    save_picture(picture, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as again:
        assert again.info["icc_profile"] == srgb and (np.asarray(again) == colors).all()


def test_a_gray_profile_is_converted_to_srgb(tmp_path: Path, icc: Any) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = open_picture(encoded(Image.fromarray(ramp), "PNG", icc_profile=icc.gray))
    linear = (ramp / 255) ** 1.8
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert picture.gray and np.abs(picture.pixels[..., 0] - expected).max() < 1.6
    wide = open_picture(encoded(Image.fromarray(ramp.astype(np.uint16) * 257), "PNG", icc_profile=icc.gray))
    assert wide.pixels.dtype == np.uint8 and (wide.pixels == picture.pixels).all()
    save_picture(picture, tmp_path / "p.png")
    again = open_picture(tmp_path / "p.png")
    assert again.icc is None and again.gray and (again.pixels == picture.pixels).all()


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_cmyk_is_converted_by_its_profile(name: str, tmp_path: Path, icc: Any) -> None:
    ink = Image.new("CMYK", (48, 16), (0, 0, 0, 0))
    ink.paste((0, 255, 0, 0), (16, 0, 32, 16))
    ink.paste((0, 0, 0, 255), (32, 0, 48, 16))
    picture = open_picture(encoded(ink, name, icc_profile=icc.cmyk))
    paper, magenta, black = picture.pixels[8, 4], picture.pixels[8, 24], picture.pixels[8, 44]
    assert paper.min() > 250 and black.max() < 8
    lab = Image.new("LAB", (1, 1), (round(50 * 2.55), 128 + 70, 128))
    transform = profiles.lab_to_srgb()
    assert transform is not None
    assert np.abs(magenta.astype(int) - np.asarray(transform.apply(lab))[0, 0]).max() < 12
    save_picture(picture, tmp_path / "p.jpg")
    with Image.open(tmp_path / "p.jpg") as again:
        assert again.mode == "RGB" and "icc_profile" not in again.info


def test_a_picture_with_an_input_profile_is_saved_in_srgb(tmp_path: Path, icc: Any) -> None:
    image = Image.new("RGB", (20, 20), (255, 0, 0))
    picture = open_picture(encoded(image, "PNG", icc_profile=icc.scanner))
    assert picture.pixels[5, 5, 0] > picture.pixels[5, 5, 2] and (picture.pixels[5, 5] != (255, 0, 0)).any()
    save_picture(picture, tmp_path / "p.png")
    again = open_picture(tmp_path / "p.png")
    assert again.icc is None and (again.pixels == picture.pixels).all()


def test_broken_profiles_and_those_of_another_mode_are_ignored(
    tmp_path: Path, icc: Any, colors: NDArray[np.uint8]
) -> None:
    for profile in (icc.broken, icc.cmyk, icc.gray, b"not a profile", bytes(17 << 20)):
        image = Image.fromarray(colors)
        image.info["icc_profile"] = profile
        picture = from_pil(image)
        assert (picture.pixels == colors).all()
        save_picture(picture, tmp_path / "p.png", overwrite=True)
        assert open_picture(tmp_path / "p.png").icc is None


def test_the_profile_of_a_heic_is_used(icc: Any, colors: NDArray[np.uint8]) -> None:
    picture = open_picture(DATA / "adobe_rgb.heic")
    assert picture.icc == icc.adobe_rgb
    assert np.abs(picture.pixels - adobe_rgb_in_srgb(colors, icc.adobe_rgb_to_xyz)).mean() < 3
