"""Both networks, rewritten for training on a CPU: the same functions, summed in another order.

A training step is a forward and a backward pass through both networks. With torch's own layers, much of
its time goes to changes of the memory layout and of the type, and to multiplications that algebra can avoid:

- upsampling by 2, then 3x3, is four 2x2 convolutions of the small picture, 4/9 of the arithmetic;
- 9x9 to 3 channels is 9x1 to 27 (see ``rendering/convolutions.py``);
- padding keeps memory layout and type (``core/padding.py``).

In float32, where torch's kernel gradients are slow in channels-last memory, also:

- 3x3 convolutions with many channels use Winograd's algorithm (``core/winograd.py``);
- 9x9 from 3 channels is 9x1 from 27;
- kernel gradients are matrix products with the shifted source, one for each position in the kernel.

Everything stays channels last. Only first derivatives exist, so the bilevel objective, which differentiates
through a gradient, uses the plain networks.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from metastyle.core import winograd
from metastyle.core.loss_network import LossNetwork
from metastyle.core.network import Conv, InstanceNorm, Residual, TransformationNetwork
from metastyle.core.padding import reflected, replicated


def quick_network(network: TransformationNetwork, dtype: torch.dtype) -> TransformationNetwork:
    """A network that shares ``network``'s parameters and trains faster, equal except for rounding.

    ``dtype``: the type of the hidden layers, with autocast or without.
    """
    with torch.device("meta"):
        quick = _QuickBfloat16Network() if dtype == torch.bfloat16 else _QuickNetwork()
    quick.load_state_dict(dict(network.named_parameters()), assign=True)
    return quick


def quick_loss_network(network: LossNetwork, dtype: torch.dtype) -> LossNetwork:
    """A loss network that shares ``network``'s weights and is faster, equal except for rounding."""
    if dtype == torch.bfloat16:
        return network.prepared(dtype)
    with torch.device("meta"):
        quick = _QuickLossNetwork()
    quick.load_state_dict({name: p.to("cpu") for name, p in network.state_dict().items()}, assign=True)
    quick.prepare(network)
    return quick


