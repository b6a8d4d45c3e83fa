"""FID of painted pictures to paintings, and ArtFID, from Inception-v3 weights that the user provides.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule" (NIPS 2017); Wright and Ommer, "ArtFID:
Quantitative Evaluation of Neural Style Transfer" (GCPR 2022):

    FID = |m_1 - m_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)),    ArtFID = (1 + LPIPS) (1 + FID)

Every painting counts once for each photograph, as in StyleID's published evaluation; LPIPS is (VGG).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metastyle.bench.inception import Inception
from metastyle.bench.pictures import file_name, picture_path
from metastyle.bench.protocol import Cell
from metastyle.bench.table import Table
from metastyle.files import replacing
from metastyle.images.convert import to_tensor
from metastyle.images.decode import open_picture

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fid:
    """One system's pictures of all pairs."""

    method: str
    pictures: int
    fid: float
    artfid: float
    weights: str
    """sha256 of the file of Inception's weights."""
    pairs: str = ""
    """A digest of the names of paintings and photographs."""


def results_of(folder: Path) -> Table[Fid]:
    """The rows of a folder."""
    return Table(folder / "fid.json", Fid, ("method",))


def measure(
    folder: Path,
    cells: Iterable[Cell],
    paintings: Mapping[str, Tensor],
    photos: Sequence[str],
    network: Inception,
    weights: str,
    device: torch.device,
) -> Iterator[Fid]:
    """A row for every method whose pictures of all pairs, two or more, are in ``folder``, kept in fid.json.

    paintings: (1, 3, H, W) in [0, 1], by name. weights: the sha256 of ``network``'s file.
    """
    results = results_of(folder)
    known = {row.method: row for row in results}
    lpips: dict[str, dict[tuple[str, str], float]] = {}
    for cell in cells:
        if not cell.error:
            lpips.setdefault(cell.method, {})[cell.painting, cell.photo] = cell.lpips
    pairs = [(painting, photo) for painting in paintings for photo in photos]
    if len(pairs) < 2:  # one picture has no covariance
        return
    names = hashlib.sha256("\n".join("\t".join(pair) for pair in pairs).encode()).hexdigest()[:16]
    wanted: Array | None = None
    for method, distances in lpips.items():
        if not all(pair in distances for pair in pairs):
            continue
        row = known.get(method)
        if row is None or (row.weights, row.pairs) != (weights, names):
            if wanted is None:
                seen = [_features(network, painting, device) for painting in paintings.values()]
                wanted = np.repeat(np.concatenate(seen), len(photos), axis=0)
            own = [_activations(folder, method, p, photos, network, weights, device) for p in paintings]
            fid = frechet_distance(np.concatenate(own), wanted)
            mean = float(np.mean([distances[pair] for pair in pairs]))
            row = Fid(method, len(pairs), _rounded(fid), _rounded((1 + mean) * (1 + fid)), weights, names)
            results.add(row)
        yield row


def frechet_distance(first: Array, second: Array) -> float:
    """Of the normal distributions with the means and covariances of two samples (N, D) and (M, D).

    tr (S_1 S_2)^(1/2) is the nuclear norm of A B^T, where S_1 = A^T A and S_2 = B^T B: exact, and quick for
    few samples of many features, where square roots of matrices are neither.
    """
    (own, a), (other, b) = _centered(first), _centered(second)
    nuclear = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(max(0.0, ((own - other) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * nuclear))


def _centered(sample: Array) -> tuple[Array, Array]:
    mean = sample.mean(0)
    return mean, (sample - mean) / np.sqrt(len(sample) - 1)


def _activations(
    folder: Path,
    method: str,
    painting: str,
    photos: Sequence[str],
    network: Inception,
    weights: str,
    device: torch.device,
) -> Array:
    """(photographs, 2048), kept in a file of its own for every painting."""
    pictures = [picture_path(folder, method, painting, photo) for photo in photos]
    digest = hashlib.sha256(b"".join(picture.read_bytes() for picture in pictures)).hexdigest()[:16]
    path = folder / "inception" / weights[:12] / file_name(method) / f"{painting}-{digest}.npy"
    if path.exists():
        found: Array = np.load(path, allow_pickle=False)
        return found
    seen = np.concatenate([_features(network, to_tensor(open_picture(p).pixels), device) for p in pictures])
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, overwrite=True) as file:
        np.save(file, seen, allow_pickle=False)
    return seen


@torch.no_grad()
def _features(network: Inception, picture: Tensor, device: torch.device) -> Array:
    return network(picture.to(device)).double().cpu().numpy()  # type: ignore[no-any-return]


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
