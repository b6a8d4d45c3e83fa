"""Shared code of the scripts in this folder: measuring in turns, fresh processes, results and pages.

A shared machine slows down for minutes at a time. Methods that take turns are slowed down equally, so the
median of the ratios within a round is more reliable than the ratio of two medians.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

T = TypeVar("T")


class Seconds(NamedTuple):
    """The time that some work took in this process."""

    wall: float
    processor: float


def seconds(work: Callable[..., object], *arguments: Any) -> Seconds:
    """Call ``work`` once and time it."""
    wall, processor = time.perf_counter(), time.process_time()
    work(*arguments)
    return Seconds(time.perf_counter() - wall, time.process_time() - processor)


def in_turns(ways: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """The results of each method in each round; in a round, every method has its turn."""
    found: dict[str, list[T]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


def ratio(values: Sequence[float], reference: Sequence[float]) -> float:
    """Median of the ratios within a round."""
    return statistics.median(a / b for a, b in zip(values, reference, strict=True))


def fresh(arguments: Sequence[str], environment: Mapping[str, str]) -> Any:
    """The last line that a fresh interpreter prints, as JSON."""
    done = subprocess.run(
        [sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True, env=dict(environment)
    )
    return json.loads(done.stdout.splitlines()[-1])


def checkout(revision: str, folder: Path) -> Path:
    """The folder ``src`` of a revision of this repository, unpacked into ``folder``."""
    archive = folder / "archive.tar"
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).parents[1]
    subprocess.run(["git", "-C", str(root), "archive", "-o", str(archive), revision, "src"], check=True)
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    archive.unlink()
    return folder / "src"


def environment_for(source: Path, threads: int) -> dict[str, str]:
    """An environment in which the interpreter imports the package from ``source``."""
    return os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": str(threads)}


def peak_memory() -> int:
    """The peak memory of this process so far, in bytes."""
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def machine(**more: Any) -> dict[str, Any]:
    """The machine of a measurement; ``load`` is the number of cores that other programs use at present."""
    return {
        **more,
        "processor": platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(),
        "load": psutil.cpu_percent(2.0) / 100 * (psutil.cpu_count() or 1),
        "torch": version("torch"),
    }


def write(script: str, result: Any, page: str) -> None:
    """Write the result and its page next to ``script``, as JSON and Markdown of the same name."""
    beside = Path(script)
    beside.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    beside.with_suffix(".md").write_text(page, encoding="utf-8")
    print(page)
