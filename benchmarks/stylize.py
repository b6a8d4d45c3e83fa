"""Speed of stylizing; large.py measures memory as well.

    python benchmarks/stylize.py
    python benchmarks/stylize.py --only photographs   many small photographs, compared with the network alone

All methods run the same network on the same picture, in turns, in one process. Writes stylize.json and
stylize.md next to this file.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from rounds import in_turns, machine, ratio, seconds, write

import metastyle
from metastyle.core.network import TransformationNetwork
from metastyle.rendering.onnx import export_onnx
from metastyle.rendering.stylizer import Stylizer
from metastyle.weights.builtin_styles import STYLES
from metastyle.weights.initialization import load_initialization

SIZES = {"256²": (256, 256), "512²": (512, 512), "4K": (2160, 3840)}
ROUNDS = {"256²": 9, "512²": 5, "4K": 2}
STYLE = STYLES / "mosaic.safetensors"
PHOTOGRAPHS = 9
REFERENCE = "onnxruntime, float32"
AT_4K = (REFERENCE, "Stylizer, float32", "Stylizer, bfloat16")
"""The others would take many minutes."""

Way = Callable[[np.ndarray], Any]


def ways(network: TransformationNetwork, folder: Path, threads: int) -> dict[str, Way]:
    """Functions that stylize (H, W, 3) uint8, H and W multiples of 4; the form of the result differs."""
    export_onnx(network, folder / "network.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(folder / "network.onnx", options, ["CPUExecutionProvider"])
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)

    def tensor(pixels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255

    @torch.inference_mode()
    def half(pixels: np.ndarray) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return network(tensor(pixels).contiguous())

    plain = torch.inference_mode()(lambda pixels: network(tensor(pixels).contiguous()))
    stylizer = Stylizer(network, device="cpu", precision="float32")
    lower = Stylizer(network, device="cpu", precision="bfloat16")
    return {
        REFERENCE: lambda pixels: session.run(None, {"content": tensor(pixels).contiguous().numpy()}),
        "Stylizer, float32": stylizer.render,
        "Stylizer, bfloat16": lower.render,
        "network, float32": plain,
        "network, float32, channels last": torch.inference_mode()(lambda pixels: last(tensor(pixels))),
        "network, bfloat16 autocast": half,
    }


def speed(network: TransformationNetwork, threads: int) -> list[dict[str, Any]]:
    """Wall and processor seconds of each method at each size, and ratios within a round."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        all_ways = ways(network, Path(folder), threads)
        for size, rounds in ROUNDS.items():
            pixels = np.random.default_rng(0).integers(0, 256, (*SIZES[size], 3), dtype=np.uint8)
            compared = AT_4K if size == "4K" else tuple(all_ways)
            for name in compared:
                all_ways[name](pixels[:512, :512])
            turns = {name: partial(seconds, all_ways[name], pixels) for name in compared}
            times = in_turns(turns, rounds)
            wall = {name: [each.wall for each in taken] for name, taken in times.items()}
            used = {name: [each.processor for each in taken] for name, taken in times.items()}
            for name in compared:
                quartiles = statistics.quantiles(used[name], n=4)
                rows.append(
                    {
                        "size": size,
                        "way": name,
                        "wall": statistics.median(wall[name]),
                        "processor": quartiles[1],
                        "quartiles": [quartiles[0], quartiles[2]],
                        "ratio_wall": ratio(wall[name], wall[REFERENCE]),
                        "ratio_processor": ratio(used[name], used[REFERENCE]),
                    }
                )
    return rows


def photographs() -> list[dict[str, Any]]:
    """Processor seconds per photograph for many of 256x256 pixels, with three methods.

    ``Stylizer.render`` is the network alone; the others are calls for one photograph after another. The first
    photograph, for which a style is read and its renderer made, is left out.
    """
    style = metastyle.load(STYLE)
    renderer = style.stylizer(device="cpu")
    all_ways: dict[str, Way] = {
        "Stylizer.render": renderer.render,
        "style.stylize(photo)": lambda pixels: style.stylize(pixels, device="cpu"),
        f"metastyle.stylize(photo, '{STYLE.stem}')": lambda pixels: metastyle.stylize(
            pixels, STYLE.stem, device="cpu"
        ),
    }

    def turn(way: Way) -> Callable[[], float]:
        rng = np.random.default_rng(0)  # the same photographs for every method

        def one() -> float:
            pixels = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
            return seconds(way, pixels).processor

        return one

    used = in_turns({name: turn(way) for name, way in all_ways.items()}, PHOTOGRAPHS)
    network = used["Stylizer.render"][1:]
    return [
        {"way": name, "processor": statistics.median(each[1:]), "ratio_processor": ratio(each[1:], network)}
        for name, each in used.items()
    ]


def report(result: dict[str, Any]) -> str:
    about = result["machine"]
    lines = [
        "# Stylizing: seconds",
        "",
        f"`python benchmarks/stylize.py --threads {about['threads']}` on {about['processor']}, "
        f"{about['threads']} thread(s), torch {about['torch']}, onnxruntime {about['onnxruntime']}; "
        f"other programs held {about['load']:.1f} cores of {about['cores']} when it began. Processor "
        "seconds are this program's own; ratios are medians of ratios within a round, to onnxruntime's.",
        "",
        "| size | way | seconds | processor seconds (quartiles) | ratio, wall | ratio, processor |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["speed"]:
        low, high = row["quartiles"]
        processor = f"{row['processor']:.2f} ({low:.2f}–{high:.2f})"
        ratios = f"{row['ratio_wall']:.2f} | {row['ratio_processor']:.2f}"
        lines.append(f"| {row['size']} | {row['way']} | {row['wall']:.2f} | {processor} | {ratios} |")
    lines += ["", "| many photographs of 256² | processor seconds for each | ratio to the network alone |"]
    lines += ["|---|---|---|"]
    for row in result["photographs"]:
        lines.append(f"| `{row['way']}` | {row['processor']:.3f} | {row['ratio_processor']:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--only", choices=["speed", "photographs"], help="measure that, and keep the other numbers"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    path = Path(__file__).with_suffix(".json")
    kept = json.loads(path.read_text()) if args.only and path.is_file() else {}
    result: dict[str, Any] = {"speed": [], "photographs": []} | kept
    if args.only in (None, "speed") or "machine" not in result:
        result["machine"] = machine(threads=args.threads, onnxruntime=onnxruntime.__version__)
    if args.only in (None, "speed"):
        result["speed"] = speed(load_initialization()[0].network.eval(), args.threads)
    if args.only in (None, "photographs"):
        result["photographs"] = photographs()
    write(__file__, result, report(result))


if __name__ == "__main__":
    main()
