"""With how much grain pictures are best painted, in a style that was adapted with a given amount.

    python benchmarks/grain.py PHOTOS PAINTINGS [--adapted 1 0.5] [--painted 1 0.6 0.5 0.3 0] [--colored 64 8]
        [--pictures FOLDER]

adapts to each painting of a folder on the photographs of the other one, by 60 steps with each amount, and
measures the loss of the pictures painted with each: photographs of 384 pixels, paintings of 512, alpha = 1,
beta = 1e5. ``--colored`` is the spacing of the coarsest lattice of the noise that has color, in adapting and
painting. Writes grain.json and grain.md next to this file, and the pictures into FOLDER.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from functools import partial
from pathlib import Path
from typing import Any

from rounds import machine, write

import metastyle
from metastyle.bench.adaptation import SIZE, STYLE_SIZE, evaluate, look_at
from metastyle.bench.pictures import whole
from metastyle.core import grain
from metastyle.core.losses import style_target
from metastyle.images.convert import from_tensor
from metastyle.images.decode import list_pictures
from metastyle.images.encode import save_picture
from metastyle.images.picture import Picture
from metastyle.weights.vgg16 import load_loss_network

STEPS = 60


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    loss_network = load_loss_network()
    photos = list_pictures(arguments.photos)
    seen = look_at(photos, loss_network, SIZE)
    rows = []
    for painting in list_pictures(arguments.paintings):
        target = style_target(loss_network, whole(painting, STYLE_SIZE))
        for colored, adapted in itertools.product(arguments.colored, arguments.adapted):
            grain.COLORED = colored
            style = metastyle.adapt(
                painting, contents=photos, steps=STEPS, grain=adapted, style_size=STYLE_SIZE
            )
            for painted in arguments.painted:
                paint = partial(style.stylize, grain=painted, precision="float32")
                found = evaluate(paint, loss_network, seen, target)
                losses = [statistics.fmean(loss[part].item() for _, _, loss in found) for part in range(3)]
                kind = {"painting": painting.stem, "colored": colored, "adapted": adapted, "painted": painted}
                parts = zip(("total", "content", "style"), losses, strict=True)
                rows.append(kind | {name: round(value, 3) for name, value in parts})
                print(rows[-1], flush=True)
                if arguments.pictures:
                    arguments.pictures.mkdir(parents=True, exist_ok=True)
                    for name, picture, _ in found:
                        file = f"{painting.stem}-{name}-{colored}-{adapted:g}-{painted:g}.png"
                        save_picture(Picture(from_tensor(picture)), arguments.pictures / file, overwrite=True)
    return rows


def report(result: dict[str, Any]) -> str:
    lines = [
        "# How much grain pictures are painted with",
        "",
        f"`python benchmarks/grain.py PHOTOS PAINTINGS`: {STEPS} steps on the {result['photographs']} "
        f"photographs that are painted, {SIZE} px, paintings at {STYLE_SIZE}; means over the photographs.",
        "",
        "| painting | colored up to | adapted with | painted with | total | content | style |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        lines.append(
            f"| {row['painting']} | {row['colored']} px | {row['adapted']:g} | {row['painted']:g} "
            f"| {row['total']:.2f} | {row['content']:.2f} | {row['style']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("--adapted", type=float, nargs="+", default=[1.0, 0.5])
    parser.add_argument("--painted", type=float, nargs="+", default=[1.0, 0.6, 0.5, 0.3, 0.0])
    parser.add_argument("--colored", type=int, nargs="+", default=[64, 8])
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    about = machine()
    count = len(list_pictures(arguments.photos))
    result = {"photographs": count, "machine": about, "rows": measure(arguments)}
    write(__file__, result, report(result))


if __name__ == "__main__":
    main()
