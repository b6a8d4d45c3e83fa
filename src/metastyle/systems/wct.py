"""WCT: Li et al., "Universal Style Transfer via Feature Transforms" (NIPS 2017, arXiv 1705.08086).

Five times, from relu5_1 down to relu1_1: encode, whiten and color (see ``whitening``), blend with the
features themselves, decode (section 3.3). Each decoder was trained independently to reconstruct pictures:

    L = |I_o - I_i|^2 + lambda |Phi(I_o) - Phi(I_i)|^2,  lambda = 1                              (eq. 1)

Deviations: decoders start from the tail of AdaIN's published decoder, their last convolution from a
least-squares fit; that of level 5 starts with such a fit from relu5_1 to relu4_1, which can be trained
first (``FeatureReconstruction``). They are also trained on paintings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from metastyle.core.losses import StyleTarget, content_loss
from metastyle.systems.counts import Count
from metastyle.systems.decoders import BEFORE_RELU4_1, copy_published, fit_start
from metastyle.systems.objective import Objective, Start
from metastyle.systems.system import Stylize
from metastyle.systems.vgg19 import Decoder, Encoder, count, fitted
from metastyle.systems.weights import load_trained
from metastyle.systems.whitening import spectrum, whiten_and_color

LEVELS = (5, 4, 3, 2, 1)
BLEND = 0.6
"""Share of transformed features, as published."""


def part(level: int) -> str:
    """The name of a level's decoder, for ``train-baseline`` and for its file."""
    return f"wct-{level}"


START = "wct-5-start"
"""The name of the training from which level 5's decoder starts."""


class WCT:
    """Five decoders and one encoder, which the paper's 34.23M parameters count once for each level."""

    name = "WCT"
    styles = "any"

    def __init__(self, encoder: Encoder, decoders: Sequence[Decoder], blend: float = BLEND) -> None:
        """``decoders`` go from deep to shallow; leaving some out gives the paper's single-level variants."""
        self.encoder, self.decoders, self.blend = encoder, decoders, blend
        self.parameters = count(encoder, *decoders)

    @classmethod
    def load(cls, device: torch.device, weights: Path | None = None, blend: float = BLEND) -> Self:
        """The decoders from ``weights``, a folder, or from the source tree; every level has one ``blend``."""
        decoders = []
        for level in LEVELS:
            with torch.device("meta"):
                decoder = Decoder(level)
            decoders.append(load_trained(decoder, part(level), weights).to(device))
        return cls(Encoder.load(5).to(device), decoders, blend)

    @torch.inference_mode()
    def prepare(self, style: Tensor) -> Stylize:
        """Mean and covariance of the style's features at every level, decomposed."""
        layers = [f"relu{decoder.level}_1" for decoder in self.decoders]
        features = self.encoder(style, layers)
        targets = [spectrum(features[layer]) for layer in layers]

        @torch.inference_mode()
        def stylize(photo: Tensor) -> Tensor:
            picture = photo
            for layer, target, decoder in zip(layers, targets, self.decoders, strict=True):
                own = self.encoder(picture, [layer])[layer]
                mixed = own.lerp(whiten_and_color(own, target), self.blend)
                picture = decoder(mixed)[:, :, : photo.shape[2], : photo.shape[3]]
            return fitted(picture, photo)

        return stylize


class Reconstruction(Objective):
    """Equation 1, as means over entries, for one level's decoder."""

    learning_rate = 1e-4
    batch_size = 8
    sees = "paintings"
    fit_batches = 16
    precision = "native"
    muon_rate = 1.0

    learned: Decoder

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder, self.learned = encoder, decoder
        self.layer = f"relu{decoder.level}_1"
        self.name = part(decoder.level)

    @classmethod
    def begin(cls, start: Start) -> Self:
        """Initialized from AdaIN's decoder where shapes allow."""
        level = int(start.part.split("-")[1])
        decoder = Decoder(level)
        if not start.from_scratch:
            copy_published(decoder, start.published_decoder())
        return cls(start.encoder(level), decoder.to(start.device))

    def fit(self, pictures: Sequence[Tensor]) -> None:
        """Fit what the published decoder has no start for."""
        fit_start(self.encoder, self.learned, pictures)

    def forward(self, photos: Tensor, paintings: Tensor, targets: Sequence[StyleTarget]) -> dict[str, Tensor]:
        """|I_o - I_i|^2 and |Phi(I_o) - Phi(I_i)|^2."""
        pictures = torch.cat([photos, paintings])
        with torch.no_grad():
            features = self.encoder(pictures, [self.layer])[self.layer]
        found = self.learned(features)[:, :, : pictures.shape[2], : pictures.shape[3]]
        again = self.encoder(found, [self.layer])[self.layer]
        return {"pixels": content_loss(found, pictures), "features": content_loss(again, features)}


class FeatureReconstruction(Reconstruction):
    """The start of level 5: its convolutions from relu5_1 to relu4_1, where AdaIN's decoder begins.

        L = |D(Phi_5) - Phi_4|^2

    Neither the rest of the decoder nor a second pass of the encoder is needed: an iteration takes a third of
    equation 1's time (docs/baselines.md). The weights are those of ``wct-5``, to be trained further.
    """

    fit_batches = 64

    @classmethod
    def begin(cls, start: Start) -> Self:
        """The convolutions of the published decoder stay as they are."""
        objective = super().begin(start)
        for name, parameter in objective.learned.named_parameters():
            parameter.requires_grad_(name.startswith(BEFORE_RELU4_1))
        return objective

    def forward(self, photos: Tensor, paintings: Tensor, targets: Sequence[StyleTarget]) -> dict[str, Tensor]:
        """|D(Phi_5) - Phi_4|^2, a mean over entries."""
        with torch.no_grad():
            features = self.encoder(torch.cat([photos, paintings]), ["relu4_1", "relu5_1"])
        found = self.learned.before("conv4_1", features["relu5_1"])
        return {"features": content_loss(found, features["relu4_1"])}


def parameter_count() -> Count:
    """Its parameters, as in Table 1."""
    with torch.device("meta"):
        encoders = [count(Encoder(level)) for level in LEVELS]
        decoders = sum(count(Decoder(level)) for level in LEVELS)
        plain = [n - count(Encoder(level).preprocess) for n, level in zip(encoders, LEVELS, strict=True)]
    return Count(
        WCT.name,
        "34.23M",
        sum(plain) + decoders,
        max(encoders) + decoders,
        "five encoders and five decoders; the encoders are parts of one, which is kept once",
    )
