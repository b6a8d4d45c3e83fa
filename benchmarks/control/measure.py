"""The effect of brush sizes and mixtures, on photographs and built-in styles.

    python benchmarks/control/measure.py --photos DIR [--count 8]

Writes brush.md, path.md and path.png next to this file; see README.md there.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.progress import track
from torch import Tensor

from metastyle import api
from metastyle.core.loss_network import CONTENT_LAYER, STYLE_LAYERS
from metastyle.core.losses import gram_matrix, perceptual_loss, style_target
from metastyle.images.convert import to_tensor
from metastyle.images.decode import list_pictures, open_picture
from metastyle.images.picture import Picture, resize
from metastyle.weights.builtin_styles import builtin_path
from metastyle.weights.vgg16 import load_loss_network

HERE = Path(__file__).parent
STYLES = ("starry-night", "great-wave", "mosaic", "collioure")
LARGE, PREVIEW = 1024, 256
STEPS = 9
PATHS = (("starry-night", "great-wave"), ("mosaic", "water-lilies"))


def pictures(folder: Path, count: int, smallest: int) -> list[Picture]:
    """``count`` pictures of the folder with a long edge of at least ``smallest``, spread over its names."""
    large = [p for p in map(open_picture, list_pictures(folder)) if max(p.size) >= smallest]
    return [large[i * len(large) // count] for i in range(min(count, len(large)))]


@torch.no_grad()
def brush(photos: list[Picture]) -> list[str]:
    """Distance of the reduced large result from the preview, without and with its brush."""
    network = load_loss_network()

    def grams(picture: Picture) -> list[Tensor]:
        return [gram_matrix(f) for f in network(to_tensor(picture.pixels), STYLE_LAYERS).values()]

    def distances(result: Picture, preview: Picture) -> tuple[float, float]:
        reduced = resize(result, PREVIEW)
        style = sum((a - b).pow(2).mean().item() for a, b in zip(grams(reduced), grams(preview), strict=True))
        pixels = np.abs(reduced.pixels.astype(float) - preview.pixels).mean()
        return 1e5 * style, float(pixels)

    lines = [
        "| style | method | style statistics | pixels (of 255) |",
        "|---|---|---|---|",
    ]
    for name in STYLES:
        path = builtin_path(name)
        assert path is not None
        style = api.load(path)
        rows: dict[str, list[tuple[float, float]]] = {"plain": [], "with brush": []}
        for photo in track(photos, f"brush, {name}"):
            large = resize(photo, LARGE)
            preview = style.render(resize(photo, PREVIEW))
            rows["plain"].append(distances(style.render(large), preview))
            rows["with brush"].append(distances(style.render(large, brush=1024 / PREVIEW), preview))
        for way, found in rows.items():
            statistics, pixels = np.mean(found, axis=0)
            lines.append(f"| {name} | {way} | {statistics:.3f} | {pixels:.1f} |")
    return lines


@torch.no_grad()
def path(photos: list[Picture]) -> tuple[list[str], Figure]:
    """Losses to both styles along their mixtures.

    Without the paintings, a style's target is its rendering of a photograph that is not measured.
    """
    network = load_loss_network()
    measured, model = photos[1:], resize(photos[0], 512)
    lines = ["| from, to | loss to | " + " | ".join(f"{k / (STEPS - 1):.3g}" for k in range(STEPS)) + " |"]
    lines.append("|---" * (STEPS + 2) + "|")
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, names in zip(figure.subplots(1, len(PATHS)), PATHS, strict=True):
        paths = [builtin_path(name) for name in names]
        ends = [api.load(p) for p in paths if p is not None]
        targets = [style_target(network, to_tensor(end.render(model).pixels)) for end in ends]
        losses = np.zeros((2, STEPS))
        for k in track(range(STEPS), f"{names[0]} to {names[1]}"):
            share = k / (STEPS - 1)
            mixture = api.blend(ends, [1 - share, share])
            for photo in measured:
                small = resize(photo, PREVIEW)
                content = network(to_tensor(small.pixels), [CONTENT_LAYER])[CONTENT_LAYER]
                features = network(to_tensor(mixture.render(small).pixels))
                for j, target in enumerate(targets):
                    losses[j, k] += perceptual_loss(features, content, target).total.item() / len(measured)
        for j, name in enumerate(names):
            written = " | ".join(f"{x:.1f}" for x in losses[j])
            lines.append(f"| {names[0]}, {names[1]} | {name} | {written} |")
            axes.plot(np.linspace(0, 1, STEPS), losses[j], marker="o", markersize=4, label=f"to {name}")
        axes.set(xlabel=f"share of {names[1]}", ylabel="perceptual loss", ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend()
    return lines, figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=8)
    arguments = parser.parse_args()
    photos = pictures(arguments.photos, arguments.count, LARGE)
    (HERE / "brush.md").write_text("\n".join(brush(photos)) + "\n")
    lines, figure = path(photos)
    (HERE / "path.md").write_text("\n".join(itertools.chain(lines, [""])))
    figure.savefig(HERE / "path.png", dpi=110)


if __name__ == "__main__":
    main()
