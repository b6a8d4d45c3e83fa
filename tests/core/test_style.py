import dataclasses
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metastyle.core.network import TransformationNetwork, instance_norm_parameters
from metastyle.core.style import Style, blend, parameter_shapes
from metastyle.errors import MetastyleError


def make(shapes="instance_norm", seed=0, cls=Style, **changes):
    generator = torch.Generator().manual_seed(seed)
    fields = {
        "parameters": {n: torch.randn(s, generator=generator) for n, s in parameter_shapes(shapes).items()},
        "kind": shapes,
        "base": "ab" * 32,
        "painting": f"painting {seed}",
        "painting_sha256": f"{seed:064x}",
        "settings": {"steps": 3},
        "curve": ((1, 2.5, 1.0, 1.5), (2, 2.0, 1.0, 1.0)),
    }
    return cls(**(fields | changes))


def test_shapes_are_those_of_the_network_and_draw_no_random_numbers():
    before = torch.get_rng_state()
    parameter_shapes.cache_clear()
    shapes = parameter_shapes("all")
    assert torch.equal(before, torch.get_rng_state())
    network = TransformationNetwork()
    assert shapes == {n: tuple(p.shape) for n, p in network.named_parameters()}
    assert list(parameter_shapes("instance_norm")) == list(instance_norm_parameters(network))
    assert sum(torch.Size(s).numel() for s in shapes.values()) == 1_679_235
    assert sum(torch.Size(s).numel() for s in parameter_shapes("instance_norm").values()) == 3_200


def test_a_style_keeps_its_own_copy():
    source = {n: torch.zeros(s, requires_grad=True) for n, s in parameter_shapes("instance_norm").items()}
    asked = {"steps": 5, "sizes": (1, 2)}
    style = make(parameters=source, settings=asked, painting="tricky\nname\udcff")
    with torch.no_grad():
        source["down1_norm.weight"].fill_(7)
    asked["steps"] = 6
    assert style.parameters["down1_norm.weight"].eq(0).all()
    assert not any(p.requires_grad for p in style.parameters.values())
    assert style.settings == {"steps": 5, "sizes": [1, 2]}
    assert style.painting == "tricky?name?"


def test_full_parameters_fill_in_what_was_not_adapted():
    network = TransformationNetwork()
    style = make()
    full = style.full_parameters(network)
    fresh = TransformationNetwork()
    fresh.load_state_dict(full)
    assert torch.equal(fresh.out.weight, network.out.weight)
    assert torch.equal(fresh.down1_norm.weight, style.parameters["down1_norm.weight"])
    everything = make("all")
    assert all(
        torch.equal(p, everything.parameters[n]) for n, p in everything.full_parameters(network).items()
    )


def replaced(name, value):
    parameters = {n: torch.zeros(s) for n, s in parameter_shapes("instance_norm").items()}
    return {**parameters, name: value}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "some", "parameters": {}}, "kind is 'some'"),
        ({"kind": "all", "parameters": replaced("down1_norm.bias", torch.zeros(32))}, "lack down1.bias"),
        ({"parameters": replaced("extra\n", torch.zeros(1))}, r"have 'extra\\n'"),
        (
            {"parameters": replaced("down1_norm.bias", torch.zeros(31))},
            r"down1_norm.bias is torch.float32 \(31,\)",
        ),
        ({"parameters": replaced("down1_norm.bias", torch.zeros(32).half())}, "must be float32"),
        ({"parameters": replaced("down1_norm.bias", torch.full((32,), torch.nan))}, "not finite"),
        ({"base": "AB" * 32}, "base is"),
        ({"base": None}, "base is None"),
        ({"painting_sha256": "ab" * 32 + "\n"}, "painting_sha256 is"),
        ({"settings": {"a": float("nan")}}, "cannot be written down"),
        ({"settings": {"a": object()}}, "cannot be written down"),
        ({"settings": [1]}, "settings are a list"),
        ({"curve": ((1, 2.0),)}, "cannot be written down"),
        ({"curve": ((1, float("inf"), 1.0, 1.0),)}, "curve holds numbers that are not finite"),
    ],
)
def test_what_is_no_style_is_refused_in_one_line(changes, message):
    with pytest.raises(MetastyleError, match=message) as caught:
        make(**changes)
    assert "\n" not in str(caught.value)


