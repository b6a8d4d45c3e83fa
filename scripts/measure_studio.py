"""Measures the studio's page in Debian's Chromium.

python scripts/measure_studio.py [--painting FILE] [--photo FILE]     the tables of docs/studio.md
python scripts/measure_studio.py --site BEFORE --site AFTER --rounds 3   exported pages, in turns
python scripts/measure_studio.py --site BEFORE --site AFTER --painter    what paints in them, alone
python scripts/measure_studio.py --site SITE --refine                    a step of refinement in the page

A site is a folder that ``metastyle studio --export`` has written. Pages are measured in turns, each with
an empty cache, and the smallest time of all rounds is shown: other programs only make times larger.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import sync_playwright

from metastyle.studio.app import create_app
from metastyle.studio.assets import PAGE
from metastyle.studio.guard import HEADERS
from metastyle.studio.settings import StudioSettings

EXAMPLES = Path(__file__).parents[1] / "examples"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
]
PATIENCE = 300_000
BRUSHES = (("2", 256), ("1", 512), ("0", 1024))
"""The slider's value, and the long edge that the page paints with it."""


def main() -> None:
    """Measure pages in turns, or one page with its server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--painting", default=str(EXAMPLES / "paintings" / "garden.jpg"))
    parser.add_argument("--photo", default=str(EXAMPLES / "photos" / "lake.jpg"))
    parser.add_argument("--site", action="append", type=Path, default=[])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--painter", action="store_true")
    parser.add_argument("--refine", action="store_true")
    options = parser.parse_args()
    best: dict[str, list[float]] = {}
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for _ in range(options.rounds):
            for index, site in enumerate(options.site):
                with _file_server(site) as address:
                    if options.painter:
                        measured = _painter(browser, address)
                    elif options.refine:
                        measured = _refinement(browser, address, options.painting)
                    else:
                        measured = _page(browser, address, options.photo, options.painting)
                    for what, value in measured:
                        row = best.setdefault(what, [0.0] * len(options.site))
                        better = max if "frames a second" in what else min
                        row[index] = better(row[index], value) if row[index] else value
            for what, row in best.items():
                print(f"| {what} |", " | ".join(f"{value:.2f}" for value in row), "|")
            print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
        if not options.site:
            _with_server(browser, options.photo, options.painting)
        browser.close()


def _page(browser: Any, address: str, photo: str, painting: str) -> Iterator[tuple[str, float]]:
    """What a page without a server takes: seconds, and frames a second."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.grant_permissions(["camera"])
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    began = time.perf_counter()
    page.goto(address)
    page.locator('.after:not([data-edge="0"])').wait_for(state="attached")
    yield "opening the page to the first painted photograph", _since(began)
    _at_rest(page)
    yield "to the photograph at its usual size (512)", _since(began)
    page.wait_for_timeout(3000)  # previews of styles
    page.locator('input[aria-label="Choose a photograph"]').set_input_files(photo)
    _at_rest(page)
    for brush, edge in BRUSHES:
        for _ in range(2):
            yield f"a photograph, long edge {edge}", _painted(page, brush, edge)
    page.locator('label:has-text("Brush") input').fill("2")
    _at_rest(page)
    began = time.perf_counter()
    page.locator('input[aria-label="Choose a painting"]').set_input_files(painting)
    page.locator('[data-style^="own-"]').wait_for(state="attached")
    _at_rest(page)
    yield "a painting dropped to the photograph painted like it, in the page alone", _since(began)
    page.get_by_role("button", name="Camera", exact=True).click()
    page.get_by_role("button", name="Start the camera").click()
    page.wait_for_timeout(10_000)
    canvas = page.locator("canvas.running")
    yield "camera: frames a second", float(canvas.get_attribute("data-rate"))
    yield "camera: thousand pixels a frame", canvas.evaluate("c => c.width * c.height / 1000")
    context.close()


SIZES = ((256, 192), (320, 240), (512, 384))
ASKING = """
    const known = performance.getEntriesByType("resource").map((entry) => entry.name);
    const worker = new Worker(known.find((name) => /worker-[^/]*js$/.test(name)), { type: "module" });
    let number = 0;
    const ask = (order) => new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => (data.error ? reject(data.error) : resolve(data.value));
        worker.postMessage({ ...order, number: ++number });
    });
    await ask({ kind: "start", base: document.baseURI, wanted: "wasm" });
"""
"""A worker of the page's own, and ``ask``, which waits for its answer to an order."""
PAINTER = (
    "async ([sizes, times]) => {"
    + ASKING
    + """
    const file = await (await fetch("model/styles/starry-night.safetensors")).arrayBuffer();
    await ask({ kind: "style", id: "a", file });
    const look = { mix: [{ style: "a", weight: 1 }], strength: 1, grain: 1, keepColor: false };
    const taken = [];
    for (const [width, height] of sizes)
        for (const kind of ["paint", "frame"]) {
            let least = Infinity;
            for (let time = 0; time < times; time++) {
                const data = new Uint8ClampedArray(4 * width * height).map((_, i) => (i * 7919) % 256);
                const began = performance.now();
                await ask({ kind, look, photo: { width, height, data }, fresh: time === 0 });
                least = Math.min(least, (performance.now() - began) / 1000);
            }
            taken.push(least);
        }
    worker.terminate();
    return taken;
}"""
)


