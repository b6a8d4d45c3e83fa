from __future__ import annotations

import ast
import errno
import inspect
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import metastyle
from metastyle.cli import main as cli
from metastyle.errors import MetastyleError

Run = Callable[..., Any]


def _commands() -> dict[str, Callable[..., Any]]:
    """All commands and subcommands by name."""
    found: dict[str, Callable[..., Any]] = {}
    for command in cli.COMMANDS:
        if isinstance(command, App):
            for inner in (name for name in command if not name.startswith("-")):
                function = command[inner].default_command
                assert function is not None
                found[f"{command.name[0]} {inner}"] = function
        else:
            found[command.__name__.replace("_", "-")] = command
    return found


COMMANDS = _commands()
NAMES = list(COMMANDS)


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], check=False, capture_output=True, text=True, timeout=60, **options
    )


def test_help_and_usage_errors_do_not_import_large_libraries() -> None:
    for arguments in (
        ["--help"],
        ["stylize", "--help"],
        ["adapt", "--steps", "x"],
        ["stylize", "missing.jpg"],
    ):
        code = (
            "import sys; from metastyle.cli.main import main; "
            f"main({arguments!r}); "
            "print('loaded:', *sorted({'torch', 'numpy', 'PIL', 'pydantic'} & sys.modules.keys()))"
        )
        assert python("-c", code).stdout.splitlines()[-1] == "loaded:", arguments


UNNEEDED = (
    *("pooch", "requests", "urllib3"),  # downloads
    *("av", "cv2", "onnx", "onnxruntime", "onnxscript", "lightning_fabric", "ray", "torchmetrics"),  # extras
    *("matplotlib", "markdown_it", "torchvision", "scipy", "tifffile"),
    *("torch._dynamo", "torch._inductor", "torch.onnx", "torch.distributed.tensor"),
    *("metastyle.training", "metastyle.systems", "metastyle.bench"),
)
"""Modules that are not needed to stylize a photograph with a built-in style."""


