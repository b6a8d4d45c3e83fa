"""How good systems' pictures are, by losses that they were trained for and by others; how films flicker.

Systems repaint photographs and the frames of films (``pictures``), and the stored pictures, in 8 bits, are
measured. Results are kept, too, so an interrupted measurement resumes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as ms_ssim

from metastyle.bench.motion import Clip
from metastyle.bench.nulls import NULLS
from metastyle.bench.participants import Maker
from metastyle.bench.pictures import Painted, repaint, unique_names
from metastyle.bench.stillness import errors
from metastyle.bench.table import Table, markdown
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import gram_matrix, perceptual_loss, style_target
from metastyle.errors import MetastyleError
from metastyle.images.convert import to_tensor
from metastyle.images.decode import open_picture
from metastyle.systems.vgg19 import Encoder

OTHER_CONTENT = "relu4_1"
OTHER_STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
REFERENCE = "Gatys et al."
"""The system by whose total loss under VGG-16 those of others are divided."""

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Quality:
    """One picture of one system."""

    method: str
    name: str
    styles: str
    """How many styles one trained model serves: ``1`` or ``any``."""
    painting: str
    photo: str
    total: float = math.nan
    """The perceptual loss, 1 : 1e5, under VGG-16: what MetaStyle, Johnson and Gatys minimize."""
    content: float = math.nan
    style: float = math.nan
    other_content: float = math.nan
    """Mean squared distance at relu4_1 of the normalized VGG-19, which MetaStyle was not trained for."""
    other_style: float = math.nan
    """Sum over relu1_1 to relu5_1 of the mean squared distance of its Gram matrices, times 1e5."""
    structure: float = math.nan
    """MS-SSIM of the luminance of picture and photograph: 1 keeps all structure."""
    error: str = ""


METRICS = ("total", "content", "style", "other_content", "other_style", "structure")


@dataclass(frozen=True)
class FilmQuality:
    """One film in the style of one painting by one system, frame by frame."""

    method: str
    name: str
    styles: str
    painting: str
    clip: str
    flicker: float = math.nan
    """Root mean square difference of neighboring frames along the true motion, in 8-bit levels."""
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
) -> Iterator[Quality | FilmQuality]:
    """Repaint and measure; yields a ``Quality`` for every photograph and a ``FilmQuality`` for every clip.

    Paintings (1, 3, H, W) and photographs (1, 3, H, W) with sides of at least 176, in [0, 1], by name.
    Results are in ``folder``: quality.json, films.json, and the pictures. The two networks are on ``device``.

    Raises:
        MetastyleError: ``folder`` holds results of other pictures, or two clips have one name.
    """
    cells = Table(folder / "quality.json", Quality, ("method", "painting", "photo"))
    films = Table(folder / "films.json", FilmQuality, ("method", "painting", "clip"))
    frames = {_frame(clip, i): to_tensor(x) for clip in clips for i, x in enumerate(clip.frames)}
    last = {_frame(clip, len(clip.frames) - 1): clip for clip in clips}
    if len(frames) < sum(len(clip.frames) for clip in clips) or frames.keys() & photos.keys():
        raise MetastyleError("two films, or a film and a photograph, have the same name: rename one")
    targets: dict[str, Callable[[Tensor, Tensor], tuple[float, ...]]] = {}
    painted_frames: list[Painted] = []
    for one in repaint(methods, paintings, {**photos, **frames}, folder, device):
        if one.photo in photos:
            row = cells.get(one.method, one.painting, one.photo)
            if one.error:
                row = Quality(one.method, one.name, one.styles, one.painting, one.photo, error=one.error)
            elif row is None or one.fresh:
                if one.painting not in targets:
                    style = paintings[one.painting]
                    targets = {one.painting: losses_for(style, loss_network, encoder, device)}
                picture = to_tensor(open_picture(one.path).pixels)
                found = targets[one.painting](picture, photos[one.photo])
                facts = dict(zip(METRICS, found, strict=True))
                row = Quality(one.method, one.name, one.styles, one.painting, one.photo, error="", **facts)
                cells.add(row)
            yield row
            continue
        painted_frames.append(one)
        clip = last.get(one.photo)
        if clip is not None:
            film = films.get(one.method, one.painting, clip.name)
            if film is None or any(frame.fresh for frame in painted_frames):
                film = _film(clip, painted_frames)
                if not film.error:
                    films.add(film)
            painted_frames = []
            yield film


def _film(clip: Clip, painted: Sequence[Painted]) -> FilmQuality:
    one = painted[-1]
    failed = next((p.error for p in painted if p.error), "")
    if failed:
        return FilmQuality(one.method, one.name, one.styles, one.painting, clip.name, error=failed)
    flicker, _ = errors([open_picture(p.path).pixels for p in painted], clip.pairs)
    own, _ = errors(clip.frames, clip.pairs)
    return FilmQuality(one.method, one.name, one.styles, one.painting, clip.name, flicker, own)


def _frame(clip: Clip, index: int) -> str:
    return f"{clip.name}-{index:04}"


@torch.no_grad()
def losses_for(
    style: Tensor, loss_network: LossNetwork, encoder: Encoder, device: torch.device
) -> Callable[[Tensor, Tensor], tuple[float, ...]]:
    """What ``METRICS`` names, as a function of a picture and its photograph (1, 3, H, W) in [0, 1]."""
    style = style.to(device)
    target = style_target(loss_network, style)
    wanted = {name: gram_matrix(f) for name, f in encoder(style, OTHER_STYLE).items()}

    @torch.no_grad()
    def losses(picture: Tensor, photo: Tensor) -> tuple[float, ...]:
        picture, photo = picture.to(device), photo.to(device)
        content = loss_network(photo, [CONTENT_LAYER])[CONTENT_LAYER]
        own = perceptual_loss(loss_network(picture), content, target)
        seen = encoder(picture, OTHER_STYLE)
        other_content = F.mse_loss(seen[OTHER_CONTENT], encoder(photo, [OTHER_CONTENT])[OTHER_CONTENT])
        distances = [F.mse_loss(gram_matrix(seen[name]), wanted[name]) for name in OTHER_STYLE]
        other_style = 1e5 * torch.stack(distances).sum()
        structure = luminance_ms_ssim(picture, photo)
        return tuple(x.item() for x in (*own, other_content, other_style, structure))

    return losses


def luminance_ms_ssim(picture: Tensor, photo: Tensor) -> Tensor:
    """MS-SSIM, a scalar, of the luminance of pictures (1, 3, H, W) in [0, 1], sides of 176 or more."""
    weights = torch.tensor(_LUMINANCE, device=photo.device)[None, :, None, None]
    one, other = ((weights * pixels).sum(dim=1, keepdim=True) for pixels in (picture, photo))
    similarity = ms_ssim(one, other, data_range=1.0)
    assert isinstance(similarity, Tensor)
    return similarity


def table(cells: Sequence[Quality], films: Sequence[FilmQuality] = ()) -> str:
    """Markdown: means over pairs with 95 % bootstrap intervals; the total relative to Gatys et al., too.

    Ratios to Gatys are of single pairs, and their mean is geometric: half and double even out.
    """
    cells = sorted(cells, key=lambda c: c.method in NULLS)  # these two come last, whenever they were measured
    good = [c for c in cells if not c.error]
    relative = relative_losses(good)
    names = unique_names({c.method: c.name for c in cells})
    head = ["system", "pairs", f"total / {REFERENCE}", *(m.replace("other_", "VGG-19 ") for m in METRICS)]
    head += ["flicker"] if films else []
    rows = []
    for method, name in names.items():
        own = [c for c in good if c.method == method]
        if not own:
            error = next(c.error for c in cells if c.method == method)
            rows.append([name, "0", error])
            continue
        written = [interval(relative.get(method, {}), geometric=True)]
        for metric in METRICS:
            values = {(c.painting, c.photo): getattr(c, metric) for c in own}
            written.append(interval(values))
        if films:
            flickers = {(f.painting, f.clip): f.flicker for f in films if f.method == method and not f.error}
            written.append(interval(flickers))
        rows.append([name, str(len(own)), *written])
    lines = markdown(head, rows)
    if films:
        own_flicker = {f.clip: f.own for f in films if not f.error}
        described = ", ".join(f"{clip} {flicker:.1f}" for clip, flicker in own_flicker.items())
        lines += ["", f"Flicker of the films themselves: {described}."]
    return "\n".join(lines)


def is_reference(name: str) -> bool:
    """Whether a system's name is that of Gatys et al., whatever its settings."""
    return name.split(",")[0] == REFERENCE


