import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metastyle.core.loss_network import STYLE_LAYERS, LossNetwork
from metastyle.core.losses import (
    LOUD,
    MIDDLING,
    Loss,
    StyleTarget,
    balanced_style_weight,
    content_loss,
    gram_matrix,
    perceptual_loss,
    perceptual_losses,
    style_loss,
    style_target,
)

CHANNELS = (2, 3, 4, 2)


def some_features(batch: int, seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(batch, c, 6 - k, 5, generator=g, dtype=torch.float64)
        for k, (name, c) in enumerate(zip(STYLE_LAYERS, CHANNELS, strict=True))
    }


def some_target(seed: int = 1) -> StyleTarget:
    return StyleTarget(
        tuple(gram_matrix(f)[0] for f in some_features(1, seed).values()),
        torch.zeros(1920, dtype=torch.float64),
    )


def test_the_gram_matrix_of_constant_channels() -> None:
    """For channels with the constants a and b, G = [[aa, ab], [ab, bb]] / C for any H and W."""
    f = torch.tensor([2.0, 3.0]).view(1, 2, 1, 1).expand(1, 2, 7, 5)
    torch.testing.assert_close(gram_matrix(f), torch.tensor([[[2.0, 3.0], [3.0, 4.5]]]))


@given(
    seed=st.integers(0, 10_000), batch=st.integers(1, 3), channels=st.integers(1, 5), side=st.integers(1, 6)
)
@settings(deadline=None, max_examples=30)
def test_gram_matrices_match_their_definition(seed: int, batch: int, channels: int, side: int) -> None:
    g = torch.Generator().manual_seed(seed)
    f = torch.randn(batch, channels, side, side + 1, generator=g, dtype=torch.float64)
    gram = gram_matrix(f)
    expected = torch.einsum("bihw,bjhw->bij", f, f) / (channels * side * (side + 1))
    torch.testing.assert_close(gram, expected)
    torch.testing.assert_close(gram, gram.mT)
    assert torch.linalg.eigvalsh(gram).min() > -1e-12


def test_gram_matrices_ignore_positions() -> None:
    f = torch.rand(1, 3, 4, 6, dtype=torch.float64)
    shuffled = f.flatten(2)[:, :, torch.randperm(24)].view_as(f)
    torch.testing.assert_close(gram_matrix(f), gram_matrix(shuffled))


def test_half_precision_features_give_float32_losses() -> None:
    f = torch.rand(1, 8, 16, 16)
    gram = gram_matrix(f.bfloat16())
    assert gram.dtype == torch.float32
    torch.testing.assert_close(gram, gram_matrix(f), rtol=0.02, atol=0)
    assert content_loss(f.bfloat16(), f.bfloat16()).dtype == torch.float32


def test_content_loss_of_a_constant_difference() -> None:
    a = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    assert content_loss(a, a).item() == 0
    assert content_loss(a + 0.5, a).item() == pytest.approx(0.25)


def test_style_loss_is_the_sum_over_layers_of_mean_squared_errors() -> None:
    grams = [torch.zeros(2, 2, 2), torch.zeros(2, 3, 3)]
    targets = [torch.full((2, 2), 0.5), torch.full((3, 3), 2.0)]
    assert style_loss(grams, targets).item() == pytest.approx(0.25 + 4.0)


def test_perceptual_loss_is_the_weighted_sum_of_its_parts() -> None:
    features, target = some_features(2), some_target()
    content = torch.zeros_like(features["relu2_2"])
    loss = perceptual_loss(features, content, target, content_weight=2.0, style_weight=300.0)
    assert loss.content.item() == pytest.approx(2 * features["relu2_2"].square().mean().item())
    expected = sum(
        (gram_matrix(features[n]) - t).square().mean()
        for n, t in zip(STYLE_LAYERS, target.grams, strict=True)
    )
    assert loss.style.item() == pytest.approx(300 * float(expected))
    assert loss.total.item() == pytest.approx(loss.content.item() + loss.style.item())


def test_the_loss_is_zero_if_content_and_style_match() -> None:
    features = some_features(1)
    target = StyleTarget(tuple(gram_matrix(f)[0] for f in features.values()), torch.zeros(1))
    assert perceptual_loss(features, features["relu2_2"], target) == Loss(*[torch.tensor(0.0).double()] * 3)


def test_loss_does_not_depend_on_batch_size() -> None:
    features, target = some_features(3), some_target()
    content = torch.rand_like(features["relu2_2"])
    whole = perceptual_loss(features, content, target)
    one_by_one = [
        perceptual_loss({n: f[i : i + 1] for n, f in features.items()}, content[i : i + 1], target)
        for i in range(3)
    ]
    for part in range(3):
        assert whole[part].item() == pytest.approx(sum(x[part].item() for x in one_by_one) / 3, rel=1e-12)


def test_first_and_second_derivatives_are_correct() -> None:
    features, target = some_features(2), some_target()
    content = torch.rand_like(features["relu2_2"])

    def loss(*values: Tensor) -> Tensor:
        named = dict(zip(STYLE_LAYERS, values, strict=True))
        return perceptual_loss(named, content, target, style_weight=100.0).total

    inputs = [f.requires_grad_() for f in features.values()]
    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.autograd.gradgradcheck(loss, inputs, atol=1e-4)


