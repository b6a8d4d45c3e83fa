from collections.abc import Callable
from typing import Any

import lightning_fabric
import pytest
import torch

from metastyle.core.initialization import Initialization, StylePredictor
from metastyle.core.losses import StyleTarget, style_target
from metastyle.errors import MetastyleError
from metastyle.training import learner as module
from metastyle.training.config import TrainingConfig
from metastyle.training.learner import Learner

Configure = Callable[..., TrainingConfig]


def a_learner(config: TrainingConfig, vgg: Any) -> Learner:
    torch.manual_seed(0)
    precision = "bf16-mixed" if config.run.precision == "bfloat16" else "32-true"
    fabric = lightning_fabric.Fabric(accelerator="cpu", devices=1, precision=precision)
    initialization = Initialization(predictor=StylePredictor() if config.objective.predictor else None)
    made = Learner(config, fabric, initialization, vgg)
    made.begin()
    return made


def data(vgg: Any, styles: int) -> tuple[torch.Tensor, list[StyleTarget], torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    targets = [style_target(vgg, torch.rand(1, 3, 16, 16, generator=g)) for _ in range(styles)]
    return torch.rand(1, 3, 16, 16, generator=g), targets, torch.rand(2, 3, 16, 16, generator=g)


def gradients(made: Learner) -> dict[str, torch.Tensor]:
    found = {}
    for name, p in made.parameters.items():
        assert p.grad is not None
        found[name] = p.grad.clone()
    return found


def test_accumulation_over_styles_gives_the_same_gradient(config: Configure, vgg: Any) -> None:
    changes = {"optimizer__styles": 3, "objective__inner_steps": 1, "optimizer__clip": None}
    together, apart = (a_learner(config(**changes, optimizer__styles_at_once=n), vgg) for n in (None, 2))
    batch = data(vgg, 3)
    losses, norm = together.gradient(*batch)
    assert apart.gradient(*batch) == (pytest.approx(losses, rel=1e-5), pytest.approx(norm, rel=1e-4))
    scale = max(g.abs().max().item() for g in gradients(together).values())
    for name, g in gradients(apart).items():
        torch.testing.assert_close(g, gradients(together)[name], rtol=1e-4, atol=1e-6 * scale)


def test_clipping_reports_the_norm_before_it(config: Configure, vgg: Any) -> None:
    batch = data(vgg, 1)
    _, norm = a_learner(config(optimizer__clip=None), vgg).gradient(*batch)
    clipped = a_learner(config(optimizer__clip=norm / 4), vgg)
    _, reported = clipped.gradient(*batch)
    assert reported == pytest.approx(norm, rel=1e-5)
    after = torch.stack([g.norm() for g in gradients(clipped).values()]).norm()
    assert after.item() == pytest.approx(norm / 4, rel=1e-3)


@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize("inner_parameters", ["all", "instance_norm"])
def test_bfloat16_gives_finite_gradients_close_to_float32(
    config: Configure, vgg: Any, second_order: bool, inner_parameters: str
) -> None:
    changes = {
        "objective__inner_steps": 1,
        "objective__step_size": 1e-6,
        "objective__second_order": second_order,
        "objective__inner_parameters": inner_parameters,
        "optimizer__clip": None,
    }
    batch = data(vgg, 1)
    exact, rounded = (a_learner(config(**changes, run__precision=p), vgg) for p in ("float32", "bfloat16"))
    losses, _ = exact.gradient(*batch)
    assert rounded.gradient(*batch)[0] == pytest.approx(losses, rel=0.05)
    a, b = (torch.cat([g.flatten() for g in gradients(made).values()]) for made in (exact, rounded))
    assert torch.cosine_similarity(a, b, dim=0) > 0.98
    assert all(g.dtype == torch.float32 for g in gradients(rounded).values())


def test_the_papers_schedule_also_shrinks_delta(config: Configure, vgg: Any) -> None:
    made = a_learner(
        config(objective__inner_steps=1, objective__step_size=1e-5, optimizer__schedule="paper",
               optimizer__rate=1e-5, optimizer__warm_up=0.0), vgg
    )  # fmt: skip
    made.set_rates(0.4)
    assert made.rate == pytest.approx(1e-5 / 2)
    assert all(delta == pytest.approx(1e-5 / 2) for delta in made.step_sizes.values())
    assert len(made.step_sizes) == 30


def test_the_average_follows(config: Configure, vgg: Any) -> None:
    made = a_learner(config(optimizer__average=0.5), vgg)
    made.set_rates(0.5)
    before = made.average.network.out.weight.clone()
    _, norm = made.gradient(*data(vgg, 1))
    assert made.update(1, norm)
    now = made.initialization.network.out.weight
    decay = 2 / 11
    torch.testing.assert_close(made.average.network.out.weight, decay * before + (1 - decay) * now)
    plain = a_learner(config(optimizer__average=0.0), vgg)
    assert plain.average is plain.initialization


def test_gradients_that_are_not_finite_are_skipped_then_given_up(
    config: Configure, vgg: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOO_MANY_SKIPPED", 3)
    made = a_learner(config(), vgg)
    contents, targets, queries = data(vgg, 1)
    poisoned = [targets[0]._replace(grams=tuple(g * float("inf") for g in targets[0].grams))]
    before = [p.clone() for p in made.parameters.values()]
    for iteration in (1, 2):
        _, norm = made.gradient(contents, poisoned, queries)
        assert not made.update(iteration, norm)
    assert all(torch.equal(p, q) for p, q in zip(made.parameters.values(), before, strict=True))
    assert made.update(3, made.gradient(contents, targets, queries)[1])
    assert (made.skipped, made.skipped_running) == (2, 0)
    with pytest.raises(MetastyleError, match="not finite 3 times running, until iteration 6"):
        for iteration in (4, 5, 6):
            made.update(iteration, made.gradient(contents, poisoned, queries)[1])


def test_state_goes_on_to_the_bit(config: Configure, vgg: Any) -> None:
    changes = {"objective__inner_steps": 1, "objective__learn_step_sizes": True}
    batch = data(vgg, 2)
    straight, second = a_learner(config(**changes), vgg), a_learner(config(**changes), vgg)
    for iteration in range(1, 5):
        straight.set_rates(iteration / 8)
        straight.update(iteration, straight.gradient(*batch)[1])
        if iteration == 2:
            tensors, numbers = straight.state()
            tensors = {name: t.detach().clone() for name, t in tensors.items()}
    second.restore(tensors, numbers)
    for iteration in (3, 4):
        second.set_rates(iteration / 8)
        second.update(iteration, second.gradient(*batch)[1])
    (expected, _), (found, _) = straight.state(), second.state()
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], t) for name, t in expected.items())


