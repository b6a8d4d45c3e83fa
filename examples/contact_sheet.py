"""A contact sheet: photographs by paintings, each adapted to with the default settings.

python examples/contact_sheet.py                       # the project's own pictures -> out/sheet.jpg
python examples/contact_sheet.py --paintings examples/paintings/night.jpg --steps 0 10 20 100 200
python examples/contact_sheet.py --photos DIR --paintings DIR -o mine.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

import metastyle
from metastyle.images.sheet import sheet

EXAMPLES = Path(__file__).parent
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def pictures(given: list[Path]) -> list[Path]:
    """The given files, and the pictures in the given folders."""
    return [
        path
        for entry in given
        for path in (sorted(entry.iterdir()) if entry.is_dir() else [entry])
        if path.suffix.lower() in SUFFIXES
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", default=[EXAMPLES / "photos"])
    parser.add_argument("--paintings", type=Path, nargs="+", default=[EXAMPLES / "paintings"])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/sheet.jpg"))
    parser.add_argument("--cell", type=int, default=360, help="pixels of a picture's long edge on the sheet")
    parser.add_argument("--size", type=int, default=720, help="long edge at which photographs are repainted")
    parser.add_argument("--steps", type=int, nargs="+", default=[metastyle.AdaptationSettings().steps])
    arguments = parser.parse_args()

    photos, paintings = pictures(arguments.photos), pictures(arguments.paintings)
    columns = [[np.asarray(Image.open(path).convert("RGB")) for path in photos]]
    header, labels = [None], [""]
    learned = [(painting, steps) for painting in paintings for steps in arguments.steps]
    for painting, steps in track(learned, description="adapting and repainting"):
        style = metastyle.adapt(painting, steps=steps)
        columns.append(
            [np.asarray(style.stylize(path, size=arguments.size).convert("RGB")) for path in photos]
        )
        header.append(np.asarray(Image.open(painting).convert("RGB")))
        labels.append(f"{painting.stem}, {steps} steps")
    rows = [header, *map(list, zip(*columns, strict=True))]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet(rows, [labels, *([] for _ in photos)], cell=arguments.cell)).save(
        arguments.output, quality=88
    )
    print(arguments.output)


if __name__ == "__main__":
    main()
