"""Options that commands share, and how their values are written.

Nothing heavy is imported here, so that help and usage errors appear immediately.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le
from cyclopts import Group, Parameter
from docstring_parser import parse_from_object

from metastyle.core.checks import SettingError, check_value, hints, range_of
from metastyle.core.settings import (
    EFFORTS,
    SMALLEST_BUDGET,
    AdaptationSettings,
    Effort,
    Hardware,
    default_settings,
)

T = TypeVar("T")

OF_CONTENTS = ("size", "grain", "batch")
"""Settings of an adaptation whose options have ``content`` in their names."""

FLAG = Parameter(negative="", show_default=False)
ADAPTATION = Group("How the network is adapted to a painting", sort_key=10)
COMMON = Group("Every command", sort_key=20)

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def parse_bytes(text: str) -> int:
    """``2GB``, ``1.5 G``, ``800MB`` or ``2GiB`` in bytes; units of 1000, or of 1024 when written with an i.

    Raises:
        ValueError: the text is not a positive size.
    """
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kmgt]?)(i?)b?\s*", text, re.IGNORECASE)
    if match is None or (match[3] and not match[2]):
        raise ValueError(f"'{text}' is not a size: write 2GB or 800MB")
    unit = _UNITS[match[2].lower()]
    if match[3]:
        unit = 1 << (10 * round(len(str(unit)) / 3))
    size = round(float(match[1]) * unit)
    if size < 1:
        raise ValueError(f"'{text}' is not a size above zero: write 2GB or 800MB")
    return size


def _bytes_option(_: Any, tokens: Sequence[Any]) -> int:
    return parse_bytes(tokens[0].value)


Memory = Annotated[int, Parameter(converter=_bytes_option, metavar="SIZE"), Ge(SMALLEST_BUDGET)]


def parse_whole(text: str) -> int:
    """A whole number; other numbers are refused, not rounded.

    Raises:
        ValueError: the text is not a whole number.
    """
    if not re.fullmatch(r"[+-]?[0-9]{1,100}", text.strip()):
        raise ValueError(f"'{text}' is not a whole number")
    return int(text)


def _whole_option(_: Any, tokens: Sequence[Any]) -> int:
    return parse_whole(tokens[0].value)


Whole = Annotated[int, Parameter(converter=_whole_option)]
Pixels = Annotated[Whole, Parameter(metavar="PIXELS")]
Size = Annotated[Pixels, Ge(16), Le(100_000)]
SquareSize = Annotated[Whole, Ge(64), Le(4096)]
Count = Annotated[Whole, Ge(1), Le(10_000)]


def parse_time(text: str) -> float:
    """``90``, ``1:30`` or ``0:01:30.5`` in seconds.

    Raises:
        ValueError: the text is not a time.
    """
    match = re.fullmatch(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,6}(?:\.\d{1,9})?)", text.strip())
    parts = [float(part) for part in match.groups(default="0")] if match else []
    if not match or (match[2] is not None and parts[2] >= 60) or (match[1] is not None and parts[1] >= 60):
        raise ValueError(f"'{text}' is not a time: write 90, 1:30 or 0:01:30.5")
    return parts[0] * 3600 + parts[1] * 60 + parts[2]


def _time_option(_: Any, tokens: Sequence[Any]) -> float:
    return parse_time(tokens[0].value)


Time = Annotated[float, Parameter(converter=_time_option, metavar="TIME")]


def check_ranges(command: Callable[..., object], arguments: Mapping[str, object]) -> None:
    """Check a command's arguments against the ranges that their annotations name.

    Raises:
        SettingError: a number is out of its range.
    """
    if inspect.ismethod(command):  # cyclopts' own --help and --version
        return
    annotations = get_type_hints(command, include_extras=True)
    for name, value in arguments.items():
        if value is not None and range_of(annotations[name]):
            check_value("--" + name.replace("_", "-"), value, annotations[name])


@contextmanager
def naming_options(others: Mapping[str, str]) -> Iterator[None]:
    """Errors about a setting name its option instead; ``others`` has the options with other names."""
    try:
        yield
    except SettingError as error:
        option = others.get(error.name, "--" + error.name.replace("_", "-"))
        raise SettingError(option, error.value, error.expected) from None


@Parameter(name="*", group=COMMON)
@dataclass(frozen=True)
class Common:
    """What a command prints."""

    json: Annotated[bool, FLAG] = False
    """Print one JSON object on stdout instead of text."""
    quiet: Annotated[bool, FLAG] = False
    """Show no progress and print nothing except errors."""
    debug: Annotated[bool, FLAG] = False
    """Show a traceback with an error."""


def with_settings(cls: type[T]) -> type[T]:
    """Give a class the fields of ``AdaptationSettings`` as options, with their help, ranges and defaults.

    An option whose default depends on the effort or the hardware is None unless it is given.
    """
    help_texts = {p.arg_name: p.description or "" for p in parse_from_object(AdaptationSettings).params}
    defaults = defaults_by_hardware()
    for setting in dataclasses.fields(AdaptationSettings):
        hint = hints(AdaptationSettings)[setting.name]
        plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        option: Any = Whole if plain is int else plain
        notes = [" ".join(help_texts[setting.name].split())]
        if words := range_of(hint):
            notes.append(f"[{words}]")
        default = setting.default
        if setting.name in defaults:
            option, default = option | None, None
            notes.append(f"[default: {defaults[setting.name]}]")
        cls.__annotations__[setting.name] = Annotated[option, Parameter(name=option_name(setting.name))]
        setattr(cls, setting.name, dataclasses.field(default=default, metadata={"help": " ".join(notes)}))
    return dataclass(frozen=True)(cls)


_HARDWARE: dict[Hardware, str] = {"cpu": "", "bfloat16": "with bfloat16 ", "cuda": "on a CUDA GPU "}


def defaults_by_hardware() -> dict[str, str]:
    """For each setting that depends on the effort or the hardware, its defaults in words."""
    base = {f.name: f.default for f in dataclasses.fields(AdaptationSettings)}
    names = dict.fromkeys(name for efforts in EFFORTS.values() for own in efforts.values() for name in own)
    return {
        name: "; ".join(
            words + ", ".join(str(own.get(name, base[name])) for own in EFFORTS[hardware].values())
            for hardware, words in _HARDWARE.items()
        )
        for name in names
    }


def option_name(setting: str) -> str:
    """The option for the field ``setting`` of ``AdaptationSettings``.

    ``size``, ``grain`` and ``batch`` are called ``--content-size`` and so on, because ``--size``, ``--grain``
    and ``--batch`` refer to the results.
    """
    return ("--content-" if setting in OF_CONTENTS else "--") + setting.replace("_", "-")


@Parameter(name="*", group=ADAPTATION)
@with_settings
class AdaptationOptions:
    """``AdaptationSettings`` as options."""

    effort: Effort = "normal"
    """How long the adaptation takes: about ten seconds, a minute, or five minutes on two CPU cores. The
    defaults of a few options depend on it; they are listed in this order."""

    def settings(self, device: str, **given_otherwise: int | None) -> AdaptationSettings:
        """The given settings, and the defaults of the effort on ``device`` for the others.

        Raises:
            MetastyleError: a value is out of range, or there is no such device.
        """
        from metastyle.core.device import hardware_of, pick_device

        given = {n: value for n, value in (vars(self) | given_otherwise).items() if value is not None}
        with naming_options({name: option_name(name) for name in OF_CONTENTS}):
            return default_settings(hardware_of(pick_device(device)), **given)


@Parameter(name="*", group=ADAPTATION)
@dataclass(frozen=True)
class AdaptationSources:
    """The inputs of an adaptation."""

    content: Annotated[Path | None, Parameter(metavar="PATH")] = None
    """A photograph or a folder of photographs to adapt on, or 'procedural'; by default, the pictures that
    will be repainted."""
    adapt_again: Annotated[bool, FLAG] = False
    """Adapt again to paintings whose styles an earlier call has cached."""
    learn_again: Annotated[bool, Parameter(negative="", show=False)] = False
    """The earlier name of ``adapt_again``."""
    loss_network: Annotated[Path | None, Parameter(metavar="FILE")] = None
    """A file with VGG-16's weights; by default they are found or downloaded."""
    offline: Annotated[bool, FLAG] = False
    """Never use the network."""
