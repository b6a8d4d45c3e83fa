"""Adaptation steps, compared with an earlier revision: seconds, memory, and losses.

    python benchmarks/steps.py --before b8703fa [--sizes 128 192 256] [--batches 1 4] [--threads 1 2]
    python benchmarks/steps.py --before b8703fa --sizes 192 --batches 1 --threads 1 --steps 30
    python benchmarks/steps.py --before 68a47b8 --sizes 192 256 --threads 1     (on a processor with bfloat16)

runs this checkout and an earlier revision of it in two processes that take their steps in turns, with the
same contents, painting and seed. Adds to steps.json and writes steps.md next to this file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rounds import checkout, environment_for, in_turns, peak_memory, ratio, seconds, write

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
PAINTING, CONTENT = EXAMPLES / "paintings" / "night.jpg", EXAMPLES / "photos" / "lake.jpg"


def picture(path: Path, size: tuple[int, int], shift: int = 0) -> Any:
    """A file as (1, 3, H, W) in [0, 1], shifted sideways by eighths; without the package's readers."""
    import torch

    with Image.open(path) as file:
        pixels = np.asarray(file.convert("RGB").resize(size[::-1]), np.float32) / 255
    return torch.from_numpy(np.roll(pixels, shift * size[1] // 8, axis=1)).permute(2, 0, 1)[None].contiguous()


def take_steps(size: int, batch: int, threads: int, steps: int) -> None:
    """In a separate process: take a step for each line read, and write its cost as a line."""
    import torch

    from metastyle.core.adaptation import Adaptation
    from metastyle.core.settings import AdaptationSettings
    from metastyle.weights.initialization import load_initialization
    from metastyle.weights.vgg16 import load_loss_network

    torch.set_num_threads(threads)
    settings = AdaptationSettings(steps=steps, size=size, batch=batch, pool=8)
    painting = picture(PAINTING, (256, 320))
    contents = torch.cat([picture(CONTENT, (size, size), shift) for shift in range(settings.pool)])
    run = Adaptation(load_initialization()[0], load_loss_network(), painting, contents, settings, "cpu")
    each = iter(run)
    while sys.stdin.readline():
        took = seconds(next, each)
        print(json.dumps({**took._asdict(), "total": run.curve[-1][1], "peak": peak_memory()}), flush=True)


def measure(sources: dict[str, Path], *work: int) -> dict[str, Any]:
    """Take steps of both revisions in turns; the first of each is a warm-up."""
    *_, threads, steps = work
    processes = {}
    for name, source in sources.items():
        processes[name] = subprocess.Popen(
            [sys.executable, __file__, "--worker", *map(str, work)],
            env=environment_for(source, threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    taken = in_turns({name: _step_of(process) for name, process in processes.items()}, steps)
    for process in processes.values():
        process.communicate()

    def values(name: str, kind: str) -> list[float]:
        return [step[kind] for step in taken[name][1:]]

    row: dict[str, Any] = dict(zip(("size", "batch", "threads", "steps"), work, strict=True))
    for kind in ("wall", "processor"):
        for name in taken:
            row[f"{name}_{kind}"] = statistics.median(values(name, kind))
        row[f"ratio_{kind}"] = ratio(values("before", kind), values("after", kind))
    for name in taken:
        row[f"{name}_peak"] = max(step["peak"] for step in taken[name])
    curves = zip(taken["before"], taken["after"], strict=True)
    row["loss_difference"] = max(abs(b["total"] / a["total"] - 1) for b, a in curves)
    return row | {"precision": precision(), "machine": platform.processor() or platform.machine()}


def precision() -> str:
    """What adaptation computes in on this processor."""
    import torch

    from metastyle.core.device import compute_dtype

    return str(compute_dtype(torch.device("cpu"))).removeprefix("torch.")


def _step_of(process: subprocess.Popen[str]) -> Callable[[], dict[str, float]]:
    def step() -> dict[str, float]:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        taken: dict[str, float] = json.loads(process.stdout.readline())
        return taken

    return step


def report(rows: list[dict[str, Any]]) -> str:
    lines = [
        "# Adaptation steps",
        "",
        "`python benchmarks/steps.py --before REVISION`; the revisions take their steps in turns, on machines"
        " whose cores others used as well. Seconds a step, medians, of the processor (and on the wall); peak"
        " memory of the whole process. The ratio is the median over pairs of steps; the difference is the"
        " largest between the two losses of a step, relative.",
        "",
        "| compared with | precision | contents | threads | steps | before | after | times as fast"
        " | peak before, after | loss differs |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row["compared_with"], row["precision"]]
        cells += [f"{row['batch']} of {row['size']}²", str(row["threads"]), str(row["steps"])]
        for name in ("before", "after"):
            cells.append(f"{row[f'{name}_processor']:.2f} s ({row[f'{name}_wall']:.2f})")
        cells.append(f"{row['ratio_processor']:.2f} ({row['ratio_wall']:.2f})")
        cells.append(f"{row['before_peak'] / 1e9:.2f}, {row['after_peak'] / 1e9:.2f} GB")
        cells.append(f"{row['loss_difference']:.1e}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", help="the earlier revision")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 192, 256])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--worker", type=int, nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        take_steps(*arguments.worker)
        return
    path = HERE / "steps.json"
    rows = json.loads(path.read_text()) if path.is_file() else []
    with tempfile.TemporaryDirectory() as scratch:
        earlier = checkout(arguments.before, Path(scratch))
        sources = {"before": earlier, "after": HERE.parent / "src"}
        for threads, batch, size in itertools.product(arguments.threads, arguments.batches, arguments.sizes):
            row = measure(sources, size, batch, threads, arguments.steps)
            row["compared_with"] = arguments.before
            key = ("compared_with", "precision", "size", "batch", "threads", "steps")
            rows = [old for old in rows if any(old[name] != row[name] for name in key)] + [row]
            write(__file__, rows, report(rows))


if __name__ == "__main__":
    main()
