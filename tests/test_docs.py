"""The pages are right about the repository: links, files, commands, and the tree."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from cyclopts import MissingArgumentError

from metastyle.cli.inputs import PIPE
from metastyle.cli.main import app

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "metastyle"
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
    ROOT / "examples" / "README.md",
    ROOT / "CHANGELOG.md",
]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
_COMMAND = re.compile(r"(?<!\S)metastyle [a-z]")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes from the headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{link} does not exist"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_source_files_named_in_a_page_exist(page: Path) -> None:
    for path in re.findall(r"`((?:[\w.-]+/)*[\w-]+\.py)`", page.read_text(encoding="utf-8")):
        if path == "mine.py":  # written by the reader
            continue
        places = (PACKAGE / path, ROOT / path, page.parent / path)
        known = any(place.exists() for place in places) or ("/" not in path and any(PACKAGE.rglob(path)))
        assert known, f"`{path}` does not exist"


def commands(page: Path) -> list[tuple[str, bool]]:
    """``metastyle`` commands in a page, and whether each is complete, unlike one inside a sentence."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    lines += re.findall(r"^ {4}((?:cat .* \| )?metastyle .*)$", text, re.MULTILINE)  # the examples of cli.md
    found = [(line, "..." not in line) for line in lines]
    found += [(line, False) for line in re.findall(r"`(metastyle [a-z][^`\n]*)`", text)]
    typed = [
        (re.sub(r"^.*?(?<!\S)metastyle ", "", line), whole) for line, whole in found if _COMMAND.search(line)
    ]
    return [(line, whole) for line, whole in typed if "…" not in line]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_can_be_parsed(page: Path) -> None:
    """They are parsed by the real parser and not run."""
    for line, whole in commands(page):
        words = shlex.split(line.split(" > ")[0], comments=True)
        tokens = [str(PIPE) if word == "-" else word for word in words]
        try:
            app.parse_args(tokens, exit_on_error=False, print_error=False)
        except Exception as error:
            if whole or not isinstance(error, MissingArgumentError):
                raise AssertionError(f"metastyle {line}: {' '.join(str(error).split())}") from error


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_scripts_named_in_a_page_exist_and_have_the_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"python3? ((?:benchmarks|examples|scripts)/[\w/]+\.py)([^`\n]*)", text)
    for script, rest in found:
        assert (ROOT / script).exists(), f"{script} does not exist"
        code = "".join((ROOT / path).read_text(encoding="utf-8") for path in (script, "benchmarks/rounds.py"))
        for option in re.findall(r"(?<!\S)--[\w-]+", rest.split("#")[0]):
            assert f'"{option}"' in code, f"{script} has no {option}"


def test_make_targets_named_in_a_page_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        asked = set(re.findall(r"`make (\w+)", text)) | set(re.findall(r"^make (\w+)", text, re.MULTILINE))
        assert asked <= targets, f"{name(page)}: make {', '.join(asked - targets)}"


def tree() -> list[str]:
    """The files in the tree of docs/architecture.md, as paths in the package."""
    block = re.search(r"```text\nsrc/metastyle/\n(.*?)```", ARCHITECTURE, re.DOTALL)
    assert block is not None
    folders: list[str] = []
    files = []
    for line in block[1].splitlines():
        indent, entry = len(line) - len(line.lstrip()), line.split()[0]
        folders = folders[: indent // 2 - 1]
        if entry.endswith("/"):
            folders.append(entry)
        else:
            files.append("".join(folders) + entry)
    return files


def test_the_tree_has_every_file_once() -> None:
    here = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")}
    here -= {path for path in here if path.endswith("/__init__.py")}
    listed = tree()
    assert len(set(listed)) == len(listed)
    missing, gone = sorted(here - set(listed)), sorted(set(listed) - here)
    assert not missing, f"docs/architecture.md lacks a line for {', '.join(missing)}"
    assert not gone, f"docs/architecture.md has {', '.join(gone)}, which do not exist"


def test_the_order_of_rooms_is_the_one_that_is_enforced() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (rooms,) = [c for c in settings["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    assert re.findall(r"^\d+\. `(metastyle\.\w+)`$", ARCHITECTURE, re.MULTILINE) == rooms["layers"]


JOURNEYS = re.findall(r"(?:^\d+\. `[\w/]+\.py`.*\n(?:   .*\n)*)+", ARCHITECTURE, re.MULTILINE)
"""The journeys of docs/architecture.md; the one of a picture has two parts."""


def defined(path: Path) -> set[str]:
    """Functions, classes and methods of a module, as ``name`` or ``Class.method``."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return found


def test_journeys_visit_each_file_once() -> None:
    assert len(JOURNEYS) >= 4
    for journey in JOURNEYS:
        files = re.findall(r"^\d+\. `([\w/]+\.py)`", journey, re.MULTILINE)
        assert len(set(files)) == len(files), f"a file is visited twice: {files}"


def test_each_step_of_a_journey_begins_with_something_in_its_file() -> None:
    for step in re.findall(r"^\d+\. `.*$", "".join(JOURNEYS), re.MULTILINE):
        named = re.match(r"\d+\. `([\w/]+\.py)`, `([\w.]+)`", step)
        assert named is not None, f"no function or class: {step}"
        assert named[2] in defined(PACKAGE / named[1]), f"{named[1]} has no {named[2]}"