def test_stylizing_with_a_built_in_style_imports_no_unneeded_modules(
    draw: Callable[..., Path], tmp_path: Path
) -> None:
    photo = draw(tmp_path / "photo.png")
    arguments = ["stylize", str(photo), "--style", "starry-night", "--overwrite"]
    code = (
        "import sys; from metastyle.cli.main import main; "
        f"assert main({[*arguments, '--quiet']!r}) == 0; print('loaded:', *sorted({{*{UNNEEDED!r}, 'rich'}}"
        " & sys.modules.keys())); "
        f"assert main({arguments!r}) == 0; print('loaded:', *sorted({{*{UNNEEDED!r}}} & sys.modules.keys()))"
    )
    lines = [line for line in python("-c", code).stdout.splitlines() if line.startswith("loaded:")]
    assert lines == ["loaded:"] * 2


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_every_command_has_examples(name: str, run: Run) -> None:
    result = run(*name.split(), "--help")
    assert result.code == 0 and result.err == ""
    examples = [line.strip() for line in result.out.splitlines() if f"metastyle {name}" in line][1:]
    assert len(examples) >= 2
    assert all(
        len(line) <= 80 for line in (inspect.getdoc(COMMANDS[name]) or "").split("Args:")[0].splitlines()
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_help_text(name: str) -> None:
    command = cli.app
    for word in name.split():
        command = command[word]
    arguments = command.assemble_argument_collection(parse_docstring=True)
    shown = [argument for argument in arguments if argument.show]
    assert len(shown) >= 3
    assert [a.name for a in shown if not a.parameter.help] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_example_can_be_parsed(name: str) -> None:
    lines = [line.strip() for line in (inspect.getdoc(COMMANDS[name]) or "").splitlines()]
    examples = [line.split("#")[0].split("|")[-1].split(">")[0].strip() for line in lines]
    examples = [line for line in examples if line.startswith(f"metastyle {name}")]
    assert len(examples) >= 2
    for example in examples:
        tokens = ["x" if token == "-" else token for token in shlex.split(example)[1:]]
        command, _, _ = cli.app.parse_args(tokens, exit_on_error=False, print_error=False)
        assert command is COMMANDS[name]


def test_the_overview_lists_all_commands(run: Run) -> None:
    result = run("--help")
    assert result.code == 0
    assert all(f" {name.split()[0]} " in result.out for name in NAMES)
    assert run().out == result.out
    assert run("--version").out == f"{metastyle.__version__}\n"
    assert "--install-completion" in result.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["styilze"], 'Did you mean "stylize"?'),
        (["stylize", "a.jpg", "--style", "b.jpg", "--stregth", "1"], "Did you mean --strength?"),
        (
            ["adapt", "a.jpg", "--steps", "many"],
            "for --steps: 'many' is not a whole number",
        ),
        (["adapt", "a.jpg", "--parameters", "some"], 'Choose from: "all", "low_rank"'),
        (["stylize", "a.jpg", "--style", "b.jpg", "--max-memory", "1q"], "'1q' is not a size: write 2GB"),
        (["stylize", "a.jpg"], "stylize needs a style: add --style PAINTING"),
        (
            ["video", "a.mp4", "b.mp4", "-s", "night"],
            "video takes one film at a time: run it again for b.mp4",
        ),
        (["adapt", "a.jpg", "b.jpg"], "adapt takes one painting at a time: run it again for b.jpg"),
        (["doctor", "x"], "doctor does not take x; 'metastyle doctor --help' shows examples"),
        (["stylize", "https://a.org/b.jpg", "-s", "night"], "https://a.org/b.jpg is a URL: download it"),
        (["stylize", "a.jpg", "-s", "https://a.org/b.jpg"], "https://a.org/b.jpg is a URL: download it"),
        (["video", "rtsp://a.org/b", "-s", "night"], "rtsp://a.org/b is a URL: download it"),
        (["stylize", "f%03d.png", "-s", "night"], "f%03d.png stands for numbered pictures"),
        (["video", "f%03d.png", "-s", "night"], "f%03d.png: there are no PNG or JPEG frames"),
        (["stylize", "a.jpg", "--style=~/no.jpg"], "/home/somebody/no.jpg: cannot be read"),
        (["stylize", "a.jpg", "--style=~/no.jpg:0.3"], "/home/somebody/no.jpg: cannot be read"),
        (["stylize", "a.jpg", "-s", "night", "--mask=~/m.png=night"], "/home/somebody/m.png: cannot be read"),
        (["stylize"], "metastyle stylize --help"),
        (["adapt"], "adapt needs PAINTING; 'metastyle adapt --help' shows examples"),
        (["blend", "a.safetensors"], "blend needs --output"),
        (
            ["stylize", "a.jpg", "--style", "b.jpg", "--size", "0"],
            "--size is 0: use a whole number from 16",
        ),
        (
            ["stylize", "a.jpg", "--style", "b.jpg", "--strength", "nan"],
            "--strength is nan: use a number from 0",
        ),
    ],
)
def test_usage_errors_are_one_line(
    arguments: list[str], expected: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    result = run(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("metastyle: ") and result.err.count("\n") == 1
    assert expected in result.err


def _app_that_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    app = App(name="metastyle", help_format="plaintext")

    def fail(*, debug: bool = False, json: bool = False) -> None:
        raise error

    app.default(fail)
    monkeypatch.setattr(cli, "app", app)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (MetastyleError("the style\nis wrong"), 2, "the style is wrong"),
        (OSError(errno.ENOSPC, "No space left on device", "out.png"), 2, "out.png: No space left on device"),
        (MemoryError(), 2, "not enough memory: use --max-memory 1GB"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 2, "not enough memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyError("x"), 70, "unexpected KeyError: 'x' (this is a bug; --debug shows where)"),
        (AssertionError(), 70, "unexpected AssertionError (this is a bug"),
    ],
)
def test_every_exception_is_reported_in_one_line(
    error: BaseException, code: int, line: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _app_that_raises(monkeypatch, error)
    result = run()
    assert (result.code, result.out, result.err.count("\n")) == (code, "", 1)
    assert result.err.startswith(f"metastyle: {line}")
    assert "Traceback" in run("--debug").err
    document = run("--json").document
    assert document["exit_code"] == code and document["errors"][0]["error"].startswith(line)


@pytest.mark.parametrize(("arguments", "expected"), [(["weights"], 141), (["--help"], 1)])
def test_a_broken_pipe_is_silent(arguments: list[str], expected: int) -> None:
    # The library that prints help has its own exit code for this.
    code = f"import sys; from metastyle.cli.main import main; sys.exit(main({arguments!r}))"
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, stdout=writing, stderr=subprocess.PIPE, timeout=60
        )
    finally:
        os.close(writing)
    assert done.stderr == b""
    assert done.returncode == expected


def test_main_parses_the_arguments_of_the_process(tmp_path: Path) -> None:
    done = python(
        "-c", "import sys; from metastyle.cli.main import main; sys.exit(main())", "blend", "x.png", "-o", "y"
    )
    assert done.returncode == 2
    assert done.stderr == "metastyle: x.png: cannot be read: No such file or directory\n"


OPTIONS = (
    "--style -s -o --output --size --strength --keep-color --max-memory --device --steps --seed --batch "
    "--json --quiet --overwrite --content - -- --parameters --preview --set --config --minutes -1 0 nan "
    "1e400 a.jpg . a:b : --no-json --offline=maybe --learning-rate --style-size=-3 = --= -ox a=b .safetensors"
)
# They succeed without arguments; the studio would serve until it is stopped.
WITHOUT_REQUIRED = ("doctor", "weights", "styles", "studio")
WORDS = st.one_of(st.sampled_from(OPTIONS.split()), st.text(max_size=8))


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    command=st.sampled_from([name for name in NAMES if name not in WITHOUT_REQUIRED]),
    words=st.lists(WORDS, max_size=6),
)
def test_random_arguments_never_end_in_a_traceback(
    command: str, words: list[str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = run(*command.split(), *words)
    wants_help = "--help" in words or "-h" in words
    assert result.code == (0 if wants_help else 2), result.err
    if not wants_help:
        assert result.err.startswith("metastyle: ") and result.err.count("\n") == 1
        assert "unexpected" not in result.err
    assert sorted(tmp_path.rglob("*")) == before


def test_functions_of_the_command_line_are_short() -> None:
    """No function has more than 60 lines of code, not counting its docstring."""
    folder = Path(cli.__file__).parent
    for path in folder.rglob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for function in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(function, ast.FunctionDef):
                own = range(function.lineno, (function.end_lineno or 0) + 1)
                first = function.body[0]
                has_text = ast.get_docstring(function) is not None
                text = range(first.lineno, (first.end_lineno or 0) + 1) if has_text else ()
                code = [number for number in own if number not in text and lines[number - 1].strip()]
                assert len(code) <= 60, f"{path.name}: {function.name} has {len(code)} lines"
