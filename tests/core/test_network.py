import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

from metastyle.core.network import (
    STRIDE,
    TransformationNetwork,
    idle_parameters,
    instance_norm_parameters,
    network_of,
    without_idle,
)


@pytest.fixture(scope="module")
def network() -> TransformationNetwork:
    torch.manual_seed(0)
    return TransformationNetwork().eval()


def test_numbers_of_parameters(network: TransformationNetwork) -> None:
    assert sum(p.numel() for p in network.parameters()) == 1_679_235
    norms = instance_norm_parameters(network)
    assert sum(p.numel() for p in norms.values()) == 3_200
    assert len(norms) == 2 * 15


def test_instance_norm_parameters_are_the_networks_own(network: TransformationNetwork) -> None:
    own = dict(network.named_parameters())
    for name, parameter in instance_norm_parameters(network).items():
        assert parameter is own[name]


@given(height=st.integers(16, 41), width=st.integers(16, 41), batch=st.integers(1, 2))
@settings(deadline=None, max_examples=12)
def test_output_is_rounded_up_to_the_stride(
    network: TransformationNetwork, height: int, width: int, batch: int
) -> None:
    with torch.no_grad():
        y = network(torch.rand(batch, 3, height, width))
    assert y.shape == (batch, 3, -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE)
    assert y.min() > 0 and y.max() < 1


def test_pictures_of_a_batch_are_independent(network: TransformationNetwork) -> None:
    x = torch.rand(3, 3, 24, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]), atol=1e-5, rtol=0)


def test_every_convolution_reflects_at_the_border_and_has_a_bias(network: TransformationNetwork) -> None:
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 16
    assert all(c.padding_mode == "reflect" and c.bias is not None for c in convolutions)


def test_network_of_copies_the_parameters_and_draws_no_random_numbers(network: TransformationNetwork) -> None:
    before = torch.get_rng_state()
    made = network_of(dict(network.named_parameters()))
    assert torch.equal(before, torch.get_rng_state())
    assert not made.training and not any(p.requires_grad for p in made.parameters())
    x = torch.rand(1, 3, 16, 20)
    with torch.no_grad():
        assert torch.equal(made(x), network(x))
        made.out.bias += 1
        assert not torch.equal(made.out.bias, network.out.bias)
        assert not torch.equal(network_of(dict(network.named_parameters())).out.bias, made.out.bias)


def test_network_of_refuses_missing_parameters(network: TransformationNetwork) -> None:
    with pytest.raises(RuntimeError, match=r"out\.bias"):
        network_of({n: p for n, p in network.named_parameters() if n != "out.bias"})


def test_idle_parameters_do_not_change_the_result() -> None:
    torch.manual_seed(0)
    network = TransformationNetwork().double()
    x = torch.rand(1, 3, 32, 36, dtype=torch.float64)
    before = network(x)
    own = dict(network.named_parameters())
    idle = idle_parameters(network)
    assert sum(own[name].numel() for name in idle) == 2240
    with torch.no_grad():
        for name in idle:
            own[name] += torch.randn_like(own[name])
    torch.testing.assert_close(network(x), before, atol=1e-9, rtol=0)


def test_bfloat16_is_closer_without_idle_parameters() -> None:
    """Shifts that the next normalization cancels cost it digits in between."""
    torch.manual_seed(0)
    network, x = TransformationNetwork(), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for block in network.residuals:
            block.norm2.bias.fill_(5.0)
    plain = network_of(without_idle(dict(network.named_parameters())))
    exact = network(x)
    torch.testing.assert_close(plain(x), exact, atol=1e-4, rtol=0)
    errors = [(copy.deepcopy(n).bfloat16()(x.bfloat16()) - exact).square().mean() for n in (network, plain)]
    assert errors[1] < 0.5 * errors[0]


def test_only_idle_parameters_have_no_gradient() -> None:
    torch.manual_seed(0)
    network = TransformationNetwork().double()
    network(torch.rand(1, 3, 32, 32, dtype=torch.float64)).square().sum().backward()
    idle = idle_parameters(network)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        assert (parameter.grad.abs().max() > 1e-6) == (name not in idle), name


def test_each_picture_of_a_batch_may_have_its_own_norms() -> None:
    torch.manual_seed(0)
    network = TransformationNetwork().double()
    x = torch.rand(3, 3, 16, 20, dtype=torch.float64)
    norms = instance_norm_parameters(network)
    rows = {name: p + 0.3 * torch.randn(3, *p.shape, dtype=torch.float64) for name, p in norms.items()}
    together = functional_call(network, rows, (x,))
    for index in range(3):
        alone = functional_call(network, {name: row[index] for name, row in rows.items()}, (x[index, None],))
        torch.testing.assert_close(together[index, None], alone)
