"""Whitening and coloring of features, by eigendecomposition in float64: for WCT and Avatar-Net.

Li et al. 2017, section 3.2: with D, E the eigenvalues and eigenvectors of the features' covariance,

    whitened = E_c D_c^(-1/2) E_c^T (f_c - m_c)                                                  (eq. 2)
    colored = E_s D_s^(1/2) E_s^T whitened + m_s                                                (eq. 3)

so that the covariance of the result is the style's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST = 1e-5
"""Eigenvalues up to this count as zero, as in the published code: these directions have no variance."""


@dataclass(frozen=True)
class Spectrum:
    """The mean and the eigendecomposition of the covariance of a picture's features; float64."""

    mean: Tensor
    """(C, 1)."""
    values: Tensor
    """(K,) eigenvalues of the covariance above ``SMALLEST``, ascending."""
    vectors: Tensor
    """(C, K)."""

    def power(self, exponent: float) -> Tensor:
        """A power of the covariance, (C, C), restricted to the directions with variance."""
        return (self.vectors * self.values**exponent) @ self.vectors.T


def spectrum(features: Tensor) -> Spectrum:
    """The spectrum of features (1, C, H, W), with covariance F F^T / (H W - 1) of the centered features F."""
    x = _matrix(features)
    mean = x.mean(dim=1, keepdim=True)
    x = x - mean
    values, vectors = torch.linalg.eigh(x @ x.T / max(1, x.shape[1] - 1))
    kept = values > SMALLEST
    return Spectrum(mean, values[kept], vectors[:, kept])


def whiten(features: Tensor, of: Spectrum) -> Tensor:
    """Equation 2 with the features' own spectrum: (1, C, H, W) of unit covariance, in their dtype."""
    return _like(of.power(-0.5) @ (_matrix(features) - of.mean), features)


def color(whitened: Tensor, style: Spectrum) -> Tensor:
    """Equation 3."""
    return _like(style.power(0.5) @ _matrix(whitened) + style.mean, whitened)


def whiten_and_color(features: Tensor, style: Spectrum) -> Tensor:
    """Equations 2 and 3 at once: (1, C, H, W) with the style's mean and covariance."""
    own = spectrum(features)
    transform = style.power(0.5) @ own.power(-0.5)
    return _like(transform @ (_matrix(features) - own.mean) + style.mean, features)


def _matrix(features: Tensor) -> Tensor:
    """(1, C, H, W) -> (C, H W) float64; on the CPU if the device does not support float64."""
    place = torch.device("cpu") if features.device.type == "mps" else features.device
    return features[0].flatten(1).to(place).double()


def _like(matrix: Tensor, features: Tensor) -> Tensor:
    return matrix.to(features.dtype).to(features.device).view(1, -1, *features.shape[2:])
