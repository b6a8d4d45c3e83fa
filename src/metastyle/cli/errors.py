"""One-line messages for errors, and exit codes."""

from __future__ import annotations

from cyclopts import CycloptsError, MissingArgumentError, UnusedCliTokensError, ValidationError

from metastyle.cli.inputs import PIPE
from metastyle.core.checks import SettingError, check_value, range_of
from metastyle.errors import ExistsError, MetastyleError

DONE = 0
SOME_FAILED = 1
USAGE = 2
BUG = 70
INTERRUPTED = 130
BROKEN_PIPE = 141

_ONE_A_CALL = {"video": "film", "adapt": "painting", "export": "style"}


def explain(error: BaseException) -> tuple[str, int]:
    """One line that says what is wrong, and the exit code."""
    line, code = _explain(error)
    return " ".join(line.replace(str(PIPE), "-").split()), code


def _explain(error: BaseException) -> tuple[str, int]:
    if isinstance(error, MissingArgumentError):
        return _missing(error), USAGE
    if isinstance(error, UnusedCliTokensError):
        return _left_over(error), USAGE
    if isinstance(error, ValidationError):
        return _invalid(error), USAGE
    if isinstance(error, ExistsError):
        return f"{error.what}: add --overwrite, or choose another name with -o", USAGE
    if isinstance(error, MetastyleError | CycloptsError):
        return str(error), USAGE
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    if _is_out_of_memory(error):
        return "not enough memory: use --max-memory 1GB, a smaller --size, or close other programs", USAGE
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", USAGE
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"unexpected {what} (this is a bug; --debug shows where)", BUG


def _is_out_of_memory(error: BaseException) -> bool:
    # torch's own are RuntimeErrors: a subclass on accelerators, a plain one from the CPU's allocator.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def _left_over(error: UnusedCliTokensError) -> str:
    command = " ".join(error.command_chain or ())
    rest = " ".join(error.unused_tokens or ())
    if command in _ONE_A_CALL:
        return f"{command} takes one {_ONE_A_CALL[command]} at a time: run it again for {rest}"
    return f"{command} does not take {rest}; 'metastyle {command} --help' shows examples"


def _invalid(error: ValidationError) -> str:
    """Once pydantic has been imported, cyclopts checks ranges itself, with errors of several lines."""
    argument = error.argument
    if argument is not None and range_of(argument.field_info.annotation):
        try:
            check_value(argument.name, argument.value, argument.field_info.annotation)
        except SettingError as setting:
            return str(setting)
    return str(error)


def _missing(error: MissingArgumentError) -> str:
    command = " ".join(error.command_chain or ())
    name = error.argument.name if error.argument else ""
    help_ = f"'metastyle {command} --help' shows examples"
    if name == "--style" and not error.tokens_so_far and error.keyword is None:
        return f"{command} needs a style: add --style PAINTING (any picture) or a .safetensors file; {help_}"
    return f"{command} needs {name}; {help_}"
