"""How long idle OpenMP threads should spin: adaptation and stylizing on an idle, half busy and busy machine.

    python benchmarks/waiting.py [--rounds 4] [--loads 0 1 2]

Every policy runs in a fresh process, in turns, with as many threads as the machine has cores, while 0, 1 or 2
other processes of the benchmark keep computing. Ratios are medians of ratios within a round, relative to the
runtime's default. Wall time is measured, because spinning takes processor time anyway. Weights are random,
which takes the same arithmetic. Writes waiting.json and waiting.md next to this file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil
from rounds import fresh, in_turns, machine, ratio, seconds, write

HELD = "cores held by others"
NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
POLICIES: dict[str, dict[str, str]] = {
    "default": {},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "1,000 turns": {"GOMP_SPINCOUNT": "1000"},
    "10,000 turns": {"GOMP_SPINCOUNT": "10000"},
}
CONCLUSION = """\
Threads that sleep at once (passive) cost 17 and 45 % on an idle machine, where parallel sections are short,
and save 16 to 53 % on a busy one. After a bounded spin of 1,000 turns they cost nothing when idle (-1 and 3
%) and save nearly as much (23 to 48 %). The command therefore sets `OMP_WAIT_POLICY=passive`, which every
runtime understands, and `GOMP_SPINCOUNT=1000`, which overrides it in GCC's, before torch is loaded, unless
one of these or `KMP_BLOCKTIME` is set already; the library leaves its caller's process alone. No machine
with LLVM's or Intel's runtime was available.
"""
WORK = ("adaptation step at 128²", "picture of 256²")
STEPS, PICTURES = 2, 4


def work() -> dict[str, float]:
    """Seconds of each kind of work in this process; the first of each is not counted."""
    import numpy as np
    import torch

    from metastyle.core.adaptation import Adaptation
    from metastyle.core.initialization import Initialization
    from metastyle.core.loss_network import LossNetwork
    from metastyle.core.network import TransformationNetwork
    from metastyle.core.settings import AdaptationSettings
    from metastyle.rendering.stylizer import Stylizer

    torch.manual_seed(0)
    settings = AdaptationSettings(steps=STEPS + 1, pool=2, size=128)
    adaptation = Adaptation(
        Initialization(),
        LossNetwork(),
        torch.rand(1, 3, 128, 128),
        torch.rand(2, 3, 128, 128),
        settings,
        "cpu",
    )
    ends = [step.seconds for step in adaptation]
    stylizer = Stylizer(TransformationNetwork(), device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    stylizer.render(pixels)
    taken = seconds(lambda: [stylizer.render(pixels) for _ in range(PICTURES)])
    return {WORK[0]: (ends[-1] - ends[0]) / (len(ends) - 1), WORK[1]: taken.wall / PICTURES}


def in_fresh_process(policy: dict[str, str]) -> dict[str, float]:
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | policy
    environment.pop("OMP_NUM_THREADS", None)
    result: dict[str, float] = fresh([__file__, "--work"], environment)
    return result


def cores_held() -> float:
    """The number of cores that other processes use at present."""
    return psutil.cpu_percent(2.0) / 100 * (psutil.cpu_count() or 1)


def measure(load: int, rounds: int) -> list[dict[str, Any]]:
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(load)]
    ways: dict[str, Callable[[], Any]] = {
        name: lambda policy=policy: in_fresh_process(policy) for name, policy in POLICIES.items()
    }
    try:
        found = in_turns({HELD: cores_held, **ways}, rounds)
    finally:
        for other in others:
            other.kill()
            other.wait()
    held, times = found.pop(HELD), found
    rows = []
    for kind in WORK:
        for name, values in times.items():
            own = [value[kind] for value in values]
            default = [value[kind] for value in times["default"]]
            rows.append(
                {
                    "others": load,
                    "held": round(statistics.median(held), 2),
                    "work": kind,
                    "policy": name,
                    "seconds": [round(value, 4) for value in own],
                    "median": round(statistics.median(own), 4),
                    "ratio": round(ratio(own, default), 3),
                }
            )
            print(rows[-1], flush=True)
    return rows


def report(result: dict[str, Any]) -> str:
    about, rows = result["machine"], result["rows"]
    loads = " ".join(str(load) for load in sorted({row["others"] for row in rows}))
    lines = [
        "# How idle threads wait",
        "",
        f"`python benchmarks/waiting.py --rounds {about['rounds']} --loads {loads}` on "
        f"{about['cores']} cores ({about['processor']}), torch {about['torch']}, whose "
        "wheel for Linux brings GCC's OpenMP runtime (libgomp). "
        "Wall time of the same work, in turns; in brackets the ratio to the runtime's "
        "default within a round. The machine was shared: the second column has the cores that other "
        "processes, including the benchmark's own busy ones, held between the rounds.",
        "",
        "| busy processes started | cores held by others | work | " + " | ".join(POLICIES) + " |",
        "|---|---|---|" + "---|" * len(POLICIES),
    ]
    for load in sorted({row["others"] for row in rows}):
        for kind in WORK:
            cells = [r for r in rows if r["others"] == load and r["work"] == kind]
            texts = [f"{r['median']:.2f} s ({r['ratio']:.2f})" for r in cells]
            lines.append(f"| {load} | {cells[0]['held']:.1f} | {kind} | " + " | ".join(texts) + " |")
    lines += ["", " ".join(CONCLUSION.split())]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--loads", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        print(json.dumps(work()))
        return
    about = machine(rounds=arguments.rounds)
    rows = [row for load in arguments.loads for row in measure(load, arguments.rounds)]
    result = {"machine": about, "rows": rows}
    write(__file__, result, report(result))


if __name__ == "__main__":
    main()
