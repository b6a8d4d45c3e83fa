"""The settings of an adaptation, declared once: names, defaults, ranges and help.

Python, TOML files and the command line use the same declarations: annotations define the valid values, in
the vocabulary of annotated-types, and the text under a field is its help. pydantic checks the values; it is
imported only when there are values to check, because that takes 0.1 s. Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MultipleOf

from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

StyleKind = Literal["all", "low_rank", "instance_norm"]
"""What a style holds: all parameters, low-rank changes of the convolutions, or only the instance norms.

The first is complete; the others need the initialization that they started from.
"""
Precision = Literal["float32", "bfloat16"]
"""The type in which convolutions are computed."""
PhotoPrecision = Literal["auto", "float32", "bfloat16"]
"""The same for photographs; "auto" is bfloat16 on a processor that computes in it, else float32."""
CONTENT_WEIGHT = 1.0
"""alpha, in the perceptual loss."""
STYLE_WEIGHT = 1e5
"""beta, in the perceptual loss."""
LARGEST_GRAIN = 2.0
"""Largest amount of grain; 1 is the amount that the shipped model was trained with."""
LARGEST_RANK = 64
"""Largest rank of low-rank changes."""
STRONGEST = 2.0
"""The largest strength."""
SMALLEST_BRUSH, LARGEST_BRUSH = 0.25, 8.0
FEATHER, LARGEST_FEATHER = 0.01, 0.5
"""Default and largest softness of a mask's edges: sigma of a Gaussian, as a share of the long edge."""
SMALLEST_BUDGET = 1_000_000
"""Smallest working memory in which a picture can be rendered, in bytes."""

Seed = Annotated[int, Ge(0), Lt(2**63)]
Count = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]
Weight = Annotated[float, Ge(0)]
Grain = Annotated[float, Ge(0), Le(LARGEST_GRAIN)]
Strength = Annotated[float, Ge(0), Le(STRONGEST)]
Brush = Annotated[float, Ge(SMALLEST_BRUSH), Le(LARGEST_BRUSH)]
Feather = Annotated[float, Ge(0), Le(LARGEST_FEATHER)]
Smoothing = Annotated[float, Ge(0), Lt(1)]
FrameRate = Annotated[float, Ge(0.1), Le(1000)]
Budget = Annotated[int, Ge(SMALLEST_BUDGET)]


class SettingError(MetastyleError):
    """A setting's value is not what its declaration allows."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{name} is {value!r}: use {expected}")
        self.name = name
        self.value = value
        self.expected = expected

    def __reduce__(self) -> tuple[type[SettingError], tuple[str, object, str]]:
        return SettingError, (self.name, self.value, self.expected)


class Settings:
    """Base class of frozen dataclasses whose fields are checked against their annotations.

    Numbers must be finite, and may be NumPy's; a whole number is accepted for a float and becomes one.

    Raises:
        SettingError: a value has the wrong type or is out of range.
    """

    def __post_init__(self) -> None:
        for name, value in checked(type(self), vars(self)).items():
            object.__setattr__(self, name, value)


def checked(declaration: type, values: Mapping[str, object]) -> dict[str, Any]:
    """Check ``values`` for all fields of a dataclass or ``TypedDict``; each comes back as its field's type.

    Raises:
        SettingError: a value has the wrong type or is out of range.
    """
    from pydantic import ValidationError

    try:
        result: dict[str, Any] = _validator(declaration).validate_python(
            {name: _plain(value) for name, value in values.items()}
        )
    except ValidationError as error:
        name = str(error.errors(include_url=False)[0]["loc"][0])
        raise SettingError(name, values[name], described(hints(declaration)[name])) from None
    return result


def check_value(name: str, value: object, hint: Any) -> Any:
    """Check one value, or each value in a list, against an annotation; it comes back as that type.

    Raises:
        SettingError: it has the wrong type or is out of range.
    """
    from pydantic import ValidationError

    kind = hint
    if _is_union(hint):
        if value is None:
            return None
        (kind,) = (one for one in get_args(hint) if one is not type(None))
    if get_origin(kind) is list:
        values = value if isinstance(value, list) else [value]
        return [check_value(name, one, get_args(kind)[0]) for one in values]
    try:
        return _adapter(kind).validate_python(_plain(value))
    except ValidationError:
        raise SettingError(name, value, described(kind)) from None


def _plain(value: object) -> object:
    """A number of another library, such as NumPy's, as Python's own."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    if isinstance(value, Real) and not isinstance(value, int | float):
        return int(value) if isinstance(value, Integral) else float(value)
    return value


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (types.UnionType, Union)


