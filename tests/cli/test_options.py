from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, get_args, get_type_hints

import pytest
from cyclopts import App
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from metastyle.cli import options
from metastyle.cli.main import COMMANDS, app
from metastyle.cli.options import (
    AdaptationOptions,
    Size,
    SquareSize,
    check_ranges,
    option_name,
    parse_bytes,
    parse_whole,
)
from metastyle.core import device as hardware
from metastyle.core.checks import SettingError, hints, range_of
from metastyle.core.settings import EFFORTS, AdaptationSettings, Effort, Hardware, Strength, default_settings
from metastyle.errors import MetastyleError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2_000_000_000),
        ("2 gb", 2_000_000_000),
        ("1.5G", 1_500_000_000),
        ("800MB", 800_000_000),
        ("64k", 64_000),
        ("2GiB", 2 << 30),
        ("3Ki", 3 << 10),
        ("1TiB", 1 << 40),
        ("1000000", 1_000_000),
    ],
)
def test_memory_sizes_are_parsed(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "1q", "GB", "-2GB", "nan", "inf", "2iB", "2 G B", "0", "0GB", "1e9", "٣GB", "9" * 30]
)
def test_invalid_memory_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write 2GB or 800MB"):
        parse_bytes(text)


@given(st.text(max_size=12))
def test_any_text_is_a_positive_memory_size_or_an_error(text: str) -> None:
    try:
        size = parse_bytes(text)
    except ValueError as error:
        assert "\n" not in str(error) or "\n" in text
    else:
        assert size >= 1


def _documentation(cls: type) -> dict[str, str]:
    """The docstring of each field of a class."""
    body = ast.parse(inspect.getsource(cls)).body[0]
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(field.target, ast.Name)
            texts[field.target.id] = ast.literal_eval(text.value)
    return texts


@given(st.integers(-(10**30), 10**30))
def test_whole_numbers_are_parsed(number: int) -> None:
    assert parse_whole(f" {number}") == number


@pytest.mark.parametrize("text", ["2.5", "2.0", "1e3", "", "-", "0x10", "nan", "١", "1" * 5000])
def test_other_numbers_are_not_rounded(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        parse_whole(text)


def test_no_option_is_a_plain_int() -> None:
    """The command line's parser would round 2.5 to 2 for a plain int."""
    folder = Path(options.__file__).parent
    for path in [folder / "options.py", *sorted((folder / "commands").glob("*.py"))]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not re.match(r"    \w+: (Annotated\[)?int\b.* = ", line), f"{path.name}:{number}"


def _help(command: str) -> str:
    stream = io.StringIO()
    app.help_print(command.split(), console=Console(file=stream, width=1000, color_system=None))
    return stream.getvalue()


def test_options_match_the_settings_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f.name for f in dataclasses.fields(AdaptationOptions) if f.name != "effort"]
    assert names == [f.name for f in dataclasses.fields(AdaptationSettings)]
    monkeypatch.setattr(hardware, "hardware_of", lambda device: "cpu")
    assert AdaptationOptions().settings("cpu") == AdaptationSettings()
    assert AdaptationOptions(steps=7, size=128).settings("cpu") == AdaptationSettings(steps=7, size=128)
    lines = {words[0]: line for line in _help("adapt").splitlines() if (words := line.strip("│ ").split())}
    for name, text in _documentation(AdaptationSettings).items():
        line = lines[option_name(name)]
        assert " ".join(text.split()) in line
        assert range_of(hints(AdaptationSettings)[name]) in line


def test_help_is_wrapped_only_by_the_terminal() -> None:
    line = next(line for line in _help("bench adaptation").splitlines() if "--variant NAME" in line)
    assert "Without it, the shipped model with procedural pictures" in line


def test_defaults_that_depend_on_effort_and_hardware_are_documented(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_hardware = {
        kind: [dataclasses.asdict(default_settings(kind, effort)) for effort in get_args(Effort)]
        for kind in EFFORTS
    }
    everything = [one for settings in by_hardware.values() for one in settings]
    differing = {name for name in everything[0] if len({str(one[name]) for one in everything}) > 1}
    assert differing == {f.name for f in dataclasses.fields(AdaptationOptions) if f.default is None}
    for name in differing:
        cpu, bfloat16, gpu = (", ".join(str(one[name]) for one in by_hardware[kind]) for kind in EFFORTS)
        assert f"[default: {cpu}; with bfloat16 {bfloat16}; on a CUDA GPU {gpu}]" in _help("adapt")
    for kind, settings in by_hardware.items():
        monkeypatch.setattr(hardware, "hardware_of", lambda device, kind=kind: kind)
        for effort, expected in zip(get_args(Effort), settings, strict=True):
            assert AdaptationOptions(effort=effort).settings("cpu") == AdaptationSettings(**expected)


@pytest.mark.parametrize("kind", EFFORTS)
def test_more_effort_means_more_computation(kind: Hardware) -> None:
    settings = [default_settings(kind, effort) for effort in get_args(Effort)]
    work = [s.steps * s.batch * s.size**2 for s in settings]
    assert work == sorted(work) and work[2] > 3 * work[1] > 9 * work[0]


def test_an_unknown_effort_is_refused() -> None:
    with pytest.raises(MetastyleError, match="use 'draft', 'normal' or 'fine'"):
        default_settings("cpu", "much")  # type: ignore[arg-type]


def test_ranges_follow_from_the_annotations() -> None:
    def command(
        strength: Strength,
        size: Size | None,
        side: list[SquareSize] | None,
        annotated: Annotated[list[SquareSize] | None, "an option's"],
    ) -> None:
        pass

    check_ranges(command, {"strength": 1, "size": None})
    check_ranges(command, {"strength": 2.0, "size": 16, "side": [64, 4096]})
    check_ranges(command, {"annotated": [64, 4096]})
    for value in (2.1, -0.1, float("nan"), float("inf")):
        with pytest.raises(MetastyleError, match=r"^--strength is .*: use a number from 0 to 2$"):
            check_ranges(command, {"strength": value})
    with pytest.raises(MetastyleError, match=r"^--size is 15: use a whole number from 16 to 100000$"):
        check_ranges(command, {"size": 15})
    with pytest.raises(MetastyleError, match=r"^--side is 63: use a whole number from 64 to 4096$"):
        check_ranges(command, {"side": [64, 63]})
    with pytest.raises(MetastyleError, match=r"^--annotated is 4097: use a whole number from 64 to 4096$"):
        check_ranges(command, {"annotated": [64, 4097]})


def test_every_range_is_described_in_its_error() -> None:
    ranges = 0
    for command in _functions():
        for name, hint in get_type_hints(command, include_extras=True).items():
            if re.search(r"\b[GL][et]\(", repr(hint)):  # however deep in lists and unions
                ranges += 1
                with pytest.raises(SettingError) as caught:
                    check_ranges(command, {name: -1})
                assert re.search(r"use a (whole )?number (of at least|from) [0-9]", str(caught.value))
    assert ranges > 30


def _functions() -> Iterator[Callable[..., object]]:
    for command in COMMANDS:
        if isinstance(command, App):
            yield from (f for n in command if not n.startswith("-") and (f := command[n].default_command))
        else:
            yield command


def test_errors_name_the_option() -> None:
    with pytest.raises(MetastyleError, match=r"^--content-size is 65: use a multiple of 4"):
        AdaptationOptions(size=65).settings("cpu")
    with pytest.raises(MetastyleError, match=r"^--learning-rate is nan: "):
        AdaptationOptions(learning_rate=float("nan")).settings("cpu")
    assert option_name("style_size") == "--style-size"
