"""Style-Swap: Chen and Schmidt, "Fast Patch-based Style Transfer of Arbitrary Style" (2016,
arXiv 1612.04337).

Features at relu3_1 are put together from the style's 3 x 3 patches (section 3.1, see ``patches``), and a
trained inverse network turns them into a picture (section 3.2), where

    F = argmin_f sum_{H in N}  |Phi(f(H)) - H|^2 + lambda TV(f(H))                               (eq. 4)

and N holds features of pictures as well as swapped ones. Deviations: the inverse network has no
normalization, and starts from the tail of AdaIN's published decoder, its last convolution from a
least-squares fit. The table's 1.48M parameters are not reproduced by any published variant;
the definition has 1,110,403.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from metastyle.systems.patches import swap
from metastyle.systems.protocol import Stylize
from metastyle.systems.vgg19 import Decoder, Encoder, count, fitted
from metastyle.systems.weights import load_trained

LAYER = "relu3_1"
PATCH = 3
PART = "style-swap"


class StyleSwap:
    """Encoder to relu3_1 and its inverse: 1,110,403 parameters, and the preprocessing's 12."""

    name = "Style-Swap"
    styles = "any"

    def __init__(self, encoder: Encoder, inverse: Decoder) -> None:
        self.encoder, self.inverse = encoder, inverse
        self.parameters = count(encoder, inverse)

    @classmethod
    def load(cls, device: torch.device, weights: Path | None = None) -> Self:
        """The inverse network from ``weights``, a folder, or from the package."""
        with torch.device("meta"):
            inverse = Decoder(3)
        inverse = load_trained(inverse, PART, weights)
        return cls(Encoder.load(3).to(device), inverse.to(device))

    @torch.inference_mode()
    def prepare(self, style: Tensor) -> Stylize:
        """Encode the style; its patches are compared when a photograph is there."""
        target = self.encoder(style, [LAYER])[LAYER][0]

        @torch.inference_mode()
        def stylize(photo: Tensor) -> Tensor:
            content = self.encoder(photo, [LAYER])[LAYER][0]
            return fitted(self.inverse(swap(content, target, PATCH)[None]), photo)

        return stylize
