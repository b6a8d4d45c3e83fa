"""The parameters of Table 1, counted from the definitions, without any memory for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from metastyle.core.network import Conv, TransformationNetwork
from metastyle.systems.avatar_net import Hourglass
from metastyle.systems.shen import MetaNetwork
from metastyle.systems.vgg19 import Decoder, Encoder, count


@dataclass(frozen=True)
class Count:
    """One system's parameters."""

    system: str
    quoted: str
    """What the post's Table 1 says; empty where it says nothing."""
    counted: int
    """What the definition has in the way that the quoted number counts."""
    used: int
    """What passes through memory to repaint one photograph in a prepared or any style."""
    note: str

    @property
    def reproduced(self) -> bool:
        """Whether the quoted number, millions with two decimals, is the counted one, rounded or cut off."""
        if not self.quoted:
            return self.counted == 0
        millions = float(self.quoted.removesuffix("M"))
        return -0.005 <= self.counted / 1e6 - millions < 0.01


def table() -> list[Count]:
    """All eight systems, in the post's order."""
    with torch.device("meta"):
        network = count(TransformationNetwork())
        without_norms = network - count(*_norms(TransformationNetwork()))
        encoders = {level: count(Encoder(level)) for level in range(1, 6)}
        decoders = {level: count(Decoder(level)) for level in range(1, 6)}
        preprocessing = count(nn.Conv2d(3, 3, 1))
        meta = MetaNetwork()
        generated = without_norms - count(meta.down1, meta.out)
        hourglass = count(Hourglass())
        whole_vgg = count(_whole_vgg19())
    plain = {level: n - preprocessing for level, n in encoders.items()}
    return [
        Count("Gatys et al.", "", 0, 0, "no model: the picture is optimized"),
        Count("Johnson et al.", "1.68M", network, network, "one network for each style"),
        Count(
            "WCT",
            "34.23M",
            sum(plain.values()) + sum(decoders.values()),
            encoders[5] + sum(decoders.values()),
            "five encoders and five decoders; the encoders are parts of one, which is kept once",
        ),
        Count(
            "AdaIN",
            "7.01M",
            encoders[4] + decoders[4],
            encoders[4] + decoders[4],
            "VGG-19 to relu4_1 with the 1x1 convolution before it, and its mirror",
        ),
        Count(
            "Shen et al.",
            "219.32M",
            count(meta) + generated,
            count(meta),
            "the quoted number counts the 14 generated convolutions' own filters, which are never used",
        ),
        Count(
            "Avatar-Net",
            "147.22M",
            whole_vgg + hourglass,
            encoders[4] + hourglass,
            "the quoted number counts VGG-19 with its fully connected layers, which are never used",
        ),
        Count(
            "Style-Swap",
            "1.48M",
            plain[3] + decoders[3],
            encoders[3] + decoders[3],
            "not reproduced: VGG-19 to relu3_1 has 555,328 and its mirror 555,075, together 1.11M",
        ),
        Count("MetaStyle", "1.68M", network, network, "one network, adapted to each style"),
    ]


def _norms(network: nn.Module) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, nn.InstanceNorm2d)]


def _whole_vgg19() -> nn.Module:
    """VGG-19 as it was published for classification, to fc8; no picture passes through it here."""
    return nn.ModuleList(
        [
            *[m for name, m in Encoder(5).named_children() if name != "preprocess"],
            *[Conv(512, 512, 3) for _ in range(3)],  # conv5_2 to conv5_4
            nn.Linear(512 * 7 * 7, 4096),
            nn.Linear(4096, 4096),
            nn.Linear(4096, 1000),
        ]
    )
