from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metastyle.bench.motion import pan
from metastyle.bench.quality import (
    METRICS,
    REFERENCE,
    FilmQuality,
    Quality,
    interval,
    losses_for,
    measure,
    relative_losses,
    table,
)
from metastyle.bench.table import read_rows
from metastyle.core.loss_network import LossNetwork
from metastyle.errors import MetastyleError
from metastyle.images.procedural import dead_leaves
from metastyle.systems.vgg19 import Encoder

CPU = torch.device("cpu")


class Brightening:
    parameters, styles = 0, "any"

    def __init__(self, device: torch.device, amount: float = 0.1, name: str = "brightening") -> None:
        self.amount, self.name, self.prepared = amount, name, 0

    def prepare(self, style: Tensor) -> Any:
        return lambda photo: photo + self.amount


def cells(found: Any) -> list[Quality]:
    every = list(found)
    assert all(isinstance(cell, Quality) for cell in every)
    return every


def broken(device: torch.device) -> Brightening:
    raise MetastyleError("its weights are missing")


@pytest.fixture(scope="module")
def networks() -> tuple[LossNetwork, Encoder]:
    torch.manual_seed(0)
    return LossNetwork(), Encoder()


@pytest.fixture(scope="module")
def pictures() -> list[Tensor]:
    return [torch.from_numpy(p)[None] for p in dead_leaves(4, 176, 0)]


def test_losses_of_the_photograph_and_the_painting_are_zero_where_expected(
    networks: Any, pictures: list[Tensor]
) -> None:
    photo, style = pictures[:2]
    losses = losses_for(style, *networks, CPU)
    kept = dict(zip(METRICS, losses(photo, photo), strict=True))
    copied = dict(zip(METRICS, losses(style, photo), strict=True))
    assert kept["content"] == kept["other_content"] == 0 and kept["structure"] == pytest.approx(1)
    assert copied["style"] == copied["other_style"] == 0 and copied["structure"] < 0.5
    assert kept["total"] == pytest.approx(kept["content"] + kept["style"])
    assert kept["style"] > 0 and kept["other_style"] > 0 and copied["content"] > 0


def test_results_are_stored_and_not_measured_again(
    networks: Any, pictures: list[Tensor], tmp_path: Path
) -> None:
    photos = {"a": pictures[0], "b": pictures[1]}
    paintings = {"x": pictures[2], "y": pictures[3]}
    calls: list[float] = []

    def make(device: torch.device) -> Brightening:
        calls.append(0)
        return Brightening(device, 0.1, REFERENCE)

    methods: dict[str, Any] = {"ref": make, "broken": broken, "none": lambda d: Brightening(d, 0.0)}
    first = cells(measure(methods, paintings, photos, tmp_path, *networks, CPU))
    assert len(first) == 12 and len(calls) == 1
    assert [c.error for c in first if c.method == "broken"] == ["its weights are missing"] * 4
    assert all(c.structure == pytest.approx(1, abs=1e-3) for c in first if c.method == "none")
    assert len(read_rows(tmp_path / "quality.json", Quality)) == 8
    again = cells(measure(methods, paintings, photos, tmp_path, *networks, CPU))
    assert len(calls) == 1 and again == first
    more = dict(photos, c=pictures[2])
    assert len(list(measure(methods, paintings, more, tmp_path, *networks, CPU))) == 18 and len(calls) == 2
    written = table(first)
    assert (
        f"| {REFERENCE} | 4 | 1 (1–1) |" in written and "| broken | 0 | its weights are missing |" in written
    )


def test_films_are_measured_frame_by_frame(networks: Any, pictures: list[Tensor], tmp_path: Path) -> None:
    wide = (pictures[0][0].permute(1, 2, 0) * 255).byte().numpy()
    clip = pan("a pan", wide, height=64, width=96, count=3)

    class Flickering(Brightening):
        def prepare(self, style: Tensor) -> Any:
            self.prepared += 1
            return lambda photo: photo + 0.1 * self.turn()

        def turn(self) -> int:
            self.amount += 1
            return int(self.amount) % 2

    methods: dict[str, Any] = {
        "none": lambda d: Brightening(d, 0.0),
        "flickering": lambda d: Flickering(d, 0),
        "broken": broken,
    }
    arguments = methods, {"x": pictures[2]}, {}, tmp_path, *networks, CPU, [clip]
    still, flickering, failed = found = list(measure(*arguments))
    assert all(isinstance(film, FilmQuality) for film in found)
    assert still.clip == "a pan" and still.flicker == pytest.approx(still.own, abs=0.01) and still.own < 0.1
    assert 15 < flickering.flicker < 0.1 * 255 + 1  # less where the frame was already bright
    assert failed.error == "its weights are missing" and np.isnan(failed.flicker)
    assert list(measure(*arguments))[:2] == found[:2] == read_rows(tmp_path / "films.json", FilmQuality)
    written = table(
        [Quality(m, m, "any", "x", "a", *[1.0] * 6) for m in ("none", "flickering")], [still, flickering]
    )
    assert "| flicker |" in written and "films themselves: a pan 0.0." in written


