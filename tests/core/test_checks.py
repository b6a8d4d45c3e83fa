from __future__ import annotations

import dataclasses
import pickle
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Le, Lt, MultipleOf

from metastyle.core.checks import SettingError, Settings, described, range_of


@dataclass(frozen=True)
class Some(Settings):
    count: Annotated[int, Ge(1)] | None = None
    share: Annotated[float, Ge(0), Lt(1)] = 0.5
    name: Literal["a", "b"] = "a"
    flag: bool = False


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "a whole number"),
        (Annotated[int, Ge(1), Le(64)], "a whole number from 1 to 64"),
        (Annotated[int, Ge(1)], "a whole number of at least 1"),
        (Annotated[int, Ge(0), Lt(2**63)], "a whole number from 0 to below 2**63"),
        (Annotated[int, Ge(64), Le(1024), MultipleOf(4)], "a multiple of 4 from 64 to 1024"),
        (Annotated[float, Gt(0)], "a number above 0"),
        (Annotated[float, Gt(0), Le(1)], "a number above 0 and up to 1"),
        (Annotated[float, Gt(0), Lt(1)], "a number above 0 and below 1"),
        (Annotated[float, Ge(0.25), Le(8)], "a number from 0.25 to 8"),
        (Annotated[float, Gt(0)] | None, "a number above 0 or nothing (leave it out)"),
        (Literal["a", "b", "c"], "'a', 'b' or 'c'"),
        (bool, "true or false"),
    ],
)
def test_hints_are_described_in_words(hint: object, words: str) -> None:
    assert described(hint) == words
    assert range_of(hint) in words


def test_values_are_checked_on_construction_and_replacement() -> None:
    settings = Some(count=3, share=0)
    assert (settings.count, settings.share, type(settings.share)) == (3, 0.0, float)
    with pytest.raises(SettingError, match=r"^count is 0: use a whole number of at least 1 or nothing"):
        dataclasses.replace(settings, count=0)


@pytest.mark.parametrize(
    "change",
    [
        {"count": 1.0},
        {"count": True},
        {"count": "1"},
        {"share": 1},
        {"share": float("nan")},
        {"share": "0.5"},
        {"share": True},
        {"share": None},
        {"name": "c"},
        {"name": ["a"]},
        {"flag": 1},
    ],
)
def test_wrong_types_and_values_out_of_range_are_refused(change: dict[str, object]) -> None:
    (name,) = change
    with pytest.raises(SettingError) as caught:
        Some(**change)  # type: ignore[arg-type]
    assert caught.value.name == name
    assert str(caught.value) == f"{name} is {change[name]!r}: use {caught.value.expected}"


def test_errors_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(SettingError("steps", -1, "a whole number")))
    assert (str(error), error.name) == ("steps is -1: use a whole number", "steps")
