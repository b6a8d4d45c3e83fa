from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from measurements import CELLS, FILMS, SPEEDS
from PIL import Image

from metastyle.bench import provenance, report
from metastyle.bench.adaptation import Cell
from metastyle.bench.table import write_rows
from metastyle.errors import MetastyleError


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
    assert page.tags.count("svg") == 3 and page.tags.count("table") == 5 and page.tags.count("img") == 1
    assert "its weights are missing" in page.cells and "MetaStyle, 60 steps" in page.cells
    markdown = written[1].read_text(encoding="utf-8")
    assert (
        ", photographs 384 x 384, paintings long edge 512 pixels.\n\n```sh\nmetastyle bench quality"
        in markdown
    )
    assert "metastyle bench speed --content a.jpg" in markdown and "somewhere" not in markdown
    for target in ("speed_plot.svg", "steps_plot.svg", "grid/grid.png"):
        assert f"]({target})" in markdown and (folder / target).exists()


def test_a_run_of_other_sizes_has_its_own_table_and_plot(folder: Path) -> None:
    johnson, ours = SPEEDS[0], SPEEDS[2]
    rows = [dataclasses.replace(row, size=n, floor=n / 1e5) for row in (johnson, ours) for n in (256, 1024)]
    write_rows(folder / "sizes" / "speed.json", rows)
    provenance.note(folder / "sizes", ["bench", "speed", "--size", "1024"], torch.device("cpu"))
    written = report.write(folder, report.read(folder))
    assert "size_plot.svg" in [path.name for path in written]
    markdown = written[1].read_text(encoding="utf-8")
    assert "## Speed and size" in markdown and "](size_plot.svg)" in markdown
    assert "| × floor 1024² |" in markdown and markdown.count("*× floor* is") == 1
    assert "Sizes: " in markdown and "metastyle bench speed --size 1024" in markdown
    assert "floor of MetaStyle" in (folder / "size_plot.svg").read_text(encoding="utf-8")


def test_speed_and_quality_of_a_system_are_joined_by_its_name(folder: Path) -> None:
    path = folder / "speed" / "speed.json"
    other = [dataclasses.replace(row, method=f"{row.method} photos=here") for row in SPEEDS]
    path.write_text(json.dumps([*map(dataclasses.asdict, other), dataclasses.asdict(SPEEDS[1])]))
    joined = report.read(folder).speeds
    assert [row.method for row in joined[:3]] == ["johnson", "adain photos=here", "metastyle"]
    assert joined[-1].method == "adain", "which has its own row already"


def test_mixtures_are_shown_if_they_were_made(folder: Path) -> None:
    (folder / "mixtures").mkdir()
    Image.fromarray(np.full((30, 90, 3), 99, np.uint8)).save(folder / "mixtures" / "strip.jpg")
    written = report.write(folder, report.read(folder))
    assert "](mixtures/strip.jpg)" in written[1].read_text(encoding="utf-8")
    assert Page(written[0].read_text(encoding="utf-8")).tags.count("img") == 2


def test_the_same_results_give_the_same_bytes(folder: Path) -> None:
    first = [path.read_bytes() for path in report.write(folder, report.read(folder))]
    assert first == [path.read_bytes() for path in report.write(folder, report.read(folder))]


def test_missing_results_are_left_out(folder: Path, tmp_path: Path) -> None:
    for path in ("speed/speed.json", "grid/grid.png"):
        (folder / path).unlink()
    written = report.write(folder, report.read(folder))
    assert [p.name for p in written] == ["report.html", "report.md", "steps_plot.svg"]
    assert "## Speed" not in written[1].read_text(encoding="utf-8")
    empty = tmp_path / "empty"
    with pytest.raises(MetastyleError, match="has no results: run metastyle bench speed -o"):
        report.read(empty)
