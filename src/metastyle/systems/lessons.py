"""What each trained part of the compared systems learns: its numbers, its loss, its published settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from metastyle.core.loss_network import CONTENT_LAYER, STYLE_LAYERS, LossNetwork
from metastyle.core.losses import StyleTarget, content_loss, perceptual_loss, style_target
from metastyle.core.network import TransformationNetwork
from metastyle.systems.adain import adain
from metastyle.systems.avatar_net import BOTTLENECK, SKIPS, Hourglass
from metastyle.systems.johnson import OneStyle, thumbnail
from metastyle.systems.patches import swap
from metastyle.systems.shen import MetaNetwork
from metastyle.systems.style_swap import LAYER as SWAP_LAYER
from metastyle.systems.style_swap import PATCH as SWAP_PATCH
from metastyle.systems.vgg19 import Decoder, Encoder, moments


@dataclass(frozen=True)
class Batch:
    """What one iteration sees, in [0, 1]."""

    photos: Tensor
    """(B, 3, n, n)."""
    paintings: Tensor
    """(B, 3, n, n), crops of paintings; the photographs again where a lesson does not ask for any."""
    targets: Sequence[StyleTarget] = ()
    """Described paintings, where a lesson asks for them."""


class Lesson(Protocol):
    """One part to be trained."""

    rate: float
    """Adam's rate at the start."""
    batch: int
    """Photographs in a batch, as published."""

    @property
    def learned(self) -> nn.Module:
        """Its parameters are moved, and it is what is written."""

    @property
    def asks_for(self) -> Literal["paintings", "targets", "photos"]:
        """Besides photographs: crops of paintings, one described painting, or nothing."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The parts of the loss, already weighted; their sum is minimized."""


class Reconstruction:
    """WCT's decoders: |I_o - I_i|^2 + |Phi(I_o) - Phi(I_i)|^2 (eq. 1), as means over entries."""

    asks_for: Literal["paintings"] = "paintings"
    rate = 1e-4
    batch = 8

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        self.encoder, self.learned = encoder, decoder
        self.layer = f"relu{decoder.level}_1"

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        pictures = torch.cat([batch.photos, batch.paintings])
        with torch.no_grad():
            features = self.encoder(pictures, [self.layer])[self.layer]
        found = _cut(self.learned(features), pictures)
        again = self.encoder(found, [self.layer])[self.layer]
        return {"pixels": content_loss(found, pictures), "features": content_loss(again, features)}


class HourglassReconstruction:
    """Avatar-Net's decoder, every picture its own style: features at four layers, 10 x pixels, 10 x tv.

    Published for pictures from 0 to 255: what is linear in them, total variation, has a 255th here.
    """

    asks_for: Literal["paintings"] = "paintings"
    rate = 1e-4
    batch = 8

    def __init__(self, encoder: Encoder, decoder: Hourglass) -> None:
        self.encoder, self.learned = encoder, decoder

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        pictures = torch.cat([batch.photos, batch.paintings])
        layers = [*SKIPS, BOTTLENECK]
        with torch.no_grad():
            features = self.encoder(pictures, layers)
        found = _cut(self.learned.decode(features[BOTTLENECK], features), pictures)
        again = self.encoder(found, layers)
        return {
            "pixels": 10 * content_loss(found, pictures),
            "features": torch.stack([content_loss(again[n], features[n]) for n in layers]).sum(),
            "variation": 10 / 255 * total_variation(found),
        }


class SwapInversion:
    """Style-Swap's inverse network: |Phi(f(H)) - H|^2 + 1e-6 tv, H of pictures and swapped (eq. 4)."""

    asks_for: Literal["paintings"] = "paintings"
    rate = 1e-3
    batch = 2

    def __init__(self, encoder: Encoder, inverse: Decoder) -> None:
        self.encoder, self.learned = encoder, inverse

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        pictures = torch.cat([batch.photos, batch.paintings])
        with torch.no_grad():
            features = self.encoder(pictures, [SWAP_LAYER])[SWAP_LAYER]
            contents, styles = features.chunk(2)
            swapped = [swap(c.float(), s.float(), SWAP_PATCH) for c, s in zip(contents, styles, strict=True)]
            wanted = torch.cat([features.float(), torch.stack(swapped)])
        found = self.learned(wanted)
        again = self.encoder(found, [SWAP_LAYER])[SWAP_LAYER]
        return {"features": content_loss(again, wanted), "variation": 1e-6 * total_variation(found)}


class MetaLearning:
    """Shen et al.: relu3_3 x 1, mean and deviation at the four style layers x 50, tv x 1e-6."""

    asks_for: Literal["targets"] = "targets"
    rate = 1e-3
    batch = 8

    def __init__(self, loss_network: LossNetwork, meta: MetaNetwork) -> None:
        self.loss_network, self.learned = loss_network, meta
        with torch.device("meta"):
            self._form = TransformationNetwork()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        content = torch.zeros((), device=batch.photos.device)
        style, variation = content, content
        with torch.no_grad():
            wanted = self.loss_network(batch.photos, ["relu3_3"])["relu3_3"]
        for target in batch.targets:
            with torch.autocast(batch.photos.device.type, enabled=False):  # 217M weights stay as they are
                parameters = self.learned(target.statistics)
            found = functional_call(self._form, parameters, (batch.photos,)).float()
            features = self.loss_network(found)
            content = content + content_loss(features["relu3_3"], wanted)
            style = style + 50 * moment_loss([features[n] for n in STYLE_LAYERS], target.statistics)
            variation = variation + 1e-6 * total_variation(found)
        share = 1 / len(batch.targets)
        return {"content": share * content, "style": share * style, "variation": share * variation}