def _painter(browser: Any, address: str) -> Iterator[tuple[str, float]]:
    """What still pictures and moving ones take, after first ones, while the page does nothing else."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.locator('.after:not([data-edge="0"])').wait_for(state="attached")
    _at_rest(page)
    page.get_by_role("button", name="Camera", exact=True).click()
    page.wait_for_timeout(8000)  # previews of styles
    taken = page.evaluate(PAINTER, [SIZES, 6])
    for index, (width, height) in enumerate(SIZES):
        still, moving = taken[2 * index : 2 * index + 2]
        yield f"{width} x {height}: seconds", still
        yield f"{width} x {height}: frames a second", 1 / moving
    page.close()


STEPS = """() => new Promise((resolve) => {
    const times = [];
    let last = "0";
    const look = () => {
        const step = document.querySelector(".refining")?.dataset.step ?? last;
        if (step !== last) times.push(performance.now());
        last = step;
        if (times.length < 15) setTimeout(look, 10);
        else resolve(times);
    };
    look();
})"""


def _refinement(browser: Any, address: str, painting: str) -> Iterator[tuple[str, float]]:
    """Seconds for the first steps of refinement, with the painting in between."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.locator('.after:not([data-edge="0"])').wait_for(state="attached")
    page.locator('input[aria-label="Choose a painting"]').set_input_files(painting)
    page.locator('[data-style^="own-"]').wait_for(state="attached")
    page.locator('label:has-text("Brush") input').fill("2")
    _at_rest(page)
    page.wait_for_timeout(8000)  # previews of styles
    began = page.evaluate("() => performance.now()")
    page.get_by_role("button", name="Refine (experiment)").click()
    times = page.evaluate(STEPS)
    taken = sorted((b - a) / 1000 for a, b in itertools.pairwise(times))
    yield "refinement: seconds to the first step", (times[0] - began) / 1000
    yield "refinement: seconds a step, least", taken[0]
    yield "refinement: seconds a step, median, with its share of painting", taken[len(taken) // 2]
    page.close()


def _painted(page: Any, brush: str, edge: int) -> float:
    """Seconds until the photograph has that size, from another one."""
    page.locator('label:has-text("Brush") input').fill("3")
    _at_rest(page)
    began = time.perf_counter()
    page.locator('label:has-text("Brush") input').fill(brush)
    page.locator(f'.after[data-edge="{edge}"][data-busy="false"]').wait_for(state="attached")
    return _since(began)


def _with_server(browser: Any, photo: str, painting: str) -> None:
    weight = sum(path.stat().st_size for path in PAGE.rglob("*") if path.is_file())
    _say("load of the machine", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    _say("the built page", f"{weight / 1e6:.1f} MB")
    with tempfile.TemporaryDirectory() as folder, _studio(Path(folder) / "own") as address:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(PATIENCE)
        began = time.perf_counter()
        page.goto(address)
        page.locator('.after:not([data-edge="0"])').wait_for(state="attached")
        _say("opening the page to the first painted photograph", f"{_since(began):.1f} s")
        _at_rest(page)
        page.locator('input[aria-label="Choose a photograph"]').set_input_files(photo)
        _at_rest(page)
        began = time.perf_counter()
        page.locator('input[aria-label="Choose a painting"]').set_input_files(painting)
        page.locator('[data-revision]:not([data-revision="0"])').wait_for(state="attached")
        _say("dropping a painting to the first photograph painted like it", f"{_since(began):.1f} s")
        times = [_painted(page, brush, edge) for brush, edge in BRUSHES]
        edges = ", ".join(str(edge) for _, edge in BRUSHES)
        _say(f"meanwhile, a photograph, long edge {edges}", ", ".join(f"{t:.1f} s" for t in times))
        page.locator(".adapting").wait_for(state="detached")
        _say("until the adaptation is done (normal)", f"{_since(began):.1f} s")
        page.close()


@contextmanager
def _studio(folder: Path) -> Iterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(create_app(StudioSettings(folder=folder)), port=0, log_level="error")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join(timeout=20)


class _Handler(SimpleHTTPRequestHandler):
    """A file server that isolates the page, as the studio does, and says nothing."""

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            if name.startswith("cross-origin"):
                self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def _file_server(folder: Path) -> Iterator[str]:
    handler = partial(_Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def _at_rest(page: Any) -> None:
    page.wait_for_timeout(300)
    page.locator('.after[data-busy="false"]').wait_for(state="attached")


def _since(began: float) -> float:
    return time.perf_counter() - began


def _say(what: str, value: str) -> None:
    print(f"| {what} | {value} |", flush=True)


if __name__ == "__main__":
    main()
