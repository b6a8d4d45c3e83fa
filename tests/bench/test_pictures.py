from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metastyle.bench.pictures import (
    grid,
    picture_path,
    repaint,
    square,
    unique_names,
    whole,
)
from metastyle.errors import MetastyleError
from metastyle.images.convert import to_tensor
from metastyle.images.decode import open_picture
from metastyle.images.encode import save_picture
from metastyle.images.picture import Picture

CPU = torch.device("cpu")


class Tinting:
    """A system that shows the painting's mean color and fails on black photographs."""

    name, parameters, styles = "Tinting", 0, "any"
    made = 0

    def __init__(self, device: torch.device) -> None:
        type(self).made += 1

    def prepare(self, style: Tensor) -> Any:
        def stylize(photo: Tensor) -> Tensor:
            if photo.max() == 0:
                raise RuntimeError("nothing\nto see")
            return style.mean((2, 3), keepdim=True).expand_as(photo)

        return stylize


@pytest.fixture
def pairs() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    paintings = {"red": torch.zeros(1, 3, 20, 30), "gray": torch.full((1, 3, 20, 20), 0.5)}
    paintings["red"][:, 0] = 1.0
    return paintings, {"a": torch.rand(1, 3, 24, 32), "black": torch.zeros(1, 3, 24, 32)}


def test_existing_pictures_are_not_painted_again(pairs: Any, tmp_path: Path) -> None:
    Tinting.made = 0
    first = list(repaint({"tint x=1": Tinting}, *pairs, tmp_path, CPU))
    assert [(p.painting, p.photo) for p in first] == [(x, y) for x in ("red", "gray") for y in ("a", "black")]
    assert [p.error for p in first] == ["", "nothing to see"] * 2 and {p.name for p in first} == {"Tinting"}
    picture = to_tensor(open_picture(first[0].path).pixels)
    assert torch.equal(picture, pairs[0]["red"].mean((2, 3), keepdim=True).expand(1, 3, 24, 32))
    assert Tinting.made == 1
    assert [p.fresh for p in first] == [True, False] * 2
    first = [dataclasses.replace(p, fresh=False) for p in first]
    alone = list(repaint({"tint x=1": Tinting}, pairs[0], {"a": pairs[1]["a"]}, tmp_path, CPU))
    assert Tinting.made == 1 and alone == [p for p in first if p.photo == "a"]
    assert picture_path(tmp_path, "tint x=1", "red", "a") == alone[0].path


def test_no_two_methods_share_a_folder(tmp_path: Path) -> None:
    methods = ["wct", "wct alpha=0.5", "wct_alpha=0.5", "wct weights=a/b", "wct weights=a:b", "wct weights=ä"]
    folders = [picture_path(tmp_path, method, "p", "q").parents[1] for method in methods]
    assert len(set(folders)) == len(methods)
    for folder in folders:
        assert folder.parent == tmp_path / "pictures" and re.fullmatch(r"[\w =.%-]+", folder.name, re.ASCII)


def test_results_of_different_pictures_are_not_mixed(pairs: Any, tmp_path: Path) -> None:
    list(repaint({"tint": Tinting}, *pairs, tmp_path, CPU))
    paintings, photos = pairs
    smaller = dict(photos, a=photos["a"][:, :, ::2])
    with pytest.raises(MetastyleError, match=r"another photograph 'a' \(32x24, this one is 32x12\)"):
        list(repaint({"tint": Tinting}, paintings, smaller, tmp_path, CPU))
    other = dict(paintings, red=1 - paintings["red"])
    with pytest.raises(MetastyleError, match="another painting 'red'"):
        list(repaint({"tint": Tinting}, other, photos, tmp_path, CPU))
    more = dict(photos, b=torch.rand(1, 3, 24, 32))
    assert len(list(repaint({"tint": Tinting}, paintings, more, tmp_path, CPU))) == 6


@pytest.mark.parametrize("fault", ["shape", "key"])
def test_a_faulty_system_does_not_stop_the_others(fault: str, pairs: Any, tmp_path: Path) -> None:
    class Faulty(Tinting):
        def prepare(self, style: Tensor) -> Any:
            if fault == "key":
                raise KeyError("/home/me/weights/w.st")
            return lambda photo: torch.zeros(1, 3, 40, 40)

    painted = list(repaint({"faulty": Faulty, "tint": Tinting}, *pairs, tmp_path, CPU))
    assert [p.error for p in painted if p.method == "tint"] == ["", "nothing to see"] * 2
    expected = (
        "'w.st'" if fault == "key" else "made a picture of shape (1, 3, 40, 40) of one of (1, 3, 24, 32)"
    )
    assert {p.error for p in painted if p.method == "faulty"} == {expected}
    assert not picture_path(tmp_path, "faulty", "red", "a").exists()


def test_systems_of_the_same_name_are_called_by_their_method() -> None:
    assert unique_names({"a": "A", "b": "B", "b x=1": "B"}) == {"a": "A", "b": "b", "b x=1": "b x=1"}


def test_the_grid_pairs_photographs_and_paintings(pairs: Any, tmp_path: Path) -> None:
    paintings, photos = pairs
    painted = list(repaint({"tint": Tinting}, *pairs, tmp_path, CPU))
    shown = grid(painted, photos, paintings)
    assert shown.dtype == np.uint8 and shown.shape[1] == 3 * 264 + 8
    third = shown[:, 2 * 264 + 8 : 3 * 264].reshape(-1, 3)
    assert (third == (255, 0, 0)).all(1).sum() > 20_000  # row 1: photograph a in red
    assert not (third == (128, 128, 128)).all(1).any()  # row 2: the black photograph, which failed
    taller = grid(painted, photos, {"red": paintings["red"]})
    assert abs(taller.shape[0] - shown.shape[0]) < 80  # still two rows


@pytest.mark.parametrize("shape", [(80, 96), (96, 80), (70, 70)])
def test_photographs_are_reduced_to_a_square_or_as_a_whole(shape: Any, tmp_path: Path) -> None:
    picture = Picture(pixels=np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8))
    assert square(picture, 48).shape == (1, 3, 48, 48)
    save_picture(picture, tmp_path / "a.png")
    longest = max(shape)
    assert whole(tmp_path / "a.png", 48).shape[2:] == tuple(round(48 * n / longest) for n in shape)


def test_hidden_colors_are_not_seen(tmp_path: Path) -> None:
    pixels = np.full((32, 40, 3), (90, 120, 60), np.uint8)
    pixels[:, 20:] = (255, 0, 255)
    alpha = np.where(np.arange(40) < 20, 255, 0).astype(np.uint8)[None].repeat(32, 0)
    save_picture(Picture(pixels, alpha), tmp_path / "a.png")
    for seen in (whole(tmp_path / "a.png", 40), square(open_picture(tmp_path / "a.png"), 32)):
        assert torch.equal((seen * 255).round().amax((0, 2, 3)), torch.tensor([90.0, 120.0, 60.0]))
        assert torch.equal((seen * 255).round().amin((0, 2, 3)), torch.tensor([90.0, 120.0, 60.0]))
