"""The adaptation loop, with a random loss network. The quality of its results is measured in benchmarks/."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metastyle.core import device as devices
from metastyle.core.adaptation import Adaptation, rate_factor, reduced
from metastyle.core.device import compute_dtype
from metastyle.core.grain import PAINTED, add_grain
from metastyle.core.initialization import Initialization, Parameters, StylePredictor
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.low_rank import RATE, factors_of
from metastyle.core.network import (
    TransformationNetwork,
    hidden_kernels,
    idle_parameters,
    instance_norm_parameters,
)
from metastyle.core.settings import AdaptationSettings, StyleKind, default_settings
from metastyle.errors import MetastyleError


@pytest.fixture(scope="module")
def loss_network() -> LossNetwork:
    torch.manual_seed(0)
    return LossNetwork()


def start(loss_network: LossNetwork, style: Parameters | None = None, **changes: object) -> Adaptation:
    torch.manual_seed(1)
    choices: dict[str, object] = {"size": 64, "style_size": 64, "steps": 3, "batch": 2} | changes
    return Adaptation(
        Initialization(predictor=StylePredictor()),
        loss_network,
        torch.rand(1, 3, 64, 80),
        torch.rand(5, 3, 64, 64),
        AdaptationSettings(**choices),  # type: ignore[arg-type]
        "cpu",
        style,
    )


def style_of(run: Adaptation) -> Parameters:
    return run.parameters if run.settings.parameters == "all" else run.adapted_parameters


def test_steps_lower_the_loss_of_their_own_contents(loss_network: LossNetwork) -> None:
    run = start(loss_network, steps=8, batch=5)  # the whole pool at every step
    totals = [step.total for step in run]
    assert len(totals) == len(run) == 8
    assert totals[-1] < 0.9 * totals[0]


def test_the_same_seed_gives_the_same_parameters_and_another_seed_gives_others(
    loss_network: LossNetwork,
) -> None:
    first, again, other = (start(loss_network, seed=seed, batch=1) for seed in (0, 0, 1))
    for run in (first, again, other):
        list(run)
    assert first.curve == again.curve
    assert all(torch.equal(p, again.parameters[name]) for name, p in first.parameters.items())
    assert first.curve != other.curve


def test_the_first_half_of_the_steps_sees_smaller_contents(
    loss_network: LossNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    monkeypatch.setattr(
        "metastyle.core.adaptation.add_grain", lambda contents, *_, **__: seen.append(contents) or contents
    )
    run = start(loss_network, steps=5, batch=1, early_scale=0.75)
    list(run)
    assert [tuple(contents.shape[2:]) for contents in seen] == [(48, 48)] * 2 + [(64, 64)] * 3
    smaller = reduced(run._contents, 48)
    assert all(any(torch.equal(contents[0], content) for content in smaller) for contents in seen[:2])


def test_reduced_pictures_keep_their_colors_and_range_and_are_never_enlarged() -> None:
    pictures = torch.rand(2, 3, 64, 64)
    small = reduced(pictures, 48)
    assert small.shape == (2, 3, 48, 48) and small.min() >= 0 and small.max() <= 1
    assert torch.allclose(small.mean((2, 3)), pictures.mean((2, 3)), atol=5e-3)
    assert reduced(pictures, 64) is pictures and reduced(pictures, 80) is pictures


def test_features_are_those_of_what_a_step_sees_and_are_computed_once(loss_network: LossNetwork) -> None:
    run = start(loss_network)
    for size in (48, 64):
        contents, features = run._drawn([3, 0, 3], size)
        assert contents.shape[2:] == (size, size) and features.shape[2:] == (size // 2, size // 2)
        with torch.no_grad(), run._autocast():
            expected = run._loss_network(contents[:1], [CONTENT_LAYER])[CONTENT_LAYER]
        assert torch.equal(features[0], expected[0]) and torch.equal(features[2], expected[0])
        assert set(run._features) == {0, 3}


def test_low_rank_adaptation_changes_kernels_by_matrices_of_that_rank(loss_network: LossNetwork) -> None:
    run = start(loss_network, parameters="low_rank", rank=3, steps=8, batch=5, learning_rate=1e-3)
    before = run.parameters
    totals = [step.total for step in run]
    assert totals[-1] < 0.9 * totals[0]
    after = run.parameters
    for name in ("down1.weight", "residuals.3.conv2.weight", "out.weight"):
        change = (after[name] - before[name]).flatten(1).double()
        values = torch.linalg.svdvals(change)
        assert values[2] > 0 and (values[3:] < 1e-4 * values[0]).all()
    assert torch.equal(after["residuals.0.conv1.bias"], before["residuals.0.conv1.bias"])
    moved = run.adapted_parameters
    assert moved["out.weight.up"].shape == (3, 3) and moved["out.weight.down"].shape == (3, 32 * 81)
    torch.manual_seed(3)
    photo = torch.rand(1, 3, 64, 64)
    network = Initialization().network
    network.load_state_dict(after)
    seen = add_grain(photo, PAINTED * run.settings.grain)
    torch.testing.assert_close(run.render(photo), network(seen).detach(), atol=0.02, rtol=0)


def test_instance_norm_adaptation_moves_only_those_parameters(loss_network: LossNetwork) -> None:
    run = start(loss_network, parameters="instance_norm")
    before = run.parameters
    list(run)
    moved = {name for name, p in run.parameters.items() if not torch.equal(p, before[name])}
    norms = instance_norm_parameters(Initialization().network).keys()
    assert set(run.adapted_parameters) == norms
    assert moved == norms - idle_parameters(Initialization().network)
    assert sum(p.numel() for p in run.adapted_parameters.values()) == 3200


def test_a_stopped_run_keeps_the_steps_taken(loss_network: LossNetwork) -> None:
    whole, stopped = start(loss_network), start(loss_network)
    list(whole)
    taken = list(itertools.islice(stopped, 2))
    assert [step.step for step in taken] == [1, 2]
    assert stopped.curve == whole.curve[:2]
    assert taken[-1].seconds_left >= 0


def test_at_a_constant_rate_a_short_run_equals_the_beginning_of_a_longer_one(
    loss_network: LossNetwork,
) -> None:
    short, long = (start(loss_network, steps=n, schedule="constant", early_scale=1) for n in (2, 4))
    falling = start(loss_network, steps=4, early_scale=1)
    for run in (short, long, falling):
        list(run)
    assert (
        long.curve[:2] == short.curve and long.curve[1] == falling.curve[1]
    )  # the first step does not depend on the schedule
    assert long.curve[2] != falling.curve[2]
    with pytest.raises(MetastyleError, match="schedule is 'step': use 'linear', 'cosine' or 'constant'"):
        start(loss_network, schedule="step")


def test_zero_steps_keep_the_predicted_start(loss_network: LossNetwork) -> None:
    run = start(loss_network, steps=0)
    before = run.parameters
    assert list(run) == []
    assert all(torch.equal(p, before[name]) for name, p in run.parameters.items())


def test_a_preview_uses_the_current_parameters(loss_network: LossNetwork) -> None:
    run = start(loss_network, learning_rate=0.01)
    photo = torch.rand(1, 3, 48, 64)
    previews = [step.preview(photo) for step in run]
    assert all(p.shape == photo.shape and p.min() >= 0 and p.max() <= 1 for p in previews)
    assert not torch.equal(previews[0], previews[1])


def test_the_given_networks_are_not_changed(loss_network: LossNetwork) -> None:
    initialization, before = Initialization(), [p.clone() for p in loss_network.parameters()]
    theta = {name: p.clone() for name, p in initialization.named_parameters()}
    settings = AdaptationSettings(size=64, steps=2)
    list(
        Adaptation(
            initialization, loss_network, torch.rand(1, 3, 64, 64), torch.rand(2, 3, 64, 64), settings, "cpu"
        )
    )
    assert all(torch.equal(p, theta[name]) for name, p in initialization.named_parameters())
    assert all(
        torch.equal(a, b) and a.dtype == b.dtype
        for a, b in zip(loss_network.parameters(), before, strict=True)
    )


def test_a_diverging_loss_is_reported_with_a_remedy(loss_network: LossNetwork) -> None:
    overflowing = copy.deepcopy(loss_network)
    overflowing.conv1_1.weight.mul_(1e30)
    run = start(overflowing, batch=1)
    with pytest.raises(MetastyleError, match="smaller learning rate or style weight"):
        list(run)


@given(st.integers(2, 1000), st.integers(0, 50), st.data())
@settings(deadline=None)
def test_the_rate_rises_linearly_then_falls_to_zero(steps: int, warm_up: int, data: st.DataObject) -> None:
    linear, cosine, constant = (
        AdaptationSettings(steps=steps, warm_up=warm_up, schedule=schedule)
        for schedule in ("linear", "cosine", "constant")
    )
    step = data.draw(st.integers(1, steps - 1))
    assert rate_factor(step, constant) == (step / warm_up if step < warm_up else 1)
    progress = (step - 1) / steps
    for falling, expected in ((linear, 1 - progress), (cosine, 0.5 * (1 + math.cos(math.pi * progress)))):
        fall = [rate_factor(n, falling) / rate_factor(n, constant) for n in (1, step, step + 1, steps)]
        assert fall[0] == 1 and 0 < fall[3] <= fall[2] < fall[1] <= 1
        assert fall[1] == pytest.approx(expected)
    assert AdaptationSettings() == AdaptationSettings(schedule="linear")


def test_the_size_of_the_first_update_follows_the_rate(loss_network: LossNetwork) -> None:
    def first_moves(**changes: Any) -> dict[str, Tensor]:
        run = start(loss_network, steps=1, learning_rate=1e-3, **changes)
        before = run.parameters
        list(run)
        return {name: p - before[name] for name, p in run.parameters.items()}

    def largest(moves: dict[str, Tensor]) -> float:
        return max(float(move.abs().max()) for move in moves.values())

    # Adam's first update is the rate, everywhere; Muon's has 1.5 times that as its root mean square.
    assert largest(first_moves(warm_up=0, optimizer="adam")) == pytest.approx(1e-3, rel=0.01)
    assert largest(first_moves(warm_up=10, optimizer="adam")) == pytest.approx(1e-4, rel=0.01)
    moves = first_moves(warm_up=0)
    hidden = hidden_kernels(TransformationNetwork())
    assert len(hidden) == 14
    for name, move in moves.items():
        if name in hidden:
            assert move.square().mean().sqrt() == pytest.approx(1.5e-3, rel=0.2), name
            assert move.abs().max() > 2e-3, name
        else:
            assert move.abs().max() == pytest.approx(1e-3, rel=0.01) or not move.any(), name


@pytest.mark.parametrize(("kind", "same"), [("all", False), ("low_rank", False), ("instance_norm", True)])
def test_instance_norms_are_always_optimized_by_adam(
    loss_network: LossNetwork, kind: StyleKind, same: bool
) -> None:
    runs = [start(loss_network, parameters=kind, optimizer=optimizer) for optimizer in ("muon", "adam")]
    for run in runs:
        list(run)
    assert (runs[0].curve == runs[1].curve) == same


def test_factors_of_hidden_kernels_are_optimized_by_muon(loss_network: LossNetwork) -> None:
    run = start(loss_network, parameters="low_rank", steps=1, warm_up=0)
    before = run.adapted_parameters
    list(run)
    moves = {name: p - before[name] for name, p in run.adapted_parameters.items()}
    rate = 1e-3 * RATE
    for kernel in hidden_kernels(TransformationNetwork()):
        up, down = factors_of(kernel)
        assert moves[up].square().mean().sqrt() == pytest.approx(1.5 * rate, rel=0.3)
        assert not moves[down].any()  # U is zero before the first step: V has no gradient
    assert moves["out.weight.up"].abs().max() == pytest.approx(rate, rel=0.01)


def test_defaults_follow_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    native = torch.bfloat16

    def dtype_of(device: torch.device) -> torch.dtype:
        return native if device.type == "cpu" else torch.float32

    monkeypatch.setattr(devices, "compute_dtype", dtype_of)
    assert [devices.hardware_of(torch.device(n)) for n in ("cpu", "mps", "cuda:1")] == [
        "bfloat16",
        "cpu",
        "cuda",
    ]
    native = torch.float32
    assert devices.hardware_of(torch.device("cpu")) == "cpu"
    assert default_settings("cpu") == AdaptationSettings()
    assert AdaptationSettings().steps < default_settings("bfloat16").steps
    assert default_settings("bfloat16").batch < default_settings("cuda").batch


@pytest.mark.parametrize(
    "change",
    [
        {"steps": -1},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"batch": 0},
        {"size": 63},
        {"size": 66},
        {"style_size": 10},
        {"parameters": "some"},
        {"style_weight": float("inf")},
        {"content_weight": -1.0},
        {"seed": -1},
        {"steps": "10"},
        {"steps": 1.5},
        {"learning_rate": None},
    ],
)
def test_invalid_settings_are_refused_in_one_line(change: dict[str, object]) -> None:
    with pytest.raises(MetastyleError, match=next(iter(change))) as caught:
        AdaptationSettings(**change)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["all", "low_rank", "instance_norm"])
def test_adaptation_continues_from_a_style(loss_network: LossNetwork, kind: StyleKind) -> None:
    first = start(loss_network, parameters=kind, steps=2)
    list(first)
    again = start(loss_network, style_of(first), parameters=kind, steps=2)
    for name, parameter in first.parameters.items():
        torch.testing.assert_close(again.parameters[name], parameter)
    list(again)
    assert any(not torch.equal(p, first.parameters[name]) for name, p in again.parameters.items())


def test_full_adaptation_continues_from_a_low_rank_style(loss_network: LossNetwork) -> None:
    small = start(loss_network, parameters="low_rank", steps=2)
    list(small)
    whole = start(loss_network, style_of(small), parameters="all", steps=1)
    for name, parameter in small.parameters.items():
        torch.testing.assert_close(whole.parameters[name], parameter)


def test_a_style_of_an_incompatible_kind_or_rank_is_refused(loss_network: LossNetwork) -> None:
    whole, small = (style_of(start(loss_network, parameters=kind)) for kind in ("all", "low_rank"))
    with pytest.raises(MetastyleError, match="holds all parameters: start from it"):
        start(loss_network, whole, parameters="low_rank")
    with pytest.raises(MetastyleError, match="has rank 2, not 3"):
        start(loss_network, small, parameters="low_rank", rank=3)


def test_reported_losses_do_not_depend_on_the_balance(
    loss_network: LossNetwork,
) -> None:
    losses = []
    for balance in (0.0, 1.0):
        run = start(loss_network, balance=balance, steps=1)
        run._style_weight *= 1 + balance  # as if the painting called for another weight
        losses.append(next(iter(run)))
    assert losses[0].style == pytest.approx(losses[1].style)
    assert losses[0].total == pytest.approx(losses[1].total)


def test_quick_networks_give_the_losses_of_the_plain_ones(
    loss_network: LossNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = start(loss_network, steps=4, early_scale=1)
    assert type(quick._network) is not TransformationNetwork
    for name in ("quick_network", "quick_loss_network"):
        monkeypatch.setattr(f"metastyle.core.adaptation.{name}", lambda network, dtype: network)
    plain = start(loss_network, steps=4, early_scale=1)
    assert type(plain._network) is TransformationNetwork
    # A processor with native bfloat16 rounds to 1/256, and steps build on the rounding of those before.
    tolerance = 1e-3 if compute_dtype(torch.device("cpu")) == torch.float32 else 4e-3
    for found, expected in zip(quick, plain, strict=True):
        assert found.total == pytest.approx(expected.total, rel=tolerance)
