"""ICC profiles: conversion of a picture's colors to sRGB and back, with littleCMS through Pillow.

Color management works at 8 bits, because Pillow passes no more to littleCMS. The intent is relative
colorimetric with black-point compensation: in-gamut colors stay exact, and the darkest ink becomes black.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 16 << 20  # profiles of printing presses have up to 4 MB


def to_srgb(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from pictures of ``mode`` (L, RGB, CMYK or LAB) with this profile to sRGB, mode RGB.

    None if the profile is damaged or for another kind of picture (a CMYK profile in an RGB file).
    """
    return _transform(_parse(icc), _srgb(), mode)


def from_srgb(icc: bytes) -> ImageCms.ImageCmsTransform | None:
    """The transform from sRGB to the profile's RGB; None if it is damaged, not RGB, or input-only."""
    return _transform(_srgb(), _parse(icc), "RGB")


def lab_to_srgb() -> ImageCms.ImageCmsTransform | None:
    """The transform from CIELAB (D50) to sRGB."""
    return _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), _srgb(), "LAB")


def changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform of L or RGB changes no color by more than 1 of 255, so that the profile is sRGB.

    Measured on all grays, or on a 16 x 16 x 16 grid of colors.
    """
    own: NDArray[np.uint8]
    if transform.input_mode == "L":
        own = np.arange(256, dtype=np.uint8).reshape(16, 16)
    elif transform.input_mode == "RGB":
        steps = np.linspace(0, 255, 16).round().astype(np.uint8)
        own = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(64, 64, 3)
    else:
        return False
    seen = np.asarray(transform.apply(Image.fromarray(own))).astype(int)
    return int(np.abs(seen - np.atleast_3d(own)).max()) <= 1


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _parse(icc: bytes) -> ImageCms.ImageCmsProfile | None:
    if len(icc) > MAX_PROFILE_BYTES:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except (OSError, ValueError, TypeError):
        return None


def _transform(
    source: ImageCms.ImageCmsProfile | None, target: ImageCms.ImageCmsProfile | None, mode: str
) -> ImageCms.ImageCmsTransform | None:
    if source is None or target is None:
        return None
    try:
        return ImageCms.buildTransform(
            source,
            target,
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
