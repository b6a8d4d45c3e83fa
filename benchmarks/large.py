"""Large pictures: processor seconds and memory, compared with an earlier revision.

    python benchmarks/large.py --before 5fa8f80 [--size 4000 6000] [--max-memory BYTES] [--rounds 1]

runs this checkout and an earlier revision of it in turns, each in a fresh process with one thread, on one
picture with detail at every scale, and compares the results. Adds to large.json and writes large.md next to
this file.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rounds import checkout, environment_for, fresh, in_turns, peak_memory, ratio, seconds, write


def draw(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    pixels = np.zeros((height, width, 3), np.float32)
    for cells in (4, 16, 64, 256, 1024):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        pixels += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 5
    return pixels.astype(np.uint8)


def one(height: int, width: int, max_memory: int | None, target: Path) -> dict[str, float]:
    """Stylize in this process."""
    import torch

    import metastyle
    from metastyle import api
    from metastyle.rendering.stylizer import Stylizer

    torch.set_num_threads(1)
    pixels = draw(height, width)
    assert metastyle.__file__ is not None  # of whichever revision runs here
    style = Path(metastyle.__file__).parent / "weights" / "styles" / "mosaic.safetensors"
    stylizer = Stylizer(api.load(style).network(), device="cpu", max_memory=max_memory)
    results = []
    before = peak_memory()
    taken = seconds(lambda: results.append(stylizer.render(pixels)))
    np.save(target, results[0])
    return {**taken._asdict(), "peak_before": before, "peak": peak_memory()}


def compare(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    difference = np.abs(before.astype(np.int16) - after)
    return {"differing": float((difference > 0).mean()), "largest": int(difference.max())}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    height, width = arguments.size
    with tempfile.TemporaryDirectory() as scratch:

        def turn(name: str, revision: str) -> Callable[[], dict[str, float]]:
            folder = Path(scratch, name)
            environment = environment_for(checkout(revision, folder), threads=1)
            command = [__file__, "--one", str(folder / "result.npy"), "--size", str(height), str(width)]
            if arguments.max_memory:
                command += ["--max-memory", str(arguments.max_memory)]
            return lambda: fresh(command, environment)

        revisions = {"before": arguments.before, "after": "HEAD"}
        times = in_turns(
            {name: turn(name, revision) for name, revision in revisions.items()}, arguments.rounds
        )
        results = [np.load(Path(scratch, name, "result.npy")) for name in times]
    medians = {
        name: {key: statistics.median(value[key] for value in values) for key in values[0]}
        for name, values in times.items()
    }
    after, before = ([value["processor"] for value in times[name]] for name in ("after", "before"))
    return {
        "size": [height, width],
        "max_memory": arguments.max_memory,
        "before": arguments.before,
        "rounds": arguments.rounds,
        "processor": platform.processor() or platform.machine(),
        **{f"{name}_{key}": value for name, values in medians.items() for key, value in values.items()},
        "ratio_processor": ratio(after, before),
        **compare(*results),
    }


def report(rows: list[dict[str, Any]]) -> str:
    lines = [
        "# Large pictures",
        "",
        f"`python benchmarks/large.py --before {rows[-1]['before']}` with the sizes and budgets below, on "
        f"{rows[-1]['processor']}, one thread, in turns, fresh processes, on a machine whose cores others "
        "used as well: processor seconds of the process itself, medians.",
        "",
        "| picture | budget | before: processor s, peak | after | ratio | share of values that differ, by |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        height, width = row["size"]
        budget = f"{row['max_memory'] / 2**20:.0f} MiB" if row["max_memory"] else "default"
        cells = [f"{width} x {height}", budget]
        for name in ("before", "after"):
            cells.append(f"{row[f'{name}_processor']:.1f} s, {row[f'{name}_peak'] / 1e9:.2f} GB")
        cells += [f"{row['ratio_processor']:.2f}", f"{row['differing']:.1e}, {row['largest']}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", help="the earlier revision")
    parser.add_argument("--size", type=int, nargs=2, default=[4000, 6000], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--max-memory", type=int)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(*arguments.size, arguments.max_memory, arguments.one)))
        return
    path = Path(__file__).with_suffix(".json")
    rows = json.loads(path.read_text()) if path.is_file() else []
    row = measure(arguments)
    key = ("size", "max_memory")
    rows = [old for old in rows if any(old[name] != row[name] for name in key)] + [row]
    write(__file__, rows, report(rows))


if __name__ == "__main__":
    main()
