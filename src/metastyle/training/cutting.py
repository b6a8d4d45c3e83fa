"""Pictures as training sees them: photographs and paintings, decoded, reduced and cropped, in uint8."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.files import write_bytes
from metastyle.images.decode import open_picture
from metastyle.images.picture import eight_bits
from metastyle.images.transparency import visible_painting
from metastyle.training.augmentation import Pixels, augmentation
from metastyle.training.config import DataConfig
from metastyle.training.sources import Entry
from metastyle.training.target_cache import Painting, TargetCache, load_target
from metastyle.weights.cache import cache_if_possible

T = TypeVar("T")


def decode(data: bytes, name: str) -> Pixels:
    """Decode a picture to upright sRGB (H, W, 3) uint8, whose hidden pixels continue the visible ones.

    Raises:
        MetastyleError: it cannot be read, or nothing in it is visible.
    """
    try:
        return eight_bits(visible_painting(open_picture(data)).pixels)
    except MetastyleError as error:
        raise MetastyleError(f"{name}: {error}") from None


def photograph(entry: Entry, side: int | None, folder: Path) -> Pixels:
    """A photograph (H, W, 3) uint8; with ``side``, reduced to that shorter side and cached in ``folder``."""
    if side is None:
        return decode(entry.read(), entry.name)
    stat = entry.path.stat()
    key = f"{entry.path.resolve()} {entry.offset} {entry.size} {stat.st_size} {stat.st_mtime_ns} {side}"
    cached = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
    with suppress(OSError, ValueError, EOFError):  # missing or damaged: make it again
        pixels: Pixels = np.load(cached, mmap_mode="r", allow_pickle=False)
        return pixels
    pixels = decode(entry.read(), entry.name)
    height, width = pixels.shape[:2]
    scale = min(1.0, side / min(height, width))
    pixels = _resize(pixels, (round(width * scale), round(height * scale)), (0, 0, width, height))
    file = io.BytesIO()
    np.save(file, pixels, allow_pickle=False)
    cache_if_possible(
        cached, "reduced photographs", lambda path: write_bytes(path, file.getvalue(), overwrite=True)
    )
    return pixels


def cut(pixels: Pixels, crop: int, config: DataConfig, rng: np.random.Generator) -> Tensor:
    """A random square of a photograph -> (3, crop, crop) uint8.

    ``fixed`` scale: the shorter side becomes the crop. ``random``: the shorter side becomes a length
    drawn between the crop and its own. The position of the square is random, too.
    """
    height, width = pixels.shape[:2]
    short = min(height, width)
    shorter = crop if config.scale == "fixed" else crop * rng.uniform(1, max(1.0, short / crop))
    side = crop * short / shorter  # of the square, in the photograph's own pixels
    left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
    square = _resize(pixels, (crop, crop), (left, top, left + side, top + side))
    if config.mirror and rng.random() < 0.5:
        square = square[:, ::-1]
    return _tensor(square)


def center(pixels: Pixels, crop: int) -> Tensor:
    """The largest square in the middle of a picture -> (3, crop, crop) uint8."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    return _tensor(_resize(pixels, (crop, crop), (left, top, left + side, top + side)))


def painting(entry: Entry, config: DataConfig, cache: TargetCache, number: int = 0) -> Painting:
    """A painting at the size chosen for it, or an augmentation of it; decoded only if no target is cached."""
    low, high = config.style_side
    rank = int(entry.rank, 16)
    seen = augmentation(rank, number, (low, high)) if number else None
    side = seen.side if seen else low + rank % (high - low + 1)
    data = entry.read()
    cached = cache.path(data, f"{seen or f'shorter side {side}'}, cap {config.style_cap}")
    target = load_target(cached)
    if target is not None:
        return Painting(entry.name, cached, target, None)
    pixels = decode(data, entry.name)
    height, width = pixels.shape[:2]
    scale = side / min(height, width)
    part, across, down = (seen.part, seen.left, seen.top) if seen else (1.0, 0.5, 0.5)
    whole = round(part * width * scale), round(part * height * scale)
    cap = config.style_cap or max(whole)
    kept = min(whole[0], cap), min(whole[1], cap)
    left, top = across * (width - kept[0] / scale), down * (height - kept[1] / scale)
    box = (
        max(0.0, left),
        max(0.0, top),
        min(width, left + kept[0] / scale),
        min(height, top + kept[1] / scale),
    )
    resized = _resize(pixels, kept, box)
    return Painting(entry.name, cached, None, _tensor(seen.colored(resized) if seen else resized)[None])


def _resize(pixels: Pixels, size: tuple[int, int], box: tuple[float, float, float, float]) -> Pixels:
    """The part ``box`` (left, top, right, bottom) of a picture at ``size`` (width, height)."""
    image = Image.fromarray(pixels)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=box))


def _tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def readable(entries: list[Entry], count: int, use: Callable[[Entry], T]) -> Iterator[tuple[Entry, T]]:
    """The first ``count`` readable pictures, and the results of ``use`` for them.

    Raises:
        MetastyleError: none can be read.
    """
    found = 0
    for entry in entries:
        if found == count:
            return
        try:
            item = use(entry)
        except (MetastyleError, OSError, ValueError):
            continue
        found += 1
        yield entry, item
    if found == 0:
        raise MetastyleError(f"none of {len(entries)} pictures could be read, {entries[0].name} among them")
