"""The network's convolutions, prepared for inference on strips of a picture.

Each is the network's own convolution, rewritten where that is faster on a processor by identities that
only change the order of the sums:

- 9x9 from 3 channels: nine neighboring pixels become 27 channels, and a 9x1 kernel remains. Three
  channels would leave most lanes of the processor idle.
- nearest-neighbor upsampling by 2, then 3x3: several of the nine taps of an output pixel fall on the same
  pixel of the small picture. Summed in advance, they leave four 2x2 kernels, one for each of the four
  positions: 4/9 of the arithmetic. Reflection at the border of the large picture is replication at that of
  the small one.
- 9x9 to 3 channels: a 9x1 kernel to 27 channels, of which nine neighbors are then summed. Three output
  channels would be computed as sixteen.

Pictures are cut along rows. A convolution tells which rows of its source it needs (``source_rows``) and turns
them into rows of its result: (1, C, rows, W), channels last in memory, raw, that is, before normalization.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.core.device import compute_dtype
from metastyle.core.network import Conv, Residual, TransformationNetwork


class Convolution:
    """A reflecting convolution of odd kernel size and stride 1 or 2."""

    def __init__(self, layer: Conv, dtype: torch.dtype, *, transposed: bool) -> None:
        self._transposed = transposed
        self.dtype = dtype  # of the result
        self.padding = layer.kernel_size[0] // 2
        self.stride = layer.stride[0]
        self.scale = 1.0 / self.stride  # rows of the result for each row of the source
        self.channels = layer.out_channels
        weight, bias = self._rewritten(layer)
        self.weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
        self.bias = bias.float().clone()
        self.work: float = layer.weight.numel()  # multiply-adds for each pixel of the result

    def load(self, layer: Conv) -> None:
        """Replace the weights by those of ``layer``, which has the same shape."""
        weight, bias = self._rewritten(layer)
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def _rewritten(self, layer: Conv) -> tuple[Tensor, Tensor]:
        assert layer.bias is not None
        weight = layer.weight.detach()
        return self._rewrite((weight.mT if self._transposed else weight).float()), layer.bias.detach()

    def _rewrite(self, weight: Tensor) -> Tensor:
        return weight

    def source_rows(self, first: int, last: int) -> tuple[int, int]:
        """The source rows, possibly beyond its borders, that rows [first, last) of the result need."""
        return first * self.stride - self.padding, (last - 1) * self.stride + self.padding + 1

    def __call__(self, x: Tensor, above: int, below: int) -> Tensor:
        """Convolve (1, C, rows, W); ``above`` and ``below``: rows beyond the picture's border."""
        p = self.padding
        return self._convolve(F.pad(x, (p, p, above, below), mode="reflect"))

    def _convolve(self, x: Tensor) -> Tensor:
        if x.dtype == self.bias.dtype:
            return F.conv2d(x, self.weight, self.bias, self.stride)
        # In float32, because rounding a bias moves a whole channel: a film was 3 dB further from float32's.
        if x.device.type == "cpu" and compute_dtype(x.device) == x.dtype:
            # Another addition would take half as long as the convolution; ``conv2d`` wants a rounded bias.
            strides = (self.stride, self.stride)
            return torch.mkldnn_convolution(x, self.weight, self.bias, (0, 0), strides, (1, 1), 1)
        return F.conv2d(x, self.weight, None, self.stride).add_(self.bias[:, None, None])


class FirstConvolution(Convolution):
    """9x9 from 3 channels, always in float32; only its result is rounded to ``dtype``.

    In bfloat16 a bright pixel would be rounded by up to half an 8-bit level. In smooth pictures all neighbors
    are rounded alike, and normalization amplifies that: the results were 10 dB further from float32's.
    """

    def __init__(self, layer: Conv, dtype: torch.dtype, *, transposed: bool) -> None:
        super().__init__(layer, torch.float32, transposed=transposed)
        self.dtype = dtype

    def _rewrite(self, weight: Tensor) -> Tensor:
        return weight.permute(0, 3, 1, 2).flatten(1, 2)[..., None]  # (out, 9 columns x 3, 9 rows, 1)

    def __call__(self, x: Tensor, above: int, below: int) -> Tensor:
        p = self.padding
        x = F.pad(x, (p, p, above, below), mode="reflect").contiguous(memory_format=torch.channels_last)
        columns = x.permute(0, 2, 3, 1).flatten(2).unfold(2, 3 * (2 * p + 1), 3)  # (1, rows, W, 27)
        y = F.conv2d(columns.contiguous().permute(0, 3, 1, 2), self.weight, self.bias)
        return y.to(self.dtype)


