"""The whole command: time for one small picture, and photographs per second.

    python benchmarks/command.py --before 4edc5a7 [--rounds 5] [--threads 1]

runs this checkout and an earlier revision of it in turns, each in fresh processes. *Start*: a photograph of
256² in a built-in style, from the interpreter's first instruction to its exit. *Folder*: photographs of 256²,
512² and 1024² (JPEG in, JPEG out), without the startup, compared with a bare loop that sends the same
decoded pixels through the same network in a similar process. Ratios are medians of ratios within a round.
Writes command.json and command.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rounds import Seconds, checkout, environment_for, fresh, in_turns, machine, ratio, seconds, write

STYLE = "starry-night"
FOLDERS = {256: 8, 512: 4, 1024: 2}
LOOP, START = "bare loop", "start"


def draw(folder: Path, side: int, count: int) -> None:
    """Photographs with detail at every scale, as JPEG."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(side)
    for index in range(count):
        pixels = np.zeros((side, side, 3), np.float32)
        for cells in (4, 16, 64, 256):
            noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
            pixels += np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 4
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.jpg", quality=92)


def folders(photos: Path, loop: bool) -> dict[str, list[float]]:
    """[wall, processor] seconds per photograph for each size, in this process."""
    import torch

    import metastyle
    from metastyle import api
    from metastyle.cli.main import main

    assert metastyle.__file__ is not None  # of whichever revision runs here
    styles = Path(metastyle.__file__).parent / "weights" / "styles"
    network = api.load(styles / f"{STYLE}.safetensors").network()

    def command(folder: Path) -> None:
        target = folder.with_name(f"{folder.name}-painted")
        assert (
            main(["stylize", str(folder), "--style", STYLE, "-o", str(target), "--overwrite", "--quiet"]) == 0
        )

    def bare(pictures: list[torch.Tensor]) -> None:
        with torch.inference_mode():
            for picture in pictures:
                network(picture)

    result = {}
    for side, count in FOLDERS.items():
        folder = photos / str(side)
        paths = sorted(folder.iterdir())
        pictures = [
            torch.from_numpy(np.array(Image.open(one))).permute(2, 0, 1)[None].float() / 255 for one in paths
        ]
        run: Callable[[], None] = (lambda p=pictures: bare(p)) if loop else (lambda f=folder: command(f))
        if side == min(FOLDERS):
            run()  # work done once per process
        taken = seconds(run)
        result[str(side)] = [taken.wall / count, taken.processor / count]
    return result


def environment(source: Path, threads: int) -> dict[str, str]:
    """Environment of a fresh interpreter with the package from ``source``, whose bytecode is kept."""
    variables = environment_for(source, threads)
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    variables["PYTHONPYCACHEPREFIX"] = str(source.parent / "bytecode")
    variables["OMP_WAIT_POLICY"] = "passive"  # the same for both; waiting.py measures its effect
    return variables


def process_seconds(arguments: list[str], variables: dict[str, str]) -> Seconds:
    """Seconds of a fresh interpreter, from its start to its exit."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=variables)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Seconds(time.perf_counter() - wall, used)


def measure(sources: dict[str, Path], rounds: int, threads: int) -> list[dict[str, Any]]:
    """A row for each kind of work and each method."""
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch)
        for side, count in FOLDERS.items():
            draw(photos / str(side), side, count)
        start = ["-m", "metastyle", "stylize", str(photos / "256" / "0.jpg"), "--style", STYLE]
        start += ["-o", str(photos / "one.jpg"), "--overwrite"]
        variables = {name: environment(source, threads) for name, source in sources.items()}
        for each in variables.values():
            process_seconds(start, each)  # bytecode
        work: dict[tuple[str, str], Callable[[], Any]] = {
            (START, name): lambda each=each: process_seconds(start, each) for name, each in variables.items()
        }
        folder = [__file__, "--folders", str(photos)]
        work |= {("folders", name): lambda each=each: fresh(folder, each) for name, each in variables.items()}
        work["folders", LOOP] = lambda: fresh([*folder, "--loop"], variables["after"])
        found = in_turns(work, rounds)
    times: dict[tuple[str, str], list[Seconds]] = {}
    for (kind, name), values in found.items():
        if kind == START:
            times[START, name] = values
        else:
            for side in map(str, FOLDERS):
                times[side, name] = [Seconds(*value[side]) for value in values]
    rows = []
    for (kind, name), values in times.items():
        reference = times[kind, "before" if kind == START else LOOP]
        row: dict[str, Any] = {"work": kind, "way": name}
        for measure_name in Seconds._fields:
            own, other = ([getattr(v, measure_name) for v in some] for some in (values, reference))
            row |= {measure_name: statistics.median(own), f"ratio_{measure_name}": ratio(own, other)}
        rows.append(row)
    return rows


def report(result: dict[str, Any]) -> str:
    about = result["machine"]
    lines = [
        "# The command as a whole",
        "",
        f"`python benchmarks/command.py --before {about['before']} --rounds {about['rounds']} --threads "
        f"{about['threads']}` on {about['processor']}, torch {about['torch']}; others held "
        f"{about['load']:.1f} of {about['cores']} cores then. In turns, fresh processes; medians.",
        "",
        "| one photograph of 256² | seconds | processor seconds | ratio, wall | ratio, processor |",
        "|---|---|---|---|---|",
    ]
    for row in (row for row in result["rows"] if row["work"] == START):
        lines.append(
            f"| {row['way']} | {row['wall']:.2f} | {row['processor']:.2f} | {row['ratio_wall']:.2f} "
            f"| {row['ratio_processor']:.2f} |"
        )
    lines += [
        "",
        "| a folder of | way | photographs a second | processor seconds each | ratio to the loop, wall "
        "| ratio, processor |",
        "|---|---|---|---|---|---|",
    ]
    for row in (row for row in result["rows"] if row["work"] != START):
        lines.append(
            f"| {FOLDERS[int(row['work'])]} of {row['work']}² | {row['way']} | {1 / row['wall']:.2f} "
            f"| {row['processor']:.2f} | {row['ratio_wall']:.2f} | {row['ratio_processor']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", help="the earlier revision")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folders", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--loop", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folders:
        print(json.dumps(folders(arguments.folders, arguments.loop)))
        return
    about = machine(before=arguments.before, rounds=arguments.rounds, threads=arguments.threads)
    with tempfile.TemporaryDirectory() as scratch:
        revisions = {"before": arguments.before, "after": "HEAD"}
        sources = {name: checkout(revision, Path(scratch, name)) for name, revision in revisions.items()}
        rows = measure(sources, arguments.rounds, arguments.threads)
    result = {"machine": about, "rows": rows}
    write(__file__, result, report(result))


if __name__ == "__main__":
    main()
