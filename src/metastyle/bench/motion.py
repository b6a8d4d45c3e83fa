"""Frames whose true motion is known: folders in Sintel's format, and pictures that are moved on purpose.

Butler, Wulff, Stanley, Black, "A Naturalistic Open Source Movie for Optical Flow Evaluation" (ECCV 2012).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metastyle.errors import MetastyleError
from metastyle.films.smoothing import Flow, warp
from metastyle.images.decode import open_picture
from metastyle.images.picture import resize

Pixels = NDArray[Any]
Mask = NDArray[np.bool_]

MAGIC = 202021.25
LARGEST_SIDE = 1 << 16


@dataclass(frozen=True, eq=False)
class FramePair:
    """Two neighboring frames, and the motion between them."""

    first: int
    """Number of the first of the two frames, from 0."""
    flow: Flow
    """(H, W, 2): where each pixel of the first frame goes, in pixels, to the right and down."""
    visible: Mask
    """(H, W): pixels of the first frame that are seen in the second, and whose flow is known."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames of one shot, (H, W, 3) uint8, and the pairs of neighbors whose flow is known."""

    name: str
    frames: list[Pixels]
    pairs: list[FramePair]


def films_of(
    wide: Path, passing: Path, *, count: int = 12, height: int = 160, width: int = 288
) -> list[Clip]:
    """A pan over the picture ``wide``, the same faded in from black, and ``passing`` before its middle."""
    background = resize(open_picture(wide), 9 * width // 4).pixels
    top, left = ((n - m) // 2 for n, m in zip(background.shape, (height, width), strict=False))
    if top < 0:
        raise MetastyleError(f"{wide} is too wide: at {9 * width // 4} pixels it must be {height} high")
    visitor_picture = resize(open_picture(passing), height * 7 // 8).pixels
    panned = pan("pan", background, height=height, width=width, count=count)
    middle = background[top : top + height, left : left + width]
    return [
        panned,
        fade_in("fade", panned, over=count * 3 // 4),
        visitor("visitor", middle, visitor_picture, count=count),
    ]


def read_flo(path: Path) -> Flow:
    """A Middlebury .flo file: magic number, width, height, then (u, v) row by row, little-endian.

    Raises MetastyleError if it is not such a file, or its length does not match its header.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MetastyleError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) < 12 or np.frombuffer(content, "<f4", 1)[0] != MAGIC:
        raise MetastyleError(f"{path} is not a .flo file: it does not begin with {MAGIC}")
    width, height = (int(n) for n in np.frombuffer(content, "<i4", 2, 4))
    if not (0 < width < LARGEST_SIDE and 0 < height < LARGEST_SIDE):
        raise MetastyleError(f"{path}: its size of {width}x{height} pixels is impossible")
    if len(content) != 12 + 8 * width * height:
        needed = 12 + 8 * width * height
        raise MetastyleError(f"{path} has {len(content)} bytes, but {width}x{height} pixels take {needed}")
    return np.frombuffer(content, "<f4", offset=12).reshape(height, width, 2).astype(np.float32)


def read_sequence(folder: Path, *, reduce: int = 1) -> Clip:
    """A folder in Sintel's format: ``clean/`` or ``final/`` frames, ``flow/`` from each of them to the next.

    ``occlusions/`` and ``invalid/`` masks (white: not to be used) are used if present; without an
    occlusion mask, pixels that other pixels cover are left out (``lands_alone``).
    ``reduce``: the whole factor by which frames and flow are reduced.

    Raises MetastyleError if there are fewer than two frames or no flow, or sizes differ.
    """
    for name in ("clean", "final"):
        paths = sorted((folder / name).glob("*.png"))
        if len(paths) > 1:
            break
    else:
        raise MetastyleError(f"{folder} has no frames: it needs a folder clean/ or final/ with PNG files")
    frames = [open_picture(path).pixels for path in paths]
    pairs = []
    for index, path in enumerate(paths[:-1]):
        flow_path = folder / "flow" / f"{path.stem}.flo"
        if not flow_path.is_file():
            continue
        flow = read_flo(flow_path)
        if flow.shape[:2] != frames[index].shape[:2]:
            raise MetastyleError(f"{flow_path} and {path} differ in size")
        hidden = folder / "occlusions" / path.name
        visible = ~_white(hidden, flow) if hidden.is_file() else lands_alone(flow)
        invalid = folder / "invalid" / path.name
        if invalid.is_file():
            visible &= ~_white(invalid, flow)
        pairs.append(FramePair(index, flow, visible & warp(flow, flow)[1]))
    if not pairs:
        raise MetastyleError(f"{folder} has no flow: it needs a file such as flow/{paths[0].stem}.flo")
    small = [_reduced(pair, reduce) for pair in pairs]
    return Clip(folder.name, [_reduced_pixels(f, reduce) for f in frames], small)


def lands_alone(flow: Flow) -> Mask:
    """Pixels whose target is not shared by a pixel with another motion, because one would hide the other.

    The flow alone does not say which, so both are left out, with their direct neighbors.
    """
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width]
    target_x = np.rint(x + flow[..., 0]).astype(np.int64)
    target_y = np.rint(y + flow[..., 1]).astype(np.int64)
    inside = (target_x >= 0) & (target_x < width) & (target_y >= 0) & (target_y < height)
    target = np.where(inside, target_y * width + target_x, height * width)
    shared = np.zeros((height, width), bool)
    for component in (flow[..., 0], flow[..., 1]):
        lowest, highest = (np.full(height * width + 1, v, np.float32) for v in (np.inf, -np.inf))
        np.minimum.at(lowest, target.ravel(), component.ravel())
        np.maximum.at(highest, target.ravel(), component.ravel())
        shared |= (highest - lowest > 1)[target]
    padded = np.pad(shared & inside, 1)
    around = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    alone: Mask = ~np.logical_or.reduce(around)
    return alone


def pan(name: str, picture: Pixels, *, height: int, width: int, count: int) -> Clip:
    """A camera that moves over a picture by whole pixels, from its left end to its right."""
    room = picture.shape[1] - width
    if picture.shape[0] < height or room < count - 1:
        raise MetastyleError(
            f"{name} is {picture.shape[1]}x{picture.shape[0]} pixels: "
            f"a pan needs at least {width + count - 1}x{height}"
        )
    top = (picture.shape[0] - height) // 2
    lefts = [round(i * room / (count - 1)) for i in range(count)]
    frames = [picture[top : top + height, left : left + width] for left in lefts]
    return Clip(name, frames, [_shift(i, b - a, height, width) for i, (a, b) in _pairs(lefts)])


def fade_in(name: str, clip: Clip, *, over: int) -> Clip:
    """``clip``, faded in from black over the first ``over`` frames."""
    gains = [min(1.0, (i + 1) / over) for i in range(len(clip.frames))]
    frames = [(f * g + 0.5).astype(np.uint8) for f, g in zip(clip.frames, gains, strict=True)]
    return Clip(name, frames, clip.pairs)


def visitor(name: str, background: Pixels, object_: Pixels, *, count: int) -> Clip:
    """A picture that passes a fixed camera from right to left; only the background is compared."""
    height, width = background.shape[:2]
    top, breadth = (height - object_.shape[0]) // 2, object_.shape[1]
    if top < 0:
        raise MetastyleError(f"{name}: the passing picture is higher than the background")
    lefts = [round(width - i * (width + breadth) / (count - 1)) for i in range(count)]
    frames, hidden = [], []
    for left in lefts:
        frame, mask = background.copy(), np.zeros((height, width), bool)
        a, b = max(0, left), min(width, left + breadth)
        frame[top : top + object_.shape[0], a:b] = object_[:, a - left : b - left]
        mask[top : top + object_.shape[0], a:b] = True
        frames.append(frame)
        hidden.append(mask)
    still = np.zeros((height, width, 2), np.float32)
    return Clip(name, frames, [FramePair(i, still, ~(a | b)) for i, (a, b) in _pairs(hidden)])


def _pairs(values: Sequence[Any]) -> list[tuple[int, tuple[Any, Any]]]:
    return list(enumerate(pairwise(values)))


def _shift(first: int, pixels: int, height: int, width: int) -> FramePair:
    flow = np.zeros((height, width, 2), np.float32)
    flow[..., 0] = -pixels
    visible = np.zeros((height, width), bool)
    visible[:, pixels:] = True
    return FramePair(first, flow, visible)


def _white(path: Path, like: Flow) -> Mask:
    with Image.open(path) as image:
        mask = np.asarray(image.convert("L")) > 127
    if mask.shape != like.shape[:2]:
        raise MetastyleError(f"{path} is {mask.shape[1]}x{mask.shape[0]} pixels, unlike its frame")
    return mask


def _reduced(pair: FramePair, by: int) -> FramePair:
    if by == 1:
        return pair
    flow = (_reduced_pixels(pair.flow, by) / by).astype(np.float32)
    share = _reduced_pixels(pair.visible[..., None].astype(np.float32), by)[..., 0]
    return FramePair(pair.first, flow, share > 0.999)


def _reduced_pixels(values: NDArray[Any], by: int) -> NDArray[Any]:
    if by == 1:
        return values
    height, width = (n // by for n in values.shape[:2])
    blocks = values[: height * by, : width * by].reshape(height, by, width, by, -1).mean((1, 3))
    if values.dtype == np.uint8:
        blocks += 0.5
    result: NDArray[Any] = blocks.astype(values.dtype)
    return result
