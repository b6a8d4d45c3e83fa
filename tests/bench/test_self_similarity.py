from __future__ import annotations

import math

import pytest
import torch

from metastyle.bench import self_similarity
from metastyle.bench.self_similarity import structure_distance


def features(seed: int, channels: int = 8, height: int = 7, width: int = 9) -> torch.Tensor:
    return 4 * torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(seed))


def test_the_distance_of_equal_features_is_zero() -> None:
    assert structure_distance(features(0), features(0)) == 0
    assert structure_distance(features(0), features(1)) > 0


def test_the_distance_of_two_positions_matches_a_calculation_by_hand() -> None:
    """For f = (a, 0) and C = 1, the similarities are a^2, 0 and 0, 0; the second row is uniform in both."""
    first, second = torch.tensor([[[[2.0, 0.0]]]]), torch.tensor([[[[1.0, 0.0]]]])
    p, q = (1 / (1 + math.exp(-s)) for s in (1.0, 4.0))
    expected = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    assert structure_distance(first, second) == pytest.approx(expected, rel=1e-5)


def test_rotating_all_features_alike_changes_nothing() -> None:
    """A rotation in feature space, which may come from another palette, keeps all similarities."""
    x = features(0)
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(2))).Q
    turned = torch.einsum("ij,bjhw->bihw", turn, x)
    assert structure_distance(turned, x) == pytest.approx(0, abs=1e-5)
    assert structure_distance(x.flip(3), x) > 0.1


def test_the_result_does_not_depend_on_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = structure_distance(features(0), features(1))
    monkeypatch.setattr(self_similarity, "_ROWS", 4)
    assert structure_distance(features(0), features(1)) == pytest.approx(whole, rel=1e-6)


def test_the_distance_matches_the_published_formula() -> None:
    """The KL divergence summed over all rows, as in the published evaluation."""
    picture, photo = features(0), features(1)
    similar = [
        torch.softmax(x.flatten(2)[0].T @ x.flatten(2)[0] / x.shape[1] ** 2, dim=-1) for x in (picture, photo)
    ]
    expected = torch.nn.functional.kl_div(similar[0].log(), similar[1], reduction="sum").item()
    assert structure_distance(picture, photo) == pytest.approx(expected, rel=1e-4)
