"""``Style`` itself: which fields it accepts, how it is copied, and how styles are blended."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import pickle
from typing import Any, Literal, get_type_hints

import numpy as np
import pytest
import torch

import metastyle
from metastyle import api
from metastyle.core.parameters import parameter_shapes
from metastyle.core.settings import AdaptationSettings, StyleKind
from metastyle.errors import MetastyleError
from metastyle.rendering.stylizer import Stylizer
from metastyle.style import RenderOptions, Style
from metastyle.weights.initialization import shipped_initialization


def make(kind: StyleKind = "instance_norm", seed: int = 0, **changes: Any) -> Style:
    generator = torch.Generator().manual_seed(seed)
    shapes = parameter_shapes(kind, 2 * (kind == "low_rank"))
    fields: dict[str, Any] = {
        "parameters": {n: torch.rand(s, generator=generator) / 9 for n, s in shapes.items()},
        "kind": kind,
        "base": "ab" * 32,
        "painting": f"painting {seed}",
        "painting_sha256": f"{seed:064x}",
        "settings": {"steps": 3},
        "curve": ((1, 2.5, 1.0, 1.5), (2, 2.0, 1.0, 1.0)),
    }
    return Style(**(fields | changes))


def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)


def test_a_style_copies_its_arguments() -> None:
    source = {n: torch.zeros(s, requires_grad=True) for n, s in parameter_shapes("instance_norm").items()}
    asked: dict[str, Any] = {"steps": 5, "sizes": (1, 2)}
    style = make(parameters=source, settings=asked, painting="tricky\nname\udcff")
    with torch.no_grad():
        source["down1_norm.weight"].fill_(7)
    asked["steps"] = 6
    assert style.parameters["down1_norm.weight"].eq(0).all()
    assert not any(p.requires_grad for p in style.parameters.values())
    assert style.settings == {"steps": 5, "sizes": [1, 2]}
    assert style.painting == "tricky?name?"
    with pytest.raises(dataclasses.FrozenInstanceError):
        style.painting = "another"  # type: ignore[misc]


def replaced(name: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
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
        ({"settings": {"a": float("nan")}}, "cannot be stored as JSON"),
        ({"settings": {"a": object()}}, "cannot be stored as JSON"),
        ({"settings": [1]}, "settings are a list"),
        ({"curve": ((1, 2.0),)}, "cannot be stored as JSON"),
        ({"curve": ((1, float("inf"), 1.0, 1.0),)}, "curve has numbers that are not finite"),
    ],
)
def test_invalid_fields_are_refused_in_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MetastyleError, match=message) as caught:
        make(**changes)
    assert "\n" not in str(caught.value)


def test_the_repr_is_one_line() -> None:
    assert repr(make()) == "<Style 'painting 0': instance_norm, 3,200 numbers, 2 steps>"
    assert "\n" not in repr(make(painting="two\nlines"))


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, dataclasses.replace, lambda style: pickle.loads(pickle.dumps(style))],
    ids=["copy", "deepcopy", "replace", "pickle"],
)
def test_a_copy_is_the_same_style_without_the_renderer(copied: Any) -> None:
    style = make("all")
    painted = style.stylize(photo(), device="cpu")
    renderer = style.stylizer(device="cpu")
    other = copied(style)
    assert len(pickle.dumps(other)) < 7_000_000  # the parameters only once
    assert repr(other) == repr(style) and other.curve == style.curve and other.settings == style.settings
    assert other.stylizer(device="cpu") is not renderer
    assert np.array_equal(other.stylize(photo(), device="cpu"), painted)


def test_the_renderer_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Counted(Stylizer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            made.append(options)
            super().__init__(*arguments, **options)

    monkeypatch.setattr("metastyle.style.Stylizer", Counted)
    style = make("all")
    for _ in range(2):
        style.stylize(photo(), device="cpu")
        style.stylize([photo()], device="cpu", strength=0.5, keep_color=True, brush=8)
        metastyle.stylize(photo(), style, device="cpu")
    assert len(made) == 1
    style.stylize(photo(), device="cpu", grain=1.0)
    assert len(made) == 2 and made[1]["grain"] == 1.0


def test_pictures_are_painted_with_less_grain_than_adapted_with() -> None:
    adapted = make("all", settings={"grain": 1.5})
    assert adapted.grain == pytest.approx(0.9)
    painted = adapted.stylize(photo(), device="cpu")
    assert np.array_equal(painted, adapted.stylize(photo(), device="cpu", grain=adapted.grain))
    assert not np.array_equal(painted, adapted.stylize(photo(), device="cpu", grain=1.5))
    assert metastyle.blend([adapted, make("all", 1, settings={"grain": 0.5})], [0.5, 0.5]).adapted_grain == 1


def test_the_shipped_initialization_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from metastyle.weights import initialization

    read: list[object] = []
    original = initialization._read
    monkeypatch.setattr(initialization, "_read", lambda path: read.append(path) or original(path))
    initialization._read_once.cache_clear()
    base = shipped_initialization()[1]
    for seed in range(3):
        make(seed=seed, base=base).stylizer(device="cpu")
    metastyle.blend([make(base=base), make("low_rank", base=base)])
    assert len(read) == 1


def test_a_file_is_read_once_for_many_pictures(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    make("all", seed=1).save(path)
    first = api.as_style(path)
    assert api.as_style(str(path)) is first and api.as_style("mosaic") is api.as_style("mosaic")
    make("all", seed=2, settings={"steps": 12345}).save(path, overwrite=True)
    other = api.as_style(path)
    assert other is not None and other.painting == "painting 2"
    assert api.load(path) is not api.load(path)


def test_a_complete_style_needs_its_base_only_above_full_strength() -> None:
    whole, small = make("all"), make("instance_norm")
    assert torch.equal(whole.network().get_parameter("out.weight"), whole.parameters["out.weight"])
    for refused in (lambda: whole.network(1.5), small.network, lambda: small.stylize(photo())):
        with pytest.raises(MetastyleError, match="'painting 0' was made for another base model"):
            refused()


def test_blending_one_style_or_equal_styles_changes_nothing() -> None:
    style = make()
    for mixed in (api.blend([style]), api.blend([style, style]), api.blend([style, make(seed=1)], [3, 0])):
        assert all(torch.equal(p, style.parameters[n]) for n, p in mixed.parameters.items())


def test_a_blend_records_its_parents() -> None:
    a, b = make(seed=1), make(seed=2)
    mixed = api.blend([a, b], [1, 3])
    assert mixed.painting == "0.25 painting 1 + 0.75 painting 2"
    assert mixed.settings["blend"][1] == {
        "painting": "painting 2",
        "painting_sha256": b.painting_sha256,
        "weight": 0.75,
        "settings": {"steps": 3},
    }
    assert mixed.curve == () and mixed.kind == "instance_norm" and mixed.base == a.base
    assert mixed.painting_sha256 not in (a.painting_sha256, b.painting_sha256)
    assert mixed.painting_sha256 != api.blend([a, b], [1, 2]).painting_sha256
    json.dumps(api.blend([mixed, a]).settings)  # a mixture can be mixed again


def test_blending_different_kinds_completes_them_from_the_base() -> None:
    initialization, base = shipped_initialization()
    theta = initialization.network.state_dict()
    whole, norms, small = (make(kind, base=base) for kind in ("all", "instance_norm", "low_rank"))
    mixed = api.blend([whole, norms])
    assert mixed.kind == "all"
    expected = (whole.parameters["out.weight"] + theta["out.weight"]) / 2
    torch.testing.assert_close(mixed.parameters["out.weight"], expected)
    expected = (whole.parameters["up1_norm.weight"] + norms.parameters["up1_norm.weight"]) / 2
    torch.testing.assert_close(mixed.parameters["up1_norm.weight"], expected)
    twice = api.blend([small, small])
    network = small.network()
    for name, p in twice.network().named_parameters():
        torch.testing.assert_close(p, network.get_parameter(name))
    with pytest.raises(MetastyleError, match="made for another base model"):
        api.blend([make("all"), make("low_rank")])


def test_unusable_blends_are_refused() -> None:
    with pytest.raises(MetastyleError, match="nothing to blend"):
        api.blend([])
    with pytest.raises(MetastyleError, match="1 weights for 2 styles"):
        api.blend([make(), make()], [1])
    with pytest.raises(MetastyleError, match=r"not str: metastyle\.load"):
        api.blend(["mosaic"])  # type: ignore[list-item]
    with pytest.raises(MetastyleError, match="base model cdcdcdcdcdcd"):
        api.blend([make(), make(seed=1, base="cd" * 32)])


def keywords(function: Any) -> dict[str, inspect.Parameter]:
    """Its keyword-only parameters; none may be hidden behind ``**``."""
    parameters = inspect.signature(function).parameters.values()
    assert not any(p.kind == p.VAR_KEYWORD for p in parameters)
    assert all(p.annotation is not p.empty for p in parameters if p.name != "self")
    return {p.name: p for p in parameters if p.kind == p.KEYWORD_ONLY}


def test_rendering_has_the_same_keywords_everywhere() -> None:
    expected = keywords(Style.render_many)
    hints = get_type_hints(Style.render_many)
    assert get_type_hints(RenderOptions) == {name: hints[name] for name in expected}
    assert keywords(Style.stylize) == expected
    assert keywords(Style.render) == {name: p for name, p in expected.items() if name != "batch"}
    assert keywords(api.render_regions) == expected
    more = keywords(api.stylize)
    assert {name: p for name, p in more.items() if name not in ("regions", "feather")} == expected
    kept = keywords(Style.stylizer)
    assert all(expected[name] == p for name, p in kept.items())


def test_adapting_has_every_setting_as_a_keyword() -> None:
    given, hints = keywords(api.adapt), get_type_hints(api.adapt)
    for name, hint in get_type_hints(AdaptationSettings).items():
        assert given[name].default is None and hints[name] == hint | None
    with pytest.raises(TypeError, match="unexpected keyword argument 'step'"):
        metastyle.adapt(photo(), step=3)  # type: ignore[call-arg]


def test_keywords_reach_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(Exception):
        pass

    given: list[AdaptationSettings] = []

    class Noted:
        def __init__(self, *arguments: Any) -> None:
            given.extend(a for a in arguments if isinstance(a, AdaptationSettings))
            raise Stopped

    monkeypatch.setattr(api, "Adaptation", Noted)
    monkeypatch.setattr(api, "load_loss_network", lambda *_, **__: None)
    changes: dict[str, Any] = {
        "steps": 7, "learning_rate": 0.01, "warm_up": 3, "schedule": "constant", "batch": 2, "pool": 5,
        "size": 64, "early_scale": 0.5, "style_size": 96, "parameters": "low_rank", "rank": 4,
        "content_weight": 2.0, "style_weight": 3.0, "balance": 0.5, "grain": 0.5, "seed": 9,
        "optimizer": "adam",
    }  # fmt: skip
    assert set(changes) == {f.name for f in dataclasses.fields(AdaptationSettings)}
    with pytest.raises(Stopped):
        metastyle.adapt(photo(), **changes)
    with pytest.raises(Stopped):
        metastyle.adapt(photo(), settings=AdaptationSettings(seed=4, size=64), steps=1)
    assert given == [AdaptationSettings(**changes), AdaptationSettings(seed=4, size=64, steps=1)]


@pytest.mark.parametrize(
    ("native", "expected"), [(torch.bfloat16, "bfloat16"), (torch.float32, "float32")], ids=str
)
def test_photographs_are_painted_in_bfloat16_where_the_processor_computes_in_it(
    native: torch.dtype, expected: Literal["bfloat16", "float32"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metastyle.core.device.compute_dtype", lambda device: native)
    style = make("all")
    assert style.stylizer(device="cpu").precision == expected
    assert style.stylizer(device="cpu", precision="float32").precision == "float32"
    by_default = style.stylize(photo(), device="cpu")
    assert np.array_equal(by_default, style.stylize(photo(), device="cpu", precision=expected))
