"""Avatar-Net: Sheng et al., "Multi-scale Zero-shot Style Transfer by Feature Decoration" (CVPR 2018,
arXiv 1805.03857).

The style decorator, at relu4_1: both features are whitened (ZCA), the content's 5 x 5 patches are replaced
by the style's most similar ones, and the result is colored like the style. An hourglass decodes it, and on
the way AdaIN gives its features the moments of the style's at relu3_1, relu2_1 and relu1_1. The hourglass
was trained to give pictures back, each being its own style.

Deviations: the decoder starts as AdaIN's published one, and its patches lie inside the picture, where the
published code reflects the content at the border. The paper's count holds VGG-19 with its three fully
connected layers, 123.6M parameters that no picture ever passes: they are counted (``counts``), not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.core.network import Conv
from metastyle.systems.adain import adain
from metastyle.systems.patches import swap
from metastyle.systems.protocol import Stylize
from metastyle.systems.vgg19 import Decoder, Encoder, Features, count, fitted, moments
from metastyle.systems.weights import load_trained
from metastyle.systems.whitening import Spectrum, color, spectrum, whiten

BOTTLENECK = "relu4_1"
SKIPS = ("relu3_1", "relu2_1", "relu1_1")
PATCH = 5
PART = "avatar-net"


class Hourglass(Decoder):
    """The decoder: the encoder's mirror, with 64 channels to its end and a 7 x 7 convolution to the picture.

    3,549,827 parameters, the published number.
    """

    def __init__(self) -> None:
        super().__init__(level=4)
        self.conv1_1 = Conv(64, 64, 3)
        self.output = Conv(64, 3, 7)

    def decode(self, features: Tensor, style: Features) -> Tensor:
        """Features (B, 512, H, W) -> pictures (B, 3, 8 H, 8 W), with ``style``'s moments at the skips."""
        at = {layer: partial(_moved, moments(style[layer])) for layer in SKIPS}
        return self._finished(features, at)

    def forward(self, features: Tensor) -> Tensor:
        """Without any style."""
        return self._finished(features, {})

    def _finished(self, features: Tensor, at: Mapping[str, Callable[[Tensor], Tensor]]) -> Tensor:
        return self.output(F.relu(self.conv1_1(self.before_last(features, at))))  # type: ignore[no-any-return]


class AvatarNet:
    """7,055,567 parameters repaint: encoder to relu4_1 and decoder, and the preprocessing's 12."""

    name = "Avatar-Net"
    styles = "any"

    def __init__(self, encoder: Encoder, decoder: Hourglass) -> None:
        self.encoder, self.decoder = encoder, decoder
        self.parameters = count(encoder, decoder)

    @classmethod
    def load(cls, device: torch.device, weights: Path | None = None) -> Self:
        """The decoder from ``weights``, a folder, or from the package."""
        with torch.device("meta"):
            decoder = Hourglass()
        decoder = load_trained(decoder, PART, weights)
        return cls(Encoder.load(4).to(device), decoder.to(device))

    @torch.inference_mode()
    def prepare(self, style: Tensor) -> Stylize:
        """Encode and whiten the style."""
        described = self.encoder(style, [BOTTLENECK, *SKIPS])
        target = spectrum(described[BOTTLENECK])
        whitened = whiten(described[BOTTLENECK], target)

        @torch.inference_mode()
        def stylize(photo: Tensor) -> Tensor:
            content = self.encoder(photo, [BOTTLENECK])[BOTTLENECK]
            return fitted(self.decoder.decode(decorate(content, whitened, target), described), photo)

        return stylize


def decorate(content: Tensor, whitened_style: Tensor, style: Spectrum) -> Tensor:
    """The style decorator: (1, C, H, W) -> the same."""
    whitened = whiten(content, spectrum(content))
    return color(swap(whitened[0], whitened_style[0], PATCH)[None], style)


def _moved(target: tuple[Tensor, Tensor], features: Tensor) -> Tensor:
    return adain(features, *target)
