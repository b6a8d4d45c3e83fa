"""Training data: splits, and an endless stream of episodes that are pure functions of (seed, index).

An episode is the data of one iteration. Because it depends on its index alone, the position in the data
is one number, resuming is exact, and the number of worker processes does not matter.
"""

from __future__ import annotations

import functools
import hashlib
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from metastyle.errors import MetastyleError
from metastyle.training.config import DataConfig, OptimizerConfig
from metastyle.training.cutting import cut, painting, photograph
from metastyle.training.sources import Entry, find_pictures
from metastyle.training.target_cache import Painting, TargetCache

_INNER, _OUTER, _STYLES, _CUTS = range(4)  # independent streams of random numbers
_ATTEMPTS = 100


@dataclass(frozen=True)
class Split:
    """The pictures for each purpose. No picture is in two lists."""

    inner: list[Entry]
    """Photographs of the inner level ("training contents"); none where T = 0."""
    outer: list[Entry]
    """Photographs of the outer level ("validation contents" of the bilevel problem)."""
    styles: list[Entry]
    held_out_contents: list[Entry]
    """Photographs that only validation sees."""
    held_out_styles: list[Entry]

    @property
    def contents(self) -> int:
        """The number of training photographs."""
        return len(self.inner) + len(self.outer)

    @property
    def digest(self) -> str:
        """A digest that changes when a picture is added, removed or moved to another list."""
        lists = (self.inner, self.outer, self.styles, self.held_out_contents, self.held_out_styles)
        names = "\n\n".join("\n".join(entry.name for entry in entries) for entries in lists)
        return hashlib.sha256(names.encode()).hexdigest()


def split(config: DataConfig, inner_steps: int) -> Split:
    """Find the pictures and split them by the hashes of their names.

    Raises:
        MetastyleError: a folder is not set, is missing or has too few pictures.
    """
    for name, where in (("contents", config.contents), ("styles", config.styles)):
        if not where:
            raise MetastyleError(f"data.{name} is not set: name a folder of pictures, or of tar shards")
    held_out, rest = _deal(config.contents, config.held_out_contents, 2 if inner_steps else 1)
    held_out_styles, styles = _deal(config.styles, config.held_out_styles, 1)
    inner = min(max(1, round(config.inner_share * len(rest))), len(rest) - 1) if inner_steps else 0
    return Split(rest[:inner], rest[inner:], styles, held_out, held_out_styles)


def _deal(where: str, held_out: int, least: int) -> tuple[list[Entry], list[Entry]]:
    entries = sorted(find_pictures(where), key=lambda entry: entry.rank)
    if len(entries) < held_out + least:
        raise MetastyleError(
            f"{where}: holds {len(entries)} pictures, too few to hold {held_out} out: "
            f"use at least {held_out + least}, or hold fewer out"
        )
    return entries[:held_out], entries[held_out:]


@dataclass(frozen=True)
class Episode:
    """The data of one iteration."""

    index: int
    contents: Tensor
    """(B, 3, n, n) uint8, for the inner level; the same as ``queries`` if there is none."""
    queries: Tensor
    """(B', 3, n, n) uint8, for the outer level."""
    paintings: list[Painting]
    broken: tuple[str, ...]
    """Names of pictures that could not be read and were replaced by others."""


@dataclass(frozen=True)
class Request:
    """The number of an episode and the size of its photographs, as known when a worker starts on it."""

    index: int
    crop: int