def reference_of(cells: Sequence[Quality]) -> str | None:
    """The method of Gatys et al. optimized to the end or, without it, of the first with other settings."""
    named = {c.name: c.method for c in reversed(cells) if is_reference(c.name)}
    return named.get(REFERENCE, next(reversed(named.values()), None))


def relative_losses(cells: Sequence[Quality]) -> dict[str, dict[tuple[str, str], float]]:
    """By method and (painting, photograph), the total loss over that of Gatys et al."""
    first = reference_of(cells)
    base = {(c.painting, c.photo): c.total for c in cells if c.method == first}
    found: dict[str, dict[tuple[str, str], float]] = {}
    for c in cells:
        if (c.painting, c.photo) in base:
            found.setdefault(c.method, {})[c.painting, c.photo] = c.total / base[c.painting, c.photo]
    return found


def interval(values: Mapping[tuple[str, str], float], *, geometric: bool = False) -> str:
    """``mean (low–high)`` with a 95 % bootstrap interval of values by (painting, photograph or film).

    Paintings and photographs are resampled, not pairs, because pairs of one painting are alike. With one
    painting or one photograph there is no interval. Where pairs are independent after all, resampling both
    errs on the wide side.
    """
    if not values:
        return ""
    sample = {pair: math.log(v) if geometric else v for pair, v in values.items()}
    rows, columns = (list(dict.fromkeys(pair[k] for pair in sample)) for k in (0, 1))
    matrix = np.full((len(rows), len(columns)), np.nan)
    for (row, column), value in sample.items():
        matrix[rows.index(row), columns.index(column)] = value
    means = [np.nanmean(matrix)]
    if min(matrix.shape) > 1:
        rng = np.random.default_rng(0)
        draws = []
        for _ in range(1000):
            some = rng.integers(0, len(rows), len(rows)), rng.integers(0, len(columns), len(columns))
            drawn = matrix[np.ix_(*some)]
            if not np.isnan(drawn).all():
                draws.append(np.nanmean(drawn))
        means += list(np.percentile(draws, [2.5, 97.5]))
    written = [f"{math.exp(m) if geometric else m:.3g}" for m in means]
    return written[0] if len(written) == 1 else f"{written[0]} ({written[1]}–{written[2]})"
