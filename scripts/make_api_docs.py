"""Writes docs/api.md: the public names of ``metastyle``, from their signatures and docstrings.

python scripts/make_api_docs.py
"""

from __future__ import annotations

import logging
from pathlib import Path

import griffe

import metastyle
from metastyle.core.checks import described, hints
from metastyle.core.settings import AdaptationSettings

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"
WIDTH = 100

_HEAD = """\
# From Python

This page is generated from the docstrings by `scripts/make_api_docs.py`. Importing `metastyle` is cheap:
torch is imported when one of these names is first used.
"""

_LIKE = {"PictureLike": "metastyle.images.picture_like", "StyleLike": "metastyle.api"}
"""Names of types in annotations, and where they are declared."""


def page() -> str:
    """The whole page."""
    logging.getLogger("griffe").setLevel(logging.ERROR)  # it warns about docstrings that are not used here
    package = griffe.load("metastyle", search_paths=[ROOT / "src"], docstring_parser="google")
    sections = [_HEAD]
    for name in sorted(metastyle.__all__, key=lambda name: (name[0].isupper(), name)):
        found = package[metastyle._HOME[name].removeprefix("metastyle.") + f".{name}"]
        sections.append(_class(found) if found.is_class else _function(found, f"metastyle.{name}"))
    sections.append("## Types\n")
    for name, home in _LIKE.items():
        alias = package[f"{home.removeprefix('metastyle.')}.{name}"]
        sections.append(f"`{name}` = `{alias.value}`\n\n{_prose(alias.docstring.value)}\n")
    return "\n".join(sections)


def _class(found: griffe.Class) -> str:
    blocks = [f"## `metastyle.{found.name}`\n", _docstring(found)]
    public = [m for m in found.members.values() if not m.name.startswith("_") and m.docstring]
    fields = [m for m in public if m.is_attribute]
    if found.name == AdaptationSettings.__name__:
        blocks.append(_settings(fields))
    else:
        blocks += [f"- `{f.name}`: {_prose(f.docstring.value)}" for f in fields]
    if fields:
        blocks.append("")
    return "\n".join(blocks + [_function(m, m.name, level=3) for m in public if m.is_function])


def _settings(fields: list[griffe.Attribute]) -> str:
    allowed = hints(AdaptationSettings)
    lines = ["| field | default | values | |", "|---|---|---|---|"]
    for field in fields:
        if field.name in allowed:  # and no property
            default = repr(getattr(AdaptationSettings, field.name))
            words = described(allowed[field.name])
            lines.append(f"| `{field.name}` | `{default}` | {words} | {_prose(field.docstring.value)} |")
    return "\n".join(lines)


def _function(found: griffe.Function, name: str, level: int = 2) -> str:
    head = f"{'#' * level} `{name}`\n"
    return "\n".join([head, "```python", _signature(found), "```\n", _docstring(found)])


def _signature(found: griffe.Function) -> str:
    parameters, starred = [], False
    for parameter in found.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not starred:
            parameters.append("*")
            starred = True
        default = "" if parameter.default is None else f" = {parameter.default}".replace("'", '"')
        parameters.append(f"{parameter.name}: {parameter.annotation}{default}".replace("'", '"'))
    line = f"{found.name}({', '.join(parameters)}) -> {found.returns}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{found.name}(", *(f"    {p}," for p in parameters), f") -> {found.returns}"])


def _docstring(found: griffe.Object) -> str:
    assert found.docstring is not None, f"{found.path} has no docstring"
    blocks = []
    for section in found.docstring.parsed:
        kind = section.kind.value
        if kind == "text":
            blocks.append(_prose(section.value))
        elif kind == "parameters":
            blocks.append("\n".join(f"- `{p.name}`: {_prose(p.description)}" for p in section.value))
        elif kind == "returns":
            blocks.append(f"Returns: {' '.join(_prose(r.description) for r in section.value)}")
        elif kind == "raises":
            blocks += [f"Raises `{r.annotation}`: {_prose(r.description)}" for r in section.value]
        else:
            raise ValueError(f"{found.path}: a section that this page does not know: {kind}")
    return "\n\n".join(blocks) + "\n"


def _prose(text: str) -> str:
    """A docstring's text as Markdown: code in single backticks, a paragraph a line."""
    paragraphs = text.replace("``", "`").split("\n\n")
    return "\n\n".join(" ".join(p.split()) for p in paragraphs)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
