"""Values are checked against annotations, and errors say in one line what is allowed.

Annotations define the valid values in the vocabulary of annotated-types. pydantic checks the values; it is
imported only when there are values to check, because that takes 0.1 s. Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from functools import cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MultipleOf

from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from pydantic import TypeAdapter


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

    kind = _unannotated(hint)
    if _is_union(kind):
        if value is None:
            return None
        (kind,) = (one for one in get_args(kind) if one is not type(None))
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


def _unannotated(hint: Any) -> Any:
    """The list or union in ``Annotated[list[...] | None, ...]``, whose ranges are those of its members."""
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return inner if _is_union(inner) or get_origin(inner) is list else hint


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
    hint = _unannotated(hint)
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
    hint = _unannotated(hint)
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
