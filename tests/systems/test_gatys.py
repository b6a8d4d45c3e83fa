import pytest
import torch

from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import content_loss, gram_matrix, perceptual_loss, style_target
from metastyle.errors import MetastyleError
from metastyle.systems import gatys
from metastyle.systems.gatys import (
    VGG19_CONTENT,
    VGG19_STYLE,
    VGG19_STYLE_WEIGHT,
    Gatys,
    minimize,
    vgg16_objective,
    vgg19_objective,
)
from metastyle.systems.vgg19 import Encoder


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return LossNetwork()


def test_a_known_minimum_is_found():
    """A badly scaled quadratic whose minimum is in [0, 1]."""
    torch.manual_seed(0)
    target, scales = torch.rand(1, 3, 4, 4), torch.logspace(0, 3, 48).view(1, 3, 4, 4)
    found = minimize(lambda x: (scales * (x - target).square()).sum(), torch.zeros(1, 3, 4, 4), 200)
    torch.testing.assert_close(found, target, atol=1e-3, rtol=0)


def test_the_picture_stays_in_range():
    outside = torch.full((1, 3, 4, 4), 1.5)
    found = minimize(lambda x: (x - outside).square().mean(), torch.rand(1, 3, 4, 4), 200)
    assert torch.equal(found, torch.ones(1, 3, 4, 4))


def test_optimization_stops_once_the_loss_hardly_decreases():
    scales = torch.logspace(0, 2, 48).view(1, 3, 4, 4)
    torch.manual_seed(0)
    target = torch.rand(1, 3, 4, 4)
    losses = []
    minimize(
        lambda x: 1 + (scales * (x - target).square()).sum(),
        torch.zeros(1, 3, 4, 4),
        500,
        lambda _, loss: losses.append(loss),
    )
    assert len(losses) < 200 and min(losses) < 1 + 1e-3  # close to the minimum of 1
    flat = []
    minimize(lambda x: x.sum() * 0 + 1, target, 500, lambda _, loss: flat.append(loss))
    assert len(flat) == 1


def test_checking_the_loss_regularly_does_not_change_the_result(monkeypatch):
    """L-BFGS in blocks of ten iterations equals one block of 30."""
    torch.manual_seed(0)
    target, scales = torch.rand(1, 3, 4, 4), torch.logspace(0, 3, 48).view(1, 3, 4, 4)

    def objective(x):
        return (scales * (x - target).square()).sum()

    found = minimize(objective, torch.zeros(1, 3, 4, 4), 30)
    monkeypatch.setattr(gatys, "_AT_ONCE", 30)
    torch.testing.assert_close(found, minimize(objective, torch.zeros(1, 3, 4, 4), 30), atol=1e-5, rtol=0)


def test_the_name_has_the_settings_that_are_not_the_default(network):
    assert Gatys(network).name == "Gatys et al." and Gatys(network).iterations == 500
    assert Gatys(network, 60).name == "Gatys et al., 60 iterations"
    assert Gatys(Encoder(), 60).name == "Gatys et al., VGG-19, 60 iterations"


def test_a_loss_that_is_not_finite_is_an_error():
    with pytest.raises(MetastyleError, match="diverged"):
        minimize(lambda x: (x * torch.nan).sum(), torch.rand(1, 3, 4, 4), 5)
    with pytest.raises(MetastyleError, match="0 iterations: use 1 or more"):
        Gatys(LossNetwork(), 0)


def test_the_vgg16_objective_is_the_perceptual_loss(network, draw):
    photo, style, x = draw(0), draw(1), draw(2)
    features = network(photo, [CONTENT_LAYER])[CONTENT_LAYER]
    expected = perceptual_loss(network(x), features, style_target(network, style)).total
    assert torch.equal(vgg16_objective(network, style)(photo)(x), expected)


def test_the_vgg19_objective_is_that_of_the_paper(encoder, draw):
    photo, style, x = draw(0), draw(1, 40, 56), draw(2)
    one, two = encoder(x, [*VGG19_STYLE, VGG19_CONTENT]), encoder(style, VGG19_STYLE)
    grams = sum((gram_matrix(one[n]) - gram_matrix(two[n])).square().mean() for n in VGG19_STYLE)
    content = content_loss(one[VGG19_CONTENT], encoder(photo, [VGG19_CONTENT])[VGG19_CONTENT])
    torch.testing.assert_close(
        vgg19_objective(encoder, style)(photo)(x), content + VGG19_STYLE_WEIGHT * grams
    )


def test_optimizing_lowers_the_loss_and_reports_it(network, draw):
    photo, style = draw(0, 32, 40), draw(1, 32, 32)
    seen = []
    system = Gatys(network, 5, lambda n, loss: seen.append((n, loss)))
    picture = system.prepare(style)(photo)
    assert picture.shape == photo.shape and picture.min() >= 0 and picture.max() <= 1
    assert [n for n, _ in seen] == list(range(1, len(seen) + 1)) and len(seen) <= 13
    assert min(loss for _, loss in seen) < seen[0][1]
    assert system.parameters == 0


def test_on_a_processor_it_takes_the_quick_loss_network_for_the_same_loss(network, draw, monkeypatch):
    monkeypatch.setattr(gatys, "load_loss_network", lambda: network)
    system = Gatys.load(torch.device("cpu"))
    assert type(system.network) is not type(network)
    photo, style = draw(0, 32, 40), draw(1, 32, 32)
    x = photo.clone().requires_grad_()
    found = vgg16_objective(system.network, style)(photo)(x)
    (gradient,) = torch.autograd.grad(found, x)
    expected = vgg16_objective(network, style)(photo)(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, x)[0], rtol=1e-3, atol=1e-6)
