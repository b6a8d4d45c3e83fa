"""The bilevel gradients, checked in float64 on a network small enough for finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from metastyle.core.bilevel import MetaObjective, ParameterSet, inner_update
from metastyle.core.initialization import STATISTICS, Initialization, StylePredictor
from metastyle.core.loss_network import STYLE_LAYERS
from metastyle.core.losses import StyleTarget, perceptual_loss, style_target
from metastyle.core.network import InstanceNorm

WEIGHTS = {"content_weight": 1.0, "style_weight": 20.0}
STEP = 3.0  # large enough that the second-order term is a large part of the gradient


class TinyNetwork(nn.Module):
    """Two convolutions and an instance norm, smooth, so that finite differences are exact to 1e-8."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = InstanceNorm(3)
        self.last = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.last(F.softplus(self.norm(self.first(x)))))


class TinyLossNetwork(nn.Module):
    """Four smooth layers under the names of the real ones."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(3 if k == 0 else 4, 4, 3, padding=1) for k in range(4)])
        self.requires_grad_(False)

    def forward(self, x: Tensor, layers: tuple[str, ...] = STYLE_LAYERS) -> dict[str, Tensor]:
        features = {}
        for name, layer in zip(STYLE_LAYERS, self.layers, strict=True):
            x = F.softplus(layer(x))
            features[name] = x
        return {name: features[name] for name in layers}


class Problem:
    """A tiny bilevel problem: an objective, its data, its loss, and two ways to compute its gradient."""

    def __init__(self, *, predictor: bool, styles: int = 2, **options: object) -> None:
        torch.manual_seed(3)
        self.initialization = Initialization(TinyNetwork(), StylePredictor(6, 2) if predictor else None)
        if self.initialization.predictor is not None:
            nn.init.normal_(self.initialization.predictor.decode.weight, std=0.3)
        self.loss_network = TinyLossNetwork().double()
        options = {"step_size": STEP, **WEIGHTS, **options}
        self.objective = MetaObjective(self.initialization, self.loss_network, **options).double()
        self.contents = torch.rand(2, 3, 5, 6, dtype=torch.float64)
        self.queries = torch.rand(3, 3, 6, 5, dtype=torch.float64)
        self.styles = [
            style_target(self.loss_network, torch.rand(1, 3, 8, 8, dtype=torch.float64))._replace(
                statistics=torch.randn(STATISTICS, dtype=torch.float64)
            )
            for _ in range(styles)
        ]
        self.scales = torch.tensor([0.5, 3.0, 2.0], dtype=torch.float64)[:styles]

    def loss(self) -> Tensor:
        return self.objective(self.contents, self.styles, self.queries, self.scales).total

    def learned(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in self.objective.named_parameters() if p.requires_grad}

    def gradients(self) -> dict[str, Tensor]:
        self.objective.zero_grad()
        self.loss().backward()
        gradients = {}
        for name, p in self.learned().items():
            assert p.grad is not None, f"{name} has no gradient"
            gradients[name] = p.grad.clone()
        return gradients

    def finite_differences(self, epsilon: float = 1e-5, most: int = 3) -> dict[str, dict[int, float]]:
        """Central differences of the whole objective at up to ``most`` entries of each parameter."""
        result: dict[str, dict[int, float]] = {}
        for name, p in self.learned().items():
            entries = torch.randperm(p.numel(), generator=torch.Generator().manual_seed(0))[:most]
            flat = p.data.view(-1)
            result[name] = {}
            for i in entries.tolist():
                value = flat[i].item()
                flat[i] = value + epsilon
                above = self.loss().item()
                flat[i] = value - epsilon
                below = self.loss().item()
                flat[i] = value
                result[name][i] = (above - below) / (2 * epsilon)
        return result

    def largest_error(self) -> float:
        """max |gradient - finite difference| over entries, relative to the largest gradient entry."""
        gradients = self.gradients()
        scale = max(g.abs().max().item() for g in gradients.values())
        return max(
            abs(gradients[name].flatten()[i].item() - value) / scale
            for name, entries in self.finite_differences().items()
            for i, value in entries.items()
        )


@pytest.mark.parametrize("inner_steps", [1, 2, 5])
@pytest.mark.parametrize("inner_parameters", ["instance_norm", "all"])
@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("learn_step_sizes", [False, True])
def test_hypergradient_equals_finite_differences(
    inner_steps: int, inner_parameters: ParameterSet, predictor: bool, learn_step_sizes: bool
) -> None:
    problem = Problem(
        predictor=predictor,
        styles=2 if inner_steps == 1 else 1,
        inner_steps=inner_steps,
        inner_parameters=inner_parameters,
        learn_step_sizes=learn_step_sizes,
    )
    assert ("log_step_sizes" in problem.learned()) == learn_step_sizes
    assert problem.largest_error() < 1e-8


@pytest.mark.parametrize("inner_steps", [1, 2])
@pytest.mark.parametrize("predictor", [False, True])
def test_first_order_differs_from_finite_differences(inner_steps: int, predictor: bool) -> None:
    problem = Problem(
        predictor=predictor, inner_steps=inner_steps, inner_parameters="all", second_order=False
    )
    assert problem.largest_error() > 0.01


@pytest.mark.parametrize("inner_steps", [1, 2, 5])
@pytest.mark.parametrize("inner_parameters", ["instance_norm", "all"])
def test_first_order_equals_the_analytic_fomaml_gradient(
    inner_steps: int, inner_parameters: ParameterSet
) -> None:
    """With the identity as Psi, FOMAML's gradient in theta is the plain gradient at w_T."""
    problem = Problem(
        predictor=False, inner_steps=inner_steps, inner_parameters=inner_parameters, second_order=False
    )
    network, vgg = problem.initialization.network, problem.loss_network
    expected = {n: torch.zeros_like(p) for n, p in network.named_parameters()}

    def loss(w: dict[str, Tensor], photos: Tensor, style: StyleTarget) -> Tensor:
        pictures = functional_call(network, w, (photos,))
        return perceptual_loss(vgg(pictures), vgg(photos)["relu2_2"], style, **WEIGHTS).total

    for style, scale in zip(problem.styles, problem.scales, strict=True):
        w = {n: p.detach().clone().requires_grad_() for n, p in network.named_parameters()}
        for _ in range(inner_steps):
            slopes = torch.autograd.grad(loss(w, problem.contents, style), list(w.values()))
            w = {
                n: (p - STEP * g if n in problem.objective.moved else p).detach().requires_grad_()
                for (n, p), g in zip(w.items(), slopes, strict=True)
            }
        slopes = torch.autograd.grad(loss(w, problem.queries, style), list(w.values()))
        for n, g in zip(w, slopes, strict=True):
            expected[n] += g / scale / len(problem.styles)

    actual = problem.gradients()
    for n, g in expected.items():
        torch.testing.assert_close(actual[f"initialization.network.{n}"], g, rtol=1e-6, atol=1e-9)


