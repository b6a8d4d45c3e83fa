"""Adapts the built-in styles to paintings drawn by the project and to old ones in the public domain.

    python scripts/make_styles.py --paintings DIR --content DIR [--only NAME]

The first DIR holds the old paintings under the file names below (the project drew the others: examples/).
The second one holds photographs to adapt on.
Styles are written into the package. Existing styles are kept unless --only names them.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from rich.progress import track

import metastyle
from metastyle.weights.builtin_styles import STYLES

EXAMPLES = Path(__file__).parents[1] / "examples" / "paintings"

SETTINGS = metastyle.AdaptationSettings(steps=150, pool=48, parameters="low_rank", rank=2)
"""The settings of built-in styles; docs/styles.md has the measurements behind them."""

OURS = "MIT, as the project: drawn by its own code"


def public_domain(death: int) -> str:
    return (
        f"the painting is in the public domain where copyright ends 70 years after death ({death}) and in"
        " the United States (published before 1930); these numbers: MIT, as the project"
    )


# name: (file, title, artist, year, terms)
ARTWORKS = {
    "night": ("night.jpg", "Night", "metastyle", "2026", OURS),
    "mosaic": ("mosaic.jpg", "Mosaic", "metastyle", "2026", OURS),
    "garden": ("garden.jpg", "Garden", "metastyle", "2026", OURS),
    "harbour": ("harbour.jpg", "Harbour", "metastyle", "2026", OURS),
    "woodblock": ("woodblock.jpg", "Woodblock", "metastyle", "2026", OURS),
    "fauve": ("fauve.jpg", "Fauve", "metastyle", "2026", OURS),
    "starry-night": (
        "fastneuralstyle__starry_night.jpg",
        "The Starry Night",
        "Vincent van Gogh",
        "1889",
        public_domain(1890),
    ),
    "road-with-cypress": (
        "compvis__van_gogh_van_gogh_road_cypress.jpg",
        "Road with Cypress and Star",
        "Vincent van Gogh",
        "1890",
        public_domain(1890),
    ),
    "great-wave": (
        "fastneuralstyle__wave.jpg",
        "The Great Wave off Kanagawa",
        "Katsushika Hokusai",
        "about 1831",
        public_domain(1849),
    ),
    "scream": ("fastneuralstyle__the_scream.jpg", "The Scream", "Edvard Munch", "1893", public_domain(1944)),
    "shipwreck": (
        "neuralstyle__shipwreck.jpg",
        "The Wreck of a Transport Ship",
        "J. M. W. Turner",
        "about 1810",
        public_domain(1851),
    ),
    "water-lilies": (
        "titu1994__water-lilies-1919-2.jpg",
        "Water Lilies",
        "Claude Monet",
        "1919",
        public_domain(1926),
    ),
    "collioure": (
        "compvis__derain_mountains_at_colloiure.jpg",
        "Mountains at Collioure",
        "André Derain",
        "1905",
        public_domain(1954),
    ),
    "metzinger": (
        "msgnet__Robert_Delaunay__1906__Portrait.jpg",
        "Portrait of Jean Metzinger",
        "Robert Delaunay",
        "1906",
        public_domain(1941),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--paintings", type=Path, required=True, metavar="DIR")
    parser.add_argument("--content", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", action="append", choices=sorted(ARTWORKS), metavar="NAME")
    arguments = parser.parse_args()
    for name, (file, title, artist, year, terms) in ARTWORKS.items():
        path = STYLES / f"{name}.safetensors"
        if name not in (arguments.only or ARTWORKS) or (path.exists() and not arguments.only):
            continue
        painting = (EXAMPLES if terms == OURS else arguments.paintings) / file
        bar = iter(track(range(SETTINGS.steps), name))
        style = metastyle.adapt(
            painting,
            contents=arguments.content,
            settings=SETTINGS,
            on_step=lambda _, bar=bar: next(bar, 0) >= 0,
        )
        artwork = {"title": title, "artist": artist, "year": year, "terms": terms}
        shipped = dataclasses.replace(
            style, painting=title, settings=style.settings | {"artwork": artwork}, curve=()
        )
        shipped.save(path, overwrite=True)
        print(f"{path.name}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
