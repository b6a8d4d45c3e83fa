from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metastyle.core.network import TransformationNetwork, instance_norm_parameters
from metastyle.core.parameters import (
    blend,
    blending_shares,
    checked_parameters,
    full_parameters,
    kind_of,
    parameter_shapes,
    strengthen,
)
from metastyle.core.settings import StyleKind
from metastyle.errors import MetastyleError

Parameters = dict[str, torch.Tensor]


def make(kind: StyleKind = "instance_norm", seed: int = 0) -> Parameters:
    generator = torch.Generator().manual_seed(seed)
    shapes = parameter_shapes(kind, 2 * (kind == "low_rank"))
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def test_parameter_shapes_match_the_network_without_drawing_random_numbers() -> None:
    before = torch.get_rng_state()
    parameter_shapes.cache_clear()
    shapes = parameter_shapes("all")
    assert torch.equal(before, torch.get_rng_state())
    network = TransformationNetwork()
    assert shapes == {n: tuple(p.shape) for n, p in network.named_parameters()}
    assert list(parameter_shapes("instance_norm")) == list(instance_norm_parameters(network))
    assert sum(torch.Size(s).numel() for s in shapes.values()) == 1_679_235
    assert sum(torch.Size(s).numel() for s in parameter_shapes("instance_norm").values()) == 3_200
    with pytest.raises(MetastyleError, match="rank is 65: use 1 to 64"):
        parameter_shapes("low_rank", 65)


@pytest.mark.parametrize("kind", ["all", "low_rank", "instance_norm"])
def test_the_kind_follows_from_the_names(kind: StyleKind) -> None:
    assert kind_of(make(kind)) == kind


def test_checked_parameters_are_copies_in_the_networks_order() -> None:
    given = {name: p.requires_grad_() for name, p in reversed(make().items())}
    checked = checked_parameters(given, "instance_norm")
    with torch.no_grad():
        given["down1_norm.weight"].fill_(7)
    assert list(checked) == list(parameter_shapes("instance_norm"))
    assert not checked["down1_norm.weight"].eq(7).any()
    assert not any(p.requires_grad for p in checked.values())


def test_full_parameters_take_missing_ones_from_the_base() -> None:
    network, own = TransformationNetwork(), make()
    full = full_parameters(own, dict(network.named_parameters()))
    fresh = TransformationNetwork()
    fresh.load_state_dict(full)
    assert torch.equal(fresh.out.weight, network.out.weight) and not full["out.weight"].requires_grad
    assert torch.equal(fresh.down1_norm.weight, own["down1_norm.weight"])
    everything = make("all")
    same = full_parameters(everything, dict(network.named_parameters()))
    assert all(torch.equal(p, everything[name]) for name, p in same.items())


def test_strength_extrapolates_from_the_base_through_the_style() -> None:
    own, base = make("all", 1), make("all", 2)
    for name, p in strengthen(own, base, 1.5).items():
        torch.testing.assert_close(p, 1.5 * own[name] - 0.5 * base[name], atol=1e-5, rtol=1e-5)


weights_lists = st.lists(st.floats(0, 1e300, allow_nan=False), min_size=3, max_size=3).filter(
    lambda w: max(w) > 1e-9
)


@settings(deadline=None, max_examples=30)
@given(weights=weights_lists)
def test_a_blend_is_the_convex_combination(weights: list[float]) -> None:
    styles = [make(seed=s) for s in range(3)]
    found = blending_shares(weights, 3)
    total = sum(w / max(weights) for w in weights)
    shares = torch.tensor([w / max(weights) / total for w in weights], dtype=torch.float64)
    assert found == pytest.approx(shares.tolist())
    for name, mixture in blend(styles, found).items():
        stacked = torch.stack([s[name] for s in styles]).double()
        torch.testing.assert_close(
            mixture.double(), torch.tensordot(shares, stacked, 1), atol=1e-6, rtol=1e-6
        )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "1 weights for 2 styles"),
        ([1, -0.1], "a blending weight is -0.1"),
        ([1, float("nan")], "a blending weight is nan"),
        ([1, float("inf")], "a blending weight is inf"),
        ([0, 0], "all blending weights are 0"),
    ],
)
def test_unusable_weights_are_refused(weights: list[float], message: str) -> None:
    with pytest.raises(MetastyleError, match=message):
        blending_shares(weights, 2)
