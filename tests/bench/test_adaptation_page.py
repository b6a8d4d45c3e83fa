from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from metastyle.bench.adaptation import Cell, picture_path
from metastyle.bench.adaptation_page import contact_sheet, plot, table


def cells(*rows: tuple[str, str, int | None, float], photos: str = "x") -> list[Cell]:
    return [Cell(v, p, photo, n, t, 1.0, t - 1, 0.1) for v, p, n, t in rows for photo in photos]


OURS = cells(("ours", "a", 0, 10.0), ("ours", "b", 0, 1000.0), ("ours", "a", 5, 4.0), ("ours", "b", 5, 9.0))


def test_the_table_has_geometric_means_and_a_row_for_each_painting() -> None:
    written = table(OURS)
    assert "| ours | 100.00 (1.0 + 94.8) | 6.00 (1.0 + 4.9) |" in written
    assert "| a | ours | 10.00 (1.0 + 9.0) | 4.00 (1.0 + 3.0) |" in written
    assert "| b | ours | 1000.00 (1.0 + 999.0) | 9.00 (1.0 + 8.0) |" in written
    assert "relative" not in written


def test_photographs_of_a_painting_are_averaged() -> None:
    some = [
        Cell("ours", "a", photo, 0, total, 2.0, total - 2, 0.1) for photo, total in (("x", 4.0), ("y", 8.0))
    ]
    assert "| a | ours | 6.00 (2.0 + 4.0) |" in table(some)


def test_means_are_only_shown_over_all_paintings_and_photographs() -> None:
    """An unfinished row must not look better because its worst painting is missing."""
    unfinished = [*OURS, *cells(("new", "a", 0, 3.0))]
    assert "| new |  |  |" in table(unfinished)
    assert "| a | new | 3.00 (1.0 + 2.0) |  |" in table(unfinished)
    incomplete = [*OURS, Cell("ours", "a", "y", 0, 4.0, 1.0, 3.0, 0.1)]
    assert "| a | ours | 2" not in table(incomplete) and "| ours |  |  |" in table(incomplete)


def test_references_have_a_column_and_losses_relative_to_them() -> None:
    written = table([*OURS, *cells(("johnson", "a", None, 5.0), ("copy", "a", None, 1.0))])
    assert (
        "| a | ours | 10.00 (1.0 + 9.0) | 4.00 (1.0 + 3.0) | 5.00 (1.0 + 4.0) | 1.00 (1.0 + 0.0) |" in written
    )
    assert "relative to johnson" in written
    assert "| ours | a | 2.00 | 0.80 |" in written and "| ours | **all 1** | **2.00** | **0.80** |" in written
    both = table([*OURS, *cells(("johnson", "a", None, 5.0), ("johnson", "b", None, 90.0))])
    assert "| ours | b | 11.11 | 0.10 |" in both and "| ours | **all 2** | **4.71** | **0.28** |" in both


def test_names_are_escaped_in_the_table() -> None:
    assert "| a\\|b | 2.00" in table(cells(("a|b", "p", 0, 2.0)))


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    plot(OURS, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size[0] > 400


def test_the_sheet_has_a_row_for_each_painting_and_variant(tmp_path: Path) -> None:
    """Painting i is shown with photograph i; the color of each picture identifies it."""
    measured = [("ours", 0), ("ours", 5), ("ours", 20), ("mine", 20), ("johnson", None)]
    colors = {}
    for index, (name, steps) in enumerate(measured):
        for painting, photo in (("a", "x"), ("b", "y")):
            color = (200, 20 * index, 0 if painting == "a" else 255)
            colors[name, steps, painting] = color
            path = picture_path(tmp_path, name, painting, photo, steps)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (48, 48), color).save(path, quality=100, subsampling=0)
    found = cells(*((v, p, n, 2.0) for v, n in [*measured, ("ours", 7), ("ours", 9)] for p in ("a", "b")))
    photos = {"x": torch.full((1, 3, 24, 24), 0.2), "y": torch.full((1, 3, 24, 24), 0.4)}
    paintings = {"a": torch.full((1, 3, 24, 24), 0.6), "b": torch.full((1, 3, 24, 24), 0.8)}
    shown = contact_sheet(found, tmp_path, photos, paintings).astype(int)
    columns = 2 + 2 + 1  # only 0 and 20 of the five numbers of steps are shown
    assert shown.shape[1] == columns * 248 + 8

    def at(row: int, column: int) -> np.ndarray:
        height = (shown.shape[0] - 8) // 4
        return shown[8 + row * height + height // 2, 8 + column * 248 + 120]

    paper = at(1, 0)
    expected = {
        (0, 0): (51,) * 3,
        (0, 1): (153,) * 3,
        (0, 2): colors["ours", 0, "a"],
        (0, 3): colors["ours", 20, "a"],
        (0, 4): colors["johnson", None, "a"],
        (1, 2): paper,  # not measured
        (1, 3): colors["mine", 20, "a"],
        (1, 4): paper,
        (2, 0): (102,) * 3,
        (2, 1): (204,) * 3,
        (2, 3): colors["ours", 20, "b"],
        (3, 3): colors["mine", 20, "b"],
    }
    for place, color in expected.items():
        assert np.abs(at(*place) - color).max() <= 3, place
