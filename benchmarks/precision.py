"""The effect of bfloat16 on pictures, for every built-in style and the project's own photographs.

    python benchmarks/precision.py [--size 256] [--time]

writes precision.json and precision.md next to this file. ``--time`` also times both precisions in turns,
which is only meaningful on a processor that computes in bfloat16 (AVX512-BF16 or AMX); elsewhere it is
emulated.
"""

from __future__ import annotations

import argparse
import platform
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rounds import in_turns, ratio, seconds, write

from metastyle import api
from metastyle.core.device import compute_dtype
from metastyle.images.decode import open_picture
from metastyle.images.picture import resize
from metastyle.rendering.stylizer import Stylizer
from metastyle.weights.builtin_styles import builtin_names, builtin_path

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
MEAN, PSNR = 1.0, 46.0
"""Limits for a default: mean difference in levels of 255, and PSNR in dB."""


def measure(size: int, timed: bool) -> list[dict[str, Any]]:
    rows = []
    for path in sorted(PHOTOS.iterdir()):
        pixels = resize(open_picture(path), size).pixels
        for style in builtin_names():
            file = builtin_path(style)
            assert file is not None
            network = api.load(file).network()
            both = {name: Stylizer(network, device="cpu", precision=name) for name in ("float32", "bfloat16")}
            results = [stylizer.render(pixels).astype(np.float64) for stylizer in both.values()]
            ways = {name: partial(seconds, stylizer.render, pixels) for name, stylizer in both.items()}
            used = {
                name: [each.processor for each in taken]
                for name, taken in in_turns(ways, 3 if timed else 0).items()
            }
            difference = results[0] - results[1]
            row = {
                "photo": path.stem,
                "style": style,
                "mean": float(np.abs(difference).mean()),
                "largest": float(np.abs(difference).max()),
                "psnr": float(10 * np.log10(255**2 / np.square(difference).mean())),
                "ratio": ratio(used["bfloat16"], used["float32"]) if timed else None,
            }
            rows.append(row)
            print(row, flush=True)
    return rows


def report(result: dict[str, Any]) -> str:
    rows = result["rows"]
    kept = sum(row["mean"] < MEAN and row["psnr"] >= PSNR for row in rows)
    native = "computes in bfloat16" if result["native"] else "emulates bfloat16, so nothing was timed"
    timed = " --time" if rows[0]["ratio"] else ""
    lines = [
        "# bfloat16 compared with float32",
        "",
        f"`python benchmarks/precision.py --size {result['size']}{timed}` on a processor that {native}. "
        f"8-bit results, differences in levels. A mean below {MEAN:g} and at least {PSNR:g} dB: {kept} of "
        f"{len(rows)}. Processor seconds. 8-bit integers are worse ([int8.md](int8.md)).",
        "",
        "| photograph | style | mean | largest | PSNR | time, bfloat16 / float32 |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else "–"
        lines.append(
            f"| {row['photo']} | {row['style']} | {row['mean']:.2f} | {row['largest']:.0f} "
            f"| {row['psnr']:.1f} dB | {ratio} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--time", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "processor": platform.processor() or platform.machine(),
        "native": compute_dtype(torch.device("cpu")) == torch.bfloat16,
        "torch": torch.__version__,
        "size": arguments.size,
        "rows": measure(arguments.size, arguments.time),
    }
    write(__file__, result, report(result))


if __name__ == "__main__":
    main()
