"""The protocol of recent papers: every photograph in the style of every painting, 20 x 40 at 512 x 512.

It measures losses that systems were trained for and losses that none was, also of two null pictures.

Pictures are kept (``pictures``), and measured in 8 bits; results are kept, too. An interrupted measurement
resumes, and several processes can share a folder, each with paintings of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.bench import lpips, self_similarity
from metastyle.bench.lpips import Lpips
from metastyle.bench.participants import Maker, maker
from metastyle.bench.pictures import check_same, repaint
from metastyle.bench.quality import luminance_ms_ssim
from metastyle.bench.table import Table, shared_table
from metastyle.core.loss_network import CONTENT_LAYER, STYLE_LAYERS, LossNetwork
from metastyle.core.losses import gram_matrix, perceptual_loss, style_target
from metastyle.images.convert import to_tensor
from metastyle.images.decode import open_picture
from metastyle.systems.vgg19 import Encoder

UNSEEN = ("relu1_2", "relu2_2", "relu3_4", "relu4_4")
"""Layers of the normalized VGG-19, the last before each pooling: no system's loss has them."""
STRENGTHS = (0.4, 0.6, 0.8, 1.0, 1.2, 1.5)
"""Points of the curves."""


@dataclass(frozen=True)
class Cell:
    """One picture of one system."""

    method: str
    name: str
    painting: str
    photo: str
    total: float = math.nan
    """The perceptual loss, 1 : 1e5, under VGG-16, and its two parts."""
    content: float = math.nan
    style: float = math.nan
    unseen: float = math.nan
    """Sum over ``UNSEEN`` of the mean squared distance of Gram matrices from the painting's, times 1e5."""
    lpips: float = math.nan
    """LPIPS (VGG) of picture and photograph."""
    structure: float = math.nan
    """CFSD of picture and photograph."""
    ms_ssim: float = math.nan
    """MS-SSIM of the luminance of picture and photograph."""
    prepare: float | None = None
    """Seconds that the painting cost the system once, for all its photographs."""
    error: str = ""


class Metric(NamedTuple):
    """A column of the table."""

    field: str
    title: str
    more_is_better: bool = False


METRICS = (
    Metric("total", "VGG-16 total"),
    Metric("content", "content"),
    Metric("style", "style"),
    Metric("unseen", "VGG-19 style"),
    Metric("lpips", "LPIPS"),
    Metric("structure", "CFSD"),
    Metric("ms_ssim", "MS-SSIM", more_is_better=True),
)


@dataclass(frozen=True)
class Networks:
    """The networks that pictures are measured with, on one device."""

    vgg16: LossNetwork
    vgg19: Encoder
    lpips: Lpips


def measure(
    methods: Mapping[str, Maker],
    paintings: Mapping[str, Tensor],
    photos: Mapping[str, Tensor],
    folder: Path,
    networks: Networks,
    device: torch.device,
    *,
    shard: tuple[int, int] = (1, 1),
) -> Iterator[Cell]:
    """Repaint and measure; yields a cell for every method, painting of this shard and photograph.

    Paintings (1, 3, H, W) and photographs (1, 3, H, W) with sides of at least 176, in [0, 1], by name: all of
    them, in every shard. Results are in ``folder``, results.json or one file a shard, and the pictures.

    Raises:
        MetastyleError: ``folder`` holds results of other pictures.
    """
    first, shards = shard
    results = results_of(folder, f"{first}of{shards}" if shards > 1 else "")
    check_same(folder / "pictures" / "made.json", paintings, photos)
    own = {name: paintings[name] for name in list(paintings)[first - 1 :: shards]}
    measures: dict[str, Callable[[Tensor, Tensor], dict[str, Any]]] = {}
    for one in repaint(methods, own, photos, folder, device):
        cell = results.get(one.method, one.painting, one.photo)
        if one.error:
            cell = Cell(one.method, one.name, one.painting, one.photo, error=one.error)
        elif cell is None or one.fresh:
            if one.painting not in measures:
                measures = {one.painting: measures_for(own[one.painting], networks, device)}
            picture = to_tensor(open_picture(one.path).pixels)
            found = measures[one.painting](picture, photos[one.photo])
            cell = Cell(one.method, one.name, one.painting, one.photo, prepare=one.prepare, **found)
            results.add(cell)
        yield cell


def results_of(folder: Path, shard: str = "") -> Table[Cell]:
    """The cells of a folder, whichever process measured them; ``shard`` names this process's file."""
    return shared_table(folder, Cell, ("method", "painting", "photo"), shard)


@torch.no_grad()
def measures_for(
    style: Tensor, networks: Networks, device: torch.device
) -> Callable[[Tensor, Tensor], dict[str, Any]]:
    """What ``METRICS`` names, as a function of a picture and its photograph (1, 3, H, W) in [0, 1]."""
    style = style.to(device)
    target = style_target(networks.vgg16, style)
    wanted = {name: gram_matrix(f) for name, f in networks.vgg19(style, UNSEEN).items()}
    layers = (*dict.fromkeys([*STYLE_LAYERS, *lpips.LAYERS, self_similarity.LAYER]),)

    @torch.no_grad()
    def measures(picture: Tensor, photo: Tensor) -> dict[str, Any]:
        picture, photo = picture.to(device), photo.to(device)
        seen, before = networks.vgg16(picture, layers), networks.vgg16(photo, layers)
        loss = perceptual_loss(seen, before[CONTENT_LAYER], target)
        other = networks.vgg19(picture, UNSEEN)
        unseen = sum(F.mse_loss(gram_matrix(other[name]), wanted[name]).item() for name in UNSEEN)
        found = {
            **loss._asdict(),
            "unseen": 1e5 * unseen,
            "lpips": networks.lpips(seen, before),
            "structure": self_similarity.structure_distance(
                seen[self_similarity.LAYER], before[self_similarity.LAYER]
            ),
            "ms_ssim": luminance_ms_ssim(picture, photo),
        }
        return {name: float(f"{float(value):.6g}") for name, value in found.items()}

    return measures


def curves(methods: Iterable[str], folder: Path) -> dict[str, Maker]:
    """Every MetaStyle and AdaIN of ``methods`` (as ``maker`` takes them) at every strength.

    MetaStyle's styles are cached in ``folder``, so that all strengths share one adaptation.
    """
    shared: dict[str, dict[str, Any]] = {"metastyle": {"cache": folder / "styles"}, "adain": {}}
    return {
        f"{text} strength={strength:g}": maker(text, strength=strength, **shared[text.split()[0]])
        for text in methods
        if text.split()[0] in shared and " strength=" not in text
        for strength in STRENGTHS
    }
