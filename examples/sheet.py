"""The sheet of docs/styles.md: six photographs of different kinds, each in six built-in styles.

python examples/sheet.py                                   # -> docs/images/sheet.jpg
python examples/sheet.py --photos mine.jpg --styles night fauve -o out.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

import metastyle
from metastyle.images.sheet import sheet

HERE = Path(__file__).parent
PHOTOS = ["portrait", "lake", "street", "table", "cat", "wall"]
STYLES = ["mosaic", "night", "woodblock", "garden", "great-wave", "water-lilies"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    photos = [HERE / "photos" / f"{name}.jpg" for name in PHOTOS]
    parser.add_argument("--photos", type=Path, nargs="+", default=photos)
    parser.add_argument("--styles", nargs="+", default=STYLES)
    parser.add_argument("-o", "--output", type=Path, default=HERE.parent / "docs" / "images" / "sheet.jpg")
    parser.add_argument("--cell", type=int, default=220, help="pixels of a picture's long edge on the sheet")
    parser.add_argument("--size", type=int, default=720, help="long edge at which photographs are repainted")
    arguments = parser.parse_args()

    rows = [[np.asarray(Image.open(path).convert("RGB"))] for path in arguments.photos]
    for style in track(arguments.styles, description="repainting"):
        painted = metastyle.stylize(arguments.photos, style, size=arguments.size)
        for row, picture in zip(rows, painted, strict=True):
            row.append(np.asarray(picture.convert("RGB")))
    labels = [[path.stem] for path in arguments.photos]
    labels[0] += arguments.styles
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet(rows, labels, arguments.cell)).save(arguments.output, quality=86)
    print(arguments.output)


if __name__ == "__main__":
    main()
