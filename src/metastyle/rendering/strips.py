"""Pictures of any size go through the network strip by strip, with the result of the whole picture.

Instance normalization needs the mean and variance of each layer over the whole picture. The network is
therefore run layer by layer: a pass over all strips measures a layer and freezes its statistics, and then the
next layer can be measured. Strips read their neighbors' rows at their edges and reflect only at the picture's
border, so there are no seams. A layer's result is kept if there is memory for it; otherwise its rows are
recomputed, from the last layer kept, whenever the next layer needs them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metastyle.core.grain import REACH, fractal_noise, strength_inside
from metastyle.core.network import STRIDE, TransformationNetwork
from metastyle.errors import MetastyleError
from metastyle.rendering.buffers import Layout, Store, Workspace
from metastyle.rendering.convolutions import Convolution, Layers

MINIMAL_ROWS = 8  # in a strip
HALO_ROWS = 10  # rows beyond a strip's own, at most
STRIP_COPIES = 15  # copies of a strip in memory at once, the allocator's and library's included


class Moments:
    """Mean and variance of each channel, added up by strip (Chan, Golub, LeVeque 1983), in float64."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = torch.zeros(channels, dtype=torch.float64)
        self._squares = torch.zeros(channels, dtype=torch.float64)  # summed squared differences from the mean

    def add(self, x: Tensor) -> None:
        """Add the values of (1, C, rows, W)."""
        values = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).float()
        count, total = len(values), self.count + len(values)
        mean = values.mean(0)
        squares = (values - mean).square_().sum(0).cpu().double()
        step = mean.cpu().double() - self.mean
        self.mean += step * (count / total)
        self._squares += squares + step.square() * (self.count * count / total)
        self.count = total

    def variance(self) -> Tensor:
        """The biased variance, as normalization uses it."""
        return self._squares / self.count


class Rows(Protocol):
    """A source of rows (1, C, rows, W) for a convolution."""

    height: int
    width: int

    def rows(self, first: int, last: int) -> Tensor: ...


class Source:
    """A picture as the network sees it: float32 in [0, 1], reflected to multiples of 4, grain in flat areas.

    ``pixels``: (H, W, 3) uint8, uint16, or float32 in [0, 1].
    ``grain``: its amount (``core/grain.py``); ``origin``: the row and column of the noise where the picture
    begins, which stands upright. ``transposed``: rows are columns, of the grain too.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        device: torch.device,
        *,
        grain: float = 0.0,
        origin: tuple[int, int] = (0, 0),
        transposed: bool = False,
    ) -> None:
        def reflected(n: int) -> np.ndarray:
            index = np.arange(-(-n // STRIDE) * STRIDE)
            return np.minimum(index, 2 * (n - 1) - index)

        self._rows, self._columns = (reflected(n) for n in pixels.shape[:2])
        self.height, self.width = len(self._rows), len(self._columns)
        self._pixels = pixels
        self._scale = 1.0 if pixels.dtype == np.float32 else 1.0 / np.iinfo(pixels.dtype).max
        self._device = device
        self._grain, self._origin, self._transposed = grain, origin, transposed

    def rows(self, first: int, last: int) -> Tensor:
        if not self._grain:
            return self._read(self._rows[first:last])
        # The local deviation of luminance needs rows beyond those asked for, reflected only at the borders.
        around = np.abs(np.arange(first - REACH, last + REACH))
        around = np.minimum(around, 2 * (self.height - 1) - around)
        x = self._read(self._rows[around])
        luminance = F.pad(x.mean(1, keepdim=True), (REACH, REACH, 0, 0), mode="reflect")
        strength = self._grain * strength_inside(luminance)
        return x[:, :, REACH:-REACH] + strength * self._noise(first, last)

    def _read(self, rows: np.ndarray) -> Tensor:
        values = self._pixels[rows][:, self._columns].astype(np.float32)
        return torch.from_numpy(values).mul_(self._scale).to(self._device).permute(2, 0, 1)[None]

    def _noise(self, first: int, last: int) -> Tensor:
        top, left = self._origin
        if self._transposed:
            return fractal_noise(top, left + first, self.width, last - first, 0, self._device).mT
        return fractal_noise(top + first, left, last - first, self.width, 0, self._device)


class Layer:
    """One convolution and its normalization: raw rows at any time, normalized rows after measuring."""

    def __init__(self, source: Rows, convolve: Convolution, norm: nn.Module, *, relu: bool = True) -> None:
        assert isinstance(norm, nn.InstanceNorm2d)
        self.height, self.width = round(source.height * convolve.scale), round(source.width * convolve.scale)
        self.convolve = convolve
        self.store: Store | None = None
        self._source = source
        self._norm = norm
        self._relu = relu
        self._statistics: tuple[Tensor, Tensor] | None = None

    def raw(self, first: int, last: int) -> Tensor:
        return convolve_rows(self.convolve, self._source, first, last)

    def freeze(self, moments: Moments) -> None:
        device = self.convolve.weight.device
        self._statistics = (moments.mean.float().to(device), moments.variance().float().to(device))

    def rows(self, first: int, last: int) -> Tensor:
        assert self._statistics is not None
        raw = self.store.rows(first, last) if self.store else self.raw(first, last)
        x = F.batch_norm(raw, *self._statistics, self._norm.weight, self._norm.bias, eps=self._norm.eps)
        return x.relu_() if self._relu else x

    def work(self) -> float:
        """Multiply-adds of all raw rows, including what is recomputed for them."""
        again = self._source.work() if isinstance(self._source, Layer) and not self._source.store else 0.0
        return again + self.convolve.work * self.height * self.width


class Carried:
    """A layer's rows for a 3x3 convolution that overwrites them in order; keeps the last overwritten ones."""

    def __init__(self, layer: Layer) -> None:
        self.height, self.width = layer.height, layer.width
        self._layer = layer
        self._carry: Tensor | None = None

    def rows(self, first: int, last: int) -> Tensor:
        if self._carry is None:
            x = self._layer.rows(first, last)
        else:
            x = torch.cat([self._carry, self._layer.rows(first + 1, last)], dim=2)
        self._carry = x[:, :, -2:-1].clone()  # where the next strip begins to read
        return x


