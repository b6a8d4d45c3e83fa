from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metastyle.benchmark.pictures import grid, picture_path, repaint, same_pictures
from metastyle.errors import MetastyleError
from metastyle.media.images import open_picture, to_tensor

CPU = torch.device("cpu")


class Tinting:
    """Gives photographs the painting's mean colour; not those that are black."""

    name, parameters, styles = "Tinting", 0, "any"
    made = 0

    def __init__(self, device: torch.device) -> None:
        type(self).made += 1

    def prepare(self, style: Tensor) -> Any:
        def stylise(photo: Tensor) -> Tensor:
            if photo.max() == 0:
                raise RuntimeError("nothing\nto see")
            return style.mean((2, 3), keepdim=True).expand_as(photo)

        return stylise


@pytest.fixture
def pairs() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    paintings = {"red": torch.zeros(1, 3, 20, 30), "grey": torch.full((1, 3, 20, 20), 0.5)}
    paintings["red"][:, 0] = 1.0
    return paintings, {"a": torch.rand(1, 3, 24, 32), "black": torch.zeros(1, 3, 24, 32)}


def test_what_is_there_is_not_painted_again(pairs: Any, tmp_path: Path) -> None:
    Tinting.made = 0
    first = list(repaint({"tint x=1": Tinting}, *pairs, tmp_path, CPU))
    assert [(p.painting, p.photo) for p in first] == [(x, y) for x in ("red", "grey") for y in ("a", "black")]
    assert [p.error for p in first] == ["", "nothing to see"] * 2 and {p.name for p in first} == {"Tinting"}
    picture = to_tensor(open_picture(first[0].path).pixels)
    assert torch.equal(picture, pairs[0]["red"].mean((2, 3), keepdim=True).expand(1, 3, 24, 32))
    assert Tinting.made == 1
    alone = list(repaint({"tint x=1": Tinting}, pairs[0], {"a": pairs[1]["a"]}, tmp_path, CPU))
    assert Tinting.made == 1 and alone == [p for p in first if p.photo == "a"]
    assert picture_path(tmp_path, "tint x=1", "red", "a") == alone[0].path


def test_pictures_of_other_sizes_do_not_mix(tmp_path: Path) -> None:
    same_pictures(tmp_path, size=64, style_size=32)
    same_pictures(tmp_path, size=64, style_size=32)
    with pytest.raises(MetastyleError, match=r"holds pictures with size 64, not 96: use another -o"):
        same_pictures(tmp_path, size=96, style_size=32)


def test_the_grid_pairs_photographs_and_paintings(pairs: Any, tmp_path: Path) -> None:
    paintings, photos = pairs
    painted = list(repaint({"tint": Tinting}, *pairs, tmp_path, CPU))
    shown = grid(painted, photos, paintings)
    assert shown.dtype == np.uint8 and shown.shape[1] == 3 * 264 + 8
    third = shown[:, 2 * 264 + 8 : 3 * 264].reshape(-1, 3)
    assert (third == (255, 0, 0)).all(1).sum() > 20_000  # row one: a in red
    assert not (third == (128, 128, 128)).all(1).any()  # row two: black, which stays empty
    taller = grid(painted, photos, {"red": paintings["red"]})
    assert abs(taller.shape[0] - shown.shape[0]) < 80  # two rows all the same