class OneStyleLearning:
    """Johnson et al.: the perceptual loss for one painting, alpha : beta = 1 : 1e5."""

    asks_for: Literal["photos"] = "photos"
    rate = 1e-3
    batch = 4

    def __init__(self, loss_network: LossNetwork, one: OneStyle, painting: Tensor) -> None:
        """``painting`` (1, 3, H, W), at the size that it is to be learned at."""
        self.loss_network, self.learned = loss_network, one
        self.target = style_target(loss_network, painting)
        one.thumbnail.copy_(thumbnail(painting))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            content = self.loss_network(batch.photos, [CONTENT_LAYER])[CONTENT_LAYER]
        features = self.loss_network(self.learned.network(batch.photos))
        loss = perceptual_loss(features, content, self.target)
        return {"content": loss.content, "style": loss.style}


@torch.no_grad()
def fit_last_convolution(encoder: Encoder, decoder: Decoder, pictures: Sequence[Tensor]) -> None:
    """Begin ``conv1_1`` with the least-squares solution of "give these pictures back", the rest as it is.

    The features of a level differ in size by two orders of magnitude and many of them say the same, which
    makes the last, linear step slow to learn by gradients. At level 1 there is nothing else to learn.
    ``pictures`` are batches (B, 3, n, n), n a multiple of 16.
    """
    layer = f"relu{decoder.level}_1"
    last: nn.Conv2d = decoder.conv1_1  # type: ignore[assignment]
    size = last.weight[0].numel() + 1
    square = torch.zeros(size, size, dtype=torch.float64, device=last.weight.device)
    product = square.new_zeros(size, 3)
    for batch in pictures:
        hidden = decoder.before_last(encoder(batch, [layer])[layer])
        patches = F.unfold(F.pad(hidden, (1, 1, 1, 1), mode="reflect"), 3).double()  # (B, 9 C, places)
        x = torch.cat([patches, torch.ones_like(patches[:, :1])], dim=1)
        square += (x @ x.transpose(1, 2)).sum(dim=0)
        product += (x @ batch.flatten(2).double().transpose(1, 2)).sum(dim=0)
    square.diagonal().add_(1e-4 * square.diagonal().mean())
    solution = torch.linalg.solve(square, product).T.float()
    last.weight.copy_(solution[:, :-1].view_as(last.weight))
    assert last.bias is not None
    last.bias.copy_(solution[:, -1])


@torch.no_grad()
def calibrate_skips(encoder: Encoder, hourglass: Hourglass, pictures: Sequence[Tensor]) -> None:
    """Let the convolutions behind Avatar-Net's skips undo, on average, what AdaIN does there.

    At a skip the decoder's features get the moments of the encoder's. A decoder that never had skips has
    other moments there: x becomes (x - m) s'/s + m', and the next convolution takes that back.
    ``pictures`` are batches (B, 3, n, n), each its own style.
    """
    for number, layer in enumerate(SKIPS):
        found = []
        for batch in pictures:
            features = encoder(batch, [*SKIPS, BOTTLENECK])
            seen: list[Tensor] = []
            at = {skip: partial(_with_moments_of, features[skip]) for skip in SKIPS[:number]}
            hourglass.before_last(features[BOTTLENECK], at | {layer: partial(_noted, seen)})
            found.append([m.mean(dim=0) for m in (*moments(seen[0]), *moments(features[layer]))])
        own_mean, own_std, mean, std = (torch.stack(some).mean(dim=0) for some in zip(*found, strict=True))
        scale = own_std / std.clamp_min(0.1 * std.mean())  # (C, 1, 1)
        behind: nn.Conv2d = hourglass.get_submodule(layer.replace("relu", "conv"))  # type: ignore[assignment]
        assert behind.bias is not None
        behind.bias += (behind.weight * (own_mean - scale * mean)).sum(dim=(1, 2, 3))
        behind.weight *= scale


def _with_moments_of(style: Tensor, features: Tensor) -> Tensor:
    return adain(features, *moments(style))


def _noted(seen: list[Tensor], features: Tensor) -> Tensor:
    seen.append(features)
    return features


def moment_loss(features: Sequence[Tensor], statistics: Tensor) -> Tensor:
    """Squared errors of channel means and deviations, means over channels, summed over layers.

    ``statistics`` as ``StyleTarget`` has them: all means, then all deviations.
    """
    widths = [f.shape[1] for f in features]
    means, deviations = statistics.chunk(2)
    parts = []
    for f, mean, deviation in zip(
        features, torch.split(means, widths), torch.split(deviations, widths), strict=True
    ):
        f = f.float()
        found = (f.var(dim=(2, 3)) + 1e-8).sqrt()  # the root has no slope at zero
        parts += [
            F.mse_loss(f.mean(dim=(2, 3)), mean.expand(len(f), -1)),
            F.mse_loss(found, deviation.expand(len(f), -1)),
        ]
    return torch.stack(parts).sum()


def total_variation(pictures: Tensor) -> Tensor:
    """Mean absolute difference of neighbors, down and across."""
    down = (pictures[:, :, 1:] - pictures[:, :, :-1]).abs().mean()
    return down + (pictures[:, :, :, 1:] - pictures[:, :, :, :-1]).abs().mean()


def _cut(decoded: Tensor, pictures: Tensor) -> Tensor:
    return decoded[:, :, : pictures.shape[2], : pictures.shape[3]]
