"""Single iterations of the loop, with meta-training as its task and pictures in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metastyle.core.losses import StyleTarget, style_target
from metastyle.errors import MetastyleError
from metastyle.training import loop
from metastyle.training.config import TrainingConfig
from metastyle.training.data import Episode
from metastyle.training.loop import Loop
from metastyle.training.meta import MetaBatch, MetaTask
from metastyle.training.processes import launch
from metastyle.training.target_cache import Painting

Configure = Callable[..., TrainingConfig]
NOWHERE = Path("nowhere")


def a_loop(config: TrainingConfig, vgg: Any) -> Loop[MetaBatch]:
    torch.manual_seed(0)
    fabric = launch("cpu", config.run.precision)
    made = Loop(MetaTask(config, fabric, vgg), fabric, config.optimizer, config.run)
    made.module = fabric.setup_module(made.task.module)
    return made


def task(made: Loop[MetaBatch]) -> MetaTask:
    assert isinstance(made.task, MetaTask)
    return made.task


def an_episode(vgg: Any, styles: int, index: int = 0, broken: bool = False) -> Episode:
    g = torch.Generator().manual_seed(1)
    targets = [style_target(vgg, torch.rand(1, 3, 16, 16, generator=g)) for _ in range(styles)]
    if broken:
        targets = [StyleTarget(tuple(m * float("inf") for m in t.grams), t.statistics) for t in targets]
    contents, queries = (
        torch.randint(0, 256, (n, 3, 16, 16), generator=g, dtype=torch.uint8) for n in (1, 2)
    )
    return Episode(index, contents, queries, [Painting("", NOWHERE, t, None) for t in targets], ())


def gradients(made: Loop[MetaBatch]) -> dict[str, torch.Tensor]:
    found = {}
    for name, p in made.task.parameters.items():
        assert p.grad is not None
        found[name] = p.grad.clone()
    return found


def test_accumulation_over_styles_gives_the_same_gradient(config: Configure, vgg: Any) -> None:
    changes = {"optimizer__styles": 3, "objective__inner_steps": 1, "optimizer__clip": None}
    together, apart = (a_loop(config(**changes, optimizer__styles_at_once=n), vgg) for n in (None, 2))
    for made in (together, apart):
        made._step(an_episode(vgg, 3))
    assert apart.losses.report() == pytest.approx(together.losses.report(), rel=1e-5)
    assert apart.gradient_norm == pytest.approx(together.gradient_norm, rel=1e-4)
    scale = max(g.abs().max().item() for g in gradients(together).values())
    for name, g in gradients(apart).items():
        torch.testing.assert_close(g, gradients(together)[name], rtol=1e-4, atol=1e-4 * scale)


def test_the_reported_norm_is_that_before_clipping(config: Configure, vgg: Any) -> None:
    unclipped = a_loop(config(optimizer__clip=None), vgg)
    unclipped._step(an_episode(vgg, 1))
    norm = unclipped.gradient_norm
    clipped = a_loop(config(optimizer__clip=norm / 4), vgg)
    clipped._step(an_episode(vgg, 1))
    assert clipped.gradient_norm == pytest.approx(norm, rel=1e-5)
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
    exact, rounded = (a_loop(config(**changes, run__precision=p), vgg) for p in ("float32", "bfloat16"))
    for made in (exact, rounded):
        made._step(an_episode(vgg, 1))
    assert rounded.losses.report() == pytest.approx(exact.losses.report(), rel=0.05)
    a, b = (torch.cat([g.flatten() for g in gradients(made).values()]) for made in (exact, rounded))
    assert torch.cosine_similarity(a, b, dim=0) > 0.98
    assert all(g.dtype == torch.float32 for g in gradients(rounded).values())


def test_the_papers_schedule_also_reduces_the_step_sizes(config: Configure, vgg: Any) -> None:
    changes = {"objective__inner_steps": 1, "objective__step_size": 1e-5, "optimizer__schedule": "paper"}
    made = a_loop(
        config(**changes, optimizer__learning_rate=1e-5, optimizer__warm_up=0.0, run__iterations=5), vgg
    )
    made.iteration = 2
    made._step(an_episode(vgg, 1))
    assert made.learning_rate == pytest.approx(1e-5 / 2)
    sizes = task(made).module.log_step_sizes.exp().tolist()
    assert sizes == pytest.approx([1e-5 / 2] * 30)


def test_the_moving_average_follows_the_weights(config: Configure, vgg: Any) -> None:
    made = a_loop(config(optimizer__ema_decay=0.5), vgg)
    weight = made.ema.weights.get_parameter("network.out.weight")
    before = weight.clone()
    made._step(an_episode(vgg, 1))
    now = task(made).learned.network.out.weight
    decay = 2 / 11
    torch.testing.assert_close(weight, decay * before + (1 - decay) * now)


def test_gradients_that_are_not_finite_are_skipped_and_finally_an_error(
    config: Configure, vgg: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "TOO_MANY_SKIPPED", 3)
    made = a_loop(config(objective__spike_weight=0.0, objective__normalize_styles=False), vgg)
    before = [p.clone() for p in made.task.parameters.values()]
    for index in range(2):
        made._step(an_episode(vgg, 1, index, broken=True))
    assert all(torch.equal(p, q) for p, q in zip(made.task.parameters.values(), before, strict=True))
    assert made.losses.steps == 0
    made._step(an_episode(vgg, 1, 2))
    assert (made.skipped, made.skipped_running, made.losses.steps) == (2, 0, 1)
    with pytest.raises(MetastyleError, match="not finite 3 times in a row, until iteration 6"):
        for index in (3, 4, 5):
            made._step(an_episode(vgg, 1, index, broken=True))


def test_reconstruction_lowers_the_content_loss(config: Configure, vgg: Any) -> None:
    changes = {
        "optimizer__learning_rate": 1e-3,
        "optimizer__schedule": "constant",
        "objective__reconstruct": 1.0,
    }
    made = a_loop(config(**changes, run__iterations=40), vgg)
    losses = []
    for _ in range(20):
        made._step(an_episode(vgg, 1))
        losses.append(made.losses.report())
    assert all(loss["style"] == 0 for loss in losses)
    assert losses[-1]["content"] < 0.7 * losses[0]["content"]


def test_the_predictor_has_its_own_rate_and_the_style_weight_rises(config: Configure, vgg: Any) -> None:
    changes = {
        "optimizer__predictor_rate": 0.25,
        "optimizer__schedule": "constant",
        "objective__predictor": True,
        "objective__reconstruct": 0.2,
        "objective__style_ramp": 0.4,
        "run__iterations": 5,
    }
    made = a_loop(config(**changes), vgg)
    made.iteration = 2
    made._step(an_episode(vgg, 1))
    network, predictor = made.optimizer.adam.param_groups
    assert len(network["params"]) + len(predictor["params"]) == len(made.task.parameters)
    own = task(made).learned.predictor
    assert own is not None
    assert {id(p) for p in predictor["params"]} == {id(p) for p in own.parameters()}
    assert predictor["lr"] == pytest.approx(0.25 * network["lr"]) and network["lr"] == made.learning_rate
    content, style = task(made).module.weights
    assert (content, style) == (1.0, pytest.approx(0.55e5))


def test_step_sizes_have_their_own_rate(config: Configure, vgg: Any) -> None:
    made = a_loop(
        config(
            objective__inner_steps=1,
            objective__learn_step_sizes=True,
            objective__step_size=1e-3,
            optimizer__step_size_rate=50.0,
            optimizer__schedule="constant",
            optimizer__learning_rate=1e-3,
            optimizer__warm_up=0.0,
        ),
        vgg,
    )
    made._step(an_episode(vgg, 1))
    # Adam's first step is its learning rate in every entry that has a gradient.
    moved = task(made).module.log_step_sizes.detach() - torch.tensor(1e-3).log()
    assert moved.abs().max().item() == pytest.approx(0.05, rel=1e-3)
