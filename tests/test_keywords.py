"""Keywords of the public functions refuse wrong types in one line and accept other libraries' numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metastyle
from metastyle import api
from metastyle.core.checks import hints
from metastyle.core.loss_network import LossNetwork
from metastyle.core.settings import AdaptationSettings
from metastyle.films.settings import FilmSettings

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 52, 3), np.uint8)
SWITCHES = {"keep_color", "refresh_cache", "offline", "overwrite", "frame_by_frame"}
"""They accept any value, which Python takes as true or false."""


class Odd:
    """A type that no keyword accepts."""


@pytest.fixture(scope="module")
def style() -> metastyle.Style:
    return metastyle.load("mosaic")


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch, random_loss_network: LossNetwork) -> None:
    monkeypatch.setattr(api, "load_loss_network", lambda *_, **__: random_loss_network)


def keywords(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in SWITCHES]


def refused(function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    with pytest.raises(metastyle.MetastyleError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("odd", [Odd(), [Odd()]], ids=["object", "list"])
def test_a_value_of_the_wrong_type_is_refused_in_one_line(
    odd: Any, style: metastyle.Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in keywords(metastyle.stylize):
        refused(metastyle.stylize, PIXELS, style, **{"regions": [(PIXELS, None)], name: odd})
    for name in keywords(metastyle.Style.stylize):
        refused(style.stylize, PIXELS, **{name: odd})
    quick = {"steps": 0, "size": 64, "style_size": 64}
    for name in keywords(metastyle.adapt):
        refused(metastyle.adapt, PIXELS, **{**quick, name: odd})
    for name in keywords(metastyle.film):
        refused(metastyle.film, "clip.mp4", style, **{name: odd})
    for function in (metastyle.load, style.save, metastyle.adapt, metastyle.blend, style.stylize):
        refused(function, odd)
    refused(metastyle.film, odd, style)
    refused(metastyle.stylize, PIXELS, odd)
    refused(metastyle.blend, [style], odd)
    refused(metastyle.blend, [style], [odd])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("whole", "number"),
    [(np.int64, np.float32), (np.uint16, np.float64), (torch.tensor, torch.tensor), (np.array, Fraction)],
)
def test_numbers_of_other_libraries_are_accepted(whole: Any, number: Any, style: metastyle.Style) -> None:
    expected = style.stylize(PIXELS, size=48, strength=0.5, brush=2.0, grain=1.0)
    options = {"size": whole(48), "strength": number(0.5), "brush": number(2.0), "grain": number(1.0)}
    assert np.array_equal(style.stylize(PIXELS, **options, batch=whole(1)), expected)
    for declaration in (AdaptationSettings, FilmSettings):
        given = {
            name: (whole if isinstance(value, int) else number)(value)
            for name in hints(declaration)
            if type(value := getattr(declaration(), name)) in (int, float)
        }
        made = declaration(**given)
        assert given and made == declaration(**{n: type(getattr(made, n))(v) for n, v in given.items()})
        assert all(type(getattr(made, name)) is type(getattr(declaration(), name)) for name in given)


def test_a_torch_device_is_accepted(style: metastyle.Style) -> None:
    painted = style.stylize(PIXELS, device=torch.device("cpu"))  # type: ignore[arg-type]
    assert np.array_equal(painted, style.stylize(PIXELS, device="cpu"))
