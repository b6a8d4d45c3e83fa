"""The page as a folder for any static web host: no server, no Python."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from metastyle.errors import MetastyleError
from metastyle.files import one_line, reason
from metastyle.studio import assets
from metastyle.studio.guard import CONTENT_POLICY, FOR_GOOD, HEADERS
from metastyle.studio.store import new_id
from metastyle.weights.builtin_styles import artworks

_HEADERS = ("cross-origin-opener-policy", "cross-origin-embedder-policy", "cross-origin-resource-policy")


def export_site(folder: Path) -> int:
    """Write the page, the built-in styles and everything that it computes with; returns the size in bytes.

    The folder is written completely or not at all; VGG-16's weights are those of ``metastyle weights``.

    Raises:
        MetastyleError: the page has not been built, the folder exists, weights are unavailable, or the folder
            cannot be written.
    """
    if not assets.PAGE.is_dir():
        raise MetastyleError("the page has not been built: run 'make studio' in the project's folder")
    if folder.exists():
        raise MetastyleError(f"{one_line(folder)} already exists: choose another folder")
    if not folder.absolute().parent.is_dir():
        raise MetastyleError(f"{one_line(folder)} cannot be written: there is no folder above it")
    beside = folder.absolute().with_name(f".{new_id()}.part")
    try:
        shutil.copytree(assets.PAGE, beside)
        _write_model(beside / "model")
        _write_policy(beside)
        size = sum(path.stat().st_size for path in beside.rglob("*") if path.is_file())
        beside.rename(folder)
    except OSError as error:
        raise MetastyleError(f"{one_line(folder)} cannot be written: {reason(error)}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return size


def _write_model(folder: Path) -> None:
    site = {"server": False, "films": False, "refinement": assets.refining()}
    contents = (
        assets.FILES
        | assets.REFINEMENT
        | {
            "site.json": lambda: json.dumps(site).encode(),
            "model.json": lambda: json.dumps(assets.model()).encode(),
            "styles.json": lambda: json.dumps(
                [{"painting": None, **s} for s in assets.builtin_styles()]
            ).encode(),
        }
    )
    (folder / "styles").mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content())
    for artwork in artworks():
        shutil.copyfile(artwork.path, folder / "styles" / f"{artwork.name}.safetensors")


def _write_policy(folder: Path) -> None:
    """Write the server's headers as ``_headers``, and into the page for hosts that do not read that file."""
    lines = "".join(f"  {name}: {HEADERS[name]}\n" for name in _HEADERS)
    (folder / "_headers").write_text(f"/*\n{lines}/assets/*\n  cache-control: {FOR_GOOD}\n")
    policy = CONTENT_POLICY.removesuffix("; frame-ancestors 'none'")
    page = folder / "index.html"
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}" />'
    page.write_text(page.read_text().replace("<head>", f"<head>\n    {meta}", 1))
