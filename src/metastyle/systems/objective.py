"""The training objective of a part of a compared system: its network and loss, as in its paper."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from metastyle.core.initialization import Initialization
from metastyle.core.loss_network import LossNetwork
from metastyle.core.losses import StyleTarget
from metastyle.systems.adain import load_decoder
from metastyle.systems.vgg19 import Decoder, Encoder
from metastyle.weights.initialization import load_initialization
from metastyle.weights.vgg16 import load_loss_network


@dataclass(frozen=True)
class Networks:
    """The published networks used in training; None means loaded when needed."""

    encoder: Encoder | None = None
    loss_network: LossNetwork | None = None
    decoder: Decoder | None = None
    """AdaIN's decoder, from which decoders are initialized."""
    initialization: Initialization | None = None
    """theta and Psi (with a predictor), from which Shen et al.'s network is initialized."""


@dataclass(frozen=True)
class Start:
    """The arguments for making an objective."""

    part: str
    """The name of the part, such as ``wct-3``."""
    styles: Path
    """The paintings, or the one painting."""
    device: torch.device
    precision: torch.dtype
    """Type of VGG-16's convolutions."""
    from_scratch: bool = False
    """Start from random weights instead of published ones."""
    networks: Networks = field(default_factory=Networks)

    def encoder(self, level: int) -> Encoder:
        """VGG-19 to relu``level``_1 or deeper, on the device."""
        return (self.networks.encoder or Encoder.load(level)).to(self.device)

    def loss_network(self) -> LossNetwork:
        """VGG-16, a copy on the device."""
        return (self.networks.loss_network or load_loss_network()).prepared(self.precision).to(self.device)

    def published_decoder(self) -> Decoder:
        """AdaIN's decoder."""
        return self.networks.decoder or load_decoder()

    def initialization(self) -> Initialization:
        """theta and Psi, as shipped."""
        return self.networks.initialization or load_initialization()[0]


class Objective(nn.Module, ABC):
    """A part of a system and its loss; only the parameters of ``learned`` are updated.

    Attributes:
        learning_rate: the published initial learning rate.
        batch_size: published number of photographs per batch.
        sees: additional inputs: crops of ``paintings``, the ``target`` of a painting, or ``nothing``.
        fit_batches: number of batches that ``fit`` gets; 0 if there is nothing to fit.
        precision: ``native`` computes in bfloat16 where the hardware multiplies it natively.
        muon_rate: learning rate of Muon relative to that of Adam; None if Muon cannot train it.
        learned: the module that is saved.
        name: name of the weights file.
        fingerprint: identifies other inputs than the folders of pictures; empty for none.
    """

    learning_rate: ClassVar[float]
    batch_size: ClassVar[int]
    sees: ClassVar[Literal["paintings", "target", "nothing"]]
    fit_batches: ClassVar[int] = 0
    precision: ClassVar[Literal["float32", "native"]] = "float32"
    muon_rate: ClassVar[float | None] = None

    learned: nn.Module
    name: str
    fingerprint: str = ""

    @classmethod
    @abstractmethod
    def begin(cls, start: Start) -> Self:
        """Make the objective; random numbers come from torch's global generator."""

    @abstractmethod
    def forward(self, photos: Tensor, paintings: Tensor, targets: Sequence[StyleTarget]) -> dict[str, Tensor]:
        """The weighted parts of the loss, whose sum is minimized.

        Args:
            photos: (B, 3, n, n) in [0, 1], n a multiple of 16.
            paintings: (B, 3, n, n), crops of paintings; the photographs if none are requested.
            targets: style targets, if requested.
        """

    def fit(self, pictures: Sequence[Tensor]) -> None:
        """Fit the initialization to batches of photographs and crops of paintings (B, 3, n, n), once."""

    def describe(self, painting: Tensor) -> StyleTarget:
        """The target of a painting (1, 3, H, W) in [0, 1], if targets are requested."""
        raise NotImplementedError(f"{type(self).__name__} uses no targets")


def total_variation(pictures: Tensor) -> Tensor:
    """Mean absolute difference of neighbors, down and across."""
    down = (pictures[:, :, 1:] - pictures[:, :, :-1]).abs().mean()
    return down + (pictures[:, :, :, 1:] - pictures[:, :, :, :-1]).abs().mean()
