"""The exported page is a complete folder, or no folder at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from metastyle.core.loss_network import LossNetwork
from metastyle.errors import MetastyleError
from metastyle.studio import assets
from metastyle.studio.site import export_site

pytest.importorskip("onnx")


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("<html><head></head></html>")
    monkeypatch.setattr(assets, "PAGE", page)
    return page


def test_the_folder_contains_the_page_and_its_model(
    built: Path, tmp_path: Path, loss_network: LossNetwork
) -> None:
    site = tmp_path / "site"
    size = export_site(site)
    files = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    assert size == sum((site / name).stat().st_size for name in files)
    assert {f"model/{name}" for name in assets.FILES} | {"index.html", "_headers"} <= files
    assert {"quick-stylize.onnx", "stylize.onnx", "quick-describe.onnx", "theta.f16"} <= set(assets.FILES)
    assert "immutable" in (site / "_headers").read_text()
    about = json.loads((site / "model/site.json").read_text())
    assert about["server"] is False
    assert {f"model/{name}" for name in assets.REFINEMENT} <= files
    with Image.open(site / "model/contents.jpg") as sheet:
        width, height = sheet.size
    side = about["refinement"]["size"]
    assert width == side
    assert 0 < height // side < about["refinement"]["pool"], "photographs are among the contents, too"
    assert height % side == 0
    styles = json.loads((site / "model/styles.json").read_text())
    assert {f"model/styles/{style['id']}.safetensors" for style in styles} <= files
    page = (site / "index.html").read_text()
    assert "default-src 'none'" in page
    assert "frame-ancestors" not in page, "browsers ignore it in a page"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_existing_and_impossible_folders_are_refused(built: Path, tmp_path: Path) -> None:
    with pytest.raises(MetastyleError, match="already exists"):
        export_site(built)
    with pytest.raises(MetastyleError, match="no folder above"):
        export_site(tmp_path / "none" / "site")


def test_an_incomplete_folder_is_removed(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> bytes:
        raise MetastyleError("no weights")

    monkeypatch.setitem(assets.FILES, "describe.onnx", refuse)
    with pytest.raises(MetastyleError, match="no weights"):
        export_site(tmp_path / "site")
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_without_a_built_page_the_error_says_how_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "PAGE", tmp_path / "none")
    with pytest.raises(MetastyleError, match="make studio"):
        export_site(tmp_path / "site")
