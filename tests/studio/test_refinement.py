"""Refinement in the page takes the steps that the library takes."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from metastyle.core import adaptation
from metastyle.core.adaptation import Adaptation, rate_factor
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import (
    LOUD,
    MIDDLING,
    STYLE_WEIGHT,
    StyleTarget,
    balanced_style_weight,
    perceptual_loss,
    style_loss,
    style_target,
)
from metastyle.core.network import TransformationNetwork, idle_parameters
from metastyle.core.settings import AdaptationSettings
from metastyle.images.contents import procedural_pool
from metastyle.studio import graphs, refinement
from metastyle.studio.graphs import Segment
from metastyle.weights.initialization import load_initialization

from .graph_running import Graph, opened, relative

pytest.importorskip("onnx")

SIZE = 64
LOUDNESS = {"quiet": MIDDLING / 3, "middling": (MIDDLING + LOUD) / 2, "loud": 3 * LOUD}
"""The balance of the losses has a branch for each."""
STEPS = 10


def painting() -> Tensor:
    return torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(7))


def loudness(target: StyleTarget) -> float:
    black = [torch.zeros_like(gram) for gram in target.grams]
    return STYLE_WEIGHT * style_loss(black, target.grams).item()


def grams_of(target: StyleTarget) -> dict[str, Tensor]:
    return dict(zip(graphs.GRAMS, target.grams, strict=True))


def nothing_yet() -> dict[str, np.ndarray]:
    """The optimizers' state before the first step."""
    return {name: np.zeros(size, np.float32) for name, size in refinement.state_sizes().items()}


def parts(vector: np.ndarray | Tensor, segments: tuple[Segment, ...]) -> np.ndarray:
    """The numbers of some parameters."""
    array = np.asarray(vector)
    return np.concatenate([array[one.offset : one.offset + one.size] for one in segments])


@pytest.fixture(scope="module")
def own_loss_network() -> LossNetwork:
    """Random weights, of the numbers that float16 holds, so that both sides compute with the same."""
    torch.manual_seed(4)
    network = LossNetwork()
    for parameter in network.parameters():
        parameter.copy_(parameter.mul(2.0).half().float())
    return network


class Step(NamedTuple):
    """A step of the graph, and what it should be in float64."""

    features: np.ndarray
    result: dict[str, np.ndarray]
    before: Tensor
    exact_features: Tensor
    exact_losses: list[float]
    exact_gradients: dict[str, Tensor]


@pytest.fixture(scope="module", params=[True, False], ids=["quick", "plain"])
def first_steps(
    request: pytest.FixtureRequest, network: TransformationNetwork, own_loss_network: LossNetwork
) -> dict[str, Step]:
    """One step from the same parameters for a painting of each loudness, by both forms of the graph."""
    settings = AdaptationSettings()
    refine = opened(refinement.refine_graph(own_loss_network, size=SIZE, quick=request.param))
    content = opened(refinement.content_graph(own_loss_network, size=SIZE))
    exact = copy.deepcopy(own_loss_network).double()
    described = style_target(exact, painting().double())
    picture = procedural_pool(1, SIZE, 3)
    seen = picture + 0.05 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(3))
    exact_features = exact(picture.double(), [CONTENT_LAYER])[CONTENT_LAYER]
    features = content(picture=picture)["features"]
    found = {}
    for kind, wanted in LOUDNESS.items():
        factor = (wanted / loudness(described)) ** 0.5
        target = StyleTarget(tuple(factor * gram for gram in described.grams), described.statistics)
        own = {name: p.detach().double().requires_grad_() for name, p in network.named_parameters()}
        beta = settings.style_weight * balanced_style_weight(target, settings.balance)
        painted = functional_call(network, own, (seen.double(),))
        loss = perceptual_loss(exact(painted), exact_features, target, settings.content_weight, beta)
        loss.total.backward()
        before = graphs.flatten(own)
        result = refine(
            parameters=before,
            picture=seen,
            features=features,
            step=np.ones(1),
            rate=np.full(1, 1e-3),
            **nothing_yet(),
            **grams_of(target),
        )
        losses = [loss.content.item(), (loss.style * settings.style_weight / beta).item()]
        gradients = {name: p.grad.flatten() for name, p in own.items() if p.grad is not None}
        found[kind] = Step(features, result, before, exact_features, losses, gradients)
    return found


def test_the_content_graph_gives_the_loss_networks_features(first_steps: dict[str, Step]) -> None:
    step = first_steps["quiet"]
    assert relative(step.features, step.exact_features) < 1e-5


