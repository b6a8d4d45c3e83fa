"""Style-Swap: Chen and Schmidt, "Fast Patch-based Style Transfer of Arbitrary Style" (2016,
arXiv 1612.04337).

Features at relu3_1 are assembled from the style's 3 x 3 patches (section 3.1, see ``patches``), and a
trained inverse network turns them into a picture (section 3.2), where

    F = argmin_f sum_{H in N}  |Phi(f(H)) - H|^2 + lambda TV(f(H))                               (eq. 4)

and N holds features of pictures as well as swapped ones. Deviations: the inverse network has no
normalization and starts from the tail of AdaIN's published decoder, its last convolution from a
least-squares fit. The table's 1.48M parameters are not reproduced by any published variant;
the definition has 1,110,403.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from metastyle.core.losses import StyleTarget, content_loss
from metastyle.systems.counts import Count
from metastyle.systems.decoders import copy_published, fit_start
from metastyle.systems.objective import Objective, Start, total_variation
from metastyle.systems.patches import swap
from metastyle.systems.system import Stylize
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
        """The inverse network from ``weights``, a folder, or from the source tree."""
        with torch.device("meta"):
            inverse = Decoder(3)
        inverse = load_trained(inverse, PART, weights)
        return cls(Encoder.load(3).to(device), inverse.to(device))

    @torch.inference_mode()
    def prepare(self, style: Tensor) -> Stylize:
        """Encode the style; its patches are compared with each photograph's."""
        target = self.encoder(style, [LAYER])[LAYER][0]

        @torch.inference_mode()
        def stylize(photo: Tensor) -> Tensor:
            content = self.encoder(photo, [LAYER])[LAYER][0]
            return fitted(self.inverse(swap(content, target, PATCH)[None]), photo)

        return stylize


class Inversion(Objective):
    """Equation 4, as means over entries, lambda = 1e-6, for the inverse network."""

    learning_rate = 1e-3
    batch_size = 2
    sees = "paintings"
    fit_batches = 16
    precision = "native"
    muon_rate = 1.0
    name = PART

    learned: Decoder

    def __init__(self, encoder: Encoder, inverse: Decoder) -> None:
        super().__init__()
        self.encoder, self.learned = encoder, inverse

    @classmethod
    def begin(cls, start: Start) -> Self:
        """Initialized from AdaIN's decoder where shapes allow."""
        inverse = Decoder(3)
        if not start.from_scratch:
            copy_published(inverse, start.published_decoder())
        return cls(start.encoder(3), inverse.to(start.device))

    def fit(self, pictures: Sequence[Tensor]) -> None:
        """Fit what the published decoder has no start for."""
        fit_start(self.encoder, self.learned, pictures)

    def forward(self, photos: Tensor, paintings: Tensor, targets: Sequence[StyleTarget]) -> dict[str, Tensor]:
        """|Phi(f(H)) - H|^2 and tv, H the features of photographs, of paintings, and swapped ones."""
        with torch.no_grad():
            features = self.encoder(torch.cat([photos, paintings]), [LAYER])[LAYER]
            contents, styles = features.chunk(2)
            with torch.autocast(photos.device.type, enabled=False):  # matches need float32
                swapped = [swap(c.float(), s.float(), PATCH) for c, s in zip(contents, styles, strict=True)]
            wanted = torch.cat([features.float(), torch.stack(swapped)])
        found = self.learned(wanted)
        again = self.encoder(found, [LAYER])[LAYER]
        return {"features": content_loss(again, wanted), "variation": 1e-6 * total_variation(found)}


def parameter_count() -> Count:
    """Its parameters, as in Table 1."""
    with torch.device("meta"):
        encoder, inverse = Encoder(3), Decoder(3)
        plain = count(encoder) - count(encoder.preprocess)
    return Count(
        StyleSwap.name,
        "1.48M",
        plain + count(inverse),
        count(encoder, inverse),
        "not reproduced: VGG-19 to relu3_1 has 555,328 and its mirror 555,075, together 1.11M",
    )
