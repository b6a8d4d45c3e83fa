"""A network applied to pictures of any size, within a memory budget."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import groupby

import numpy as np
import psutil
import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.core.checks import check_value
from metastyle.core.device import pick_device
from metastyle.core.grain import add_grain, check_grain
from metastyle.core.network import STRIDE, TransformationNetwork
from metastyle.core.settings import SMALLEST_BUDGET, Budget, Count, Precision
from metastyle.core.surroundings import own_surroundings
from metastyle.errors import MetastyleError
from metastyle.rendering.convolutions import Layers
from metastyle.rendering.strips import Moments, Rendering, Source, make_plan

SMALLEST_SIDE = 16
LARGEST_PICTURE = 100_000_000
DEFAULT_BUDGET = 2 << 30

FORWARD_BYTES = 640
"""Memory of one plain forward pass per pixel, in float32, including the library's work space."""

DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Stylizer:
    """Stylizes pictures with a copy of ``network``.

    device: "auto" takes CUDA, else Apple's GPU, else the processor; or the name of a device.
    precision: "float32", or "bfloat16": less time on processors and GPUs that compute in it, for differences
        of a few 8-bit levels. The last convolution is always computed in float32.
    grain: amount of grain in flat areas of the input, 0 to 2 (``core/grain.py``).
    max_memory: bytes for the layers' results, in addition to torch itself, the picture and its result.
        Default: half of the free memory, at most 2 GiB on a processor. 128 bytes per pixel keep everything;
        with 64, results at full resolution are computed twice; with less, the others go to a temporary file.

    The result does not depend on the budget, except for rounding.
    """

    def __init__(
        self,
        network: TransformationNetwork,
        *,
        device: str = "auto",
        precision: Precision = "float32",
        grain: float = 0.0,
        max_memory: int | None = None,
    ) -> None:
        check_value("precision", precision, Precision)
        check_grain(grain)
        self.device = pick_device(device)
        self.precision, self.grain = precision, grain
        self.dtype = DTYPES[precision]
        self._max_memory = check_value("max_memory", max_memory, Budget | None)
        with out_of_memory(self.device):
            self.network = copy.deepcopy(network).eval().requires_grad_(False).to(self.device)

    @property
    def max_memory(self) -> int:
        """Bytes for the layers' results, as given or according to the free memory."""
        return default_budget(self.device) if self._max_memory is None else self._max_memory

    @own_surroundings()
    def render(self, pixels: np.ndarray, *, progress: Callable[[float], None] | None = None) -> np.ndarray:
        """Stylize (H, W, 3) uint8 or uint16, from 16x16 to 100 megapixels; same shape and type.

        ``progress`` is called with the finished share, up to 1.0; an exception that it raises ends the work.
        """
        check_pixels(pixels)
        return self._render(pixels, progress)

    @own_surroundings()
    def render_many(
        self,
        pictures: Sequence[np.ndarray],
        *,
        batch: int | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[np.ndarray]:
        """Stylize pictures as ``render`` does. A GPU takes neighbors of one size and type together.

        Args:
            batch: the most pictures in one pass; None is as many as fit into ``max_memory``.
            progress: called with the finished share, up to 1.0; an exception that it raises ends the work.
        """
        batch = check_value("batch", batch, Count | None)
        results: list[np.ndarray] = []
        for together in self._batches(pictures, batch):
            if len(together) > 1:
                results += list(self._forward(np.stack(together)))
                if progress is not None:
                    progress(len(results) / len(pictures))
            else:
                share = share_of(progress, len(results), len(pictures))
                results.append(self.render(together[0], progress=share))
        return results

    def _batches(self, pictures: Sequence[np.ndarray], most: int | None) -> Iterator[list[np.ndarray]]:
        """Groups of pictures that go through the network together; on a CPU, one at a time."""
        for (shape, _), group in groupby(pictures, key=lambda pixels: (pixels.shape, pixels.dtype)):
            alike = list(group)
            check_pixels(alike[0])
            size = 1
            if self._forward_fits(alike[0]):
                fitting = self.max_memory // (FORWARD_BYTES * math.prod(shape[:2]))
                size = max(1, fitting if most is None else min(fitting, most))
            yield from (alike[first : first + size] for first in range(0, len(alike), size))

    @own_surroundings()
    def measure(self, pixels: np.ndarray, *, exposure: float = 1.0) -> list[Moments]:
        """Mean and variance at the input of each instance normalization, for (H, W, 3) uint8 or uint16.

        In the network's order; cheaper than ``render`` by the last convolution. ``exposure``: share of the
        grain that the picture gets, 0 to 1.
        """
        check_pixels(pixels)
        rendering, picture, _ = self._in_strips(pixels, exposure=exposure)
        with out_of_memory(self.device):
            return rendering.measure(picture)

    @own_surroundings()
    def render_tensor(self, x: Tensor) -> Tensor:
        """Stylize (B, 3, H, W) of floating point in [0, 1]; same shape, type and device, in (0, 1)."""
        if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point():
            raise MetastyleError(
                f"a tensor {tuple(x.shape)} of {x.dtype}: it must be (B, 3, H, W) of floating point"
            )
        _check_size(*x.shape[2:])
        results = []
        for picture in x.detach():
            pixels = picture.permute(1, 2, 0).cpu().float().numpy()
            results.append(torch.from_numpy(self._render(pixels, None)).permute(2, 0, 1))
        return torch.stack(results).to(x) if results else x.clone()

    def _render(self, pixels: np.ndarray, progress: Callable[[float], None] | None) -> np.ndarray:
        if self._forward_fits(pixels):
            result: np.ndarray = self._forward(pixels[None])[0]
            if progress is not None:
                progress(1.0)
            return result
        result = np.empty_like(pixels, order="C")
        rendering, picture, transposed = self._in_strips(pixels, progress)
        with out_of_memory(self.device):
            rendering.run(picture, result.transpose(1, 0, 2) if transposed else result)
        return result

    def _in_strips(
        self,
        pixels: np.ndarray,
        progress: Callable[[float], None] | None = None,
        *,
        exposure: float = 1.0,
    ) -> tuple[Rendering, Source, bool]:
        """Prepare rendering in strips: the work, its picture, and whether that is transposed."""
        # Strips are cut across the longer side, so that rows are short even for a panorama.
        transposed = pixels.shape[1] > pixels.shape[0]
        picture = Source(
            pixels.transpose(1, 0, 2) if transposed else pixels,
            self.device,
            grain=exposure * self.grain,
            transposed=transposed,
        )
        strip_bytes = 2 << 20 if self.device.type == "cpu" else 256 << 20
        plan = make_plan(
            picture.height,
            picture.width,
            self.max_memory,
            itemsize=self.dtype.itemsize,
            strip_bytes=strip_bytes,
        )
        layers = self._transposed_layers if transposed else self._layers
        return Rendering(self.network, layers, plan, progress), picture, transposed

    def _forward_fits(self, pixels: np.ndarray) -> bool:
        """Whether to use one plain forward pass: on a GPU, in full precision, if memory allows."""
        plain = self.device.type != "cpu" and self.dtype == torch.float32
        return plain and FORWARD_BYTES * pixels.shape[0] * pixels.shape[1] <= self.max_memory

    def _forward(self, pictures: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) -> the same, in one pass."""
        _, height, width, _ = pictures.shape
        scale = 1.0 if pictures.dtype == np.float32 else float(np.iinfo(pictures.dtype).max)
        with torch.inference_mode(), out_of_memory(self.device):
            x = torch.from_numpy(pictures.astype(np.float32)).to(self.device).permute(0, 3, 1, 2) / scale
            x = F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect")
            y = self.network(add_grain(x, self.grain))
            y = y[:, :, :height, :width].permute(0, 2, 3, 1)
            rounded = y if pictures.dtype == np.float32 else y * scale + 0.5
            return rounded.cpu().numpy().astype(pictures.dtype)  # type: ignore[no-any-return]

    @cached_property
    def _layers(self) -> Layers:
        return Layers(self.network, self.dtype, transposed=False)

    @cached_property
    def _transposed_layers(self) -> Layers:
        return Layers(self.network, self.dtype, transposed=True)


def share_of(
    progress: Callable[[float], None] | None, index: int, count: int
) -> Callable[[float], None] | None:
    """A callback for the progress of item ``index`` of ``count``, as a share of all; None for None."""
    check_value("progress", progress, Callable | None)
    return None if progress is None else lambda share: progress((index + share) / count)


def default_budget(device: torch.device) -> int:
    """Half of the device's free memory, including torch's reserve; on a processor at most 2 GiB."""
    if device.type == "cuda":
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (torch.cuda.mem_get_info(device)[0] + idle) // 2
    return max(SMALLEST_BUDGET, min(DEFAULT_BUDGET, psutil.virtual_memory().available // 2))


def check_pixels(pixels: np.ndarray) -> None:
    """Raise MetastyleError unless this is (H, W, 3) uint8 or uint16 of a size that can be stylized."""
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise MetastyleError(f"a picture of shape {pixels.shape}: it must be (height, width, 3)")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise MetastyleError(f"a picture of {pixels.dtype}: it must be uint8 or uint16")
    _check_size(*pixels.shape[:2])


def _check_size(height: int, width: int) -> None:
    if min(height, width) < SMALLEST_SIDE:
        raise MetastyleError(
            f"a picture of {width}x{height} pixels: each side must have at least {SMALLEST_SIDE}"
        )
    if height * width > LARGEST_PICTURE:
        raise MetastyleError(
            f"a picture of {width}x{height} pixels: {LARGEST_PICTURE // 10**6} megapixels are the limit"
        )


@contextmanager
def out_of_memory(device: torch.device) -> Iterator[None]:
    """Turn an allocation failure into a message that says what to do."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise MetastyleError(
            f"{device} ran out of memory: lower max_memory (--max-memory)"
            + ("" if device.type == "cpu" else " or use --device cpu")
        ) from error