@pytest.mark.parametrize("kind", LOUDNESS)
def test_the_losses_are_the_librarys(first_steps: dict[str, Step], kind: str) -> None:
    step = first_steps[kind]
    np.testing.assert_allclose(step.result["losses"], step.exact_losses, rtol=1e-4)


@pytest.mark.parametrize("kind", LOUDNESS)
def test_the_gradient_is_autograds(first_steps: dict[str, Step], kind: str) -> None:
    """Parameter by parameter; momenta after a first step are the gradient, or a tenth of it.

    Each layer goes back to 1e-5 of the norm (test_graph_gradients.py). The networks together differ by more,
    by up to 2e-3, because rounding decides whether a ReLU lets a number near zero through; torch's float32
    differs as much.
    """
    step = first_steps[kind]
    muon, adam = refinement.groups()
    offset = 0
    for group, share in ((muon, 1.0), (adam, 0.1)):
        for segment in group:
            part = step.result["next_momenta"][offset : offset + segment.size] / share
            assert relative(part, step.exact_gradients[segment.name]) < 5e-3, segment.name
            offset += segment.size
    assert offset == len(step.result["next_momenta"])


def test_idle_parameters_stay(first_steps: dict[str, Step], network: TransformationNetwork) -> None:
    step, idle = first_steps["quiet"], idle_parameters(network)
    segments = tuple(one for one in graphs.layout() if one.name in idle)
    kept = parts(step.result["next_parameters"], segments)
    np.testing.assert_array_equal(kept, parts(step.before, segments).astype(np.float32))


def test_groups_are_all_parameters_but_the_idle_ones(network: TransformationNetwork) -> None:
    names = [segment.name for group in refinement.groups() for segment in group]
    every = {name for name, _ in network.named_parameters()}
    assert sorted(names) == sorted(every - idle_parameters(network))


class Change(NamedTuple):
    """What a step changed, by the graph and by the library, and its losses."""

    ours: np.ndarray
    theirs: np.ndarray
    rate: float
    losses: np.ndarray
    expected_losses: list[float]


@pytest.fixture(scope="module")
def changes(loss_network: LossNetwork) -> list[Change]:
    """Ten steps with VGG-16's true weights, rounded to float16.

    Each step starts at the library's parameters with the graph's own state: two runs in float32 part by
    rounding, which Muon makes as large as the signal in directions where there is none.
    """
    rounded = copy.deepcopy(loss_network).half().float()
    rounded.mean, rounded.std = loss_network.mean, loss_network.std
    settings = AdaptationSettings(steps=STEPS, pool=4, size=SIZE, early_scale=1, grain=0)
    initialization, _ = load_initialization()
    pool = procedural_pool(4, SIZE, 0)
    refine: Graph = opened(refinement.refine_graph(rounded, settings, SIZE))
    content: Graph = opened(refinement.content_graph(rounded, SIZE))
    grams = grams_of(style_target(rounded, painting()))
    order = adaptation._endless_shuffle(4, torch.Generator().manual_seed(settings.seed))
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adaptation, "compute_dtype", lambda device: torch.float32)
        theirs = Adaptation(initialization, rounded, painting(), pool, settings, device="cpu")
        before, state = graphs.flatten(theirs.parameters), nothing_yet()
        for step in theirs:
            picture = pool[next(order)][None]
            rate = settings.learning_rate * rate_factor(step.step, settings)
            inputs: dict[str, Any] = {"step": np.full(1, step.step), "rate": np.full(1, rate)}
            features = content(picture=picture)["features"]
            result = refine(parameters=before, picture=picture, features=features, **inputs, **state, **grams)
            after = graphs.flatten(step.parameters())
            ours, wanted = result["next_parameters"] - before.numpy(), (after - before).numpy()
            found.append(Change(ours, wanted, rate, result["losses"], [step.content, step.style]))
            before, state = after, {name: result[f"next_{name}"] for name in state}
    assert len(found) == STEPS
    return found


def test_in_ten_steps_the_losses_are_the_librarys(changes: list[Change]) -> None:
    for change in changes:
        np.testing.assert_allclose(change.losses, change.expected_losses, rtol=1e-4)


def test_in_ten_steps_muon_moves_kernels_as_the_librarys_does(changes: list[Change]) -> None:
    kernels, _ = refinement.groups()
    for change in changes:
        assert relative(parts(change.ours, kernels), parts(change.theirs, kernels)) < 0.025


def test_in_ten_steps_adam_moves_the_rest_as_the_librarys_does(changes: list[Change]) -> None:
    """But for a few numbers whose gradients are nothing but rounding, so that Adam moves them either way."""
    _, others = refinement.groups()
    for change in changes:
        errors = np.abs(parts(change.ours, others) - parts(change.theirs, others)) / change.rate
        assert np.quantile(errors, 0.95) < 0.02