class Episodes(Dataset[Episode]):
    """Maps a request to its episode. A process gets every ``world_size``-th painting.

    Each list of pictures is reshuffled in every epoch.
    """

    def __init__(
        self,
        pictures: Split,
        data: DataConfig,
        optimizer: OptimizerConfig,
        seed: int,
        cache: TargetCache,
        photo_folder: Path,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.pictures, self.data, self.optimizer, self.seed = pictures, data, optimizer, seed
        self.cache, self.photo_folder = cache, photo_folder
        self.slots = range(rank, optimizer.styles if pictures.styles else 0, world_size)

    def __getitem__(self, request: Request) -> Episode:
        broken: list[str] = []
        index, sizes = request.index, self.optimizer
        queries = self._photographs(self.pictures.outer, _OUTER, sizes.queries, request, broken)
        contents = queries
        if self.pictures.inner:
            contents = self._photographs(self.pictures.inner, _INNER, sizes.contents, request, broken)
        paintings = [
            self._draw(self.pictures.styles, _STYLES, index * sizes.styles + slot, broken, self._painting)
            for slot in self.slots
        ]
        return Episode(index, contents, queries, paintings, tuple(broken))

    def _photographs(
        self, entries: list[Entry], stream: int, count: int, request: Request, broken: list[str]
    ) -> Tensor:
        use = functools.partial(self._cut, request.crop)
        first = request.index * count
        return torch.stack([self._draw(entries, stream, first + k, broken, use) for k in range(count)])

    def _draw(
        self,
        entries: Sequence[Entry],
        stream: int,
        position: int,
        broken: list[str],
        use: Callable[[Entry, np.random.Generator], Any],
    ) -> Any:
        """The picture at ``position`` of the stream, or a random one if it cannot be read."""
        epoch, place = divmod(position, len(entries))
        rng = np.random.default_rng((self.seed, _CUTS, stream, position))
        entry = entries[int(_order(self.seed, stream, epoch, len(entries))[place])]
        for _ in range(_ATTEMPTS):
            try:
                return use(entry, rng)
            except (MetastyleError, OSError, ValueError):
                broken.append(entry.name)
                entry = entries[int(rng.integers(len(entries)))]
        raise MetastyleError(
            f"{_ATTEMPTS} pictures in a row could not be read, {broken[0]} and {broken[-1]} among them: "
            "check that the folder holds readable pictures"
        )

    def _cut(self, crop: int, entry: Entry, rng: np.random.Generator) -> Tensor:
        return cut(photograph(entry, self.data.photo_cache, self.photo_folder), crop, self.data, rng)

    def _painting(self, entry: Entry, rng: np.random.Generator) -> Painting:
        first = self._seen(entry, rng)
        if not rng.random() < self.data.mix_styles:
            return first
        other = self.pictures.styles[int(rng.integers(len(self.pictures.styles)))]
        return replace(first, beside=self._seen(other, rng), share=rng.uniform())

    def _seen(self, entry: Entry, rng: np.random.Generator) -> Painting:
        return painting(entry, self.data, self.cache, int(rng.integers(self.data.style_augmentations)))


@functools.lru_cache(maxsize=8)
def _order(seed: int, stream: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, stream, epoch)).permutation(count)


class _Requests(Sampler[Request]):
    def __init__(self, start: int, crop_at: Callable[[int], int]) -> None:
        self.start, self.crop_at = start, crop_at

    def __iter__(self) -> Iterator[Request]:
        index = self.start
        while True:
            yield Request(index, self.crop_at(index))
            index += 1


def stream(dataset: Episodes, start: int, crop_at: Callable[[int], int], workers: int) -> Iterator[Episode]:
    """An endless stream of episodes, starting at number ``start``, prepared ahead by ``workers`` processes.

    ``crop_at`` gives the size of an episode's photographs; it is called when its preparation starts.
    """
    return iter(
        DataLoader(
            dataset,
            batch_size=None,
            sampler=_Requests(start, crop_at),
            num_workers=workers,
            collate_fn=_as_it_is,
            worker_init_fn=_quiet_worker,
            generator=torch.Generator(),  # leaves the global generator untouched
        )
    )


def _as_it_is(episode: Any) -> Any:
    return episode


def _quiet_worker(_: int) -> None:
    """Ignore Ctrl-C, which reaches the whole process group: the training process ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
