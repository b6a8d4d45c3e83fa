"""What a part of a compared system learns: a network and its loss, as its paper has them."""

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
    """The published networks that systems learn from; None is loaded where it is needed."""

    encoder: Encoder | None = None
    loss_network: LossNetwork | None = None
    decoder: Decoder | None = None
    """AdaIN's, where decoders start."""
    initialization: Initialization | None = None
    """theta and Psi, where Shen et al.'s network starts; with a predictor."""


@dataclass(frozen=True)
class Start:
    """What an objective is made from."""

    part: str
    """The name of the part, such as ``wct-3``."""
    styles: Path
    """The paintings, or the one painting."""
    device: torch.device
    precision: torch.dtype
    """Of VGG-16's convolutions."""
    from_scratch: bool = False
    """Start with random numbers instead of published ones."""
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
    """A part of a system and its loss; only the parameters of ``learned`` are moved.

    Attributes:
        learning_rate: the published one, at the start.
        batch_size: photographs in a batch, as published.
        sees: besides photographs: crops of ``paintings``, one painting's ``target``, or ``nothing``.
        fits: whether ``fit`` does something.
        precision: ``native`` computes in bfloat16 where the hardware multiplies it natively.
        learned: what is written.
        name: that of the weights' file.
        fingerprint: identifies what is learned from besides the folders of pictures; empty for nothing.
    """

    learning_rate: ClassVar[float]
    batch_size: ClassVar[int]
    sees: ClassVar[Literal["paintings", "target", "nothing"]]
    fits: ClassVar[bool] = False
    precision: ClassVar[Literal["float32", "native"]] = "float32"

    learned: nn.Module
    name: str
    fingerprint: str = ""

    @classmethod
    @abstractmethod
    def begin(cls, start: Start) -> Self:
        """The objective before its first iteration; random numbers come from torch's global generator."""

    @abstractmethod
    def forward(self, photos: Tensor, paintings: Tensor, targets: Sequence[StyleTarget]) -> dict[str, Tensor]:
        """The parts of the loss, already weighted; their sum is minimized.

        Args:
            photos: (B, 3, n, n) in [0, 1], n a multiple of 16.
            paintings: (B, 3, n, n), crops of paintings; the photographs again if none are asked for.
            targets: described paintings, if they are asked for.
        """

    def fit(self, pictures: Sequence[Tensor]) -> None:
        """Fit the start to batches of photographs and crops of paintings (B, 3, n, n), once."""

    def describe(self, painting: Tensor) -> StyleTarget:
        """The target of a painting (1, 3, H, W) in [0, 1], where targets are asked for."""
        raise NotImplementedError(f"{type(self).__name__} asks for no targets")


def total_variation(pictures: Tensor) -> Tensor:
    """Mean absolute difference of neighbors, down and across."""
    down = (pictures[:, :, 1:] - pictures[:, :, :-1]).abs().mean()
    return down + (pictures[:, :, :, 1:] - pictures[:, :, :, :-1]).abs().mean()
