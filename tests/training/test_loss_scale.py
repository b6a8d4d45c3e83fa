import pytest
import torch

from metastyle.core.losses import StyleTarget, gram_matrix, style_loss
from metastyle.training.loss_scale import PhotoGrams


def test_the_expected_loss_is_the_mean_over_unchanged_photographs() -> None:
    torch.manual_seed(0)
    photos = [[gram_matrix(torch.randn(1, c, 4, 4))[0] for c in (2, 3, 5)] for _ in range(7)]
    target = StyleTarget(tuple(gram_matrix(torch.randn(1, c, 4, 4))[0] for c in (2, 3, 5)), torch.zeros(1))
    direct = sum(1e5 * style_loss(grams, target.grams).item() for grams in photos) / len(photos)
    estimate = PhotoGrams.estimate(photos).expected_loss(target, 1e5)
    assert estimate.item() == pytest.approx(direct, rel=1e-5)
