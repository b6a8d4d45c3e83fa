"""The ``metastyle`` command: reads the command line, runs one command, turns errors into one line."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cyclopts import App
from cyclopts.help import DefaultFormatter, HelpPanel

import metastyle
from metastyle.cli.commands.adapt import adapt
from metastyle.cli.commands.bench import bench
from metastyle.cli.commands.blend import blend
from metastyle.cli.commands.doctor import doctor
from metastyle.cli.commands.export import export
from metastyle.cli.commands.studio import studio
from metastyle.cli.commands.styles import styles
from metastyle.cli.commands.stylize import stylize
from metastyle.cli.commands.train import train
from metastyle.cli.commands.train_baseline import train_baseline
from metastyle.cli.commands.video import video
from metastyle.cli.commands.weights import weights
from metastyle.cli.errors import BROKEN_PIPE, DONE, USAGE, explain
from metastyle.cli.inputs import PIPE, expand_home
from metastyle.cli.options import Common, check_ranges
from metastyle.cli.output import Outcome, complain, report, report_error
from metastyle.cli.streams import STDERR, STDOUT, guarded

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

HELP = """\
Adapt a small network to any painting in about a minute, then repaint your photographs.

    metastyle stylize photo.jpg --style painting.jpg

'metastyle COMMAND --help' shows what a command can do, with examples.
"""

COMMANDS: tuple[Callable[..., Outcome | int] | App, ...] = (
    stylize,
    video,
    adapt,
    blend,
    styles,
    studio,
    export,
    train,
    train_baseline,
    bench,
    weights,
    doctor,
)

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables for how idle threads wait: OpenMP's, GCC's, LLVM's and Intel's."""
WAIT_BRIEFLY = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}
"""Idle threads sleep; those of GCC's runtime, which torch brings for Linux, first spin for 1,000 turns."""


class Reflowing(DefaultFormatter):
    """Joins the wrapped lines of help in docstrings, so that it fits any terminal."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        for entry in panel.entries:
            text = getattr(entry.description, "primary_renderable", None)
            if text is not None and hasattr(text, "plain"):
                text.plain = " ".join(text.plain.split())
        super().__call__(console, options, panel)


app = App(
    name="metastyle",
    help=HELP,
    help_format="plaintext",
    help_formatter=Reflowing(),
    version=metastyle.__version__,
)
for position, command in enumerate(COMMANDS):
    if isinstance(command, App):
        command.sort_key = position
        app.command(command)
    else:
        app.command(command, sort_key=position)
app.register_install_completion_command(help="Set up completion for your shell.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code.

    0 done, 1 some of several things failed, 2 an error that the user can fix, 70 a bug, 130 interrupted,
    141 done, but the reader of stdout closed it before the end.
    """
    wait_briefly()
    given = sys.argv[1:] if arguments is None else arguments
    tokens = [str(PIPE) if token == "-" else _expanded(token) for token in given]
    with guarded():
        return _conclude(_run(tokens))


def _expanded(token: str) -> str:
    """Expand ``~`` in ``--style=~/a.jpg``, which the shell does not."""
    option = re.match(r"--?[a-z][a-z-]*=", token)
    start = option[0] if option else ""
    return start + expand_home(token[len(start) :])


def _run(tokens: list[str]) -> int:
    try:
        command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
        check_ranges(command, bound.arguments)
        outcome = command(*bound.args, **bound.kwargs)
        if isinstance(outcome, Outcome):
            return report(outcome, bound.arguments.get("common", Common()))
    except (Exception, KeyboardInterrupt) as error:
        # Searched by hand, because the command line itself may be invalid.
        if "--debug" in tokens:
            traceback.print_exc(file=STDERR)
        return report_error(error, json="--json" in tokens)
    return outcome if isinstance(outcome, int) else DONE


def _conclude(code: int) -> int:
    """The exit code, depending on whether the output could be written."""
    STDOUT.flush()
    if STDOUT.lost is not None:
        if isinstance(STDOUT.lost, BrokenPipeError):  # the reader of our output has closed it
            return code or BROKEN_PIPE
        complain(f"stdout cannot be written: {explain(STDOUT.lost)[0]}")
        code = code or USAGE
    STDERR.flush()
    return code


def wait_briefly() -> None:
    """Let OpenMP's idle threads sleep after a moment, unless the user has configured how they wait.

    Between two parallel sections they spin for a few milliseconds, in case the next one follows
    immediately. On a busy machine, spinning takes processor time from the thread they are waiting for, and a
    picture takes twice as long. Threads that sleep at once slow down an idle machine by a half; a few
    microseconds of spinning avoid both (benchmarks/waiting.md). The runtime reads its settings when torch is
    loaded; after that, this has no effect.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in WAITING):
        os.environ.update(WAIT_BRIEFLY)
