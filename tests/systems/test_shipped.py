"""The trained parts in the source tree are complete, have a record of training, and reconstruct pictures."""

import numpy as np
import pytest
import torch

from metastyle.images.convert import to_tensor
from metastyle.images.decode import open_picture
from metastyle.images.picture import resize
from metastyle.systems.avatar_net import BOTTLENECK, SKIPS, Hourglass
from metastyle.systems.vgg19 import Decoder, Encoder
from metastyle.systems.weights import SHIPPED, load_trained, read_settings, trained_path

PARTS = {f"wct-{level}": level for level in range(1, 6)} | {"style-swap": 3, "avatar-net": 4}
PHOTO = SHIPPED.parent / "examples" / "photos" / "lake.jpg"
LEAST = {"wct-1": 35, "wct-2": 22, "wct-3": 18, "wct-4": 16, "avatar-net": 15}
"""The least signal-to-noise ratio of a reconstruction, in dB."""


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_complete_and_records_its_training(part):
    decoder = load_trained(Hourglass() if part == "avatar-net" else Decoder(PARTS[part]), part)
    assert all(p.isfinite().all() and p.dtype == torch.float32 for p in decoder.parameters())
    about = read_settings(trained_path(part))
    assert about["iteration"] > 50 and about["seconds"] > 10 and about["photographs"] > 1000
    assert not {"contents", "styles", "output"} & about["settings"].keys()


@pytest.mark.parametrize("part", LEAST)
def test_each_part_reconstructs_a_picture(part, published):
    encoder = Encoder.load(PARTS[part])
    picture = resize(open_picture(PHOTO), 256)
    photo = to_tensor(picture.pixels)[:, :, :160, :]
    with torch.no_grad():
        if part == "avatar-net":
            hourglass = load_trained(Hourglass(), part)
            features = encoder(photo, [*SKIPS, BOTTLENECK])
            found = hourglass.decode(features[BOTTLENECK], features)
        else:
            layer = f"relu{PARTS[part]}_1"
            found = load_trained(Decoder(PARTS[part]), part)(encoder(photo, [layer])[layer])
    found = found[:, :, : photo.shape[2], : photo.shape[3]].clamp(0, 1)
    decibels = -10 * np.log10((found - photo).square().mean().item())
    assert decibels > LEAST[part], decibels


def test_the_package_contains_no_trained_parts():
    assert not list((SHIPPED.parent / "src" / "metastyle" / "systems").rglob("*.safetensors"))
