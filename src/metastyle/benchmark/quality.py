"""How good systems' pictures are, by losses that they were trained for and by others.

Every system repaints every photograph in every painting's style. Pictures are kept, so that they can be
looked at, and so that an interrupted measurement goes on where it stopped.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as ms_ssim

from metastyle.baselines.protocol import System
from metastyle.baselines.vgg19 import Encoder
from metastyle.benchmark.systems import Maker
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import gram_matrix, perceptual_loss, style_target
from metastyle.errors import MetastyleError
from metastyle.media.images import Picture, eight_bits, from_tensor, open_picture, save_picture
from metastyle.media.sheet import sheet
from metastyle.weights.tensor_files import write_bytes

OTHER_CONTENT = "relu4_1"
OTHER_STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
REFERENCE = "Gatys et al."
"""Its total loss under VGG-16 is what others' are divided by."""

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Quality:
    """One picture of one system."""

    method: str
    name: str
    painting: str
    photo: str
    total: float = math.nan
    """The perceptual loss, 1 : 1e5, under VGG-16: what MetaStyle, Johnson and Gatys minimise."""
    content: float = math.nan
    style: float = math.nan
    other_content: float = math.nan
    """Mean squared distance at relu4_1 of the normalised VGG-19, which none of ours was trained for."""
    other_style: float = math.nan
    """Sum over relu1_1 to relu5_1 of the mean squared distance of its Gram matrices, times 1e5."""
    structure: float = math.nan
    """MS-SSIM of the luminance of picture and photograph: 1 keeps all structure."""
    error: str = ""


MEASURES = ("total", "content", "style", "other_content", "other_style", "structure")