def test_a_style_target_has_gram_matrices_and_statistics() -> None:
    torch.manual_seed(0)
    vgg = LossNetwork()
    painting = torch.rand(1, 3, 32, 48)
    target = style_target(vgg, painting)
    assert [g.shape[0] for g in target.grams] == [64, 128, 256, 512]
    assert target.statistics.shape == (1920,)
    features = vgg(painting)
    first = features["relu1_2"][0].flatten(1)
    torch.testing.assert_close(target.statistics[:64], first.mean(1))
    torch.testing.assert_close(target.statistics[960 : 960 + 64], first.std(1))
    loss = perceptual_loss(features, features["relu2_2"], target)
    assert loss.total.item() == pytest.approx(0, abs=1e-6)
    assert not any(t.requires_grad for t in (*target.grams, target.statistics))


def test_losses_of_several_paintings_equal_those_of_each_alone() -> None:
    torch.manual_seed(0)
    network = LossNetwork().double()
    photos, pictures = (torch.rand(n, 3, 32, 36, dtype=torch.float64) for n in (2, 6))
    targets = [style_target(network, torch.rand(1, 3, 40, 32, dtype=torch.float64)) for _ in range(3)]
    content = network(photos, ["relu2_2"])["relu2_2"]
    weights = torch.tensor([1e5, 3e5, 2e4], dtype=torch.float64)
    together = perceptual_losses(network(pictures), content, targets, 0.7, weights)
    for index, (target, weight) in enumerate(zip(targets, weights.tolist(), strict=True)):
        own = network(pictures[2 * index : 2 * index + 2])
        alone = perceptual_loss(own, content, target, 0.7, weight)
        torch.testing.assert_close(together[index], torch.stack(alone))


@pytest.mark.parametrize(
    ("loudness", "exponent", "factor"),
    [
        (15.0, 0.5, (MIDDLING / 15) ** 0.5),
        (MIDDLING, 0.5, 1.0),
        (LOUD, 0.5, 1.0),
        (500.0, 0.5, LOUD / 500),
        (15.0, 0.0, 1.0),
        (500.0, 0.0, 1.0),
    ],
)
def test_the_style_weight_grows_for_quiet_paintings_and_shrinks_for_loud_ones(
    loudness: float, exponent: float, factor: float
) -> None:
    target = style_target(LossNetwork(), torch.rand(1, 3, 64, 64))
    target = target._replace(grams=tuple(g * 0 + (loudness * 1e-5 / 4) ** 0.5 for g in target.grams))
    assert balanced_style_weight(target, exponent).item() == pytest.approx(factor)


def some_painting(seed: int = 0, height: int = 64, width: int = 96) -> tuple[LossNetwork, Tensor]:
    torch.manual_seed(seed)
    return LossNetwork(), torch.rand(1, 3, height, width)


def test_a_mask_of_ones_changes_nothing() -> None:
    vgg, painting = some_painting(height=53, width=75)  # poolings drop a row or column at these sizes
    plain, masked = style_target(vgg, painting), style_target(vgg, painting, torch.ones(1, 1, 53, 75))
    for a, b in zip((*plain.grams, plain.statistics), (*masked.grams, masked.statistics), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_a_rectangular_mask_gives_the_statistics_of_the_features_inside(share: float) -> None:
    vgg, painting = some_painting()
    mask = torch.zeros(1, 1, 64, 96)
    mask[..., 16:48, 24:80] = share  # a uniform opacity does not matter
    target = style_target(vgg, painting, mask)
    features = vgg(painting)
    means, deviations = [], []
    for k, name in enumerate(STYLE_LAYERS):
        inside = features[name][..., 16 >> k : 48 >> k, 24 >> k : 80 >> k]
        torch.testing.assert_close(target.grams[k], gram_matrix(inside)[0], rtol=1e-4, atol=1e-7)
        means.append(inside.mean(dim=(2, 3))[0])
        deviations.append(inside.std(dim=(2, 3))[0])
    torch.testing.assert_close(target.statistics, torch.cat(means + deviations), rtol=1e-4, atol=1e-6)


def test_hidden_pixels_beyond_the_receptive_field_have_no_effect() -> None:
    vgg, painting = some_painting(height=32, width=192)
    mask = torch.zeros(1, 1, 32, 192)
    mask[..., :64] = 1
    other = painting.clone()
    other[..., 64 + 48 :] = torch.rand(1, 3, 32, 192 - 112)  # relu4_3 sees 46 pixels to each side
    a, b = style_target(vgg, painting, mask), style_target(vgg, other, mask)
    for x, y in zip((*a.grams, a.statistics), (*b.grams, b.statistics), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-7)
    c = style_target(vgg, other)
    assert (c.statistics - a.statistics).abs().max() > 1e-3


def test_masking_approximates_cropping() -> None:
    """Features near the edge of the mask still see pixels beyond it."""
    vgg, painting = some_painting(height=96, width=192)
    painting[..., 96:] *= 0.2
    mask = torch.zeros(1, 1, 96, 192)
    mask[..., :96] = 1
    cropped, masked = style_target(vgg, painting[..., :96]), style_target(vgg, painting, mask)
    whole = style_target(vgg, painting)

    def error(target: StyleTarget) -> list[float]:
        return [
            float((a - b).norm() / b.norm())
            for a, b in zip(
                (*target.grams, target.statistics), (*cropped.grams, cropped.statistics), strict=True
            )
        ]

    assert max(error(masked)) < 0.05
    assert min(error(whole)[:3]) > 0.1


def test_a_few_visible_pixels_give_finite_statistics() -> None:
    vgg, painting = some_painting()
    mask = torch.zeros(1, 1, 64, 96)
    mask[..., 30, 40] = 0.3
    target = style_target(vgg, painting, mask)
    assert all(torch.isfinite(t).all() for t in (*target.grams, target.statistics))