def test_without_inner_steps_the_loss_is_that_of_multi_style_training() -> None:
    problem = Problem(predictor=True, inner_steps=0, styles=3)
    network, vgg = problem.initialization.network, problem.loss_network
    losses = [
        perceptual_loss(
            vgg(functional_call(network, problem.initialization.start(style), (problem.queries,))),
            vgg(problem.queries)["relu2_2"],
            style,
            **WEIGHTS,
        ).total
        / scale
        for style, scale in zip(problem.styles, problem.scales, strict=True)
    ]
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(problem.loss(), expected)
    slopes = torch.autograd.grad(expected, list(problem.learned().values()))
    for actual, slope in zip(problem.gradients().values(), slopes, strict=True):
        torch.testing.assert_close(actual, slope)


def test_contents_affect_the_loss_only_through_inner_steps() -> None:
    problem = Problem(predictor=False, inner_steps=0)
    before = problem.loss().item()
    problem.contents = torch.rand_like(problem.contents)
    assert problem.loss().item() == before
    problem.objective.inner_steps = 1
    assert problem.loss().item() != before


def test_inner_steps_lower_the_inner_loss() -> None:
    problem = Problem(predictor=True, inner_steps=0, step_size=0.5)
    problem.queries = problem.contents
    losses = []
    for inner_steps in range(4):
        problem.objective.inner_steps = inner_steps
        losses.append(problem.loss().item())
    assert losses == sorted(losses, reverse=True)


def test_learned_step_sizes_start_at_delta_and_stay_positive() -> None:
    problem = Problem(predictor=False, inner_steps=1, learn_step_sizes=True, step_size=0.25)
    steps = problem.objective._steps()
    assert steps.keys() == {"norm.weight", "norm.bias"}
    assert all(s.item() == pytest.approx(0.25, rel=1e-6) for s in steps.values())
    problem.objective.log_step_sizes.data.fill_(-50.0)
    assert all(0 < s.item() < math.exp(-49) for s in problem.objective._steps().values())


def test_loss_parts_add_up_and_the_loss_is_the_mean_over_styles() -> None:
    problem = Problem(predictor=True, inner_steps=1, styles=3)
    whole = problem.objective(problem.contents, problem.styles, problem.queries, problem.scales)
    assert whole.total.item() == pytest.approx(whole.content.item() + whole.style.item())
    alone = [
        problem.objective(problem.contents, [s], problem.queries, problem.scales[i : i + 1]).total.item()
        for i, s in enumerate(problem.styles)
    ]
    assert whole.total.item() == pytest.approx(sum(alone) / 3)


def test_the_geometric_mean_counts_ratios_and_its_gradient_is_exact() -> None:
    problem = Problem(predictor=True, inner_steps=1, styles=3, geometric=True)
    alone = [
        problem.objective(problem.contents, [s], problem.queries, problem.scales[i : i + 1]).total.item()
        for i, s in enumerate(problem.styles)
    ]
    assert problem.loss().item() == pytest.approx(sum(alone) / 3)
    assert problem.largest_error() < 1e-8
    before = problem.gradients()
    problem.scales = problem.scales * torch.tensor([7.0, 0.1, 3.0], dtype=torch.float64)
    for name, gradient in problem.gradients().items():  # no divisor matters
        torch.testing.assert_close(gradient, before[name])


def test_inner_update_moves_only_parameters_with_a_step_size() -> None:
    w = {"a": torch.tensor([1.0, 2.0], requires_grad=True), "b": torch.tensor(3.0, requires_grad=True)}
    loss = (w["a"].square().sum() * w["b"]).sum()
    moved = inner_update(w, loss, {"a": torch.tensor(0.1)}, second_order=True)
    torch.testing.assert_close(moved["a"], torch.tensor([0.4, 0.8]))
    assert moved["b"] is w["b"]
    (slope,) = torch.autograd.grad(moved["a"].sum(), w["b"])  # d/db of a - 0.1 * 2ab
    assert slope.item() == pytest.approx(-0.2 * 3.0)
