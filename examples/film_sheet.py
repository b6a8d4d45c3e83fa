"""The picture of docs/video.md: three frames of a pan over a photograph, and of the film made from it.

python examples/film_sheet.py                      # -> docs/images/film.jpg
python examples/film_sheet.py --photo mine.jpg --style night -o out.jpg
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image

import metastyle
from metastyle.images.sheet import sheet

HERE = Path(__file__).parent
FRAMES, STEP = 9, 10
"""Frames of the pan, and pixels between them."""
SHOWN = (0, 4, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photo", type=Path, default=HERE / "photos" / "lake.jpg")
    parser.add_argument("--style", default="fauve")
    parser.add_argument("-o", "--output", type=Path, default=HERE.parent / "docs" / "images" / "film.jpg")
    arguments = parser.parse_args()
    photo = Image.open(arguments.photo).convert("RGB")
    photo.thumbnail((720, 720))
    window = (photo.width - STEP * (FRAMES - 1)) // 2 * 2, photo.height * 3 // 4 // 2 * 2
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FRAMES):
            left = STEP * number
            frame = photo.crop((left, 0, left + window[0], window[1]))
            frame.save(Path(folder) / f"{number:03d}.png")
        film = metastyle.film(folder, arguments.style, out=Path(folder) / "film.mp4")
        with av.open(str(film.path)) as container:
            painted = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        rows = [
            [np.asarray(Image.open(Path(folder) / f"{number:03d}.png")) for number in SHOWN],
            [painted[number] for number in SHOWN],
        ]
    labels = [[f"frame {number}" for number in SHOWN], [arguments.style, "", ""]]
    Image.fromarray(sheet(rows, labels, cell=420)).save(arguments.output, quality=88)


if __name__ == "__main__":
    main()