@cache
def hints(declaration: type) -> dict[str, Any]:
    """The annotations of the fields of a dataclass or ``TypedDict``, with the ranges that they name."""
    resolved = get_type_hints(declaration, include_extras=True)
    if not dataclasses.is_dataclass(declaration):
        return resolved
    return {field.name: resolved[field.name] for field in dataclasses.fields(declaration)}


@cache
def _validator(declaration: type) -> TypeAdapter[dict[str, Any]]:
    from pydantic import ConfigDict, TypeAdapter, with_config
    from typing_extensions import TypedDict

    fields: Any = TypedDict("fields", hints(declaration))  # type: ignore[misc]
    checked_fields: Any = with_config(ConfigDict(strict=True, allow_inf_nan=False))(fields)
    return TypeAdapter(checked_fields)


_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "nothing (leave it out)",
    Callable: "a function",
    tuple[int, int]: "two whole numbers, such as [192, 384]",
}


def described(hint: Any) -> str:
    """A description of the values that ``hint`` allows: "a whole number from 0 to 10"."""
    if _is_union(hint):
        return " or ".join(described(one) for one in get_args(hint))
    if get_origin(hint) is Literal:
        *first, last = (repr(choice) for choice in get_args(hint))
        return f"{', '.join(first)} or {last}"
    if get_origin(hint) is not Annotated:
        kind = hint if hint in _WORDS else get_origin(hint) or hint
        return _WORDS[kind] if kind in _WORDS else str(kind.__name__)
    kind, *limits = get_args(hint)
    multiple = next((limit.multiple_of for limit in limits if isinstance(limit, MultipleOf)), None)
    noun = _WORDS[kind] if multiple is None else f"a multiple of {multiple}"
    words = range_of(hint)
    return f"{noun} of {words}" if words.startswith("at least") else f"{noun} {words}".rstrip()


def range_of(hint: Any) -> str:
    """A description of the range in an annotation: "from 0 to 10", "above 0", or nothing."""
    if _is_union(hint) or get_origin(hint) is list:
        return next(filter(None, map(range_of, get_args(hint))), "")
    limits = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    least = next((_number(limit.ge) for limit in limits if isinstance(limit, Ge)), None)
    above = next((_number(limit.gt) for limit in limits if isinstance(limit, Gt)), None)
    most = next((_number(limit.le) for limit in limits if isinstance(limit, Le)), None)
    below = next((_number(limit.lt) for limit in limits if isinstance(limit, Lt)), None)
    if above is not None:
        end = f" and up to {most}" if most else f" and below {below}" if below else ""
        return f"above {above}{end}"
    if most or below:
        return f"from {least} to {most or f'below {below}'}"
    return f"at least {least}" if least is not None else ""


def _number(value: Any) -> str:
    if isinstance(value, int) and value >= 2**32 and value.bit_count() == 1:
        return f"2**{value.bit_length() - 1}"
    return str(value) if isinstance(value, int) else f"{value:g}"


