"""What commands print: progress on stderr, outcomes on stdout, and errors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, cast

from metastyle.cli.errors import DONE, explain
from metastyle.cli.options import Common
from metastyle.cli.streams import BARS, STDERR, STDOUT

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from metastyle.core.adaptation import AdaptationStep

LINE_EVERY = 10.0
"""Seconds between two lines if stderr is not a terminal."""


class Display:
    """Progress bars in a terminal, occasional lines elsewhere (a log), nothing if ``quiet``."""

    def __init__(self, quiet: bool = False, console: Console | None = None) -> None:
        self._quiet = quiet
        self._tasks: dict[str, TaskID] = {}
        self._next_line: dict[str, float] = {}
        self._latest: dict[str, str] = {}
        self._complete: set[str] = set()
        self._remarks = _Remarks(self)
        if quiet:
            return
        # Imported here, because help must appear immediately.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = console or Console(file=cast(IO[str], BARS), highlight=False, emoji=False)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=self._console,
            disable=not self._console.is_terminal,
            refresh_per_second=8,
            redirect_stdout=STDOUT.isatty(),  # output to a file must not go above the bars
        )

    def __enter__(self) -> Self:
        logging.getLogger("metastyle").addHandler(self._remarks)
        if not self._quiet:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger("metastyle").removeHandler(self._remarks)
        if not self._quiet:
            self._bars.stop()

    def update(self, what: str, share: float, note: str = "") -> None:
        """Show that ``share``, 0 to 1, of ``what`` is done."""
        if self._quiet:
            return
        what, note = printable(what), printable(note)
        if self._console.is_terminal:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=1.0, note=note)
            self._bars.update(self._tasks[what], completed=share, note=note)
            return
        now = time.monotonic()
        already = what in self._complete
        (self._complete.add if share >= 1 else self._complete.discard)(what)
        if (share >= 1 and not already) or now >= self._next_line.setdefault(what, now + LINE_EVERY):
            self._next_line[what] = now + LINE_EVERY
            line = f"{what}: {share:.0%} {note}".rstrip()
            if share >= 1 or line != self._latest.get(what):
                self._latest[what] = line
                self._console.print(line, markup=False, soft_wrap=True)

    def download(self, done: int, total: int, what: str) -> None:
        """For ``on_download``: bytes received, total bytes."""
        share = done / total if total else 0.0
        self.update(f"fetching {what}", share, f"{done / 1e6:.1f} of {total / 1e6:.1f} MB")

    def step(self, what: str, step: AdaptationStep) -> None:
        """Show a step of the adaptation to ``what``."""
        note = f"step {step.step}/{step.steps}  loss {step.total:.1f}  {seconds(step.seconds_left)} left"
        self.update(f"adapting to {what}", step.step / step.steps, note)

    def share(self, what: str, index: int = 0, count: int = 1, note: str = "") -> Callable[[float], None]:
        """A callback for the finished share of part ``index`` of ``count`` parts of ``what``."""
        return lambda share: self.update(what, (index + share) / count, note)

    def note(self, line: str) -> None:
        """Print a line above the bars."""
        if not self._quiet:
            self._console.print(printable(line), markup=False, soft_wrap=True)


class _Remarks(logging.Handler):
    """Shows the library's log, each line once, because a picture may be opened several times."""

    def __init__(self, display: Display) -> None:
        super().__init__(logging.WARNING)
        self._display = display
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line not in self._shown:
            self._shown.add(line)
            self._display.note(line)


class Speaker:
    """Prints the outcome of a command on stdout: lines for people, or one JSON object for programs."""

    def __init__(self, json: bool = False, quiet: bool = False) -> None:
        self._lines = not (json or quiet)
        self._json = json

    def line(self, text: str = "") -> None:
        if self._lines:
            STDOUT.write((printable(text) if STDOUT.isatty() else text) + "\n")
            STDOUT.flush()  # for readers that follow along

    def document(self, content: dict[str, Any]) -> None:
        if self._json:
            STDOUT.deliver(to_json(content) + "\n")


def to_json(content: dict[str, Any]) -> str:
    """One JSON object on one line, in characters that stdout can encode."""
    import json

    text = json.dumps(content, ensure_ascii=False, default=str)
    return text if STDOUT.encodes(text) else json.dumps(content, default=str)


def complain(line: str) -> None:
    """Print one line on stderr, even with ``--quiet``."""
    STDERR.write(f"metastyle: {printable(line)}\n")


def printable(text: str) -> str:
    """Escape what would move a terminal's cursor or change its colors: file names can hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a command, for people, programs and the shell."""

    command: str
    outputs: list[dict[str, Any]] = field(default_factory=list)
    """For ``--json``: a record of each written file."""
    errors: list[Any] = field(default_factory=list)
    """For ``--json``: the failures."""
    details: dict[str, Any] = field(default_factory=dict)
    """For ``--json``: entries that are specific to the command."""
    lines: list[str] = field(default_factory=list)
    """For people, on stdout."""
    problems: list[str] = field(default_factory=list)
    """For people, on stderr, even with ``--quiet``."""
    code: int = DONE


def report(outcome: Outcome, common: Common) -> int:
    """Print the outcome of a command; returns the exit code."""
    speaker = Speaker(common.json, common.quiet)
    speaker.document(
        {
            "command": outcome.command,
            "outputs": outcome.outputs,
            **outcome.details,
            "errors": outcome.errors,
            "exit_code": outcome.code,
        }
    )
    for line in outcome.lines:
        speaker.line(line)
    for problem in outcome.problems:
        complain(problem)
    return outcome.code


def report_error(error: BaseException, *, json: bool) -> int:
    """Print the error that stopped a command; returns the exit code."""
    line, code = explain(error)
    complain(line)
    if json:
        document = {"outputs": [], "errors": [{"error": line}], "exit_code": code}
        STDOUT.deliver(to_json(document) + "\n")
    return code


def seconds(value: float) -> str:
    """``0.8 s``, ``45 s`` or ``3 min 20 s``."""
    if value < 9.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
