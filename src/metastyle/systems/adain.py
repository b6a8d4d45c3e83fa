"""AdaIN: Huang and Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization"
(ICCV 2017, arXiv 1703.06868).

    AdaIN(x, y) = sigma(y) (x - mu(x)) / sigma(x) + mu(y)                         (eq. 8)
    t = AdaIN(f(c), f(s)),  T(c, s) = g(t)                                        (eq. 9, 10)

f is VGG-19 to relu4_1, g its mirror, with the published weights. No deviation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from metastyle.systems.counts import Count
from metastyle.systems.system import Stylize
from metastyle.systems.vgg19 import Decoder, Encoder, count, fitted, moments
from metastyle.weights.vgg19 import ADAIN_DECODER, load_published

LAYER = "relu4_1"


class AdaIN:
    """7,010,959 parameters: encoder 3,505,740, decoder 3,505,219."""

    name = "AdaIN"
    styles = "any"

    def __init__(self, encoder: Encoder, decoder: Decoder, strength: float = 1.0) -> None:
        self.encoder, self.decoder, self.strength = encoder, decoder, strength
        if strength != 1:
            self.name = f"AdaIN, strength {strength:g}"
        self.parameters = count(encoder, decoder)

    @classmethod
    def load(cls, device: torch.device, weights: Path | None = None, strength: float = 1.0) -> Self:
        """AdaIN with the published weights, downloaded if missing; ``weights`` is not used.

        strength: how far features go to the style's moments; 1 is eq. 9, and beyond it they go further.
        """
        return cls(Encoder.load(4).to(device), load_decoder().to(device), strength)

    @torch.inference_mode()
    def prepare(self, style: Tensor) -> Stylize:
        """Encode the style: mean and deviation of 512 channels."""
        mean, std = moments(self.encoder(style, [LAYER])[LAYER])

        @torch.inference_mode()
        def stylize(photo: Tensor) -> Tensor:
            content = self.encoder(photo, [LAYER])[LAYER]
            mixed = content.lerp(adain(content, mean, std), self.strength)
            return fitted(self.decoder(mixed), photo)

        return stylize


def adain(features: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Equation 8: features (B, C, H, W) with the channel mean and deviation (1 or B, C, 1, 1)."""
    own_mean, own_std = moments(features)
    return std * ((features - own_mean) / own_std) + mean


def load_decoder() -> Decoder:
    """AdaIN's published decoder, on the CPU."""
    with torch.device("meta"):
        decoder = Decoder(4)
    decoder.load_state_dict(load_published(ADAIN_DECODER), assign=True)
    return decoder.eval().requires_grad_(False)


def parameter_count() -> Count:
    """Its parameters, as in Table 1."""
    with torch.device("meta"):
        both = count(Encoder(4), Decoder(4))
    return Count(
        AdaIN.name,
        "7.01M",
        both,
        both,
        "VGG-19 to relu4_1 with the 1x1 convolution before it, and its mirror",
    )