class _QuickNetwork(TransformationNetwork):
    """In float32, or in float64 to be tested."""

    def __init__(self) -> None:
        super().__init__()
        for name, module in list(self.named_modules()):
            if isinstance(module, InstanceNorm):
                self.set_submodule(name, _QuickInstanceNorm(module.num_features))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.down1_norm(self._from_few_channels(self.down1, x)), inplace=True)
        x = F.relu(self.down2_norm(self._halved(self.down2, x)), inplace=True)
        x = F.relu(self.down3_norm(self._halved(self.down3, x)), inplace=True)
        for block in self.residuals:
            assert isinstance(block, Residual)
            h = F.relu(block.norm1(self._many_channels(block.conv1, x)), inplace=True)
            x = x + block.norm2(self._many_channels(block.conv2, h))
        x = F.relu(self.up1_norm(self._doubled(self.up1, x)), inplace=True)
        x = F.relu(self.up2_norm(self._doubled(self.up2, x)), inplace=True)
        return torch.sigmoid(self._to_few_channels(self.out, x))

    def _convolution(self, x: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
        """Convolution without padding, and without a bias, which the next normalization would cancel."""
        result: Tensor = _Convolution.apply(x, weight, stride)  # type: ignore[no-untyped-call]
        return result

    def _many_channels(self, layer: Conv, x: Tensor) -> Tensor:
        return winograd.convolve(reflected(x, 1), winograd.transform_kernels(layer.weight), layer.bias)

    def _halved(self, layer: Conv, x: Tensor) -> Tensor:
        return self._convolution(reflected(x, 1), layer.weight, layer.stride[0])

    def _doubled(self, layer: Conv, x: Tensor) -> Tensor:
        """Nearest-neighbor upsampling by 2, then the layer."""
        # Even results see the pixels (left, own, own), odd ones (own, own, right).
        with torch.autocast(x.device.type, enabled=False):
            even = layer.weight.new_tensor([[1.0, 0, 0], [0, 1, 1]])
            odd = layer.weight.new_tensor([[1.0, 1, 0], [0, 0, 1]])
            weight = torch.cat([r @ layer.weight @ c.mT for r in (even, odd) for c in (even, odd)])
        positions = self._convolution(replicated(x, 1), weight)
        result: Tensor = _Interleaved.apply(positions)  # type: ignore[no-untyped-call]
        return result

    def _from_few_channels(self, layer: Conv, x: Tensor) -> Tensor:
        p = layer.kernel_size[0] // 2
        x = reflected(x, p).permute(0, 2, 3, 1)  # (B, H + 2p, W + 2p, 3)
        columns = x.unfold(2, 2 * p + 1, 1).flatten(3).permute(0, 3, 1, 2)  # (B, 3 x 9, H + 2p, W)
        weight = layer.weight.permute(0, 1, 3, 2).flatten(1, 2)[..., None]  # (out, 3 x 9 columns, 9 rows, 1)
        return self._convolution(columns, weight)

    def _to_few_channels(self, layer: Conv, x: Tensor) -> Tensor:
        p = layer.kernel_size[0] // 2
        weight = layer.weight.permute(0, 3, 1, 2).flatten(0, 1)[..., None]  # (3 x 9 columns, in, 9 rows, 1)
        maps = self._convolution(reflected(x, p), weight)
        summed: Tensor = _Neighbors.apply(maps, 2 * p + 1)  # type: ignore[no-untyped-call]
        assert layer.bias is not None
        return summed + layer.bias[:, None, None]


class _QuickBfloat16Network(_QuickNetwork):
    """With convolutions of bfloat16, for which torch is fast in both directions."""

    def _convolution(self, x: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
        return F.conv2d(x, weight.to(x.dtype), stride=stride)

    def _many_channels(self, layer: Conv, x: Tensor) -> Tensor:
        return self._convolution(reflected(x, 1), layer.weight)

    def _from_few_channels(self, layer: Conv, x: Tensor) -> Tensor:
        x = reflected(x.to(torch.bfloat16), layer.kernel_size[0] // 2)
        return self._convolution(x, layer.weight)


class _QuickInstanceNorm(InstanceNorm):
    """Instance normalization as batch normalization of single pictures, which supports channels last."""

    def forward(self, x: Tensor) -> Tensor:
        rows = (len(x), self.num_features)  # a row for each picture, or the same for all
        affine = zip(torch.split(x, 1), self.weight.expand(rows), self.bias.expand(rows), strict=True)
        pictures = [
            F.batch_norm(picture, None, None, weight, bias, training=True, eps=self.eps)
            for picture, weight, bias in affine
        ]
        return pictures[0] if len(pictures) == 1 else torch.cat(pictures)


class _QuickLossNetwork(LossNetwork):
    def prepare(self, network: LossNetwork) -> None:
        self.mean, self.std = network.mean.to("cpu"), network.std.to("cpu")
        self._kernels: dict[str, Tensor] = {}
        for name, layer in self.named_children():
            assert isinstance(layer, nn.Conv2d)
            if winograd.pays(layer.in_channels, layer.out_channels):
                self._kernels[name] = winograd.transform_kernels(layer.weight)
            else:
                layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def layer(self, name: str, x: Tensor) -> Tensor:
        if name not in self._kernels:
            return super().layer(name, x)
        bias = self.get_parameter(f"{name}.bias")
        return winograd.convolve(F.pad(x, (1, 1, 1, 1)), self._kernels[name], bias, relu=True)


class _Convolution(Function):
    """Convolution without padding whose kernel gradient is one matrix product per kernel position."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight.contiguous(memory_format=torch.channels_last), stride=stride)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        by_x, by_weight, _ = ctx.needs_input_grad
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        x_gradient = weight_gradient = None
        if by_x:
            reached = [
                (n - 1) * ctx.stride + k for n, k in zip(gradient.shape[2:], weight.shape[2:], strict=True)
            ]
            unread = [n - used for n, used in zip(x.shape[2:], reached, strict=True)]
            x_gradient = F.conv_transpose2d(gradient, weight, stride=ctx.stride, output_padding=unread)
        if by_weight:
            weight_gradient = _weight_gradient(x, gradient, weight.shape, ctx.stride)
        return x_gradient, weight_gradient, None


def _weight_gradient(x: Tensor, gradient: Tensor, shape: torch.Size, stride: int) -> Tensor:
    """The kernel gradient (K, C, rows, columns), from sources (B, C, H, W) and output gradients."""
    rows, columns = shape[2:]
    height, width = (stride * n for n in gradient.shape[2:])
    results = gradient.permute(0, 2, 3, 1).flatten(0, 2).mT
    places = []
    for i, j in itertools.product(range(rows), range(columns)):
        source = x[:, :, i : i + height : stride, j : j + width : stride]
        places.append(results @ source.permute(0, 2, 3, 1).reshape(results.shape[1], -1))
    return torch.stack(places, dim=-1).view(shape)


class _Interleaved(Function):
    """(B, 2 x 2 x C, H + 1, W + 1), a map for each of four positions, to (B, C, 2H, 2W)."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        batch, channels, height, width = maps.shape
        positions = maps.permute(0, 2, 3, 1).view(batch, height, width, 2, 2, channels // 4)
        result = maps.new_empty(batch, height - 1, 2, width - 1, 2, channels // 4)
        for i in (0, 1):
            for j in (0, 1):
                result[:, :, i, :, j] = positions[:, i : i + height - 1, j : j + width - 1, i, j]
        return result.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        batch, channels, height, width = gradient.shape
        height, width = height // 2, width // 2
        parts = gradient.permute(0, 2, 3, 1).reshape(batch, height, 2, width, 2, channels)
        positions = gradient.new_zeros(batch, height + 1, width + 1, 2, 2, channels)
        for i in (0, 1):
            for j in (0, 1):
                positions[:, i : i + height, j : j + width, i, j] = parts[:, :, i, :, j]
        return positions.flatten(3).permute(0, 3, 1, 2)


class _Neighbors(Function):
    """(B, 3 x k, H, W + k - 1) to (B, 3, H, W): the sum of map (channel, i) at column + i."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, k: int) -> Tensor:
        ctx.k = k
        y = maps.permute(0, 2, 3, 1).contiguous()
        batch, height, width, count = y.shape
        strides = (height * width * count, width * count, count, k, count + 1)
        shifted = y.as_strided((batch, height, width - k + 1, count // k, k), strides)
        return shifted.sum(4).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        k: int = ctx.k
        padded = F.pad(gradient.permute(0, 2, 3, 1), (0, 0, k - 1, k - 1))
        # Map i at column c is in the result at column c - i.
        return padded.unfold(2, k, 1).flip(4).flatten(3).permute(0, 3, 1, 2), None
