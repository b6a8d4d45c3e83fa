"""Fixtures and functions for tests that drive the studio's page in Debian's Chromium."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import metastyle
from metastyle.studio.app import create_app
from metastyle.studio.assets import PAGE
from metastyle.studio.settings import StudioSettings
from metastyle.weights.builtin_styles import builtin_path

from .conftest import LIMITS, encoded

CHROMIUM = Path("/usr/bin/chromium")

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    "--disable-dev-shm-usage",  # small in containers
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
]
PATIENCE = 60_000
WIDTH, HEIGHT = 256, 172
"""Size of the photograph, which is also what the page paints with brush 4, so that nothing is resized."""


GPU_FLAGS = [flag for flag in FLAGS if flag != "--disable-gpu"] + [
    *("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"),
]
"""WebGPU by Chromium's software adapter, which takes seconds for a small picture."""


class QuietHandler(SimpleHTTPRequestHandler):
    """A file server without a log."""

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a file server."""
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def required() -> None:
    """Skip the module unless a browser is requested and available."""
    if not os.environ.get("METASTYLE_BROWSER"):
        # Painting in a page takes two cores for minutes.
        pytest.skip("'make browser' runs the tests of the page in a browser", allow_module_level=True)
    if not PAGE.is_dir():
        pytest.skip("the studio's page has not been built: run 'make page'", allow_module_level=True)
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed", allow_module_level=True)
    pytest.importorskip("playwright.sync_api")
    pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running studio."""
    import uvicorn

    folder = tmp_path_factory.mktemp("page") / "own"
    settings = StudioSettings(folder=folder, device="cpu", limits=replace(LIMITS, waiting=8))
    config = uvicorn.Config(create_app(settings), port=0, log_level="error", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join(timeout=20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window; where only asked for if it starts, and it does not, tests are skipped."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as p:
        try:
            browser = p.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        except Error as error:
            if os.environ["METASTYLE_BROWSER"] != "if-it-starts":
                raise
            pytest.skip(f"Chromium does not start here: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page, opened once; errors and foreign requests fail the last test of the module."""
    page = opened(browser)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    # Refused requests are also logged on the console; the tests check what the page shows instead.
    refusal = "Failed to load resource: the server responded with a status of 4"
    page.on(
        "console",
        lambda m: errors.append(m.text) if m.type == "error" and refusal not in m.text else None,
    )
    foreign: list[str] = []
    own = (address, "blob:", "data:")
    page.on("request", lambda r: None if r.url.startswith(own) else foreign.append(r.url))
    page.goto(address)
    shown(page)
    yield page
    page.context.close()
    assert errors == []
    assert foreign == [], "something was loaded from elsewhere"


def opened(browser: Any) -> Any:
    """An empty page in a new window."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True).new_page()
    page.set_default_timeout(PATIENCE)
    return page


def shown(page: Any, edge: int | None = None) -> None:
    """Wait until a picture with this long edge is painted and the page is idle."""
    at = ':not([data-edge="0"])' if edge is None else f'[data-edge="{edge}"]'
    page.locator(f'.after{at}[data-busy="false"]').wait_for(state="attached")


def choose(page: Any, label: str, content: bytes, name: str = "picture.png") -> None:
    """Choose a file with the button of that label."""
    file = {"name": name, "mimeType": "image/png", "buffer": content}
    page.locator(f'input[aria-label="{label}"]').set_input_files(file)


def set_slider(page: Any, label: str, value: str) -> None:
    """Move a slider."""
    page.locator(f'label:has-text("{label}") input[type="range"]').first.fill(value)


def keep_mixture(page: Any, name: str) -> None:
    """Move the point of two chosen styles to a ratio of 3 : 1, and keep the mixture."""
    page.get_by_label("Mixture: arrow keys").focus()
    for key in 20 * ["ArrowLeft"] + 5 * ["ArrowRight"]:
        page.keyboard.press(key)
    shown(page, WIDTH)
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Keep this mixture").click()
    page.get_by_label(f"Paint with {name}").wait_for()


def download(page: Any, button: str) -> Image.Image:
    """The picture that a button saves."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button, exact=True).click()
    return Image.open(io.BytesIO(Path(waiting.value.path()).read_bytes()))


def worst(a: Image.Image, b: np.ndarray) -> int:
    """The largest difference, in levels of 255."""
    return int(np.abs(np.asarray(a.convert("RGB"), int) - b).max())


def in_python(style: metastyle.Style, **options: Any) -> np.ndarray:
    """The test's photograph, painted by the library."""
    photo = Image.open(io.BytesIO(encoded(WIDTH, HEIGHT, seed=5)))
    options = {"precision": "float32", **options}  # as the page computes
    return np.asarray(style.stylize(photo, brush=4, device="cpu", **options), int)


def builtin(name: str) -> metastyle.Style:
    """A built-in style."""
    path = builtin_path(name)
    assert path is not None
    return metastyle.load(path)
