"""Quantizes trained parts of compared systems to int8, and measures the effect.

    python scripts/quantize_systems.py runs/baselines -o systems-weights

A part's reconstructions of a few photographs and drawn pictures are compared with the originals; if int8
loses more than 0.1 dB on average, the part stays in float16.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from metastyle.images.contents import procedural_pool
from metastyle.images.convert import to_tensor
from metastyle.images.decode import list_pictures, open_picture
from metastyle.images.picture import resize
from metastyle.systems.avatar_net import BOTTLENECK, SKIPS, Hourglass
from metastyle.systems.vgg19 import Decoder, Encoder, fitted
from metastyle.systems.weights import load_trained, read_settings, save_trained, trained_path

PARTS = {f"wct-{level}": level for level in range(1, 6)} | {"style-swap": 3, "avatar-net": 4}
PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
ALLOWED = 0.1
"""Decibels."""


def decoder(part: str) -> Decoder:
    """The network of a part, without storage."""
    with torch.device("meta"):
        return Hourglass() if part == "avatar-net" else Decoder(PARTS[part])


@torch.inference_mode()
def decibels(part: str, folder: Path, encoder: Encoder, pictures: list[Tensor]) -> float:
    """Peak signal-to-noise ratio of reconstructions, averaged over pictures."""
    network, found = load_trained(decoder(part), part, folder), []
    for picture in pictures:
        if isinstance(network, Hourglass):
            features = encoder(picture, [*SKIPS, BOTTLENECK])
            again = network.decode(features[BOTTLENECK], features)
        else:
            layer = f"relu{PARTS[part]}_1"
            again = network(encoder(picture, [layer])[layer])
        found.append(-10 * (fitted(again, picture) - picture).square().mean().log10())
    return torch.stack(found).mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="what train-baseline wrote")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True)
    encoder = Encoder.load(5)
    pictures = [to_tensor(resize(open_picture(path), 192).pixels) for path in list_pictures(PHOTOS)]
    pictures += list(procedural_pool(3, 128, 0).split(1))
    for part in PARTS:
        source = trained_path(part, options.folder)
        if not source.is_file():
            print(f"{part}: not trained")
            continue
        settings = read_settings(source)
        network = load_trained(decoder(part), part, options.folder)
        with tempfile.TemporaryDirectory() as temporary:
            small = Path(temporary)
            save_trained(network, part, trained_path(part, small), settings, eight_bits=True)
            before = decibels(part, options.folder, encoder, pictures)
            after = decibels(part, small, encoder, pictures)
        eight_bits = before - after < ALLOWED
        target = trained_path(part, options.output)
        save_trained(network, part, target, settings, eight_bits=eight_bits)
        print(
            f"{part}: {before:.2f} dB, as int8 {after:.2f} dB: {'int8' if eight_bits else 'float16'},"
            f" {target.stat().st_size:,} bytes",
            flush=True,
        )


if __name__ == "__main__":
    main()
