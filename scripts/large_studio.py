"""Downloads a 4K picture from the studio's page: its progress, its seconds, and the worker's memory.

python scripts/large_studio.py [--width 3840] [--height 2160]

The photograph is an example, enlarged, with fine noise; the page is driven in Debian's Chromium.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from measure_studio import EXAMPLES, FLAGS, PATIENCE, _at_rest, _studio
from PIL import Image
from playwright.sync_api import sync_playwright


def main() -> None:
    """Print what the page has said and what the worker has taken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=3840)
    parser.add_argument("--height", type=int, default=2160)
    options = parser.parse_args()
    photo = _photo(options.width, options.height)
    with (
        tempfile.TemporaryDirectory() as folder,
        _studio(Path(folder) / "own") as address,
        sync_playwright() as p,
    ):
        browser = p.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, accept_downloads=True)
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.locator('.after:not([data-edge="0"])').wait_for(state="attached")
        file = {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": photo}
        page.locator('input[aria-label="Choose a photograph"]').set_input_files(file)
        _at_rest(page)
        memory = _Memory()
        memory.start()
        began = time.monotonic()
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Full size", exact=True).click()
            page.locator(".panel .progress").wait_for(state="attached")
            last = -EVERY
            while page.locator(".panel .progress").count():
                if (seconds := time.monotonic() - began) - last >= EVERY:
                    last, line = seconds, page.locator(".panel .progress").first.inner_text(timeout=1000)
                    print(
                        f"{seconds:5.0f} s  {' '.join(line.split())}, {memory.most / 1e6:.0f} MB", flush=True
                    )
                page.wait_for_timeout(500)
        memory.ending.set()
        memory.join()
        picture = Image.open(Path(waiting.value.path()))
        print(f"downloaded: {picture.size[0]} × {picture.size[1]} after {time.monotonic() - began:.1f} s")
        print(f"the worker's memory: {memory.before / 1e6:.0f} MB before, at most {memory.most / 1e6:.0f} MB")
        browser.close()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


EVERY = 10.0
"""Seconds between two lines."""


class _Memory(threading.Thread):
    """The memory of the process that paints."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ending = threading.Event()
        self.before = self.most = self._now()

    def run(self) -> None:
        """Look ten times a second."""
        while not self.ending.wait(0.1):
            self.most = max(self.most, self._now())

    def _now(self) -> int:
        children = psutil.Process().children()
        return max(one.memory_info().rss for one in children if "spawn_main" in " ".join(one.cmdline()))


def _photo(width: int, height: int) -> bytes:
    photo = Image.open(EXAMPLES / "photos" / "lake.jpg").convert("RGB")
    large = np.asarray(photo.resize((width, height), Image.Resampling.BICUBIC), float)
    noise = np.random.default_rng(0).normal(0, 4, large.shape)
    stream = io.BytesIO()
    Image.fromarray((large + noise).clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


if __name__ == "__main__":
    main()