def test_reconstruction_learns_to_give_photographs_back(config: Configure, vgg: Any) -> None:
    made = a_learner(config(optimizer__rate=1e-3, optimizer__schedule="constant"), vgg)
    _, _, photos = data(vgg, 1)
    made.set_rates(0.5)
    losses = []
    for iteration in range(1, 21):
        (total, _, _), norm = made.reconstruction_gradient(photos)
        losses.append(total)
        assert made.update(iteration, norm)
    assert losses[-1] < 0.7 * losses[0]


def test_the_predictor_has_a_rate_of_its_own_and_the_style_weight_rises(config: Configure, vgg: Any) -> None:
    changes = {
        "optimizer__predictor_rate": 0.25,
        "optimizer__schedule": "constant",
        "objective__predictor": True,
    }
    made = a_learner(config(**changes, objective__reconstruct=0.2, objective__style_ramp=0.4), vgg)
    made.set_rates(0.4)
    network, predictor = made.adam.param_groups
    assert len(network["params"]) + len(predictor["params"]) == len(made.parameters)
    assert {id(p) for p in predictor["params"]} == {id(p) for p in made.initialization.predictor.parameters()}
    assert predictor["lr"] == pytest.approx(0.25 * network["lr"]) and network["lr"] == made.rate
    content, style = made.objective.weights
    assert (content, style) == (1.0, pytest.approx(0.55e5))


def test_step_sizes_have_a_rate_of_their_own(config: Configure, vgg: Any) -> None:
    made = a_learner(
        config(
            objective__inner_steps=1,
            objective__learn_step_sizes=True,
            objective__step_size=1e-3,
            optimizer__step_size_rate=50.0,
            optimizer__schedule="constant",
            optimizer__rate=1e-3,
        ),
        vgg,
    )
    made.set_rates(0.5)
    _, norm = made.gradient(*data(vgg, 1))
    assert made.update(1, norm)
    # Adam's first step is its rate in every entry that has a gradient.
    moved = made.objective.log_step_sizes.detach() - torch.tensor(1e-3).log()
    assert moved.abs().max().item() == pytest.approx(0.05, rel=1e-3)
