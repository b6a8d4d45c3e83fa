"""Measures the studio's page in Debian's Chromium: prints the table of docs/studio.md.

python scripts/measure_studio.py [PAINTING [PHOTO]]
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import sync_playwright

from metastyle.studio.app import create_app
from metastyle.studio.assets import PAGE
from metastyle.studio.settings import StudioSettings

EXAMPLES = Path(__file__).parents[1] / "examples"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
PATIENCE = 300_000


def main() -> None:
    """Start a studio, drive its page, print what it took."""
    painting = sys.argv[1] if len(sys.argv) > 1 else str(EXAMPLES / "paintings" / "garden.jpg")
    photo = sys.argv[2] if len(sys.argv) > 2 else str(EXAMPLES / "photos" / "lake.jpg")
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(StudioSettings(folder=Path(folder) / "own"))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
        time.sleep(15)  # until the worker has imported torch
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            _measure(browser.new_page(viewport={"width": 1440, "height": 900}), address, painting, photo)
            browser.close()
        server.should_exit = True
        thread.join(timeout=20)


def _measure(page: Any, address: str, painting: str, photo: str) -> None:
    page.set_default_timeout(PATIENCE)
    weight = sum(path.stat().st_size for path in PAGE.rglob("*") if path.is_file())
    _say("load of the machine", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    _say("the built page", f"{weight / 1e6:.1f} MB")
    began = time.perf_counter()
    page.goto(address)
    page.locator('.after:not([data-edge="0"])').wait_for(state="attached")
    _say("opening the page to the first painted photograph", _since(began))
    _at_rest(page)
    _say("256 x 192, as the page itself measures", page.locator(".engine").text_content().strip())
    page.locator('input[aria-label="Choose a photograph"]').set_input_files(photo)
    _at_rest(page)
    for brush, edge in (("2", 256), ("1", 512), ("0", 1024)):
        began = time.perf_counter()
        page.locator('label:has-text("Brush") input').fill(brush)
        page.locator(f'.after[data-edge="{edge}"][data-busy="false"]').wait_for(state="attached")
        _say(f"a photograph, long edge {edge}", _since(began))
    page.locator('label:has-text("Brush") input').fill("2")
    _at_rest(page)
    began = time.perf_counter()
    page.locator('input[aria-label="Choose a painting"]').set_input_files(painting)
    page.locator('[data-revision]:not([data-revision="0"])').wait_for(state="attached")
    _say("dropping a painting to the first photograph painted like it", _since(began))
    page.locator(".learning").wait_for(state="detached")
    _say("until it has been learned (normal)", _since(began))


def _at_rest(page: Any) -> None:
    page.wait_for_timeout(300)
    page.locator('.after[data-busy="false"]').wait_for(state="attached")


def _since(began: float) -> str:
    return f"{time.perf_counter() - began:.1f} s"


def _say(what: str, value: str) -> None:
    print(f"| {what} | {value} |", flush=True)


if __name__ == "__main__":
    main()
