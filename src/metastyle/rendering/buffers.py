"""The workspace in which the results of a network's layers wait for the next layer.

A row of a layer's result takes the same number of bytes in every layer: 32 channels, or 64 at half the width,
or 128 at a quarter. So results are stored as rows of one workspace, each overwriting the parts of its source
that have been read already:

- Halving reads rows 2 r - 1 to 2 r + 1 for its row r. A result that begins where its source begins never
  overtakes what is still to be read.
- Doubling reads rows r // 2 - 1 to r // 2 + 1. A result of 2 n rows does not overtake a source of n rows that
  begins n + 1 rows after it.

The residual blocks need two places of the smallest size in turn; the last of them leaves its result in the
place from which it can be doubled.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import BinaryIO

import torch
from torch import Tensor

from metastyle.errors import MetastyleError

GAP = 2
"""Rows between the middle of an upsampled result and the start of its source; one would be enough."""


@dataclass(frozen=True)
class Layout:
    """The row of the workspace at which each result begins, for a picture of ``height`` rows.

    keep_all: whether results at full resolution fit as well.
    """

    height: int
    keep_all: bool

    @property
    def halved(self) -> int:
        """Bases of down1, down2 and the input of the residual blocks."""
        return 0

    @property
    def up1(self) -> int:
        return self.height // 2 + GAP if self.keep_all else 0

    @property
    def up2(self) -> int:
        return 0

    @property
    def residual(self) -> int:
        """Base of the residual blocks' inner results, and in the end of their output."""
        return self.up1 + self.height // 4 + GAP

    @property
    def rows(self) -> int:
        return self.residual + self.height // 4


class Workspace:
    """Rows of ``elements`` numbers each, in memory or in an unnamed temporary file.

    The file is read and written, not mapped: mapped pages would count as the process's memory.

    like: a tensor with the type and device of the rows.
    """

    def __init__(self, rows: int, elements: int, like: Tensor, file: BinaryIO | None) -> None:
        self._elements = elements
        self._height = rows
        self._device, self._dtype = like.device, like.dtype
        self._file = file
        self._rows = None if file else like.new_empty(rows, elements)

    def read(self, first: int, last: int) -> Tensor:
        """Rows (last - first, elements); do not modify them in place."""
        if self._rows is not None:
            return self._rows[first:last]
        assert self._file is not None
        rows = torch.empty(last - first, self._elements, dtype=self._dtype)
        buffer = self._seek(first, rows)
        while buffer.nbytes:
            count = self._file.readinto(buffer)  # type: ignore[attr-defined]
            if not count:
                raise OSError("a temporary file is shorter than the data written to it")
            buffer = buffer[count:]
        return rows.to(self._device)

    def write(self, first: int, rows: Tensor) -> None:
        if self._rows is not None:
            target = self._rows[first : first + len(rows)]
            target.view(rows.shape)[:] = rows
            return
        assert self._file is not None
        rows = rows.cpu().contiguous()
        buffer = self._seek(first, rows)
        try:
            while buffer.nbytes:
                buffer = buffer[self._file.write(buffer) :]
        except OSError as error:
            size = self._height * self._elements * rows.element_size() / 1e9
            raise MetastyleError(
                f"cannot write a temporary file of {size:.1f} GB in {tempfile.gettempdir()} "
                f"({error.strerror}): free some space, set TMPDIR to another folder, or raise max_memory"
            ) from error

    def close(self) -> None:
        self._rows = None
        if self._file is not None:
            self._file.close()

    def _seek(self, first: int, rows: Tensor) -> memoryview:
        assert self._file is not None
        self._file.seek(first * self._elements * rows.element_size())
        return memoryview(rows.view(torch.uint8).numpy().data).cast("B")


class Store:
    """One layer's result, (1, channels, height, width), in a workspace from row ``base`` on."""

    def __init__(self, workspace: Workspace, base: int, height: int, width: int, channels: int) -> None:
        self.height, self.width = height, width
        self._workspace, self._base = workspace, base
        self._shape = (width, channels)

    def rows(self, first: int, last: int) -> Tensor:
        """Rows (1, C, last - first, W); do not modify them in place."""
        rows = self._workspace.read(self._base + first, self._base + last)
        return rows.view(-1, *self._shape).permute(2, 0, 1)[None]

    def write(self, first: int, x: Tensor) -> None:
        self._workspace.write(self._base + first, x[0].permute(1, 2, 0))
