"""Where figures come from: commands, versions and the machine, kept beside them in ``about.json``."""

from __future__ import annotations

import json
import platform
import re
import shlex
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from metastyle.weights.tensor_files import write_bytes


def note(folder: Path, arguments: Sequence[str], device: torch.device, **facts: Any) -> None:
    """Write down how the figures in ``folder`` are made; commands that made them earlier stay.

    arguments: of the command line after ``metastyle``. Of paths only the names are kept: where things lie on
    one machine is nobody's business.
    """
    path = folder / "about.json"
    command = " ".join(["metastyle", *map(_shown, arguments)])
    commands = read(folder).get("commands", [])
    about = {
        "commands": [*(c for c in commands if c != command), command],
        "machine": machine(device),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "metastyle": version("metastyle"),
        **facts,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode(), overwrite=True)


def read(folder: Path) -> dict[str, Any]:
    """What was noted, or nothing."""
    path = folder / "about.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
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
    """With the last names of paths, wherever they stand in it, and in quotes if a shell wants them."""
    return shlex.quote(re.sub(r"[^\s=]*/([^\s=/]+)", r"\1", argument))
