"""The pictures of docs/styles.md: mixtures, strength, brush, masks, colors; from built-in styles.

python examples/control_sheets.py                      # -> docs/images/{strip,strength,brush,mask,color}.jpg
python examples/control_sheets.py --photo mine.jpg -o out/
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

import metastyle
from metastyle.api import as_style
from metastyle.images.sheet import sheet
from metastyle.style import Style

HERE = Path(__file__).parent
Pixels = NDArray[np.uint8]


def builtin(name: str) -> Style:
    style = as_style(name)
    assert style is not None
    return style


def strip(photo: Pixels) -> Pixels:
    """From one style to another in seven steps."""
    ends = [builtin("night"), builtin("mosaic")]
    shares = np.linspace(0, 1, 7)
    painted = [metastyle.blend(ends, [1 - s, s]).stylize(photo) for s in shares]
    return sheet([painted], [[f"{1 - s:.2f} night + {s:.2f} mosaic" for s in shares]], cell=300)


def strength(photo: Pixels) -> Pixels:
    strengths = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
    style = builtin("great-wave")
    return sheet(
        [[style.stylize(photo, strength=s) for s in strengths]], [[f"strength {s:g}" for s in strengths]], 300
    )


def brush(photo: Pixels) -> Pixels:
    style = builtin("starry-night")
    return sheet(
        [[style.stylize(photo, brush=b) for b in (0.5, 1, 2, 4)]],
        [[f"brush {b:g}" for b in (0.5, 1, 2, 4)]],
        520,
    )


def mask(photo: Pixels) -> Pixels:
    """The upper half in one style, the lower in another, and an unchanged disc."""
    height, width = photo.shape[:2]
    y, x = np.mgrid[:height, :width]
    sky = np.uint8(255) * (y < 0.5 * height).astype(np.uint8)
    disc = np.uint8(255) * (np.hypot(y - 0.45 * height, x - 0.35 * width) < 0.2 * height).astype(np.uint8)
    painted = metastyle.stylize(photo, "garden", regions=[(sky, "starry-night"), (disc, None)])
    masks = [np.repeat(m[:, :, None], 3, axis=2) for m in (sky, disc)]
    return sheet(
        [[photo, *masks, painted]],
        [["photograph, garden", "--mask sky.png=starry-night", "--mask disc.png=photo", "result"]],
        420,
    )


def color(photo: Pixels) -> Pixels:
    painting = HERE / "paintings" / "night.jpg"
    plain, matched = metastyle.adapt(painting), metastyle.adapt(painting, match_color=photo)
    return sheet(
        [
            [
                photo,
                plain.stylize(photo),
                plain.stylize(photo, keep_color=True),
                matched.stylize(photo),
            ]
        ],
        [["photograph", "night.jpg", "--keep-color", "--match-color"]],
        420,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photo", type=Path, default=HERE / "photos" / "lake.jpg")
    parser.add_argument("-o", "--output", type=Path, default=HERE.parent / "docs" / "images")
    arguments = parser.parse_args()
    image = Image.open(arguments.photo).convert("RGB")
    image.thumbnail((1024, 1024))
    large = np.asarray(image)
    image.thumbnail((600, 600))
    small = np.asarray(image)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for make, photo in track(
        [(strip, small), (strength, small), (brush, large), (mask, small), (color, small)]
    ):
        Image.fromarray(make(photo)).save(arguments.output / f"{make.__name__}.jpg", quality=86)


if __name__ == "__main__":
    main()
