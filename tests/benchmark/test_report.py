from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metastyle.benchmark import adaptation, provenance, report
from metastyle.benchmark.quality import Film, Quality
from metastyle.benchmark.speed import Speed
from metastyle.errors import MetastyleError

SPEEDS = [
    Speed("johnson", "Johnson et al.", 256, 0.1, 0.09, 0.12, 5, 30_000_000, 600.0, 1_679_235, "1"),
    Speed("adain", "AdaIN", 256, 0.4, 0.4, 0.5, 5, 90_000_000, 0.2, 7_010_959, "any"),
    Speed("metastyle", "MetaStyle, 60 steps", 256, 0.11, 0.1, 0.12, 5, 30_000_000, 40.0, 1_679_235, "any"),
    Speed("wct", "wct", 256, error="its weights are missing"),
    Speed("gatys", "Gatys et al.", 256, 200.0, 200.0, 200.0, 1, 300_000_000, 0.1, 0, "any"),
]
CELLS = [
    Quality(method, name, painting, "p", total, total / 3, total / 2, total, total, 1 / total)
    for method, name, factor in [
        ("gatys", "Gatys et al.", 1.0),
        ("johnson", "Johnson et al.", 1.5),
        ("metastyle", "MetaStyle, 60 steps", 2.0),
        ("adain", "AdaIN", 8.0),
    ]
    for painting, total in [("x", 4 * factor), ("y", 9 * factor)]
]
FILMS = [Film("adain", "AdaIN", "x", "alley", 16.0, 5.0), Film("metastyle", "M", "x", "alley", 11.0, 5.0)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("speed", "quality", "grid"):
        (tmp_path / name).mkdir()
    rows = [dataclasses.asdict(row) for row in SPEEDS]
    (tmp_path / "speed" / "speed.json").write_text(json.dumps({"rows": rows}))
    for name, some in (("quality", CELLS), ("films", FILMS)):
        (tmp_path / "quality" / f"{name}.json").write_text(json.dumps([dataclasses.asdict(c) for c in some]))
    steps = [adaptation.Cell("ours", "x", n, t, 1.0, t - 1, 0.1) for n, t in [(0, 9.0), (10, 4.0)]]
    adaptation.write(tmp_path / "adaptation" / "results.json", steps)
    Image.fromarray(np.full((30, 60, 3), 99, np.uint8)).save(tmp_path / "grid" / "grid.png")
    provenance.note(
        tmp_path / "speed", ["bench", "speed", "--content", "/somewhere/a.jpg"], torch.device("cpu")
    )
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


def test_the_page_holds_everything(folder: Path) -> None:
    written = report.write(folder, report.read(folder))
    names = ["report.html", "report.md", "speed_plot.svg", "preparation_plot.svg", "steps_plot.svg"]
    assert [p.name for p in written] == names
    page = Page(written[0].read_text(encoding="utf-8"))
    assert all(source.startswith("data:image/webp") for source in page.sources) and page.sources
    assert page.tags.count("svg") == 3 and page.tags.count("table") == 3 and page.tags.count("img") == 1
    assert "its weights are missing" in page.cells and "MetaStyle, 60 steps" in page.cells
    markdown = written[1].read_text(encoding="utf-8")
    assert "metastyle bench speed --content a.jpg" in markdown and "somewhere" not in markdown
    for target in ("speed_plot.svg", "steps_plot.svg", "grid/grid.png"):
        assert f"]({target})" in markdown and (folder / target).exists()


def test_the_same_figures_give_the_same_bytes(folder: Path) -> None:
    first = [path.read_bytes() for path in report.write(folder, report.read(folder))]
    assert first == [path.read_bytes() for path in report.write(folder, report.read(folder))]


def test_where_a_peer_wins_the_report_says_so(folder: Path) -> None:
    lines = {line.split(":")[0]: line for line in report.winners(report.read(folder))}
    assert lines["fastest at 256², in seconds"] == (
        "fastest at 256², in seconds: Johnson et al. (0.1); of the networks that take any style "
        "MetaStyle, 60 steps (0.11)."
    )
    assert lines["lowest perceptual loss under VGG-16"].startswith(
        "lowest perceptual loss under VGG-16: Gatys et al. (6.5); of the networks that take any style Meta"
    )
    assert "MetaStyle, 60 steps (11)" in lines["least flicker"]
    worse = dataclasses.replace(report.read(folder), cells=[c for c in CELLS if c.method != "gatys"])
    worse = dataclasses.replace(
        worse,
        cells=[dataclasses.replace(c, total=100.0) if c.method == "metastyle" else c for c in worse.cells],
    )
    said = next(line for line in report.winners(worse) if "VGG-16" in line)
    assert "any style AdaIN (52)" in said and said.endswith("MetaStyle, 60 steps: 100.")


def test_loss_relative_to_gatys_is_a_mean_of_ratios() -> None:
    assert report.relative_loss(CELLS) == pytest.approx(
        {"gatys": 1.0, "johnson": 1.5, "metastyle": 2.0, "adain": 8.0}
    )


def test_what_is_missing_is_left_out(folder: Path, tmp_path: Path) -> None:
    for path in ("speed/speed.json", "grid/grid.png"):
        (folder / path).unlink()
    written = report.write(folder, report.read(folder))
    assert [p.name for p in written] == ["report.html", "report.md", "steps_plot.svg"]
    assert "## Speed" not in written[1].read_text(encoding="utf-8")
    empty = tmp_path / "empty"
    with pytest.raises(MetastyleError, match="holds no measurements: run metastyle bench speed -o"):
        report.read(empty)


def test_commands_are_kept_without_places(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    provenance.note(tmp_path, ["bench", "x", "--method", "a b=/z/c.st d=1", "-o", "/tmp/o"], cpu, seed=0)
    provenance.note(tmp_path, ["bench", "y"], cpu)
    provenance.note(tmp_path, ["bench", "x", "--method", "a b=c.st d=1", "-o", "../o"], cpu, seed=0)
    about = provenance.read(tmp_path)
    assert about["commands"] == ["metastyle bench y", "metastyle bench x --method 'a b=c.st d=1' -o o"]
    assert about["seed"] == 0 and "thread" in about["machine"]
    assert provenance.read(tmp_path / "nowhere") == {}
