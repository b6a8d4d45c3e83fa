"""The contents that adaptation trains on: crops of photographs, procedural pictures, or both."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import torch
from torch import Tensor

from metastyle.images import procedural
from metastyle.images.convert import to_tensor
from metastyle.images.decode import open_picture
from metastyle.images.picture import Picture, resize

T = TypeVar("T")

PROCEDURAL_SHARE = 0.125
"""Share of procedural pictures among the contents, so that the style also works on other photographs."""
MOST_PHOTOS = 12
"""Most photographs of a call that adaptation trains on; of more, evenly spaced ones are taken."""
OWN_ZOOM = 1.5
"""Largest scale of crops of the photographs that will be painted, relative to that at which the shorter side
is seen whole. Larger scales are rarer views of the same few pictures, and learned at the others' expense."""
OTHER_ZOOM = 3.0
"""The same of any photographs, whose layouts are not what will be painted."""


@dataclass(frozen=True, eq=False)
class Contents:
    """The contents of an adaptation: photographs and procedural pictures, by default only the latter."""

    read: Callable[[], Sequence[Picture]] = tuple
    """Returns the photographs; called at most once, and only if they are needed."""
    procedural: float = PROCEDURAL_SHARE
    """The share of procedural pictures, 0 to 1; without photographs, all are procedural."""
    zoom: float = OWN_ZOOM
    """Largest scale of crops, from 1, at which the photograph's shorter side is seen whole."""
    place: str = ""
    """A digest of the photographs' location, if that identifies a cached style, and not their pixels."""
    stand: str = ""
    """A digest of the current contents of that location."""
    differing: str = ""
    """A description of what a style with another ``stand`` was adapted on."""

    @cached_property
    def photos(self) -> tuple[Picture, ...]:
        """The photographs."""
        return tuple(self.read())

    @property
    def identity(self) -> str:
        """A text that is equal for contents that may share a cached style."""
        if not self.place and not self.photos:
            return f"procedural {procedural.VERSION}"
        drawn = f", {self.procedural:g} of procedural {procedural.VERSION}" if self.procedural else ""
        return f"{self.place or pixel_digest(self.photos)}, seen up to {self.zoom:g} times{drawn}"

    def record(self) -> dict[str, Any]:
        """The record of the contents in a style's settings: digests, no names."""
        if not self.photos:
            return {"contents": "procedural"}
        about = {
            "procedural_share": self.procedural,
            "photographs": [pixel_digest([photo])[:16] for photo in self.photos],
        }
        about |= {name: value for name in ("place", "stand") if (value := getattr(self, name))}
        kind = "photos and procedural" if self.procedural else "photos"
        return {"contents": kind, "learned_on": about}

    def differs(self, settings: Mapping[str, Any]) -> bool:
        """Whether a style with these ``settings`` was adapted on other contents of this location."""
        about = settings.get("learned_on")
        return bool(self.place) and isinstance(about, Mapping) and about.get("stand") != self.stand

    def pool(self, count: int, size: int, seed: int) -> Tensor:
        """``count`` contents (count, 3, size, size) in [0, 1]."""
        drawn = round(self.procedural * count) if self.photos else count
        if drawn == count:
            return procedural_pool(count, size, seed)
        crops = photo_pool(self.photos, count - drawn, size, seed, self.zoom)
        return torch.cat([crops, procedural_pool(drawn, size, seed)]) if drawn else crops


def procedural_pool(count: int, size: int, seed: int) -> Tensor:
    """``count`` procedural pictures (count, 3, size, size) in [0, 1]."""
    return torch.from_numpy(procedural.dead_leaves(count, size, seed))


def photo_pool(photos: Sequence[Picture], count: int, size: int, seed: int, zoom: float) -> Tensor:
    """``count`` random crops (count, 3, size, size) in [0, 1] of the photographs, each taken in turn.

    The scale is random, too: from one at which a crop holds the whole shorter side up to ``zoom`` times that,
    but no photograph is enlarged more than it takes to fill a crop. Half of the crops are mirrored.
    """
    rng = np.random.default_rng(seed)
    ready = [reduced(opaque(photo), shorter_side(size, zoom)) for photo in spread(photos, count)]
    return torch.cat([_crop(ready[index % len(ready)], size, rng) for index in range(count)])


def shorter_side(size: int, zoom: float = OWN_ZOOM) -> int:
    """The shorter side, in pixels, above which a photograph adds no detail to crops of ``size`` pixels."""
    return math.ceil(zoom * size)


def open_reduced(source: Path | BinaryIO, shorter: int) -> Picture:
    """Open a photograph with a shorter side of at most ``shorter`` pixels, cheaply.

    Raises:
        MetastyleError: it cannot be read.
    """
    return reduced(open_picture(source, at_least=shorter), shorter)


def reduced(photo: Picture, shorter: int) -> Picture:
    """A photograph with a shorter side of at most ``shorter`` pixels."""
    return _with_shorter_side(photo, min(*photo.pixels.shape[:2], shorter))


def spread(items: Sequence[T], count: int) -> list[T]:
    """``count`` evenly spaced items, or all of them if there are fewer."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def opaque(photo: Picture) -> Picture:
    """The photograph with the mean color of the visible pixels in the fully transparent ones."""
    if photo.alpha is None:
        return photo
    hidden = photo.alpha == 0
    if not hidden.any() or hidden.all():
        return photo
    pixels = photo.pixels.copy()
    pixels[hidden] = np.rint(photo.pixels[~hidden].mean(axis=0))
    return dataclasses.replace(photo, pixels=pixels)


def pixel_digest(pictures: Sequence[Picture]) -> str:
    """The sha256 of the pictures' pixels and alpha, in hexadecimal."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.pixels.dtype}{picture.pixels.shape}".encode())
        digest.update(np.ascontiguousarray(picture.pixels).data)
        if picture.alpha is not None:
            digest.update(np.ascontiguousarray(picture.alpha).data)
    return digest.hexdigest()


def _with_shorter_side(photo: Picture, side: float) -> Picture:
    height, width = photo.pixels.shape[:2]
    return resize(photo, round(side * max(height, width) / min(height, width)))


def _crop(photo: Picture, size: int, rng: np.random.Generator) -> Tensor:
    zoom = max(1.0, min(photo.pixels.shape[:2]) / size)
    scaled = _with_shorter_side(photo, size * rng.uniform(1, zoom))
    height, width = scaled.pixels.shape[:2]
    top, left = rng.integers(0, max(1, height - size + 1)), rng.integers(0, max(1, width - size + 1))
    pixels = scaled.pixels[top : top + size, left : left + size]
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    crop = to_tensor(np.ascontiguousarray(pixels))
    short = [size - crop.shape[3], size - crop.shape[2]]  # rounding may leave a side a pixel short
    return torch.nn.functional.pad(crop, (0, short[0], 0, short[1]), mode="replicate")