@dataclass(frozen=True)
class AdaptationSettings(Settings):
    """How the network is adapted to a painting. The defaults are for two CPU cores without bfloat16 and a
    minute (benchmarks/adapt.md); ``default_settings`` has those for other hardware and efforts."""

    steps: Annotated[int, Ge(0), Le(100_000)] = 60
    """Steps to take; 0 keeps the predicted start."""
    optimizer: Literal["muon", "adam"] = "muon"
    """What takes the steps: Muon for the kernels between hidden layers, or their factors, and Adam for the
    rest; or Adam alone, as in the paper. Instance-norm parameters always take Adam's."""
    learning_rate: Annotated[float, Gt(0), Le(1)] = 1e-3
    """Adam's highest learning rate; Muon's is 1.5 times as high."""
    warm_up: Annotated[int, Ge(0), Le(100_000)] = 5
    """Number of steps over which the learning rate rises at the start, because Adam's first updates are as
    large for noise as for signal."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate falls: to zero along a half cosine, or not at all, as in the paper."""
    batch: Annotated[int, Ge(1), Le(64)] = 1
    """Contents per step."""
    pool: Annotated[int, Ge(1), Le(1000)] = 24
    """Contents that the steps draw from, at most as many as they need."""
    size: Annotated[int, Ge(64), Le(1024), MultipleOf(4)] = 192
    """Side of the square contents, in pixels."""
    style_size: Annotated[int, Ge(64), Le(4096)] = 512
    """Longer edge of the painting, in pixels; a smaller one makes smaller strokes."""
    parameters: StyleKind = "all"
    """What the steps update: all parameters, low-rank changes of them, or only the 3,200 instance-norm
    parameters."""
    rank: Annotated[int, Ge(1), Le(LARGEST_RANK)] = 2
    """Rank of low-rank changes."""
    content_weight: Weight = CONTENT_WEIGHT
    """alpha, the weight of the content loss."""
    style_weight: Weight = STYLE_WEIGHT
    """beta, the weight of the style loss."""
    balance: Share = 0.4
    """Exponent that increases beta for quiet paintings; with 0, beta is the same for every painting."""
    grain: Grain = 1.0
    """Amount of grain that is added to flat areas of the contents."""
    seed: Seed = 0
    """Random seed: for the choice and order of the contents, and the grain."""

    @property
    def contents(self) -> int:
        """The number of contents that the steps need: at most the pool."""
        return max(1, min(self.pool, self.steps * self.batch))


Effort = Literal["draft", "normal", "fine"]
"""How long an adaptation takes: about ten seconds, a minute, or five minutes on two CPU cores."""

Hardware = Literal["cpu", "bfloat16", "cuda"]
"""What computes: a processor, a processor that multiplies bfloat16 natively, or a CUDA GPU."""

EFFORTS: dict[Hardware, dict[Effort, dict[str, int]]] = {
    "cpu": {
        "draft": {"steps": 15, "size": 160},
        "normal": {},
        "fine": {"steps": 240, "pool": 48, "size": 256},
    },
    "bfloat16": {
        "draft": {"steps": 30},
        "normal": {"steps": 120, "pool": 48, "size": 256},
        "fine": {"steps": 500, "pool": 100, "size": 256},
    },
    "cuda": {
        "draft": {"steps": 60, "batch": 2, "pool": 48},
        "normal": {"steps": 200, "batch": 4, "pool": 100, "size": 256},
        "fine": {"steps": 1000, "batch": 4, "pool": 400, "size": 256},
    },
}
"""For each hardware and effort, the fields of ``AdaptationSettings`` that differ from its defaults."""


def default_settings(hardware: Hardware, effort: Effort = "normal", **changes: Any) -> AdaptationSettings:
    """The settings of ``effort`` on ``hardware``; ``normal`` on a ``cpu`` has the defaults of the class.

    Args:
        changes: values of fields that differ.

    Raises:
        SettingError: there is no such effort, or a value is out of range.
    """
    own = EFFORTS[hardware][check_value("effort", effort, Effort)]
    return AdaptationSettings(**{**own, **changes})
