"""Repeats strong paintings in a folder to train on, as often as unchanged photographs are far from them.

    python scripts/weigh_paintings.py PAINTINGS --content PHOTOS -o FOLDER

Most paintings of a collection are quiet: for half of them, unchanged photographs have a style loss below 25,
while those that people choose have one near 100. FOLDER gets links to each painting, one for every 8 of that
loss, from 1 to 10. Each has a name of its own, so that training gives each a size of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from rich.progress import track

from metastyle.bench.adaptation import whole
from metastyle.core.loss_network import STYLE_LAYERS, LossNetwork
from metastyle.core.losses import gram_matrix, style_target
from metastyle.core.settings import STYLE_WEIGHT
from metastyle.errors import MetastyleError
from metastyle.images.contents import spread
from metastyle.images.decode import list_pictures
from metastyle.training.loss_scale import PhotoGrams
from metastyle.weights.vgg16 import load_loss_network

LOSS_OF_A_LINK = 8.0
MOST_LINKS = 10
PHOTOS = 48
LONG_EDGE = 384


def links(loss: float) -> int:
    """How often a painting for which unchanged photographs have this style loss is in the folder."""
    return max(1, min(MOST_LINKS, round(loss / LOSS_OF_A_LINK)))


def photo_grams(photos: Sequence[Path], vgg: LossNetwork) -> PhotoGrams:
    """The moments of the Gram matrices of up to 48 photographs."""
    chosen = track(spread(photos, PHOTOS), "photographs")
    with torch.no_grad():
        seen = [vgg(whole(path, LONG_EDGE), STYLE_LAYERS) for path in chosen]
    return PhotoGrams.estimate([[gram_matrix(f)[0] for f in features.values()] for features in seen])


def weigh(paintings: Iterable[Path], photos: PhotoGrams, vgg: LossNetwork, output: Path) -> int:
    """Fill the folder; returns the number of links."""
    output.mkdir(parents=True)
    count = 0
    for path in paintings:
        try:
            loss = photos.expected_loss(style_target(vgg, whole(path, LONG_EDGE)), STYLE_WEIGHT).item()
        except MetastyleError as error:
            print(f"left out: {error}")
            continue
        for number in range(links(loss)):
            name = path.name if number == 0 else f"{path.stem}-{number}{path.suffix}"
            (output / name).symlink_to(path.resolve())
            count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paintings", type=Path)
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    vgg = load_loss_network()
    photos = photo_grams(list_pictures(arguments.content), vgg)
    paintings = list_pictures(arguments.paintings)
    count = weigh(track(paintings, "paintings"), photos, vgg, arguments.output)
    print(f"{arguments.output}: {count} links to {len(paintings)} paintings")


if __name__ == "__main__":
    main()
