"""The wait policy of OpenMP threads, which the command sets and the library leaves alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from metastyle.cli.main import WAITING as SETTINGS

_CLEAN = {name: value for name, value in os.environ.items() if name not in SETTINGS}


def _run(code: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        env=_CLEAN | settings,
    )


_COMMAND = "import os; from metastyle.cli.main import main; main(['--help']); "
_SHOW = f"print({{name: os.environ[name] for name in {SETTINGS!r} if name in os.environ}})"


def test_the_command_sets_the_wait_policy_before_torch_is_imported() -> None:
    shown = _run(_COMMAND + "import torch", OMP_DISPLAY_ENV="true").stderr
    assert re.search(r"OMP_WAIT_POLICY\s*=\s*'PASSIVE'", shown)


@pytest.mark.skipif(sys.platform != "linux", reason="torch brings GCC's OpenMP runtime for Linux only")
def test_threads_spin_for_a_moment_before_they_sleep() -> None:
    shown = _run(_COMMAND + "import torch", OMP_DISPLAY_ENV="verbose").stderr
    assert re.search(r"GOMP_SPINCOUNT\s*=\s*'1000'", shown)


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_the_user_are_kept(name: str) -> None:
    value = "active" if name == "OMP_WAIT_POLICY" else "200"
    assert _run(_COMMAND + _SHOW, **{name: value}).stdout.splitlines()[-1] == str({name: value})


def test_nothing_is_set_if_torch_is_already_imported() -> None:
    code = "import sys, types; sys.modules['torch'] = types.ModuleType('torch'); "
    assert _run(code + _COMMAND + _SHOW).stdout.splitlines()[-1] == "{}"


def test_importing_the_library_sets_nothing() -> None:
    assert _run(f"import os, metastyle; {_SHOW}").stdout.splitlines()[-1] == "{}"
