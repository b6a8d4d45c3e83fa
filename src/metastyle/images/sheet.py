"""Labeled contact sheets: before, style and after; strips; grids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

_GAP = 8
_PAPER, _INK = (250, 249, 246), (40, 40, 40)


def sheet(
    rows: Sequence[Sequence[Pixels | None]], labels: Sequence[Sequence[str]] = (), cell: int = 320
) -> Pixels:
    """Join rows of pictures (H, W, 3) uint8 into one, each fitted into ``cell`` pixels, with its label above.

    Each row is as high as its tallest picture; None leaves a cell empty. ``labels`` has the shape of
    ``rows``.
    """
    font = ImageFont.load_default(size=max(12, cell // 20))
    line = int(font.getbbox("Ag")[3]) + 6 if labels else 0
    fitted = [[None if p is None else _fit(p, cell) for p in row] for row in rows]
    heights = [max((p.height for p in row if p is not None), default=0) + line for row in fitted]
    width = max(len(row) for row in rows) * (cell + _GAP) + _GAP
    paper = Image.new("RGB", (width, sum(heights) + _GAP * (len(rows) + 1)), _PAPER)
    draw = ImageDraw.Draw(paper)
    top = _GAP
    for index, (row, height) in enumerate(zip(fitted, heights, strict=True)):
        for column, picture in enumerate(row):
            left = _GAP + column * (cell + _GAP)
            if labels and column < len(labels[index]):
                draw.text((left, top), labels[index][column], fill=_INK, font=font)
            if picture is not None:
                paper.paste(picture, (left + (cell - picture.width) // 2, top + line))
        top += height + _GAP
    return np.asarray(paper)


def _fit(pixels: Pixels, cell: int) -> Image.Image:
    picture = Image.fromarray(pixels)
    scale = cell / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)
