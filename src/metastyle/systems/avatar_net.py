"""Avatar-Net: Sheng et al., "Multi-scale Zero-shot Style Transfer by Feature Decoration" (CVPR 2018,
arXiv 1805.03857).

The style decorator, at relu4_1: both features are whitened (ZCA), the content's 5 x 5 patches are replaced
by the style's most similar ones, and the result is colored like the style. An hourglass decodes it; AdaIN
gives its features the style's moments at relu3_1, relu2_1 and relu1_1. The hourglass is trained to
reconstruct pictures, with each picture as its own style:

    L = lambda_1 |I_o - I_i|^2 + sum over layers |Phi(I_o) - Phi(I_i)|^2 + lambda_tv TV(I_o)     (section 4.1)

with lambda_1 = lambda_tv = 10. Deviations: the decoder starts as AdaIN's published one, and patches are
inside the picture, while the published code reflects the content at the border. The published count includes
VGG-19's three fully connected layers, 123.6M parameters that are never used: they are counted but not
stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metastyle.core.losses import StyleTarget, content_loss
from metastyle.systems.adain import adain
from metastyle.systems.counts import Count
from metastyle.systems.decoders import copy_published
from metastyle.systems.objective import Objective, Start, total_variation
from metastyle.systems.patches import swap
from metastyle.systems.system import Stylize
from metastyle.systems.vgg19 import Decoder, Encoder, Features, Layer, count, fitted, moments
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
        self.conv1_1 = Layer(64, 64, 3)
        self.output = Layer(64, 3, 7)

    def decode(self, features: Tensor, style: Features) -> Tensor:
        """Features (B, 512, H, W) -> pictures (B, 3, 8 H, 8 W), with ``style``'s moments at the skips."""
        at = {layer: partial(_moved, moments(style[layer])) for layer in SKIPS}
        return self._finished(features, at)

    def forward(self, features: Tensor) -> Tensor:
        """Decode without a style."""
        return self._finished(features, {})

    def _finished(self, features: Tensor, at: Mapping[str, Callable[[Tensor], Tensor]]) -> Tensor:
        return self.output(F.relu(self.conv1_1(self.before("conv1_1", features, at))))  # type: ignore[no-any-return]


class AvatarNet:
    """7,055,567 parameters repaint: encoder to relu4_1 and decoder, and the preprocessing's 12."""

    name = "Avatar-Net"
    styles = "any"

    def __init__(self, encoder: Encoder, decoder: Hourglass) -> None:
        self.encoder, self.decoder = encoder, decoder
        self.parameters = count(encoder, decoder)

    @classmethod
    def load(cls, device: torch.device, weights: Path | None = None) -> Self:
        """The decoder from ``weights``, a folder, or from the source tree."""
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


class Reconstruction(Objective):
    """Every picture is its own style: features at four layers, 10 x pixels, 10 x total variation.

    The weights are published for pictures from 0 to 255: total variation, which is linear in them, has a
    255th of its weight here.
    """

    learning_rate = 1e-4
    batch_size = 8
    sees = "paintings"
    fit_batches = 16
    precision = "native"
    muon_rate = 1.0
    name = PART

    learned: Hourglass

    def __init__(self, encoder: Encoder, decoder: Hourglass) -> None:
        super().__init__()
        self.encoder, self.learned = encoder, decoder

    @classmethod
    def begin(cls, start: Start) -> Self:
        """A decoder that equals AdaIN's published one."""
        decoder = Hourglass()
        if not start.from_scratch:
            begin_with(decoder, start.published_decoder())
        return cls(start.encoder(4), decoder.to(start.device))

    def fit(self, pictures: Sequence[Tensor]) -> None:
        """Calibrate the skips."""
        calibrate_skips(self.encoder, self.learned, pictures)

    def forward(self, photos: Tensor, paintings: Tensor, targets: Sequence[StyleTarget]) -> dict[str, Tensor]:
        """The three terms."""
        pictures = torch.cat([photos, paintings])
        layers = [*SKIPS, BOTTLENECK]
        with torch.no_grad():
            features = self.encoder(pictures, layers)
        found = self.learned.decode(features[BOTTLENECK], features)
        found = found[:, :, : pictures.shape[2], : pictures.shape[3]]
        again = self.encoder(found, layers)
        return {
            "pixels": 10 * content_loss(found, pictures),
            "features": torch.stack([content_loss(again[n], features[n]) for n in layers]).sum(),
            "variation": 10 / 255 * total_variation(found),
        }


@torch.no_grad()
def begin_with(hourglass: Hourglass, published: Decoder) -> None:
    """Initialize the hourglass so that it equals AdaIN's published decoder.

    Of its last two convolutions, the first starts as the identity (the input of conv1_1 is never negative, so
    ReLU does not change it), and the 7 x 7 one has the published 3 x 3 kernel at its center.
    """
    copy_published(hourglass, published)
    last = published.state_dict()
    for parameter in (*hourglass.conv1_1.parameters(), *hourglass.output.parameters()):
        parameter.zero_()
    nn.init.dirac_(hourglass.conv1_1.weight)
    hourglass.output.weight[:, :, 2:5, 2:5] = last["conv1_1.weight"]
    hourglass.output.load_state_dict({"bias": last["conv1_1.bias"]}, strict=False)


@torch.no_grad()
def calibrate_skips(encoder: Encoder, hourglass: Hourglass, pictures: Sequence[Tensor]) -> None:
    """Initialize the convolutions after the skips so that they undo, on average, the AdaIN there.

    At a skip the decoder's features get the moments of the encoder's. A decoder without skips has other
    moments there: x becomes (x - m) s'/s + m', which the next convolution reverts. ``pictures`` are batches
    (B, 3, n, n), each picture as its own style.
    """
    for number, layer in enumerate(SKIPS):
        found = []
        for batch in pictures:
            features = encoder(batch, [*SKIPS, BOTTLENECK])
            seen: list[Tensor] = []
            at = {skip: partial(_moved, moments(features[skip])) for skip in SKIPS[:number]}
            hourglass.before("conv1_1", features[BOTTLENECK], at | {layer: partial(_noted, seen)})
            found.append([m.mean(dim=0) for m in (*moments(seen[0]), *moments(features[layer]))])
        own_mean, own_std, mean, std = (torch.stack(some).mean(dim=0) for some in zip(*found, strict=True))
        scale = own_std / std.clamp_min(0.1 * std.mean())  # (C, 1, 1)
        after: nn.Conv2d = hourglass.get_submodule(layer.replace("relu", "conv"))  # type: ignore[assignment]
        assert after.bias is not None
        after.bias += (after.weight * (own_mean - scale * mean)).sum(dim=(1, 2, 3))
        after.weight *= scale


def _noted(seen: list[Tensor], features: Tensor) -> Tensor:
    seen.append(features)
    return features


def parameter_count() -> Count:
    """Its parameters, as in Table 1."""
    with torch.device("meta"):
        encoder, hourglass = Encoder(4), Hourglass()
        whole = nn.ModuleList(
            [
                *[m for name, m in Encoder(5).named_children() if name != "preprocess"],
                *[Layer(512, 512, 3) for _ in range(3)],  # conv5_2 to conv5_4
                nn.Linear(512 * 7 * 7, 4096),
                nn.Linear(4096, 4096),
                nn.Linear(4096, 1000),
            ]
        )  # VGG-19 as published for classification
    return Count(
        AvatarNet.name,
        "147.22M",
        count(whole, hourglass),
        count(encoder, hourglass),
        "the quoted number counts VGG-19 with its fully connected layers, which are never used",
    )
