import pytest
import torch
from torch.func import functional_call

from metastyle.core.initialization import STATISTICS, Initialization, StylePredictor
from metastyle.core.losses import StyleTarget
from metastyle.core.network import idle_parameters, instance_norm_parameters


def painting(seed: int) -> StyleTarget:
    return StyleTarget((), torch.randn(STATISTICS, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture
def predicted() -> Initialization:
    torch.manual_seed(0)
    return Initialization(predictor=StylePredictor())


def test_the_predictor_has_the_documented_number_of_parameters() -> None:
    predictor = StylePredictor()
    assert sum(p.numel() for p in predictor.parameters()) == 658_688
    assert STATISTICS == 1_920


def test_without_a_predictor_the_start_is_theta() -> None:
    initialization = Initialization()
    start = initialization.start(painting(0))
    own = dict(initialization.network.named_parameters())
    assert start.keys() == own.keys()
    assert all(start[name] is own[name] for name in own)


def test_a_fresh_predictor_is_the_identity(predicted: Initialization) -> None:
    start = predicted.start(painting(0))
    for name, parameter in predicted.network.named_parameters():
        assert torch.equal(start[name], parameter)


def test_a_trained_predictor_moves_only_instance_norm_parameters_that_matter(
    predicted: Initialization,
) -> None:
    assert predicted.predictor is not None
    torch.nn.init.normal_(predicted.predictor.decode.weight, std=0.1)
    a, b = predicted.start(painting(0)), predicted.start(painting(1))
    norms = instance_norm_parameters(predicted.network)
    offsets = predicted.predictor(painting(0).statistics).split([p.numel() for p in norms.values()])
    moved = dict(zip(norms, offsets, strict=True))
    for idle in idle_parameters(predicted.network):
        moved.pop(idle, None)
    assert sum(offset.numel() for offset in moved.values()) == 3200 - 640
    for name, parameter in predicted.network.named_parameters():
        if name in moved:
            torch.testing.assert_close(a[name], parameter + moved[name])
            assert not torch.equal(a[name], b[name])
        else:
            assert a[name] is parameter


def test_the_predictor_standardizes_statistics(predicted: Initialization) -> None:
    assert predicted.predictor is not None
    torch.nn.init.normal_(predicted.predictor.decode.weight, std=0.1)
    raw = painting(0).statistics
    before = predicted.predictor(raw)
    predicted.predictor.mean.fill_(3.0)
    predicted.predictor.std.fill_(2.0)
    torch.testing.assert_close(predicted.predictor(raw * 2 + 3), before)


def test_every_parameter_receives_a_gradient(predicted: Initialization) -> None:
    assert predicted.predictor is not None
    torch.nn.init.normal_(predicted.predictor.decode.weight, std=0.01)
    picture = functional_call(predicted.network, predicted.start(painting(0)), (torch.rand(1, 3, 16, 16),))
    picture.square().mean().backward()
    # A bias before an instance norm has no effect: its gradient is zero up to rounding, but not None.
    assert all(p.grad is not None for p in predicted.parameters())
    assert all(
        predicted.get_parameter(f"predictor.{n}").grad.abs().sum() > 0
        for n in ("encode.weight", "decode.bias")
    )


def test_mean_and_deviation_are_part_of_the_state(predicted: Initialization) -> None:
    assert {"predictor.mean", "predictor.std"} <= predicted.state_dict().keys()
