"""The command as a whole process: how long until one small picture is there, and photographs a second.

    python benchmarks/command.py --before 5fa8f80 [--rounds 5] [--threads 1]

runs this checkout and an earlier revision of it in turns, each in fresh processes. *Start*: a photograph of
256² in a built-in style, from the interpreter's first instruction to its exit. *Folder*: photographs of 256²,
512² and 1024² (JPEG in, JPEG out), the start not counted, beside a bare loop that sends the same decoded
pixels through the same network in a process like it. Ratios are medians of ratios within a round. Writes
command.json and command.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

HERE = Path(__file__).parent
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
    """[wall, processor] seconds a photograph for each size, in this process."""
    import torch

    from metastyle import api
    from metastyle.cli.main import main
    from metastyle.weights.builtin_styles import builtin_path

    path = builtin_path(STYLE)
    assert path is not None
    network = api.load(path).network()

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
            run()  # what is done once a process
        wall, used = time.perf_counter(), time.process_time()
        run()
        result[str(side)] = [(time.perf_counter() - wall) / count, (time.process_time() - used) / count]
    return result


def child(source: Path, arguments: list[str], threads: int) -> tuple[str, float, float]:
    """What a fresh interpreter with the package from ``source`` says, and its wall and processor seconds."""
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": str(threads)}
    environment["PYTHONPYCACHEPREFIX"] = str(source.parent / "bytecode")
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["OMP_WAIT_POLICY"] = "passive"  # for both alike; benchmarks/waiting.py measures that
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True, env=environment
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, time.perf_counter() - wall, used


def measure(sources: dict[str, Path], rounds: int, threads: int) -> list[dict[str, Any]]:
    """A row for each of ways x kinds of work."""
    times: dict[tuple[str, str], list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch)
        for side, count in FOLDERS.items():
            draw(photos / str(side), side, count)
        small = photos / "256" / "0.jpg"
        start = ["-m", "metastyle", "stylize", str(small), "--style", STYLE, "-o", str(photos / "one.jpg")]
        start += ["--overwrite"]
        for source in sources.values():
            child(source, start, threads)  # bytecode
        for _ in range(rounds):
            for name, source in sources.items():
                _, wall, used = child(source, start, threads)
                times.setdefault((START, name), []).append([wall, used])
            work = {name: (source, []) for name, source in sources.items()}
            work |= {LOOP: (sources["after"], ["--loop"])}
            for name, (source, extra) in work.items():
                output, _, _ = child(source, [__file__, "--folders", str(photos), *extra], threads)
                for side, both in json.loads(output.splitlines()[-1]).items():
                    times.setdefault((side, name), []).append(both)
            print(f"{len(times[START, 'after'])} of {rounds} rounds", file=sys.stderr, flush=True)
    return [
        {
            "work": kind,
            "way": name,
            "wall": statistics.median(wall for wall, _ in values),
            "processor": statistics.median(used for _, used in values),
            "ratio_wall": _ratio(values, times[kind, "before" if kind == START else LOOP], 0),
            "ratio_processor": _ratio(values, times[kind, "before" if kind == START else LOOP], 1),
        }
        for (kind, name), values in times.items()
    ]


def _ratio(values: list[list[float]], reference: list[list[float]], which: int) -> float:
    return statistics.median(a[which] / b[which] for a, b in zip(values, reference, strict=True))


def report(result: dict[str, Any]) -> str:
    machine = result["machine"]
    lines = [
        "# The command as a whole",
        "",
        f"`python benchmarks/command.py --before {machine['before']} --rounds {machine['rounds']} --threads "
        f"{machine['threads']}` on {machine['processor']}, torch {machine['torch']}; others held "
        f"{machine['load']:.1f} of {machine['cores']} cores then. In turns, fresh processes; medians.",
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
    from importlib.metadata import version

    machine = {
        "before": arguments.before,
        "rounds": arguments.rounds,
        "threads": arguments.threads,
        "processor": platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(),
        "load": psutil.cpu_percent(2.0) / 100 * (psutil.cpu_count() or 1),
        "torch": version("torch"),
    }
    with tempfile.TemporaryDirectory() as folder:
        sources = {}
        for name, revision in (("before", arguments.before), ("after", "HEAD")):
            archive = Path(folder, f"{name}.tar")
            subprocess.run(
                ["git", "-C", str(HERE.parent), "archive", "-o", str(archive), revision, "src"], check=True
            )
            with tarfile.open(archive) as files:
                files.extractall(Path(folder, name), filter="data")
            sources[name] = Path(folder, name, "src")
        rows = measure(sources, arguments.rounds, arguments.threads)
    result = {"machine": machine, "rows": rows}
    (HERE / "command.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "command.md").write_text(report(result))
    print(report(result))


if __name__ == "__main__":
    main()
