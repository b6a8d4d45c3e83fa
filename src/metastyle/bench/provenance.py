"""Where results come from: commands, versions and the machine, kept next to them in ``about.json``.

The shipped initialization is a version, too: the same release of the code was measured with several.
"""

from __future__ import annotations

import json
import platform
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch

from metastyle.files import read_json, write_bytes
from metastyle.weights.initialization import shipped_initialization

_T = TypeVar("_T")


def note(
    folder: Path,
    arguments: Sequence[str],
    device: torch.device,
    *,
    scale: Mapping[str, str] | None = None,
    replace: bool = False,
) -> None:
    """Record how the results in ``folder`` are made, after the records that are there already.

    arguments: the command line after ``metastyle``. Only the last part of each path is kept, because where
        files are on a machine is private.
    scale: sizes of photographs and paintings, in pixels: losses at other sizes do not compare.
    replace: the results replace the earlier ones.
    """
    folder.mkdir(parents=True, exist_ok=True)  # before the arguments are looked at: it is one of their paths
    run: dict[str, Any] = {
        "command": " ".join(["metastyle", *map(_shown, arguments)]),
        "machine": machine(device),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "metastyle": version("metastyle"),
        "initialization": shipped_initialization()[1][:12],
    } | ({"scale": dict(scale)} if scale else {})
    runs = [] if replace else [other for other in read(folder) if other != run]
    text = json.dumps([*runs, run], indent=1, ensure_ascii=False) + "\n"
    write_bytes(folder / "about.json", text.encode(), overwrite=True)


def noting(
    results: Iterable[_T],
    folder: Path,
    arguments: Sequence[str],
    device: torch.device,
    *,
    scale: Mapping[str, str] | None = None,
) -> Iterator[_T]:
    """Yield ``results``; the run is recorded at the first one, so that a refused command leaves no trace."""
    for number, result in enumerate(results):
        if number == 0:
            note(folder, arguments, device, scale=scale)
        yield result


def read(folder: Path) -> list[dict[str, Any]]:
    """The records of a folder, the latest last."""
    path = folder / "about.json"
    found: list[dict[str, Any]] = read_json(path, list) if path.exists() else []
    return found


def machine(device: torch.device) -> str:
    """``AMD EPYC, 2 threads`` or ``NVIDIA H100``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = _processor() or platform.processor() or platform.machine()
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' * (threads > 1)}" + (", MPS" if device.type == "mps" else "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _shown(argument: str) -> str:
    """Quoted for a shell; existing paths, alone or after ``key=``, are cut to their last part."""
    if Path(argument).exists():
        return shlex.quote(Path(argument).resolve().name)
    words = [re.split(r"(?<==)", word, maxsplit=1) for word in argument.split(" ")]
    named = [[*w[:-1], Path(w[-1]).name if "/" in w[-1] and Path(w[-1]).exists() else w[-1]] for w in words]
    return shlex.quote(" ".join("".join(w) for w in named))
