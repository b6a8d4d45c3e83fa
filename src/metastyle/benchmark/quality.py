"""How good systems' pictures are, by losses that they were trained for and by others, and how still films.

Systems repaint photographs and the frames of films (``pictures``); what is measured is what was kept of that,
in 8 bits. Results are kept, too: an interrupted measurement goes on where it stopped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as ms_ssim

from metastyle.baselines.vgg19 import Encoder
from metastyle.benchmark.motion import Clip
from metastyle.benchmark.pictures import Painted, repaint
from metastyle.benchmark.stillness import errors
from metastyle.benchmark.systems import Maker
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import gram_matrix, perceptual_loss, style_target
from metastyle.media.images import open_picture, to_tensor
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


@dataclass(frozen=True)
class Film:
    """One film in the style of one painting by one system, frame by frame."""

    method: str
    name: str
    painting: str
    clip: str
    flicker: float = math.nan
    """Root mean square difference of neighbouring frames along the true motion, in 8-bit levels."""
    own: float = math.nan
    """The same of the film before it was painted."""
    error: str = ""


def measure(
    methods: Mapping[str, Maker],
    paintings: Mapping[str, Tensor],
    photos: Mapping[str, Tensor],
    folder: Path,
    loss_network: LossNetwork,
    encoder: Encoder,
    device: torch.device,
    clips: Sequence[Clip] = (),
) -> Iterator[Quality | Film]:
    """Repaint and measure; yields a ``Quality`` for every photograph and a ``Film`` for every clip.

    Paintings (1, 3, H, W) and photographs (1, 3, H, W) with sides of at least 176, in [0, 1], by name.
    Results lie in ``folder``: quality.json, films.json, and the pictures.
    """
    results, films = folder / "quality.json", folder / "films.json"
    done = {(c.method, c.painting, c.photo): c for c in read(results)}
    still = {(f.method, f.painting, f.clip): f for f in read_films(films)}
    frames = {_frame(clip, i): to_tensor(x) for clip in clips for i, x in enumerate(clip.frames)}
    last = {_frame(clip, len(clip.frames) - 1): clip for clip in clips}
    painted_frames: list[Painted] = []
    for one in repaint(methods, paintings, {**photos, **frames}, folder, device):
        if one.photo in photos:
            cell = done.get((one.method, one.painting, one.photo))
            if one.error:
                cell = Quality(one.method, one.name, one.painting, one.photo, error=one.error)
            elif cell is None:
                picture = to_tensor(open_picture(one.path).pixels)
                found = losses(picture, photos[one.photo], paintings[one.painting], loss_network, encoder)
                facts = dict(zip(MEASURES, found, strict=True))
                cell = Quality(one.method, one.name, one.painting, one.photo, error="", **facts)
                done[one.method, one.painting, one.photo] = cell
                _write(results, list(done.values()))
            yield cell
            continue
        painted_frames.append(one)
        clip = last.get(one.photo)
        if clip is not None:
            film = still.get((one.method, one.painting, clip.name))
            if film is None:
                film = _film(clip, painted_frames)
                if not film.error:
                    still[one.method, one.painting, clip.name] = film
                    _write(films, list(still.values()))
            painted_frames = []
            yield film


def _film(clip: Clip, painted: Sequence[Painted]) -> Film:
    one = painted[-1]
    failed = next((p.error for p in painted if p.error), "")
    if failed:
        return Film(one.method, one.name, one.painting, clip.name, error=failed)
    flicker, _ = errors([open_picture(p.path).pixels for p in painted], clip.steps)
    return Film(one.method, one.name, one.painting, clip.name, flicker, errors(clip.frames, clip.steps)[0])


def _frame(clip: Clip, index: int) -> str:
    return f"{clip.name}-{index:04}"


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
    return [Quality(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def read_films(path: Path) -> list[Film]:
    """Films of an earlier measurement."""
    return [Film(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def _write(path: Path, rows: Sequence[Quality] | Sequence[Film]) -> None:
    write_bytes(path, json.dumps([asdict(row) for row in rows], indent=1).encode(), overwrite=True)


def table(cells: Sequence[Quality], films: Sequence[Film] = (), seed: int = 0) -> str:
    """Markdown: means over pairs with 95 % bootstrap intervals; the total relative to Gatys et al., too.

    Ratios to Gatys are of single pairs, and their mean is geometric: half and double even out.
    """
    good = [cell for cell in cells if not cell.error]
    base = {(c.painting, c.photo): c.total for c in good if c.name == REFERENCE}
    head = ["system", "pairs", f"total / {REFERENCE}", *(m.replace("other_", "VGG-19 ") for m in MEASURES)]
    head += ["flicker"] if films else []
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for method in dict.fromkeys(cell.method for cell in cells):
        own = [cell for cell in good if cell.method == method]
        if not own:
            error = next(cell.error for cell in cells if cell.method == method)
            lines.append(f"| {method} | 0 | {error} |" + " |" * (len(head) - 3))
            continue
        ratios = [c.total / base[c.painting, c.photo] for c in own if (c.painting, c.photo) in base]
        written = [interval(ratios, seed, geometric=True)]
        written += [interval([getattr(c, name) for c in own], seed) for name in MEASURES]
        if films:
            written.append(interval([f.flicker for f in films if f.method == method and not f.error], seed))
        lines.append(f"| {own[0].name} | {len(own)} | {' | '.join(written)} |")
    if films:
        own_flicker = {f.clip: f.own for f in films if not f.error}
        described = ", ".join(f"{clip} {flicker:.1f}" for clip, flicker in own_flicker.items())
        lines += ["", f"Flicker of the films themselves: {described}."]
    return "\n".join(lines)


def interval(values: Sequence[float], seed: int = 0, *, geometric: bool = False) -> str:
    """``mean (low–high)`` with a 95 % bootstrap interval."""
    if not values:
        return ""
    sample = np.log(values) if geometric else np.asarray(values)
    means = np.random.default_rng(seed).choice(sample, (1000, len(sample))).mean(axis=1)
    found = [sample.mean(), *np.percentile(means, [2.5, 97.5])]
    mean, low, high = np.exp(found) if geometric else found
    return f"{mean:.3g} ({low:.3g}–{high:.3g})"
