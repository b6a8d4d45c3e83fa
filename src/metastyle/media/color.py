"""The photograph's colours with the stylised picture's light and dark, and mixtures of the two pictures.

Gatys, Bethge, Hertzmann, Shechtman, "Preserving Color in Neural Artistic Style Transfer" (2016), section 3:
the luminance of the stylised picture with the photograph's colour. They take luminance from YIQ; here the
space is OKLab (Ottosson, 2020), in which lightness and hue are nearly those that people see, so a face that
the style darkens stays skin-coloured.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.media.decoding import Samples

_ROWS = 128  # rows at once: about 100 MB of temporaries for a picture 6000 pixels wide

_LINEAR_TO_CONES = torch.tensor(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_CONES_TO_LAB = torch.tensor(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_LAB_TO_CONES = torch.linalg.inv(_CONES_TO_LAB.double()).float()
_CONES_TO_LINEAR = torch.linalg.inv(_LINEAR_TO_CONES.double()).float()
_HALVINGS = 10  # of the chroma of a colour that sRGB does not have: to a thousandth


def keep_color(content: Samples, stylised: Samples) -> Samples:
    """The lightness of ``stylised`` with the hue and chroma of ``content``.

    Both (H, W, 3) sRGB of one size and type, uint8 or uint16; so is the result. Where sRGB has no such
    colour (a saturated blue as light as white), chroma is reduced until it has one; lightness and hue stay.
    """
    _check_alike(content, stylised)
    out = np.empty_like(content)
    top = float(np.iinfo(content.dtype).max)
    for row in range(0, len(content), _ROWS):
        lab = _oklab(content[row : row + _ROWS])
        lab[:, 0] = _oklab(stylised[row : row + _ROWS])[:, 0]
        encoded = _srgb_curve(_into_gamut(lab)).mul_(top).round_()
        out[row : row + _ROWS] = encoded.reshape(-1, *content.shape[1:]).numpy()
    return out


def mix(content: Samples, stylised: Samples, strength: float) -> Samples:
    """(1 - strength) * content + strength * stylised, of sRGB values; 0 and 1 give either picture exactly.

    Both (H, W, 3) of one size and type, uint8 or uint16. Raises MetastyleError for a strength outside 0 to 1.
    """
    check_strength(strength)
    _check_alike(content, stylised)
    if strength in (0, 1):
        return (stylised if strength else content).copy()
    out = np.empty_like(content)
    for row in range(0, len(content), _ROWS):
        a, b = (p[row : row + _ROWS].astype(np.float32) for p in (content, stylised))
        out[row : row + _ROWS] = np.rint(a + np.float32(strength) * (b - a))
    return out


def check_strength(strength: float) -> None:
    """Raise MetastyleError unless ``strength`` lies in 0 to 1."""
    if not 0 <= strength <= 1:  # also refuses what is not a number
        raise MetastyleError(f"strength {strength} is out of range; give 0 (the photo) to 1 (the full style)")


def _check_alike(content: Samples, stylised: Samples) -> None:
    if content.shape != stylised.shape or content.dtype != stylised.dtype:
        raise ValueError(
            f"the two pictures differ: {content.dtype} {content.shape} and {stylised.dtype} {stylised.shape}"
        )


@cache
def _linear_table(levels: int) -> Samples:
    """Linear light in [0, 1], float32, of each sRGB level (IEC 61966-2-1)."""
    v = np.arange(levels) / (levels - 1)
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _oklab(pixels: Samples) -> Tensor:
    """(H, W, 3) sRGB -> (H * W, 3) OKLab: lightness in [0, 1], then green to red, blue to yellow."""
    linear = torch.from_numpy(_linear_table(np.iinfo(pixels.dtype).max + 1)[pixels.reshape(-1, 3)])
    return (linear @ _LINEAR_TO_CONES.T).clamp_(min=0).pow_(1 / 3) @ _CONES_TO_LAB.T


def _linear(lab: Tensor) -> Tensor:
    """(N, 3) OKLab -> (N, 3) linear sRGB, outside [0, 1] if sRGB does not have the colour."""
    cones: Tensor = lab @ _LAB_TO_CONES.T
    return cones.pow_(3) @ _CONES_TO_LINEAR.T


def _into_gamut(lab: Tensor) -> Tensor:
    """Linear sRGB in [0, 1] of (N, 3) OKLab, with the greatest part of each colour's chroma that fits."""
    linear = _linear(lab)
    slack = 1e-4  # 8 bits do not show it, and it spares the colours that lie on the edge
    outside = ((linear < -slack) | (linear > 1 + slack)).any(dim=1).nonzero()[:, 0]
    if len(outside):
        colours = lab[outside]
        fits, fails = torch.zeros(len(outside), 1), torch.ones(len(outside), 1)
        for _ in range(_HALVINGS):
            middle = (fits + fails) / 2
            tried = _linear(torch.cat([colours[:, :1], colours[:, 1:] * middle], dim=1))
            good = ((tried >= -slack) & (tried <= 1 + slack)).all(dim=1, keepdim=True)
            fits, fails = torch.where(good, middle, fits), torch.where(good, fails, middle)
        linear[outside] = _linear(torch.cat([colours[:, :1], colours[:, 1:] * fits], dim=1))
    return linear.clamp_(0, 1)


def _srgb_curve(linear: Tensor) -> Tensor:
    """Linear light -> sRGB values, both in [0, 1]."""
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.pow(1 / 2.4) - 0.055)
