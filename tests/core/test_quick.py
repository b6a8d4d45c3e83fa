from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from metastyle.core.loss_network import STYLE_LAYERS, LossNetwork
from metastyle.core.losses import gram_matrix
from metastyle.core.network import TransformationNetwork, idle_parameters, instance_norm_parameters
from metastyle.core.quick import quick_loss_network, quick_network

SIZES = [(1, 64, 72), (2, 41, 66)]


def _pictures(batch: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 3, height, width, generator=generator, dtype=torch.float64)


def _network() -> TransformationNetwork:
    torch.manual_seed(1)
    network = TransformationNetwork().double()
    for name, parameter in network.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
    return network


@pytest.mark.parametrize(("batch", "height", "width"), SIZES)
def test_the_quick_network_and_its_gradients_equal_the_plain_ones(
    batch: int, height: int, width: int
) -> None:
    network = _network()
    quick = quick_network(network, torch.float64)
    x = _pictures(batch, height, width).requires_grad_()
    plain, quickly = network(x), quick(x)
    torch.testing.assert_close(quickly, plain, atol=1e-10, rtol=0)
    shape = torch.randn_like(plain)
    names = [name for name, _ in network.named_parameters() if name not in idle_parameters(network)]
    sources = [x, *(network.get_parameter(name) for name in names)]
    expected = torch.autograd.grad((plain * shape).sum(), sources)
    found = torch.autograd.grad((quickly * shape).sum(), sources)
    for name, a, b in zip(["x", *names], found, expected, strict=True):
        assert (a - b).abs().max() < 1e-9 * b.abs().max(), name


def test_each_picture_may_have_its_own_scales_and_shifts() -> None:
    network = _network()
    quick = quick_network(network, torch.float64)
    x = _pictures(2, 40, 48)
    generator = torch.Generator().manual_seed(2)
    rows = {
        name: torch.randn(2, p.numel(), generator=generator, dtype=torch.float64).requires_grad_()
        for name, p in instance_norm_parameters(network).items()
    }
    plain, found = (functional_call(form, rows, (x,)) for form in (network, quick))
    torch.testing.assert_close(found, plain, atol=1e-10, rtol=0)
    expected = torch.autograd.grad(plain.square().sum(), list(rows.values()))
    gradients = torch.autograd.grad(found.square().sum(), list(rows.values()))
    for name, a, b in zip(rows, gradients, expected, strict=True):
        assert (a - b).abs().max() < 1e-9 * b.abs().max() or name in idle_parameters(network), name


def test_the_bfloat16_network_is_about_as_accurate_as_the_plain_one_under_autocast() -> None:
    network = _network().float()
    quick = quick_network(network, torch.bfloat16)
    x = _pictures(2, 64, 72).float()
    names = [name for name, p in network.named_parameters() if p.dim() == 4]

    def results(form: TransformationNetwork, autocast: bool) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            pictures = form(x).float()
        gradients = torch.autograd.grad(
            (pictures - 0.3).square().sum(), [network.get_parameter(name) for name in names]
        )
        return pictures, torch.cat([g.flatten() for g in gradients])

    exact, plain, found = results(network, False), results(network, True), results(quick, False)
    for rounded, alike, true in zip(plain, found, exact, strict=True):
        assert (alike - true).norm() < 1.3 * (rounded - true).norm()


def test_the_quick_network_shares_parameters_and_names() -> None:
    network = _network()
    quick = quick_network(network, torch.float64)
    pairs = zip(network.named_parameters(), quick.named_parameters(), strict=True)
    assert all(a == b and p is q for (a, p), (b, q) in pairs)


@pytest.mark.parametrize(("batch", "height", "width"), SIZES)
def test_the_quick_loss_network_and_its_gradient_equal_the_plain_ones(
    batch: int, height: int, width: int
) -> None:
    torch.manual_seed(2)
    network = LossNetwork().double()
    before = {name: p.clone() for name, p in network.named_parameters()}
    quick = quick_loss_network(network, torch.float64)
    x = _pictures(batch, height, width).requires_grad_()
    plain, quickly = network(x), quick(x)
    assert list(quickly) == list(STYLE_LAYERS)
    for name, features in plain.items():
        torch.testing.assert_close(quickly[name], features, atol=1e-10, rtol=0)
    (expected,) = torch.autograd.grad(sum(f.square().sum() for f in plain.values()), x)
    (found,) = torch.autograd.grad(sum(f.square().sum() for f in quickly.values()), x)
    assert (found - expected).abs().max() < 1e-10 * expected.abs().max()
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())


def test_quick_features_in_float64_match_plain_ones_in_float32() -> None:
    torch.manual_seed(3)
    network = LossNetwork()
    x = _pictures(1, 96, 80).float()
    pairs = zip(quick_loss_network(network, torch.float64)(x).values(), network(x).values(), strict=True)
    assert all((a - b).abs().max() < 5e-5 * b.abs().max() for a, b in pairs)


def test_gram_matrix_can_be_differentiated_twice() -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        psi = x.contiguous(memory_format=memory_format)
        flat = psi.flatten(2)
        torch.testing.assert_close(gram_matrix(psi), flat @ flat.mT / 60)
    formats = itertools.cycle((torch.contiguous_format, torch.channels_last))
    assert torch.autograd.gradgradcheck(lambda x: gram_matrix(x.contiguous(memory_format=next(formats))), x)
    assert torch.autograd.gradcheck(lambda x: gram_matrix(F.pad(x, (0, 1))), x)