class DoublingConvolution(Convolution):
    """Nearest-neighbor upsampling by 2, then a reflecting 3x3 convolution."""

    def __init__(self, layer: Conv, dtype: torch.dtype, *, transposed: bool) -> None:
        super().__init__(layer, dtype, transposed=transposed)
        self.scale = 2
        self.work *= 4 / 9

    def _rewritten(self, layer: Conv) -> tuple[Tensor, Tensor]:
        weight, bias = super()._rewritten(layer)
        return weight, bias.repeat(4)

    def _rewrite(self, weight: Tensor) -> Tensor:
        # Even results see the pixels (left, own, own), odd ones (own, own, right).
        even = weight.new_tensor([[1.0, 0, 0], [0, 1, 1]])
        odd = weight.new_tensor([[1.0, 1, 0], [0, 0, 1]])
        return torch.cat([row @ weight @ column.mT for row in (even, odd) for column in (even, odd)])

    def source_rows(self, first: int, last: int) -> tuple[int, int]:
        return first // 2 - 1, (last + 1) // 2 + 1

    def __call__(self, x: Tensor, above: int, below: int) -> Tensor:
        """As above; the result starts at the even row that ``source_rows`` rounded down to."""
        y = self._convolve(F.pad(x, (1, 1, above, below), mode="replicate"))
        rows, columns = y.shape[2] - 1, y.shape[3] - 1
        result = y.new_empty(1, rows, 2, columns, 2, self.channels)
        positions = y.permute(0, 2, 3, 1).reshape(1, rows + 1, columns + 1, 2, 2, self.channels)
        for i in (0, 1):
            for j in (0, 1):
                result[:, :, i, :, j] = positions[:, i : i + rows, j : j + columns, i, j]
        return result.view(1, 2 * rows, 2 * columns, self.channels).permute(0, 3, 1, 2)


class LastConvolution(Convolution):
    """9x9 to 3 channels."""

    def __init__(self, layer: Conv, *, transposed: bool) -> None:
        # Always in float32: an 8-bit picture would show banding otherwise.
        super().__init__(layer, torch.float32, transposed=transposed)

    def _rewrite(self, weight: Tensor) -> Tensor:
        return weight.permute(0, 3, 1, 2).flatten(0, 1)[..., None]  # (3 x 9 columns, in, 9 rows, 1)

    def __call__(self, x: Tensor, above: int, below: int) -> Tensor:
        p = self.padding
        k = 2 * p + 1
        x = F.pad(x.float(), (p, p, above, below), mode="reflect")
        y = F.conv2d(x, self.weight).permute(0, 2, 3, 1).contiguous()  # (1, rows, W + 8, 27)
        _, rows, columns, maps = y.shape
        # Element (row, column, channel, k) of this view is map (channel, k) at that row and column + k.
        shifted = y.as_strided((rows, columns - k + 1, 3, k), (columns * maps, maps, k, maps + 1))
        return (shifted.sum(3) + self.bias).permute(2, 0, 1)[None]


class Layers:
    """All sixteen convolutions of a network, for upright or transposed pictures."""

    def __init__(self, network: TransformationNetwork, dtype: torch.dtype, *, transposed: bool) -> None:
        def prepare(kind: type[Convolution], layer: Conv) -> Convolution:
            return kind(layer, dtype, transposed=transposed)

        self.down1 = prepare(FirstConvolution, network.down1)
        self.down2 = prepare(Convolution, network.down2)
        self.down3 = prepare(Convolution, network.down3)
        self.residuals = [
            (prepare(Convolution, block.conv1), prepare(Convolution, block.conv2))
            for block in _residuals(network)
        ]
        self.up1 = prepare(DoublingConvolution, network.up1)
        self.up2 = prepare(DoublingConvolution, network.up2)
        self.out = LastConvolution(network.out, transposed=transposed)

    def load(self, network: TransformationNetwork) -> None:
        """Replace the weights by those of ``network``, in place."""
        for name in ("down1", "down2", "down3", "up1", "up2", "out"):
            getattr(self, name).load(getattr(network, name))
        for (first, second), block in zip(self.residuals, _residuals(network), strict=True):
            first.load(block.conv1)
            second.load(block.conv2)


def _residuals(network: TransformationNetwork) -> list[Residual]:
    return [block for block in network.residuals if isinstance(block, Residual)]