def measure(
    methods: Mapping[str, Maker],
    paintings: Mapping[str, Tensor],
    photos: Mapping[str, Tensor],
    folder: Path,
    loss_network: LossNetwork,
    encoder: Encoder,
    device: torch.device,
) -> Iterator[Quality]:
    """Repaint and measure; yields every cell, those measured earlier first.

    Paintings (1, 3, H, W) and photographs (1, 3, H, W) with sides of at least 176, in [0, 1], by name.
    Results lie in ``folder``: quality.json and pictures/METHOD/PAINTING/PHOTO.png.
    """
    results = folder / "quality.json"
    done = {_key(cell): cell for cell in read(results)}
    yield from done.values()
    for method, make in methods.items():
        system: System | None = None
        for painting, style in paintings.items():
            missing = [name for name in photos if (method, painting, name) not in done]
            if not missing:
                continue
            cells: list[Quality] = []
            try:
                system = system or make(device)
                stylise = system.prepare(style.to(device))
                for name in missing:
                    with torch.no_grad():
                        picture = stylise(photos[name].to(device)).cpu().clamp(0, 1)
                    path = picture_path(folder, method, painting, name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    save_picture(Picture(pixels=from_tensor(picture)), path, overwrite=True)
                    found = losses(picture, photos[name], style, loss_network, encoder)
                    facts = dict(zip(MEASURES, found, strict=True))
                    cells.append(Quality(method, system.name, painting, name, **facts))  # type: ignore[arg-type]
            except (MetastyleError, RuntimeError, MemoryError) as error:
                why = " ".join(str(error).split()) or type(error).__name__
                reached = {cell.photo for cell in cells}
                failed = [
                    Quality(method, method, painting, n, error=why) for n in missing if n not in reached
                ]
                yield from failed  # not kept: the next call tries again
            for cell in cells:
                done[_key(cell)] = cell
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps([asdict(cell) for cell in done.values()], indent=1)
            write_bytes(results, text.encode(), overwrite=True)
            yield from cells


@torch.no_grad()
def losses(
    picture: Tensor, photo: Tensor, style: Tensor, loss_network: LossNetwork, encoder: Encoder
) -> tuple[float, ...]:
    """What ``MEASURES`` names, of one picture (1, 3, H, W) in [0, 1]."""
    content = loss_network(photo, [CONTENT_LAYER])[CONTENT_LAYER]
    own = perceptual_loss(loss_network(picture), content, style_target(loss_network, style))
    seen, wanted = encoder(picture, OTHER_STYLE), encoder(style, OTHER_STYLE)
    other_content = F.mse_loss(seen[OTHER_CONTENT], encoder(photo, [OTHER_CONTENT])[OTHER_CONTENT])
    distances = [F.mse_loss(gram_matrix(seen[n]), gram_matrix(wanted[n])) for n in OTHER_STYLE]
    other_style = 1e5 * torch.stack(distances).sum()
    weights = torch.tensor(_LUMINANCE)[None, :, None, None]
    grey = [(weights * x).sum(dim=1, keepdim=True) for x in (picture, photo)]
    structure = ms_ssim(grey[0], grey[1], data_range=1.0)
    assert isinstance(structure, Tensor)
    return tuple(x.item() for x in (*own, other_content, other_style, structure))


def read(path: Path) -> list[Quality]:
    """Cells of an earlier measurement."""
    return [Quality(**row) for row in json.loads(path.read_text())] if path.exists() else []


def picture_path(folder: Path, method: str, painting: str, photo: str) -> Path:
    """Where a system's picture lies."""
    return folder / "pictures" / re.sub(r"[^\w=.-]+", "_", method) / painting / f"{photo}.png"


def table(cells: Sequence[Quality], seed: int = 0) -> str:
    """Markdown: means over pairs with 95 % bootstrap intervals; the total relative to Gatys et al., too."""
    good = [cell for cell in cells if not cell.error]
    base = {(c.painting, c.photo): c.total for c in good if c.name == REFERENCE}
    lines = [
        f"| system | pairs | total / {REFERENCE} | {' | '.join(MEASURES).replace('other', 'VGG-19')} |",
        "|---" * (len(MEASURES) + 3) + "|",
    ]
    for method in dict.fromkeys(cell.method for cell in cells):
        own = [cell for cell in good if cell.method == method]
        if not own:
            error = next(cell.error for cell in cells if cell.method == method)
            lines.append(f"| {method} | 0 | {error} |" + " |" * len(MEASURES))
            continue
        ratios = [c.total / base[c.painting, c.photo] for c in own if (c.painting, c.photo) in base]
        columns = [ratios, *([getattr(c, name) for c in own] for name in MEASURES)]
        written = " | ".join(interval(values, seed) for values in columns)
        lines.append(f"| {own[0].name} | {len(own)} | {written} |")
    return "\n".join(lines)


def interval(values: Sequence[float], seed: int = 0) -> str:
    """``mean (low–high)`` with a 95 % bootstrap interval."""
    if not values:
        return ""
    sample = np.asarray(values)
    rng = np.random.default_rng(seed)
    means = rng.choice(sample, (1000, len(sample))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{sample.mean():.3g} ({low:.3g}–{high:.3g})"


def grid(
    cells: Sequence[Quality], photos: Mapping[str, Tensor], paintings: Mapping[str, Tensor], folder: Path
) -> np.ndarray:
    """The post's Figure 1: for each (photograph, painting) a row, for each system a column; (H, W, 3) uint8.

    Row i shows photograph i in the style of painting i.
    """
    names = {cell.method: cell.name for cell in cells if not cell.error}
    rows, labels = [], []
    for photo, painting in zip(photos, paintings, strict=False):
        row: list[np.ndarray | None] = [_pixels(photos[photo]), _pixels(paintings[painting])]
        for method in names:
            path = picture_path(folder, method, painting, photo)
            row.append(eight_bits(open_picture(path).pixels) if path.exists() else None)
        rows.append(row)
        labels.append(["photograph", "style", *names.values()] if len(rows) == 1 else [])
    return sheet(rows, labels, cell=256)


def _pixels(x: Tensor) -> np.ndarray:
    return eight_bits(from_tensor(x))


def _key(cell: Quality) -> tuple[str, str, str]:
    return cell.method, cell.painting, cell.photo
