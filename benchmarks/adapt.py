"""The cost of adaptation on this machine: seconds, memory, a profile of a step, the arithmetic floor.

    python benchmarks/adapt.py [--steps 100] [--threads N]

writes benchmarks/adapt.md. Contents are procedural and the painting is the project's own, so it runs
anywhere; the loss network's weights are downloaded if missing.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch
from rounds import peak_memory
from torch.profiler import ProfilerActivity, profile

from metastyle.bench.floor import matrix_rate
from metastyle.core.adaptation import Adaptation
from metastyle.core.settings import AdaptationSettings
from metastyle.images.contents import Contents
from metastyle.images.convert import to_tensor
from metastyle.images.decode import open_picture
from metastyle.images.picture import resize
from metastyle.weights.initialization import load_initialization
from metastyle.weights.vgg16 import load_loss_network

HERE = Path(__file__).parent
PAINTING = HERE.parent / "examples" / "paintings" / "night.jpg"

KINDS = {
    "convolution_backward": "convolutions, backward",
    "mkldnn_convolution": "convolutions, forward",
    "mm": "matrix products: Gram matrices; in float32 most convolutions, too",
    "copy_": "copies and casts",
    "adam": "Adam",
}


def multiply_adds(size: int) -> int:
    """Multiply-adds of one step on one picture: the network forward and twice backward, VGG forward and once.

    All convolutions are counted as defined; in float32 on a processor they take fewer (core/quick.py).
    """
    pixels = size * size
    network = pixels * (81 * 3 * 32 + 9 * 32 * 64 / 4 + 9 * 64 * 128 / 16 + 10 * 9 * 128 * 128 / 16)
    network += pixels * (9 * 128 * 64 / 4 + 9 * 64 * 32 + 81 * 32 * 3)
    vgg, channels = 0.0, 3
    for block, widths in enumerate(((64, 64), (128, 128), (256, 256, 256), (512, 512, 512))):
        for width in widths:
            vgg += pixels / 4**block * 9 * channels * width
            channels = width
    return round(3 * network + 2 * vgg)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=AdaptationSettings().steps)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    settings = replace(AdaptationSettings(), steps=arguments.steps)
    style = to_tensor(resize(open_picture(PAINTING), settings.style_size).pixels)
    initialization, loss_network = load_initialization()[0], load_loss_network()

    def begin(steps: int) -> Adaptation:
        chosen = replace(settings, steps=steps)
        contents = Contents().pool(chosen.contents, chosen.size, chosen.seed)
        return Adaptation(initialization, loss_network, style, contents, chosen, "cpu")

    started = time.perf_counter()
    run = begin(settings.steps)
    prepared = time.perf_counter() - started
    times = [time.perf_counter()]
    for _ in run:
        times.append(time.perf_counter())
    seconds = times[-1] - times[0]
    steps = sorted(b - a for a, b in itertools.pairwise(times[2:]))
    median = steps[len(steps) // 2]
    peak = peak_memory() / 2**30

    shares: Counter[str] = Counter()
    few = begin(6)
    iterator = iter(few)
    next(iterator)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in iterator:
            pass
    for event in profiled.key_averages():
        kind = next((label for key, label in KINDS.items() if key in event.key.lower()), "everything else")
        shares[kind] += event.self_cpu_time_total

    operations = multiply_adds(settings.size) * settings.batch
    lines = [
        "# Adaptation: seconds, memory, and where they go",
        "",
        f"`python benchmarks/adapt.py --threads {arguments.threads}` on {platform.machine()}, torch"
        f" {torch.__version__}; default settings: {settings.batch} content(s) of {settings.size}² a step.",
        "",
        "| what | value |",
        "|---|---|",
        f"| preparation (contents, their features, the painting) | {prepared:.1f} s |",
        f"| {settings.steps} steps | {seconds:.1f} s |",
        f"| one step, median (fastest, slowest) | {median:.3f} s ({steps[0]:.3f}, {steps[-1]:.3f}) |",
        f"| peak memory of the process | {peak:.2f} GB |",
        f"| multiply-adds of a step | {operations / 1e9:.1f} G |",
    ]
    for dtype in (torch.bfloat16, torch.float32):
        rate = matrix_rate(torch.device("cpu"), dtype)
        lines.append(
            f"| floor: those at this machine's {str(dtype).removeprefix('torch.')} matrix rate, "
            f"{rate / 1e9:.0f} G/s | {operations / rate:.3f} s, {operations / rate / median:.0%} of a step |"
        )
    lines += ["", "| part of a step | share |", "|---|---|"]
    lines += [f"| {kind} | {time / shares.total():.0%} |" for kind, time in shares.most_common()]
    text = "\n".join(lines) + "\n"
    (HERE / "adapt.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
