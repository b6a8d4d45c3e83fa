"""The exported page in Chromium: no server, no Python; in WebAssembly and on WebGPU."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from PIL import Image

import metastyle
from metastyle.core.loss_network import LossNetwork

from .browser import (
    CHROMIUM,
    FLAGS,
    HEIGHT,
    WIDTH,
    builtin,
    choose,
    download,
    in_python,
    opened,
    required,
    set_slider,
    shown,
    worst,
)
from .conftest import encoded

required()

GPU_FLAGS = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]


class QuietHandler(SimpleHTTPRequestHandler):
    """A file server that says nothing."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, loss_network: LossNetwork) -> Iterator[str]:
    """The exported page behind a bare file server: its address."""
    from metastyle.studio.export import export_site

    folder = tmp_path_factory.mktemp("alone") / "site"
    export_site(folder)
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_the_exported_page_needs_no_server(browser: Any, site: str) -> None:
    """A painting at first sight is painted as in Python."""
    page = opened(browser)
    page.goto(site)
    shown(page)
    choose(page, "Choose a photograph", encoded(WIDTH, HEIGHT, seed=5), "own.png")
    choose(page, "Choose a painting", encoded(512, 384, seed=7), "dots.png")
    page.get_by_label("Paint with dots").wait_for()
    set_slider(page, "Brush", "2")
    shown(page, WIDTH)
    page.get_by_text("PNG", exact=True).click()
    ours = download(page, "As shown")
    page.context.close()
    painting = Image.open(io.BytesIO(encoded(512, 384, seed=7)))
    start = metastyle.adapt(painting, steps=0, device="cpu")
    assert worst(ours, in_python(start, grain=1)) <= 3


def test_nothing_is_painted_in_a_page_that_nobody_sees(browser: Any, site: str) -> None:
    """Neither a picture, nor a preview, nor a frame of the camera; afterwards what is wanted is there."""
    page = opened(browser)
    page.context.grant_permissions(["camera"])
    page.goto(site)
    shown(page)
    see(page, "hidden")
    before = look(page, ".after")
    page.locator('[data-style="mosaic"]').click()
    page.wait_for_timeout(1500)
    assert look(page, ".after") == before
    see(page, "visible")
    shown(page)
    assert look(page, ".after") != before

    page.get_by_role("button", name="Camera", exact=True).click()
    page.get_by_role("button", name="Start the camera").click()
    page.locator('canvas.running:not([data-rate="0"])').wait_for()
    see(page, "hidden")
    page.wait_for_timeout(1500)  # the frame that was begun
    before = look(page, "canvas.running")
    page.wait_for_timeout(1000)
    assert look(page, "canvas.running") == before
    see(page, "visible")
    for _ in range(100):
        page.wait_for_timeout(100)
        if look(page, "canvas.running") != before:
            break
    assert look(page, "canvas.running") != before
    page.context.close()


AS_IF = """state => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def see(page: Any, state: str) -> None:
    """As if the page's tab were shown or not."""
    page.evaluate(AS_IF, state)


def look(page: Any, canvas: str) -> str:
    """What is on a canvas."""
    seen: str = page.locator(canvas).evaluate("canvas => canvas.toDataURL()")
    return seen


def test_webgpu_paints_as_python_does(browser: Any, site: str) -> None:
    """On Chromium's software adapter, which takes seconds for a small picture."""
    flags = [flag for flag in FLAGS if flag != "--disable-gpu"] + GPU_FLAGS
    own = browser.browser_type.launch(executable_path=str(CHROMIUM), args=flags)
    page = opened(own)
    page.add_init_script(f"({AS_IF})('hidden')")  # until there is a picture that is small enough
    page.goto(f"{site}?backend=webgpu")
    photo = encoded(128, 16, seed=5)
    page.locator('[data-style="mosaic"]').click()
    choose(page, "Choose a photograph", photo, "small.png")
    set_slider(page, "Brush", "3")
    page.get_by_text("WebGPU").wait_for()
    see(page, "visible")
    shown(page, 128)
    page.get_by_text("PNG", exact=True).click()
    ours = download(page, "As shown")
    own.close()
    picture = Image.open(io.BytesIO(photo))
    expected = builtin("mosaic").stylize(picture, brush=8, device="cpu")
    assert worst(ours, np.asarray(expected, int)) <= 2
