"""The image transformation network M(. ; w): 1,679,235 parameters, one style at a time.

Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer" (ECCV 2016), in the
variant that MetaStyle (Zhang, Zhu, Zhu; AAAI 2019) uses: instance normalization, reflection
padding everywhere, and nearest-neighbor upsampling before a convolution, which cannot leave
the checkerboard of a transposed convolution.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 4
"""Sizes that are a multiple of this come out of the network unchanged."""


class Conv(nn.Conv2d):
    """Convolution of odd kernel size that keeps the size (divided by its stride): reflection padding."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(
            channels_in,
            channels_out,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            padding_mode="reflect",
            dtype=torch.float32,
        )


class InstanceNorm(nn.InstanceNorm2d):
    """Affine instance normalization; its scales and shifts may be (B, C), a row for each picture.

    So pictures of several styles go through the network together: the convolutions are shared.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True, dtype=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.dim() == 1:
            return super().forward(x)
        return F.instance_norm(x, eps=self.eps) * self.weight[..., None, None] + self.bias[..., None, None]


class Residual(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x))))), all of one width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels, 3)
        self.norm1 = InstanceNorm(channels)
        self.conv2 = Conv(channels, channels, 3)
        self.norm2 = InstanceNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = F.relu(self.norm1(self.conv1(x)))
        h = self.norm2(self.conv2(h))
        return x + h


class TransformationNetwork(nn.Module):
    """c9s1-32, c3s2-64, c3s2-128, five residual blocks, two upsampling convolutions, c9s1-3, sigmoid.

    The affine parameters of its fifteen instance-norm layers are 3,200 numbers. MetaStyle's published code
    updates these in the inner level, because they specialize in the style (the paper, section 1).
    """

    def __init__(self) -> None:
        super().__init__()
        self.down1 = Conv(3, 32, 9)
        self.down1_norm = InstanceNorm(32)
        self.down2 = Conv(32, 64, 3, stride=2)
        self.down2_norm = InstanceNorm(64)
        self.down3 = Conv(64, 128, 3, stride=2)
        self.down3_norm = InstanceNorm(128)
        self.residuals = nn.ModuleList([Residual(128) for _ in range(5)])
        self.up1 = Conv(128, 64, 3)
        self.up1_norm = InstanceNorm(64)
        self.up2 = Conv(64, 32, 3)
        self.up2_norm = InstanceNorm(32)
        self.out = Conv(32, 3, 9)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (B, 3, H, W) in [0, 1] to pictures (B, 3, H', W') in (0, 1).

        H' and W' are H and W rounded up to a multiple of 4 (``STRIDE``); callers pad and crop.
        """
        x = F.relu(self.down1_norm(self.down1(x)))  # (B, 32, H, W)
        x = F.relu(self.down2_norm(self.down2(x)))  # (B, 64, H/2, W/2)
        x = F.relu(self.down3_norm(self.down3(x)))  # (B, 128, H/4, W/4)
        for block in self.residuals:
            x = block(x)
        x = F.relu(self.up1_norm(self.up1(_double(x))))  # (B, 64, H/2, W/2)
        x = F.relu(self.up2_norm(self.up2(_double(x))))  # (B, 32, H, W)
        return torch.sigmoid(self.out(x))  # (B, 3, H, W)


def network_of(parameters: Mapping[str, Tensor]) -> TransformationNetwork:
    """A network in evaluation mode with its own copies of these parameters, which need no gradients.

    Much faster than making a network and loading parameters into it, because no random numbers are drawn.
    """
    network = copy.deepcopy(_form())
    network.load_state_dict({name: p.detach().clone() for name, p in parameters.items()}, assign=True)
    return network.eval().requires_grad_(False)


@functools.cache
def _form() -> TransformationNetwork:
    """A network without storage for its parameters."""
    with torch.inference_mode(False), torch.device("meta"):
        return TransformationNetwork()


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def instance_norm_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """The scales and shifts of every instance-norm layer, by name, in the network's order."""
    return {
        f"{name}.{kind}": getattr(module, kind)
        for name, module in network.named_modules()
        if isinstance(module, nn.InstanceNorm2d)
        for kind in ("weight", "bias")
    }


def idle_parameters(network: nn.Module) -> set[str]:
    """Names of the 2,240 parameters that cannot affect the result: the next normalization cancels them.

    They are the 1,600 biases of the convolutions in front of an instance norm, and the 640 shifts of the
    residual blocks' second norms, which add one number to a whole channel. Their gradient is rounding noise,
    which Adam would amplify to steps of full size, so that nothing updates them.
    """
    modules = list(network.named_modules())
    biases = {f"{name}.bias" for name, module in modules if isinstance(module, nn.Conv2d)}
    shifts = {f"{name}.norm2.bias" for name, module in modules if isinstance(module, Residual)}
    return (biases | shifts) - {"out.bias"}


def without_idle(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same network's parameters, with zeros for the idle ones.

    Numbers that the next normalization cancels still move the values in between away from zero, where
    bfloat16 is coarser: with shifts of seven standard deviations its error is twice as large.
    """
    idle = idle_parameters(_form())
    return {name: torch.zeros_like(p) if name in idle else p for name, p in parameters.items()}


def hidden_kernels(network: nn.Module) -> set[str]:
    """Names of the kernels between two hidden layers: all but the first and the last convolution's."""
    names = [f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    return set(names[1:-1])
