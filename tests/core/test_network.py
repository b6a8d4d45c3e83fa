import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from metastyle.core.network import STRIDE, TransformationNetwork, instance_norm_parameters, network_of


@pytest.fixture(scope="module")
def network() -> TransformationNetwork:
    torch.manual_seed(0)
    return TransformationNetwork().eval()


def test_parameter_counts(network: TransformationNetwork) -> None:
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


def test_pictures_of_a_batch_do_not_see_each_other(network: TransformationNetwork) -> None:
    x = torch.rand(3, 3, 24, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]), atol=1e-5, rtol=0)


def test_every_convolution_reflects_at_the_border_and_has_a_bias(network: TransformationNetwork) -> None:
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 16
    assert all(c.padding_mode == "reflect" and c.bias is not None for c in convolutions)


def test_a_network_of_given_parameters_is_a_copy_and_draws_nothing(network: TransformationNetwork) -> None:
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


def test_parameters_that_do_not_fit_are_no_network(network: TransformationNetwork) -> None:
    with pytest.raises(RuntimeError, match=r"out\.bias"):
        network_of({n: p for n, p in network.named_parameters() if n != "out.bias"})
