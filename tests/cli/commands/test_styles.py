from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from metastyle.cli.commands import styles as command
from metastyle.weights.builtin_styles import Artwork, artworks, builtin_names
from metastyle.weights.initialization import SHIPPED

Run = Callable[..., Any]


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> list[Artwork]:
    """Only three built-in styles and small pictures, so that a gallery is quick."""
    few = artworks()[:3]
    monkeypatch.setattr("metastyle.weights.builtin_styles.artworks", lambda: few)
    monkeypatch.setattr(command, "GALLERY_SIZE", 64)
    monkeypatch.setattr(
        "metastyle.weights.initialization.SHIPPED", SHIPPED
    )  # the real one, which they are based on
    return few


def test_all_built_in_styles_are_listed(run: Run) -> None:
    result = run("styles")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert [line.split()[0] for line in lines] == builtin_names()
    listed = run("styles", "--json").document["styles"]
    assert {"name", "title", "artist", "year", "terms", "bytes"} == set(listed[0])


def test_a_gallery_page_contains_its_pictures(
    run: Run, three: list[Artwork], photo: Path, tmp_path: Path
) -> None:
    page = tmp_path / "gallery.html"
    result = run("styles", "--gallery", page, "--photo", photo, "--quiet")
    assert (result.code, result.out) == (0, "")
    text = page.read_text(encoding="utf-8")
    assert text.count("<img ") == 4 and text.count("data:image/jpeg;base64,") == 4
    assert all(f"<b>{a.name}</b>" in text for a in three)
    assert "http" not in text  # the page refers to no other files
    assert "add --overwrite" in run("styles", "--gallery", page).err


def test_a_gallery_may_be_a_picture(run: Run, three: list[Artwork], tmp_path: Path) -> None:
    sheet = tmp_path / "gallery.png"
    assert run("styles", "--gallery", sheet, "--quiet").code == 0
    with Image.open(sheet) as drawn:
        width, height = drawn.size
    assert width > 3 * height / 2


def test_invalid_galleries_are_refused(run: Run, photo: Path, tmp_path: Path) -> None:
    assert "use .html, .jpg or .png" in run("styles", "--gallery", tmp_path / "gallery.txt").err
    assert "add --gallery" in run("styles", "--photo", photo).err
    result = run("styles", "--gallery", tmp_path / "g.html", "--photo", tmp_path / "none.jpg")
    assert result.code == 2 and not (tmp_path / "g.html").exists()
