"""Large pictures: processor seconds and memory.

    python benchmarks/large.py --before 5fa8f80 [--size 4000 6000] [--max-memory BYTES] [--rounds 1]

runs this checkout and an earlier revision of it in turns, each in a fresh process with one thread, on one
picture with detail at every scale, and compares the results.

    python benchmarks/large.py --sizes [--rounds 1]

stylizes pictures of 512² to 24 megapixels in both precisions, each in a fresh process with one thread.

Both add to large.json and write large.md next to this file.
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

PRECISIONS = ("float32", "bfloat16")
SIZES = {"512²": (512, 512), "3 MP": (1500, 2000), "24 MP": (4000, 6000)}


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


def whole(height: int, width: int, precision: Any) -> dict[str, float]:
    """Repaint a photograph in this process: its own size, and the working size for strokes of the usual size.

    The processor seconds of the two renderings are ``own`` and ``strokes``.
    """
    import torch

    from metastyle import api
    from metastyle.images.picture import Picture
    from metastyle.rendering.stylizer import Stylizer
    from metastyle.weights.builtin_styles import STYLES

    torch.set_num_threads(1)
    style = api.load(STYLES / "mosaic.safetensors")
    pixels = draw(height, width)
    style.stylize(pixels[:512, :512], precision=precision, device="cpu")  # work done once per process
    parts: dict[int, float] = {}
    render = Stylizer.render

    def timed(self: Stylizer, pixels: np.ndarray, **options: Any) -> Any:
        results = []
        taken = seconds(lambda: results.append(render(self, pixels, **options)))
        parts[pixels.shape[0] * pixels.shape[1]] = taken.processor
        return results[0]

    Stylizer.render = timed  # type: ignore[method-assign, assignment]
    before = peak_memory()
    taken = seconds(lambda: style.render(Picture(pixels=pixels), precision=precision, device="cpu"))
    own = parts.pop(height * width)
    return {
        **taken._asdict(),
        "own": own,
        "strokes": sum(parts.values()),
        "peak_before": before,
        "peak": peak_memory(),
    }


def measure_sizes(rounds: int) -> list[dict[str, Any]]:
    """A row for each size and precision: medians, and the ratio of seconds per megapixel to 512²."""
    environment = environment_for(Path(__file__).parents[1] / "src", threads=1)
    work = {
        (name, precision): lambda size=size, precision=precision: fresh(
            [__file__, "--whole", precision, "--size", *map(str, size)], environment
        )
        for name, size in SIZES.items()
        for precision in PRECISIONS
    }
    found = in_turns(work, rounds)
    rows = []
    for (name, precision), values in found.items():
        megapixels = np.prod(SIZES[name]) / 1e6
        small = [value["own"] / np.prod(SIZES["512²"]) * 1e6 for value in found["512²", precision]]
        medians = {key: statistics.median(value[key] for value in values) for key in values[0]}
        each = [value["own"] / megapixels for value in values]
        rows.append(
            {"picture": name, "precision": precision, **medians, "ratio_per_megapixel": ratio(each, small)}
            | {"megapixels": megapixels}
        )
    return rows


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


def report(rows: list[dict[str, Any]], sizes: list[dict[str, Any]]) -> str:
    lines = [
        "# Large pictures",
        "",
        "`python benchmarks/large.py --sizes`, one thread, fresh processes, on a machine whose cores others "
        "used as well: processor seconds. Above 1,024 pixels, the photograph is also painted at 1,024, for "
        "strokes of the usual size. The rest of the whole is enlarging that and adding the two.",
        "",
        "| picture | precision | own size, s | a megapixel | ratio to 512² | at 1,024, s | whole, s | peak |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sizes:
        numbers = (
            row["own"],
            row["own"] / row["megapixels"],
            row["ratio_per_megapixel"],
            row["strokes"],
            row["processor"],
        )
        shown = " | ".join(f"{number:.2f}" for number in numbers)
        lines.append(f"| {row['picture']} | {row['precision']} | {shown} | {row['peak'] / 1e9:.2f} GB |")
    if not rows:
        return "\n".join(lines) + "\n"
    lines += [
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
    parser.add_argument("--sizes", action="store_true", help="compare sizes and precisions, not revisions")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--whole", choices=PRECISIONS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.whole:
        print(json.dumps(whole(*arguments.size, arguments.whole)))
        return
    if arguments.one:
        print(json.dumps(one(*arguments.size, arguments.max_memory, arguments.one)))
        return
    path = Path(__file__).with_suffix(".json")
    result = json.loads(path.read_text()) if path.is_file() else {"revisions": [], "sizes": []}
    if arguments.sizes:
        result["sizes"] = measure_sizes(arguments.rounds)
    else:
        row = measure(arguments)
        key = ("size", "max_memory")
        others = [old for old in result["revisions"] if any(old[name] != row[name] for name in key)]
        result["revisions"] = [*others, row]
    write(__file__, result, report(result["revisions"], result["sizes"]))


if __name__ == "__main__":
    main()
