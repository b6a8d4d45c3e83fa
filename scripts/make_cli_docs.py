"""Writes docs/cli.md: the help of every command, as shown in a terminal of 100 columns.

python scripts/make_cli_docs.py
"""

from __future__ import annotations

import io
from pathlib import Path

from cyclopts import App
from rich.console import Console

from metastyle.cli.main import COMMANDS, app

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"

_HEAD = """\
# The command line

This page is made from the program's own help by `scripts/make_cli_docs.py`.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | some of several things failed, and the others are done |
| 2 | an error that you can fix; one line on stderr says how |
| 70 | a bug in metastyle; `--debug` shows where |
| 130 | interrupted by Ctrl-C; finished work is kept |

With `--json`, a command prints one JSON object on stdout: `outputs`, `errors`, `exit_code` and entries
that are specific to the command. Progress goes to stderr.
"""


def page() -> str:
    """The whole page."""
    sections = [_HEAD, _section("metastyle", [])]
    for command in COMMANDS:
        if isinstance(command, App):
            name, inner = command.name[0], [n for n in command if not n.startswith("-")]
            sections += [_section(f"metastyle {name} {n}", [name, n]) for n in inner]
        else:
            name = command.__name__.replace("_", "-")
            sections.append(_section(f"metastyle {name}", [name]))
    return "\n".join(sections)


def _section(title: str, tokens: list[str]) -> str:
    stream = io.StringIO()
    app.help_print(tokens, console=Console(file=stream, width=100, color_system=None, force_terminal=False))
    lines = [line.rstrip() for line in stream.getvalue().strip().splitlines()]
    return "\n".join([f"## {title}", "", "```text", *lines, "```", ""])


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
