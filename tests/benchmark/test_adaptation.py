from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metastyle.benchmark import adaptation
from metastyle.benchmark.adaptation import Cell, Variant, measure, pictures, plot, read, square, table, write
from metastyle.core.adaptation import AdaptationSettings
from metastyle.core.loss_network import LossNetwork
from metastyle.media.images import open_picture

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


def test_photographs_are_cut_to_their_middle_square(folder: Path) -> None:
    for path in pictures(folder / "photos", 3):
        assert square(open_picture(path), 48).shape == (1, 3, 48, 48)
