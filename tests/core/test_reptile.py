"""Reptile's gradient: the differences between starts and the results of real adaptations."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from metastyle.core.adaptation import Adaptation
from metastyle.core.initialization import Initialization, StylePredictor
from metastyle.core.loss_network import LossNetwork
from metastyle.core.losses import StyleTarget, style_target
from metastyle.core.network import TransformationNetwork, instance_norm_parameters
from metastyle.core.reptile import Reptile, move_towards
from metastyle.core.settings import AdaptationSettings

SETTINGS = AdaptationSettings(steps=3, early_scale=1.0, size=64)


@pytest.fixture(scope="module")
def loss_network() -> LossNetwork:
    torch.manual_seed(0)
    return LossNetwork()


@pytest.fixture
def initialization() -> Initialization:
    torch.manual_seed(1)
    predictor = StylePredictor()
    nn.init.normal_(predictor.decode.weight, std=0.01)
    return Initialization(TransformationNetwork(), predictor)


@pytest.fixture(scope="module")
def styles(loss_network: LossNetwork) -> list[StyleTarget]:
    torch.manual_seed(2)
    return [style_target(loss_network, torch.rand(1, 3, 40, 48)) for _ in range(2)]


def test_a_move_is_the_gradient_and_only_in_the_start() -> None:
    start = {"a": torch.tensor([1.0, 2.0], requires_grad=True), "b": torch.tensor([5.0], requires_grad=True)}
    adapted = {"a": torch.tensor([0.0, 2.5]), "b": torch.tensor([9.0])}
    move_towards(adapted, start).backward()
    assert start["a"].grad is not None and start["b"].grad is not None
    assert start["a"].grad.tolist() == [1.0, -0.5] and start["b"].grad.tolist() == [-4.0]


def test_a_plain_step_moves_theta_towards_the_mean_result_of_adaptations(
    initialization: Initialization, loss_network: LossNetwork, styles: list[StyleTarget]
) -> None:
    torch.manual_seed(3)
    contents = torch.rand(2, 3, 64, 64)
    objective = Reptile(initialization, loss_network, SETTINGS)
    loss = objective(contents[:0], styles, contents, torch.tensor([2.0, 4.0]), seed=7)
    loss.total.backward()
    moves, losses = [], []
    for index, style in enumerate(styles):
        settings = replace(SETTINGS, seed=7 + index)
        run = Adaptation(initialization, loss_network, style, contents, settings, "cpu")
        start = {name: w.detach() for name, w in initialization.start(style).items()}
        for _ in run:
            pass
        moves.append({name: start[name] - w for name, w in run.parameters.items()})
        losses.append(torch.tensor(run.curve)[:, 2:].mean(0) / (2.0, 4.0)[index])
    for name, parameter in initialization.network.named_parameters():
        expected = (moves[0][name] + moves[1][name]) / 2
        found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert initialization.predictor is not None
    offsets = torch.cat(
        [
            torch.cat([move[name] for name in instance_norm_parameters(initialization.network)])
            for move in moves
        ]
    ).view(2, -1)
    bias = initialization.predictor.decode.bias.grad
    torch.testing.assert_close(bias, offsets.mean(0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        torch.stack([loss.content, loss.style]), torch.stack(losses).mean(0).float(), rtol=1e-4, atol=0
    )


def test_neither_training_in_bfloat16_nor_its_networks_change_the_adaptations(
    initialization: Initialization, loss_network: LossNetwork, styles: list[StyleTarget]
) -> None:
    torch.manual_seed(3)
    contents = torch.rand(1, 3, 64, 64)
    before = {name: w.clone() for name, w in initialization.state_dict().items()}
    totals = []
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            totals.append(Reptile(initialization, loss_network, SETTINGS)(contents, styles, contents))
    assert totals[0].content == totals[1].content and totals[0].style == totals[1].style
    assert all(torch.equal(w, before[name]) for name, w in initialization.state_dict().items())
