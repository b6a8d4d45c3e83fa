from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metastyle.bench import provenance, report
from metastyle.bench.adaptation import Cell
from metastyle.bench.quality import FilmQuality, Quality
from metastyle.bench.speed import Speed
from metastyle.bench.table import write_rows
from metastyle.errors import MetastyleError

SPEEDS = [
    Speed("johnson", "Johnson et al.", 256, 0.1, 0.09, 0.12, 5, 30_000_000, 600.0, 1_679_235, "1"),
    Speed("adain", "AdaIN", 256, 0.4, 0.4, 0.5, 5, 90_000_000, 0.2, 7_010_959, "any"),
    Speed("metastyle", "MetaStyle, 60 steps", 256, 0.11, 0.1, 0.12, 5, 30_000_000, 40.0, 1_679_235, "any"),
    Speed("wct", "wct", 256, error="its weights are missing"),
    Speed("gatys", "Gatys et al.", 256, 200.0, 200.0, 200.0, 1, 300_000_000, 0.1, 0, "any"),
]
CELLS = [
    Quality(method, name, styles, painting, "p", total, total / 3, total / 2, total, total, 1 / total)
    for method, name, styles, factor in [
        ("gatys", "Gatys et al.", "any", 1.0),
        ("johnson", "Johnson et al.", "1", 1.5),
        ("metastyle", "MetaStyle, 60 steps", "any", 2.0),
        ("adain", "AdaIN", "any", 8.0),
    ]
    for painting, total in [("x", 4 * factor), ("y", 9 * factor)]
]
FILMS = [
    FilmQuality("adain", "AdaIN", "any", "x", "alley", 16.0, 5.0),
    FilmQuality("metastyle", "MetaStyle, 60 steps", "any", "x", "alley", 11.0, 5.0),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("speed", "quality", "grid"):
        (tmp_path / name).mkdir()
    rows = [dataclasses.asdict(row) for row in SPEEDS]
    (tmp_path / "speed" / "speed.json").write_text(json.dumps({"rows": rows}))  # the format of 0.1.0
    for name, some in (("quality", CELLS), ("films", FILMS)):
        (tmp_path / "quality" / f"{name}.json").write_text(json.dumps([dataclasses.asdict(c) for c in some]))
    steps = [Cell("ours", "x", "p", n, t, 1.0, t - 1, 0.1) for n, t in [(0, 9.0), (10, 4.0)]]
    write_rows(tmp_path / "adaptation" / "results.json", steps)
    Image.fromarray(np.full((30, 60, 3), 99, np.uint8)).save(tmp_path / "grid" / "grid.png")
    photo = tmp_path / "somewhere" / "a.jpg"
    photo.parent.mkdir()
    photo.touch()
    command = ["bench", "speed", "--content", str(photo)]
    provenance.note(tmp_path / "speed", command, torch.device("cpu"))
    scale = {"photographs": "384 x 384", "paintings": "long edge 512"}
    provenance.note(tmp_path / "quality", ["bench", "quality"], torch.device("cpu"), scale=scale)
    return tmp_path


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [v or "" for k, v in attrs if k in ("src", "href") and not (v or "").startswith("#")]

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def test_the_page_contains_all_tables_plots_and_pictures(folder: Path) -> None:
    written = report.write(folder, report.read(folder))
    names = ["report.html", "report.md", "speed_plot.svg", "preparation_plot.svg", "steps_plot.svg"]
    assert [p.name for p in written] == names
    page = Page(written[0].read_text(encoding="utf-8"))
    assert all(source.startswith("data:image/webp") for source in page.sources) and page.sources
    assert page.tags.count("svg") == 3 and page.tags.count("table") == 4 and page.tags.count("img") == 1
    assert "its weights are missing" in page.cells and "MetaStyle, 60 steps" in page.cells
    markdown = written[1].read_text(encoding="utf-8")
    assert (
        ", photographs 384 x 384, paintings long edge 512 pixels.\n\n```sh\nmetastyle bench quality"
        in markdown
    )
    assert "metastyle bench speed --content a.jpg" in markdown and "somewhere" not in markdown
    for target in ("speed_plot.svg", "steps_plot.svg", "grid/grid.png"):
        assert f"]({target})" in markdown and (folder / target).exists()


def test_the_same_results_give_the_same_bytes(folder: Path) -> None:
    first = [path.read_bytes() for path in report.write(folder, report.read(folder))]
    assert first == [path.read_bytes() for path in report.write(folder, report.read(folder))]


def winner(found: report.Findings, about: str) -> str:
    return next(line for line in report.winners(found) if line.startswith(about))


def test_the_report_names_the_winner_even_if_it_is_another_system(folder: Path) -> None:
    found = report.read(folder)
    assert winner(found, "fastest at 256²") == (
        "fastest at 256², in seconds: Johnson et al. (0.1) and MetaStyle, 60 steps (0.11)."
    )  # no difference, because its fastest round was as fast
    slower = [dataclasses.replace(r, fastest=0.105) if r.method == "metastyle" else r for r in SPEEDS]
    assert winner(dataclasses.replace(found, speeds=slower), "fastest at 256²") == (
        "fastest at 256², in seconds: Johnson et al. (0.1); of the networks that take any style "
        "MetaStyle, 60 steps (0.11)."
    )
    assert winner(found, "lowest perceptual loss under VGG-16, relative") == (
        "lowest perceptual loss under VGG-16, relative to Gatys et al.: Gatys et al. (1); "
        "of the networks that take any style MetaStyle, 60 steps (2)."
    )
    assert winner(found, "least flicker") == "least flicker: MetaStyle, 60 steps (11)."
    worse = [dataclasses.replace(c, other_style=999.0) if c.method == "metastyle" else c for c in CELLS]
    line = winner(dataclasses.replace(found, cells=worse), "lowest style loss under VGG-19")
    assert line.endswith("any style AdaIN (52); MetaStyle, 60 steps (999).")


def test_means_over_different_pairs_are_not_compared(folder: Path) -> None:
    found = report.read(folder)
    some = [c for c in CELLS if (c.method, c.painting) != ("johnson", "y")]
    line = winner(dataclasses.replace(found, cells=some), "lowest style loss under VGG-19")
    assert "Johnson" not in line.split("(without")[0]
    assert line.endswith("(without Johnson et al.: not measured on all pairs).")
    undefined = [dataclasses.replace(c, structure=float("nan")) if c.method == "adain" else c for c in CELLS]
    line = winner(dataclasses.replace(found, cells=undefined), "most structure kept")
    assert "nan" not in line and "without AdaIN" in line
    alone = dataclasses.replace(found, films=FILMS[:1], speeds=[])
    assert not any(line.startswith("least flicker") for line in report.winners(alone))
    only_films = dataclasses.replace(found, cells=[], speeds=[])
    assert [line.split(":")[0] for line in report.winners(only_films)] == ["least flicker"]


def test_missing_results_are_left_out(folder: Path, tmp_path: Path) -> None:
    for path in ("speed/speed.json", "grid/grid.png"):
        (folder / path).unlink()
    written = report.write(folder, report.read(folder))
    assert [p.name for p in written] == ["report.html", "report.md", "steps_plot.svg"]
    assert "## Speed" not in written[1].read_text(encoding="utf-8")
    empty = tmp_path / "empty"
    with pytest.raises(MetastyleError, match="has no results: run metastyle bench speed -o"):
        report.read(empty)
