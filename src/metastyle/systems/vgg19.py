"""The normalized VGG-19 that AdaIN, WCT, Avatar-Net and Style-Swap share, and its mirror image.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2014). Its
filters are scaled so that mean activations are one (Gatys et al. 2016, section 2), and a 1x1 convolution in
front converts RGB in [0, 1] to the original's mean-subtracted BGR. It uses reflection padding, and pooling
rounds sizes up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metastyle.core.network import Conv
from metastyle.core.padding import reflected
from metastyle.errors import MetastyleError
from metastyle.weights.vgg19 import VGG19, load_published
from metastyle.weights.weight_file import Progress

Features = dict[str, Tensor]
"""By layer, such as ``relu4_1``: (B, C, H', W'), with an eighth of the sides, rounded up at every halving."""

_BLOCKS = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512,))

CONVOLUTIONS: list[tuple[str, int, int]] = []
"""Name, input channels and output channels of conv1_1 to conv5_1."""
for _block, _widths in enumerate(_BLOCKS, start=1):
    for _index, _width in enumerate(_widths, start=1):
        CONVOLUTIONS.append((f"conv{_block}_{_index}", CONVOLUTIONS[-1][2] if CONVOLUTIONS else 3, _width))


def up_to(level: int) -> list[tuple[str, int, int]]:
    """The convolutions up to and including conv``level``_1."""
    names = [name for name, _, _ in CONVOLUTIONS]
    return CONVOLUTIONS[: names.index(f"conv{level}_1") + 1]


class Layer(Conv):
    """A convolution that keeps the size, padded by reflection in the memory layout and type of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(reflected(x, self.kernel_size[0] // 2), self.weight, self.bias)


class Encoder(nn.Module):
    """The 1x1 convolution and conv1_1 to conv``level``_1, frozen; 3,505,740 parameters up to relu4_1."""

    def __init__(self, level: int = 5) -> None:
        super().__init__()
        self.level = level
        self.preprocess = nn.Conv2d(3, 3, 1)
        for name, channels_in, channels_out in up_to(level):
            self.add_module(name, Layer(channels_in, channels_out, 3))
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def load(cls, level: int = 5, *, progress: Progress | None = None) -> Self:
        """The encoder with the published weights, on the CPU; missing weights are downloaded.

        Raises:
            MetastyleError: they are unavailable.
        """
        tensors = load_published(VGG19, progress=progress)
        with torch.device("meta"):
            encoder = cls(level)
        own = encoder.state_dict().keys()
        encoder.load_state_dict({name: t for name, t in tensors.items() if name in own}, assign=True)
        return encoder.requires_grad_(False)

    def forward(self, x: Tensor, layers: Sequence[str]) -> Features:
        """Features of pictures (B, 3, H, W) in [0, 1] at ``layers``; stops at the deepest requested one."""
        wanted = set(layers)
        features: Features = {}
        x = self.preprocess(x)
        for name, _, _ in up_to(self.level):
            if name.endswith("_1") and name != "conv1_1":
                x = F.max_pool2d(x, 2, ceil_mode=True)
            if min(x.shape[2:]) < 2:
                raise MetastyleError(
                    "the picture is too small for VGG-19: use one of 32 pixels a side or more"
                )
            x = F.relu(self.get_submodule(name)(x))
            layer = name.replace("conv", "relu")
            if layer in wanted:
                features[layer] = x
                if len(features) == len(wanted):
                    return features
        raise ValueError(f"no such layers in this encoder: {sorted(wanted - features.keys())}")


class Decoder(nn.Module):
    """The mirrored encoder, from relu``level``_1 to the picture; 3,505,219 parameters from relu4_1.

    A convolution has the name of the one that it inverts; nearest-neighbor upsampling inverts pooling.
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self.level = level
        for name, channels_in, channels_out in reversed(up_to(level)):
            self.add_module(name, Layer(channels_out, channels_in, 3))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H', W') of relu``level``_1 -> pictures (B, 3, H, W), not clamped to [0, 1].

        H = 2^(level-1) H': larger than the original where pooling rounded up; see ``fitted``.
        """
        return self.conv1_1(self.before("conv1_1", features))  # type: ignore[no-any-return, operator]

    def before(
        self, stop: str, x: Tensor, at: Mapping[str, Callable[[Tensor], Tensor]] | None = None
    ) -> Tensor:
        """The input of the convolution ``stop``; for ``conv1_1``, the last one, (B, 64, H, W).

        ``at`` maps names of encoder layers to functions that change the features at the mirrored positions.
        """
        for name, _, _ in reversed(up_to(self.level)):
            change = (at or {}).get(name.replace("conv", "relu"))
            if change is not None:
                x = change(x)
            if name == stop:
                break
            x = F.relu(self.get_submodule(name)(x))
            if name.endswith("_1"):
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return x


def fitted(picture: Tensor, photo: Tensor) -> Tensor:
    """A decoded picture, cropped to the photograph's size and clamped to its range."""
    return picture[:, :, : photo.shape[2], : photo.shape[3]].clamp(0, 1)


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over positions: two tensors (B, C, 1, 1)."""
    variance, mean = torch.var_mean(features, dim=(2, 3), keepdim=True)
    return mean, (variance + 1e-5).sqrt()


def count(*modules: nn.Module) -> int:
    """Total number of parameters of the modules."""
    return sum(p.numel() for module in modules for p in module.parameters())