def test_intervals_resample_paintings_and_photographs_instead_of_pairs() -> None:
    rng = np.random.default_rng(0)
    values = {(f"s{i}", f"p{j}"): float(rng.normal(10, 2)) for i in range(20) for j in range(20)}
    low, high = _ends(interval(values))
    assert low <= 10 <= high and 1 < (high - low) / (2 * 1.96 * 2 / 20) < 2  # somewhat too wide
    offsets = rng.normal(0, 2, 20)  # correlated pairs: 400 of them are worth no more than 20
    alike = {pair: value + float(offsets[int(pair[0][1:])]) for pair, value in values.items()}
    low, high = _ends(interval(alike))
    assert (high - low) == pytest.approx(2 * 1.96 * offsets.std() / 20**0.5, rel=0.4)
    assert (
        interval({("a", "p"): 0.5, ("b", "p"): 2.0}, geometric=True) == "1"
    )  # no interval with one photograph
    assert interval({}) == "" and interval({("a", "p"): 3.0}) == "3"
    assert interval({("a", "p"): 1.0, ("b", "q"): 1.0}) == "1 (1–1)"  # missing pairs are ignored


def _ends(text: str) -> tuple[float, float]:
    low, high = text.split("(")[1].rstrip(")").split("–")
    return float(low), float(high)


def test_a_picture_that_was_painted_anew_is_measured_anew(
    networks: Any, pictures: list[Tensor], tmp_path: Path
) -> None:
    def run(amount: float) -> float:
        methods = {"bright": lambda device: Brightening(device, amount)}
        (cell,) = cells(measure(methods, {"x": pictures[0]}, {"a": pictures[1]}, tmp_path, *networks, CPU))
        return cell.content

    first = run(0.1)
    assert run(0.3) == first, "the picture is still there"
    shutil.rmtree(tmp_path / "pictures")
    again = run(0.3)
    assert again != first
    assert [row.content for row in read_rows(tmp_path / "quality.json", Quality)] == [again]


def test_the_reference_is_gatys_optimized_to_the_end_wherever_it_stands() -> None:
    rows = [
        Quality(method, name, "any", "x", "a", total, *[1.0] * 5)
        for method, name, total in [
            ("gatys iterations=60", f"{REFERENCE}, 60 iterations", 3.0),
            ("gatys", REFERENCE, 2.0),
            ("adain", "AdaIN", 8.0),
        ]
    ]
    relative = relative_losses(rows)
    assert [relative[row.method]["x", "a"] for row in rows] == [1.5, 1, 4]
    assert relative_losses([rows[0], rows[2]])["adain"]["x", "a"] == pytest.approx(8 / 3)


def test_systems_of_the_same_name_are_distinguished_and_the_first_is_the_reference() -> None:
    cells = [
        Quality(method, REFERENCE, "any", "x", "a", total, *[1.0] * 5)
        for method, total in [("gatys", 2.0), ("gatys objective=vgg19", 6.0)]
    ]
    assert relative_losses(cells)["gatys objective=vgg19"] == {("x", "a"): 3.0}
    written = table([*cells, Quality("m|n", "m|n", "", "x", "a", error="a|b")])
    assert "| gatys objective=vgg19 | 1 | 3 |" in written and "| m\\|n | 0 | a\\|b |" in written


def test_films_and_photographs_of_the_same_name_are_refused(
    networks: Any, pictures: list[Tensor], tmp_path: Path
) -> None:
    wide = (pictures[0][0].permute(1, 2, 0) * 255).byte().numpy()
    clip = pan("pan", wide, height=64, width=96, count=2)
    photos = {"pan-0001": pictures[1]}
    for arguments in (({}, [clip, clip]), (photos, [clip])):
        with pytest.raises(MetastyleError, match="have the same name"):
            list(measure({}, {"x": pictures[2]}, arguments[0], tmp_path, *networks, CPU, arguments[1]))