def convolve_rows(convolve: Convolution, source: Rows, first: int, last: int) -> Tensor:
    """Rows of the convolution of the whole picture; only the necessary rows are read."""
    lower, upper = convolve.source_rows(first, last)
    above, below = max(0, -lower), max(0, upper - source.height)
    result = convolve(source.rows(max(0, lower), min(upper, source.height)), above, below)
    start = first % 2 if convolve.scale == 2 else 0  # upsampling starts at an even row
    return result[:, :, start : start + last - first]


@dataclass(frozen=True)
class Plan:
    """How a picture is cut into strips, and which results are kept between passes."""

    rows: int
    """Rows of a layer's result in one strip."""
    keep_all: bool
    """Keep every result; otherwise those at full resolution are recomputed when needed."""
    on_disk: bool


STORED_BYTES = {True: 128, False: 64}
"""Bytes of the workspace for each pixel of the picture, in float32, by ``Plan.keep_all``."""

REPEATED = {True: 0, False: 1}
"""Number of times that down1 and up2 are recomputed, likewise."""


def make_plan(
    height: int, width: int, max_memory: int, *, itemsize: int = 4, strip_bytes: int = 2 << 20
) -> Plan:
    """The fastest way to stylize a picture of ``height`` x ``width`` within ``max_memory`` bytes.

    ``strip_bytes``: bytes of a layer's result in one strip, in float32; a processor is fastest when several
    such strips fit into its cache.

    Raises MetastyleError if the budget is too small for any plan.
    """
    row = (
        128 * width
    )  # bytes; the same for all layers: 32 channels, or 64 at half the width, or 128 at a quarter
    fast = max(16, strip_bytes // row // 4 * 4)
    for keep_all, on_disk in ((True, False), (False, False), (False, True)):
        wanted = fast if keep_all else max(fast, 64)  # strips overlap where rows are recomputed
        stored = 0 if on_disk else STORED_BYTES[keep_all] * height * width * itemsize // 4
        affordable = (max_memory - stored) // (STRIP_COPIES * row) - HALO_ROWS
        if affordable >= MINIMAL_ROWS:
            return Plan(min(wanted, affordable // 4 * 4), keep_all, on_disk)
    needed = STRIP_COPIES * row * (MINIMAL_ROWS + HALO_ROWS)
    raise MetastyleError(
        f"max_memory of {max_memory / 1e6:.1f} MB is too little for a picture {width} pixels across: "
        f"{needed / 1e6:.1f} MB are needed"
    )


class Rendering:
    """The work of sending one picture through the network."""

    def __init__(
        self,
        network: TransformationNetwork,
        layers: Layers,
        plan: Plan,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self._network, self._layers, self._plan = network, layers, plan
        self._progress = progress
        self._done = self._total = 0.0
        self._moments: list[Moments] = []

    def measure(self, picture: Source) -> list[Moments]:
        """The moments that each instance normalization sees, in the network's order; nothing is rendered."""
        with self._workspace_for(picture), torch.inference_mode():
            self._up(self._residuals(self._down(picture)))
        return self._moments

    def run(self, picture: Source, result: np.ndarray) -> None:
        """Fill ``result``, (H, W, 3) of any memory layout, with the stylized picture."""
        with self._workspace_for(picture), torch.inference_mode():
            up2 = self._up(self._residuals(self._down(picture)))
            self._write(up2, result)

    @contextmanager
    def _workspace_for(self, picture: Source) -> Iterator[None]:
        self._done, self._total = 0.0, self._work(picture)
        self._layout = Layout(picture.height, self._plan.keep_all)
        file = cast(BinaryIO, tempfile.TemporaryFile(buffering=0)) if self._plan.on_disk else None  # noqa: SIM115
        elements = self._layers.down1.channels * picture.width
        self._workspace = Workspace(self._layout.rows, elements, self._layers.down2.weight, file)
        try:
            yield
        finally:
            self._workspace.close()

    def _down(self, picture: Source) -> Store:
        network, layers, layout = self._network, self._layers, self._layout
        down1 = Layer(picture, layers.down1, network.down1_norm)
        self._measure(down1, self._store(down1, layout.halved) if self._plan.keep_all else None)
        down2 = Layer(down1, layers.down2, network.down2_norm)
        self._measure(down2, self._store(down2, layout.halved))
        down3 = Layer(down2, layers.down3, network.down3_norm)
        x = self._store(down3, layout.halved)
        self._measure(down3, x)
        for first, last in self._strips(x):
            x.write(first, down3.rows(first, last))
        return x

    def _residuals(self, x: Store) -> Store:
        """x + IN(conv(ReLU(IN(conv(x))))), in x; the last block writes elsewhere. h has inner results."""
        result = x
        for (conv1, conv2), block in zip(self._layers.residuals, self._network.residuals, strict=True):
            inner = Layer(x, conv1, cast(nn.Module, block.norm1))
            h = self._store(inner, self._layout.residual)
            self._measure(inner, h)
            outer = Layer(Carried(inner), conv2, cast(nn.Module, block.norm2), relu=False)
            self._measure(outer, h)
            result = h if block is self._network.residuals[-1] else x
            for first, last in self._strips(x):
                result.write(first, x.rows(first, last) + outer.rows(first, last))
        return result

    def _up(self, x: Store) -> Layer:
        network, layers, layout = self._network, self._layers, self._layout
        up1 = Layer(x, layers.up1, network.up1_norm)
        self._measure(up1, self._store(up1, layout.up1))
        up2 = Layer(up1, layers.up2, network.up2_norm)
        self._measure(up2, self._store(up2, layout.up2) if self._plan.keep_all else None)
        return up2

    def _write(self, up2: Layer, result: np.ndarray) -> None:
        height, width = result.shape[:2]
        out = self._layers.out
        work = out.work + (0 if up2.store else up2.work() / (up2.height * up2.width))
        for first, last in self._strips(up2):
            y = torch.sigmoid(convolve_rows(out, up2, first, last))
            rows = y[0, :, : height - first, :width].permute(1, 2, 0).cpu().numpy()
            if result.dtype != np.float32:
                rows = rows * np.float32(np.iinfo(result.dtype).max) + np.float32(0.5)
            result[first:last] = rows.astype(result.dtype)
            self._advance(work * (last - first) * up2.width)

    def _measure(self, layer: Layer, store: Store | None) -> None:
        """Compute all rows of a layer, freeze their statistics; keep them in ``store`` if there is one."""
        moments = Moments(layer.convolve.channels)
        work = layer.work() / layer.height
        for first, last in self._strips(layer):
            x = layer.raw(first, last)
            moments.add(x)
            if store:
                store.write(first, x)
            self._advance(work * (last - first))
        layer.store = store
        layer.freeze(moments)
        self._moments.append(moments)

    def _store(self, layer: Layer, base: int) -> Store:
        return Store(self._workspace, base, layer.height, layer.width, layer.convolve.channels)

    def _strips(self, layer: Rows) -> Iterator[tuple[int, int]]:
        for first in range(0, layer.height, self._plan.rows):
            yield first, min(first + self._plan.rows, layer.height)

    def _work(self, picture: Source) -> float:
        """Multiply-adds of everything, in units that ``_advance`` counts."""
        layers = self._layers
        again = REPEATED[self._plan.keep_all]
        each = [(layers.down1, 1.0, again), (layers.down2, 0.25, 0)]
        each += [(layers.up1, 0.25, 0), (layers.up2, 1.0, again)]
        each += [(layers.down3, 1 / 16, 0), (layers.out, 1.0, 0)]
        each += [(conv, 1 / 16, 0) for pair in layers.residuals for conv in pair]
        return sum(conv.work * area * (1 + n) for conv, area, n in each) * picture.height * picture.width

    def _advance(self, work: float) -> None:
        self._done += work
        if self._progress is not None:
            self._progress(min(1.0, self._done / self._total))
