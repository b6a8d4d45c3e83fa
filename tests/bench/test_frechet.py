from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from metastyle.bench import protocol_page
from metastyle.bench.frechet import Fid, frechet_distance, measure
from metastyle.bench.nulls import NULLS
from metastyle.bench.pictures import picture_path
from metastyle.bench.protocol import METRICS, Cell


def sample(seed: int, count: int = 200, size: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, size)) @ rng.normal(size=(size, size)) + rng.normal(size=size)


def test_the_distance_is_symmetric_and_zero_for_equal_samples() -> None:
    a, b = sample(0), sample(1, count=150)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a)) and frechet_distance(a, b) > 0.1


def test_the_distance_of_shifted_and_scaled_samples_has_a_closed_form() -> None:
    """In one dimension it is (m_1 - m_2)^2 + (s_1 - s_2)^2."""
    a = sample(0, size=1)
    b = 3 * a + 7
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected)
    c = sample(3)
    assert frechet_distance(c, c + np.array([1, 0, -2, 0, 2])) == pytest.approx(9)


def test_the_distance_equals_the_formula_with_matrix_square_roots() -> None:
    a, b = sample(0), sample(1)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ second @ root)).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * trace
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_there_may_be_fewer_samples_than_features() -> None:
    a = np.random.default_rng(0).normal(size=(6, 500))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


class Mean(nn.Module):
    """The mean color, in place of Inception's features."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        Mean.calls += 1
        return x.mean((2, 3))


def cell(method: str, painting: str, photo: str) -> Cell:
    return Cell(method, method, painting, photo, **{m.field: 0.5 for m in METRICS})


@pytest.fixture
def painted(tmp_path: Path) -> tuple[Path, list[Cell], dict[str, Tensor]]:
    """The pictures of the null painting, of a system, and of one that has painted only half of the pairs."""
    rng = np.random.default_rng(0)
    paintings, cells = {}, []
    for painting in "xy":
        pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
        paintings[painting] = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
        for photo in "ab":
            for method in ("null painting", "system", "half"):
                if method == "half" and photo == "b":
                    continue
                path = picture_path(tmp_path, method, painting, photo)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels if method in NULLS else 255 - pixels // 2).save(path)
                cells.append(cell(method, painting, photo))
    return tmp_path, cells, paintings


def test_one_pair_has_no_distance(painted: tuple[Path, list[Cell], dict[str, Tensor]]) -> None:
    folder, cells, paintings = painted
    one = {"x": paintings["x"]}
    assert not list(measure(folder, cells, one, ["a"], Mean(), "0123", torch.device("cpu")))  # type: ignore[arg-type]


def test_other_pairs_of_the_same_number_are_measured_anew(
    painted: tuple[Path, list[Cell], dict[str, Tensor]],
) -> None:
    folder, cells, paintings = painted

    def run(names: str, photos: list[str]) -> dict[str, float]:
        some = {name: paintings[name] for name in names}
        found = measure(folder, cells, some, photos, Mean(), "0123", torch.device("cpu"))  # type: ignore[arg-type]
        return {fid.method: fid.fid for fid in found}

    assert run("x", ["a", "b"])["system"] != run("xy", ["a"])["system"]


def test_systems_that_painted_all_pairs_are_measured_once(
    painted: tuple[Path, list[Cell], dict[str, Tensor]],
) -> None:
    folder, cells, paintings = painted

    def run(weights: str = "0123456789abcdef") -> list[Fid]:
        return list(measure(folder, cells, paintings, ["a", "b"], Mean(), weights, torch.device("cpu")))  # type: ignore[arg-type]

    found = {fid.method: fid for fid in run()}
    assert found.keys() == {"null painting", "system"}
    assert found["null painting"].fid == pytest.approx(0, abs=1e-9) and found["system"].fid > 0.01
    assert found["system"].artfid == pytest.approx(1.5 * (1 + found["system"].fid), rel=1e-5)
    calls = Mean.calls
    assert run() == list(found.values()) and Mean.calls == calls
    run("another file's")
    assert Mean.calls > calls
    page = protocol_page.page(cells, {}, list(found.values()))
    assert "| FID † | ArtFID † |" in page and "sha256 0123456789abcdef" in page
    assert "FID" not in protocol_page.page(cells, {})
