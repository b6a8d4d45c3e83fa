"""A network without instance normalization, from its source to its result in one pass over a picture's rows.

Plain convolutions need no statistics of the whole picture, so a row of the result can be computed as soon as
the rows around it are available. Every layer caches its last rows; when asked for more, it computes only the
new ones and asks its own source for what these need. Nothing is computed twice, there are no seams, and only
a few rows of each layer are in memory, few enough to stay in the processor's cache.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metastyle.rendering.convolutions import Convolution, Layers
from metastyle.rendering.strips import Rows, Source, convolve_rows


class Streamed:
    """The rows of one convolution's result, each computed once, as requests move down the picture.

    ``shortcut``: rows to add, those of the source's own source in a residual block.
    """

    def __init__(
        self, source: Rows, convolve: Convolution, *, relu: bool = True, shortcut: Rows | None = None
    ) -> None:
        self.height, self.width = round(source.height * convolve.scale), round(source.width * convolve.scale)
        self._source, self._convolve, self._relu, self._shortcut = source, convolve, relu, shortcut
        self._first = self._last = 0
        self._kept: Tensor | None = None  # rows [_first, _last)

    def rows(self, first: int, last: int) -> Tensor:
        """Rows; do not modify them in place. ``first`` must never be less than in an earlier request."""
        if last > self._last:
            x = convolve_rows(self._convolve, self._source, self._last, last)
            if self._shortcut is not None:
                # Requested after the convolution, whose rows reach as far up and further down.
                x += self._shortcut.rows(self._last, last)
            if self._relu:
                x.relu_()
            if self._kept is not None:
                x = torch.cat([self._kept[:, :, first - self._first :], x], dim=2)
            self._kept, self._first, self._last = x, first, last
        assert self._kept is not None
        return self._kept[:, :, first - self._first : last - self._first]


def stream(layers: Layers, picture: Source, result: np.ndarray, rows: int) -> None:
    """Fill ``result``, (H, W, 3) of any memory layout, ``rows`` rows at a time."""
    height, width = result.shape[:2]
    with torch.inference_mode():
        x = Streamed(picture, layers.down1)
        x = Streamed(x, layers.down2)
        x = Streamed(x, layers.down3)
        for conv1, conv2 in layers.residuals:
            x = Streamed(Streamed(x, conv1), conv2, relu=False, shortcut=x)
        x = Streamed(x, layers.up1)
        x = Streamed(x, layers.up2)
        for first in range(0, height, rows):
            last = min(first + rows, height)
            y = torch.sigmoid(convolve_rows(layers.out, x, first, last))
            values = y[0, :, :, :width].permute(1, 2, 0).cpu().numpy()
            if result.dtype != np.float32:
                values = values * np.float32(np.iinfo(result.dtype).max) + np.float32(0.5)
            result[first:last] = values.astype(result.dtype)
