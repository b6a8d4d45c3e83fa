"""Colour profiles: from a picture's own colours to sRGB and back, with littleCMS through Pillow.

Colour management works at 8 bits, all that Pillow hands to littleCMS. The intent is relative colorimetric
with black-point compensation: in-gamut colours stay exact, and the darkest ink becomes black.
"""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_MAX_PROFILE_BYTES = 16 << 20  # printing presses have profiles of up to 4 MB; more than this is no profile


def to_srgb(image: Image.Image, icc: bytes) -> Image.Image | None:
    """The colours of ``image`` (mode L, RGB, CMYK or LAB) as its profile means them, in sRGB, mode RGB.

    None if the profile is damaged or is for another kind of picture (a CMYK profile in an RGB file).
    """
    return _convert(image, _parse(icc), _srgb(), "RGB")


def from_srgb(image: Image.Image, icc: bytes) -> Image.Image | None:
    """sRGB colours (mode RGB) in the RGB space of ``icc``; None if it is for reading only."""
    return _convert(image, _srgb(), _parse(icc), "RGB")


def lab_to_srgb(image: Image.Image) -> Image.Image | None:
    """A CIELAB picture (mode LAB, D50) in sRGB."""
    return _convert(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), _srgb(), "RGB")


def kind(icc: bytes, space: Literal["grey", "rgb"]) -> Literal["srgb", "other", "unusable"]:
    """Whether a profile for pictures of ``space`` moves any colour by more than 1 of 255 on its way to sRGB.

    Measured (on all greys, or on a 16 x 16 x 16 grid of colours) because sRGB profiles go by many names.
    """
    own: NDArray[Any]
    if space == "grey":
        own = np.arange(256, dtype=np.uint8).reshape(16, 16)
        expected = np.repeat(own[..., None], 3, axis=2)
    else:
        steps = np.linspace(0, 255, 16).round().astype(np.uint8)
        own = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(64, 64, 3)
        expected = own
    seen = to_srgb(Image.fromarray(own), icc)
    if seen is None:
        return "unusable"
    return "srgb" if np.abs(np.asarray(seen).astype(int) - expected).max() <= 1 else "other"


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _parse(icc: bytes) -> ImageCms.ImageCmsProfile | None:
    if len(icc) > _MAX_PROFILE_BYTES:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except (OSError, ValueError, TypeError):
        return None


def _convert(
    image: Image.Image,
    source: ImageCms.ImageCmsProfile | None,
    target: ImageCms.ImageCmsProfile | None,
    mode: str,
) -> Image.Image | None:
    if source is None or target is None:
        return None
    try:
        return ImageCms.buildTransform(
            source,
            target,
            image.mode,
            mode,
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        ).apply(image)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