weights_lists = st.lists(st.floats(0, 1e300, allow_nan=False), min_size=3, max_size=3).filter(
    lambda w: max(w) > 1e-9
)


@settings(deadline=None, max_examples=30)
@given(weights=weights_lists)
def test_a_blend_is_the_convex_combination(weights):
    styles = [make(seed=s) for s in range(3)]
    mixed = blend(styles, weights)
    total = sum(w / max(weights) for w in weights)
    shares = torch.tensor([w / max(weights) / total for w in weights], dtype=torch.float64)
    for name, mixture in mixed.parameters.items():
        stacked = torch.stack([s.parameters[name] for s in styles]).double()
        torch.testing.assert_close(
            mixture.double(), torch.tensordot(shares, stacked, 1), atol=1e-6, rtol=1e-6
        )
    assert [p["weight"] for p in mixed.settings["blend"]] == pytest.approx(shares.tolist())


def test_a_blend_of_one_or_of_equals_is_itself():
    style = make()
    for mixed in (blend([style]), blend([style, style]), blend([style, make(seed=1)], [3, 0])):
        assert all(torch.equal(p, style.parameters[n]) for n, p in mixed.parameters.items())


def test_a_blend_remembers_its_parents():
    a, b = make(seed=1), make(seed=2)
    mixed = blend([a, b], [1, 3])
    assert mixed.painting == "0.25 painting 1 + 0.75 painting 2"
    assert mixed.settings["blend"][1] == {
        "painting": "painting 2",
        "painting_sha256": b.painting_sha256,
        "weight": 0.75,
        "settings": {"steps": 3},
    }
    assert mixed.curve == () and mixed.kind == "instance_norm" and mixed.base == a.base
    assert mixed.painting_sha256 not in (a.painting_sha256, b.painting_sha256)
    assert mixed.painting_sha256 != blend([a, b], [1, 2]).painting_sha256
    json.dumps(blend([mixed, a]).settings)  # and a mixture can be mixed again


def test_kinds_mix_when_the_base_is_known():
    whole, part = make("all", seed=1), make(seed=2)
    base = dict(TransformationNetwork().named_parameters())
    mixed = blend([whole, part], base_parameters=base)
    assert mixed.kind == "all"
    weight = (whole.parameters["out.weight"] + base["out.weight"].detach()) / 2
    torch.testing.assert_close(mixed.parameters["out.weight"], weight)
    scale = (whole.parameters["up1_norm.weight"] + part.parameters["up1_norm.weight"]) / 2
    torch.testing.assert_close(mixed.parameters["up1_norm.weight"], scale)
    with pytest.raises(MetastyleError, match="'painting 2' does not hold all parameters"):
        blend([whole, part])


def test_a_blend_keeps_the_class_of_its_styles():
    @dataclasses.dataclass(frozen=True, eq=False)
    class Public(Style):
        def stylize(self):
            return self.painting

    assert blend([make(cls=Public), make(cls=Public, seed=1)]).stylize().startswith("0.5 painting 0")


@pytest.mark.parametrize(
    ("count", "weights", "message"),
    [
        (0, None, "nothing to blend"),
        (2, [1], "1 weights for 2 styles"),
        (2, [1, -0.1], "a blending weight is -0.1"),
        (2, [1, float("nan")], "a blending weight is nan"),
        (2, [1, float("inf")], "a blending weight is inf"),
        (2, [0, 0], "all blending weights are 0"),
    ],
)
def test_unusable_weights_are_refused(count, weights, message):
    with pytest.raises(MetastyleError, match=message):
        blend([make(seed=s) for s in range(count)], weights)


def test_styles_of_different_base_models_do_not_blend():
    with pytest.raises(MetastyleError, match="base model cdcdcdcdcdcd"):
        blend([make(), make(seed=1, base="cd" * 32)])
