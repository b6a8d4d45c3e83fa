import torch
from torch import nn

from metastyle.training.ema import Ema


def moved(network: nn.Linear) -> None:
    with torch.no_grad():
        network.weight.add_(1.0)


def test_a_restored_average_is_the_same() -> None:
    network = nn.Linear(2, 2)
    ema, restored = Ema(network, 0.5), Ema(network, 0.5)
    moved(network)
    ema.update(iteration=1)
    restored.restore(ema.tensors())
    assert torch.equal(restored.weights.get_parameter("weight"), ema.weights.get_parameter("weight"))


def test_an_average_starts_with_the_weights_of_that_moment() -> None:
    network = nn.Linear(2, 2)
    ema = Ema(network, 0.5)
    moved(network)
    ema.start()
    assert torch.equal(ema.weights.get_parameter("weight"), network.weight)


def test_without_a_decay_the_network_is_its_own_average() -> None:
    network = nn.Linear(2, 2)
    ema = Ema(network, 0.0)
    assert ema.weights is network and ema.tensors() == {}
