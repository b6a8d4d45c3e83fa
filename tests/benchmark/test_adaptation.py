from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from metastyle.benchmark import adaptation
from metastyle.benchmark.adaptation import (
    Cell,
    Failure,
    Variant,
    evaluate,
    measure,
    measure_references,
    pictures,
    plot,
    read,
    spread,
    square,
    table,
    write,
)
from metastyle.core.adaptation import Adaptation, AdaptationSettings
from metastyle.core.loss_network import LossNetwork
from metastyle.core.losses import style_target
from metastyle.errors import MetastyleError
from metastyle.media.images import open_picture, to_tensor

SETTINGS = AdaptationSettings(size=64, style_size=64, batch=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("photos", "paintings"):
        (tmp_path / name).mkdir()
        for index in range(3):
            noise = rng.integers(0, 256, (80 + 8 * index, 96, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / name / f"{index}.png")
    return tmp_path


def run(folder: Path, variants: list[Variant]) -> list[Cell]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    photos, paintings = pictures(folder / "photos", 2), pictures(folder / "paintings", 1)
    network = LossNetwork()
    out = folder / "out"
    cells = measure(variants, paintings, photos, photos, network, out, steps=(0, 2), size=64, device="cpu")
    return list(cells)


def test_every_cell_is_measured_once_and_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variants = [
        Variant("random", "random", settings=SETTINGS),
        Variant("own photos", "random", "self", SETTINGS),
        Variant("norms", "random", "photos", replace(SETTINGS, parameters="instance_norm")),
    ]
    first = run(folder, variants)
    assert [(c.variant, c.steps) for c in first] == [(v.name, s) for v in variants for s in (0, 2)]
    assert all(c.total == pytest.approx(c.content + c.style, rel=1e-4) and c.total > 0 for c in first)
    assert len({c.total for c in first if c.steps == 0}) == 1  # the same start
    assert len({c.total for c in first if c.steps == 2}) == 3

    def never(*_: object) -> None:
        raise AssertionError("a finished cell was measured again")

    monkeypatch.setattr(adaptation, "Adaptation", never)
    assert run(folder, variants) == first


def test_a_constant_rate_is_measured_along_one_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []

    class Counted(Adaptation):
        def __init__(self, *arguments: Any) -> None:
            runs.append(arguments[4].steps)
            super().__init__(*arguments)

    monkeypatch.setattr(adaptation, "Adaptation", Counted)
    constant = replace(SETTINGS, schedule="constant")
    cells = run(folder, [Variant("along", "random", settings=constant)])
    assert [c.steps for c in cells] == [0, 2] and runs == [2]
    assert cells[0].seconds <= cells[1].seconds

    photos, paintings = pictures(folder / "photos", 2), pictures(folder / "paintings", 1)
    more = measure(
        [Variant("along", "random", settings=constant)],
        paintings,
        photos,
        [],
        LossNetwork(),
        folder / "out",
        steps=(0, 2, 3),
        size=64,
        device="cpu",
    )
    assert [c.steps for c in more] == [0, 2, 3] and runs == [2, 3]


class Copying:
    """Shows the painting's mean colour; knows only bright paintings."""

    name, parameters, styles = "copying", 0, "any"

    def __init__(self, device: torch.device) -> None:
        pass

    def prepare(self, style: Tensor) -> Any:
        if style.mean() < 0.1:
            raise MetastyleError("this painting is too dark")
        return lambda photo: style.mean((2, 3), keepdim=True).expand_as(photo)


def test_references_are_measured_on_the_same_photographs(folder: Path) -> None:
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "paintings" / "0.png")
    photos, paintings = pictures(folder / "photos", 2), pictures(folder / "paintings", 2)
    network = LossNetwork()

    def found() -> list[Cell | Failure]:
        return list(
            measure_references(
                {"copying": Copying},
                paintings,
                photos,
                network,
                folder / "out",
                size=64,
                style_size=96,
                device="cpu",
            )
        )

    failure, cell = first = found()
    assert failure == Failure("copying", "0", "this painting is too dark")
    assert isinstance(cell, Cell) and cell.steps is None and cell.total > 0
    style = to_tensor(open_picture(paintings[1]).pixels)
    unseen = torch.cat([square(open_picture(path), 64) for path in photos])
    painted = style.mean((2, 3), keepdim=True).expand(1, 3, 64, 64)
    expected = evaluate(lambda _: painted, network, unseen, style_target(network, style))
    assert (cell.total, cell.content, cell.style) == pytest.approx(expected)
    assert found() == first  # the cell as it was, its seconds included


def test_references_have_a_table_of_their_own() -> None:
    cells = [Cell("ours", p, n, t, 0.0, t, 0.1) for p, n, t in [("a", 0, 8.0), ("b", 0, 2.0), ("a", 5, 5.0)]]
    assert "reference" not in table(cells)
    written = table([*cells, Cell("gatys", "a", None, 4.0, 0.0, 4.0, 9.0)])
    assert "| ours | 4.00 | 5.00 |" in written  # both paintings
    assert "references have (1)" in written and "| ours | 8.00 | 5.00 |" in written
    assert "| gatys | 4.00 |" in written
    apart = [*cells, *(Cell(m, p, None, 4.0, 0.0, 4.0, 9.0) for m, p in (("gatys", "a"), ("johnson", "b")))]
    assert "references" not in table(apart)  # no painting has both


def test_another_variant_of_the_same_name_is_refused(folder: Path) -> None:
    run(folder, [Variant("mine", "random", settings=SETTINGS)])
    with pytest.raises(MetastyleError, match="'mine' was measured there with another variant"):
        run(folder, [Variant("mine", "random", settings=replace(SETTINGS, learning_rate=0.5))])


def test_the_table_averages_geometrically(tmp_path: Path) -> None:
    cells = [
        Cell("ours", painting, steps, total, 1.0, total - 1, 0.1)
        for painting, steps, total in [("a", 0, 10.0), ("b", 0, 1000.0), ("a", 5, 4.0), ("b", 5, 9.0)]
    ]
    write(tmp_path / "r.json", cells)
    assert read(tmp_path / "r.json") == cells
    assert "| ours | 100.00 | 6.00 |" in table(cells)
    plot(cells, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size[0] > 400


def test_pictures_are_spread_over_the_names() -> None:
    paths = [Path(f"{n}.png") for n in range(7)]
    assert [p.stem for p in spread(paths, 3)] == ["0", "2", "4"]
    assert spread(paths, 7) == spread(paths, 9) == paths
    assert spread([], 3) == []


def test_photographs_are_cut_to_their_middle_square(folder: Path) -> None:
    for path in pictures(folder / "photos", 3):
        assert square(open_picture(path), 48).shape == (1, 3, 48, 48)
