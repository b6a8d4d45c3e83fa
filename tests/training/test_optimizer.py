from typing import Literal

import pytest
import torch
from torch import nn

from metastyle.training.config import OptimizerConfig
from metastyle.training.optimizer import Optimizer

NAMES = ("kernel", "bias", "scale")


def parameters() -> dict[str, nn.Parameter]:
    g = torch.Generator().manual_seed(0)
    shapes = ((4, 3, 3, 3), (4,), (4,))
    return {
        name: nn.Parameter(torch.randn(shape, generator=g)) for name, shape in zip(NAMES, shapes, strict=True)
    }


def an_optimizer(named: dict[str, nn.Parameter], kind: Literal["adam", "muon"]) -> Optimizer:
    config = OptimizerConfig(kind=kind, learning_rate=1e-2, muon_rate=0.5)
    return Optimizer(named, config, hidden={"kernel"}, rate_factors={"scale": 0.25})


def step(optimizer: Optimizer, named: dict[str, nn.Parameter], number: int) -> None:
    g = torch.Generator().manual_seed(number)
    for parameter in named.values():
        parameter.grad = torch.randn(parameter.shape, generator=g)
    optimizer.step()


def test_muon_has_the_hidden_kernels_and_adam_the_rest_at_their_own_rates() -> None:
    named = parameters()
    optimizer = an_optimizer(named, "muon")
    optimizer.set_learning_rate(1e-3)
    assert optimizer.muon is not None
    (kernels,) = optimizer.muon.param_groups
    assert kernels["params"] == [named["kernel"]] and kernels["lr"] == pytest.approx(5e-4)
    plain, scaled = optimizer.adam.param_groups
    assert plain["params"] == [named["bias"]] and plain["lr"] == pytest.approx(1e-3)
    assert scaled["params"] == [named["scale"]] and scaled["lr"] == pytest.approx(2.5e-4)


def test_without_muon_adam_has_all() -> None:
    named = parameters()
    optimizer = an_optimizer(named, "adam")
    assert optimizer.muon is None
    assert sum(len(group["params"]) for group in optimizer.adam.param_groups) == len(named)


@pytest.mark.parametrize("kind", ["adam", "muon"])
def test_a_restored_optimizer_continues_bit_for_bit(kind: Literal["adam", "muon"]) -> None:
    named = parameters()
    optimizer = an_optimizer(named, kind)
    for number in range(3):
        step(optimizer, named, number)
    again = {name: nn.Parameter(p.detach().clone()) for name, p in named.items()}
    restored = an_optimizer(again, kind)
    kept = {name: tensor.clone() for name, tensor in optimizer.tensors().items()}
    restored.restore(kept, optimizer.adam_steps())
    step(optimizer, named, 3)
    step(restored, again, 3)
    for name in NAMES:
        assert torch.equal(named[name], again[name]), name


def test_there_is_no_state_before_the_first_step() -> None:
    optimizer = an_optimizer(parameters(), "muon")
    assert optimizer.tensors() == {} and optimizer.adam_steps() == {}
