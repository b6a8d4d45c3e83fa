import pytest
import torch

from metastyle.core.losses import StyleTarget, balanced_style_weight, gram_matrix, style_loss
from metastyle.training.config import ObjectiveConfig
from metastyle.training.loss_scale import PhotoGrams, scales

CHANNELS = (2, 3, 5)


def grams(seed: int) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [gram_matrix(torch.randn(1, c, 4, 4, generator=g))[0] for c in CHANNELS]


def target(seed: int = 99) -> StyleTarget:
    return StyleTarget(tuple(grams(seed)), torch.zeros(1))


PHOTOS = [grams(seed) for seed in range(7)]


def test_the_expected_loss_is_the_mean_over_unchanged_photographs() -> None:
    direct = sum(1e5 * style_loss(photo, target().grams).item() for photo in PHOTOS) / len(PHOTOS)
    estimate = PhotoGrams.estimate(PHOTOS).expected_loss(target(), 1e5)
    assert estimate.item() == pytest.approx(direct, rel=1e-5)


def test_restored_moments_are_the_same() -> None:
    photos = PhotoGrams.estimate(PHOTOS)
    restored = PhotoGrams.restored(photos.tensors(), photos.numbers(), torch.device("cpu"))
    assert restored is not None and restored.variance == photos.variance
    assert all(torch.equal(a, b) for a, b in zip(restored.means, photos.means, strict=True))


def test_a_checkpoint_without_moments_restores_none() -> None:
    assert PhotoGrams.restored({}, {"photo_variance": None}, torch.device("cpu")) is None


def test_a_divisor_is_the_expected_loss_with_the_paintings_own_beta() -> None:
    photos, objective = PhotoGrams.estimate(PHOTOS), ObjectiveConfig(style_weight=1e-4, balance=0.5)
    targets = [target(50), target(51)]
    divisors, factors = scales(targets, photos, objective)
    assert divisors is not None
    for one, divisor, factor in zip(targets, divisors, factors, strict=True):
        assert factor == balanced_style_weight(one, 0.5)
        assert divisor.item() == pytest.approx((factor * photos.expected_loss(one, 1e-4)).item())


def test_without_moments_losses_are_not_divided() -> None:
    divisors, factors = scales([target()], None, ObjectiveConfig())
    assert divisors is None and factors.tolist() == [1.0]
