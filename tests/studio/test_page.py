"""The page as it is used: driven in Debian's Chromium, with the real server, worker and renderer."""

from __future__ import annotations

import io
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

import metastyle
from metastyle.core.loss_network import LossNetwork
from metastyle.studio.app import create_app
from metastyle.studio.assets import PAGE
from metastyle.studio.settings import StudioSettings
from metastyle.weights.builtin_styles import builtin_path

from .conftest import LIMITS, encoded

CHROMIUM = Path("/usr/bin/chromium")
if not os.environ.get("METASTYLE_BROWSER"):
    # Three pages that paint without a pause take all of two cores for ten minutes.
    pytest.skip("the studio's page is driven in a browser by 'make browser'", allow_module_level=True)
if not PAGE.is_dir():
    pytest.skip("the studio's page has not been built: 'make page' does that", allow_module_level=True)
if not CHROMIUM.exists():
    pytest.skip("Chromium is not on this machine: the studio's page is not driven", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api")
uvicorn = pytest.importorskip("uvicorn")

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
]
PATIENCE = 120_000
WIDTH, HEIGHT = 256, 172
"""Of the photograph: what the page paints with brush 4 is exactly this, so nothing is resized."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio that runs, and its address."""
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
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page, opened once; anything that it has complained of fails the last test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    # What the server refuses is also on the browser's console; tests see what the page says of it.
    refusal = "Failed to load resource: the server responded with a status of 4"
    page.on(
        "console",
        lambda m: complaints.append(m.text) if m.type == "error" and refusal not in m.text else None,
    )
    foreign: list[str] = []
    own = (address, "blob:", "data:")
    page.on("request", lambda r: None if r.url.startswith(own) else foreign.append(r.url))
    page.goto(address)
    shown(page)
    yield page
    context.close()
    assert complaints == []
    assert foreign == [], "nothing is loaded from elsewhere"


def shown(page: Any, edge: int | None = None) -> None:
    """Wait until a painted picture is there, at rest, with this long edge."""
    at = ':not([data-edge="0"])' if edge is None else f'[data-edge="{edge}"]'
    page.locator(f'.after{at}[data-busy="false"]').wait_for(state="attached")


def choose(page: Any, label: str, content: bytes, name: str = "picture.png") -> None:
    file = {"name": name, "mimeType": "image/png", "buffer": content}
    page.locator(f'input[aria-label="{label}"]').set_input_files(file)


def set_slider(page: Any, label: str, value: str) -> None:
    page.locator(f'label:has-text("{label}") input[type="range"]').first.fill(value)


def download(page: Any, button: str) -> Image.Image:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button, exact=True).click()
    return Image.open(io.BytesIO(Path(waiting.value.path()).read_bytes()))


@pytest.fixture(scope="module")
def painted(page: Any) -> Any:
    """The page with the test's photograph, painted at its own size, as PNG."""
    set_slider(page, "Brush", "2")
    choose(page, "Choose a photograph", encoded(WIDTH, HEIGHT, seed=5), "own.png")
    shown(page, WIDTH)
    page.get_by_text("PNG", exact=True).click()
    return page


def in_python(style: metastyle.Style, **options: Any) -> np.ndarray:
    photo = Image.open(io.BytesIO(encoded(WIDTH, HEIGHT, seed=5)))
    return np.asarray(style.stylize(photo, brush=4, device="cpu", **options), int)


def builtin(name: str) -> metastyle.Style:
    path = builtin_path(name)
    assert path is not None
    return metastyle.load(path)


def worst(a: Image.Image, b: np.ndarray) -> int:
    return int(np.abs(np.asarray(a.convert("RGB"), int) - b).max())


def test_the_page_paints_as_python_does(painted: Any) -> None:
    """A low-rank style with grain, in WebAssembly: within two levels of 255; so are strengths and colors."""
    painted.locator('[data-style="mosaic"]').click()
    shown(painted, WIDTH)
    assert worst(download(painted, "As shown"), in_python(builtin("mosaic"))) <= 2
    set_slider(painted, "Strength", "0.6")
    painted.get_by_label("Keep the photograph’s colors").check()
    shown(painted, WIDTH)
    expected = in_python(builtin("mosaic"), strength=0.6, keep_color=True)
    assert worst(download(painted, "As shown"), expected) <= 2
    painted.get_by_label("Keep the photograph’s colors").uncheck()
    set_slider(painted, "Strength", "1.5")
    set_slider(painted, "Grain", "0")
    shown(painted, WIDTH)
    expected = in_python(builtin("mosaic"), strength=1.5, grain=0)
    # Beyond the style differences grow with it: parameters are float16 in the page.
    assert worst(download(painted, "As shown"), expected) <= 4
    painted.get_by_role("button", name="Reset").click()
    set_slider(painted, "Brush", "2")
    shown(painted, WIDTH)


def test_a_painting_is_learned_before_the_eyes(
    painted: Any, address: str, loss_network: LossNetwork, tmp_path: Path
) -> None:
    """Its start is shown at once, it gets better, and 'good enough' keeps it as a style."""
    painted.get_by_text("Draft", exact=True).click()
    choose(painted, "Choose a painting", encoded(96, 80, seed=6), "speckles.png")
    painted.get_by_text(re.compile(r"Learning speckles · \d+ of 15")).wait_for()
    painted.get_by_role("button", name="Good enough").click()
    painted.locator(".learning").wait_for(state="detached")
    shown(painted, WIDTH)
    first = painted.locator("[data-style]").first
    assert first.get_attribute("aria-pressed") == "true"
    assert "speckles" in first.text_content()
    ours = download(painted, "As shown")
    path = tmp_path / "learned.safetensors"
    path.write_bytes(urlopen(f"{address}api/styles/{first.get_attribute('data-style')}/file").read())
    style = metastyle.load(path)
    assert 1 <= len(style.curve) < 15
    assert worst(ours, in_python(style)) <= 2


def test_full_size_comes_from_the_server(painted: Any) -> None:
    painted.locator('[data-style="night"]').click()
    shown(painted, WIDTH)
    assert worst(download(painted, "Full size"), in_python(builtin("night"))) <= 1


def test_a_region_brushed_by_mouse_keeps_the_photograph(painted: Any) -> None:
    """Inside the stroke another style, outside the first one, untouched."""
    painted.locator('[data-style="night"]').click()
    shown(painted, WIDTH)
    before = np.asarray(download(painted, "As shown").convert("RGB"), int)
    painted.get_by_role("button", name="Add a region").click()
    painted.locator(".region select").select_option("")
    box = painted.locator(".overlay").bounding_box()
    middle = box["y"] + box["height"] / 2
    painted.mouse.move(box["x"] + 0.2 * box["width"], middle)
    painted.mouse.down()
    painted.mouse.move(box["x"] + 0.4 * box["width"], middle, steps=8)
    painted.mouse.up()
    shown(painted, WIDTH)
    painted.get_by_role("button", name="Done").click()
    after = np.asarray(download(painted, "As shown").convert("RGB"), int)
    photo = np.asarray(Image.open(io.BytesIO(encoded(WIDTH, HEIGHT, seed=5))), int)
    inside = (HEIGHT // 2, int(0.3 * WIDTH))
    assert np.abs(after[inside] - photo[inside]).max() <= 2
    assert np.abs(after[:, WIDTH * 3 // 4 :] - before[:, WIDTH * 3 // 4 :]).max() == 0
    painted.locator(".region").get_by_role("button", name="Remove").click()
    shown(painted, WIDTH)


def test_undo_keyboard_and_command(painted: Any) -> None:
    painted.context.grant_permissions(["clipboard-read", "clipboard-write"])
    painted.locator('[data-style="night"]').click()
    painted.locator('[data-style="mosaic"]').click()
    assert painted.locator('[data-style="mosaic"]').get_attribute("aria-pressed") == "true"
    painted.get_by_role("button", name="Copy command").click()
    painted.get_by_text("Copied").wait_for()
    painted.keyboard.press("Control+z")
    assert painted.locator('[data-style="night"]').get_attribute("aria-pressed") == "true"
    compare = painted.get_by_label("Before and after")
    compare.focus()
    painted.keyboard.press("ArrowRight")
    assert float(compare.input_value()) > 0


def test_what_is_no_picture_is_said_and_nothing_else_happens(painted: Any) -> None:
    choose(painted, "Choose a photograph", b"nothing", "broken.jpg")
    painted.locator(".notices p", has_text="not a picture").wait_for()
    shown(painted, WIDTH)


def test_styles_are_mixed_on_a_pad_and_kept(painted: Any) -> None:
    """Two styles, the point moved by keys to 3 : 1; the mixture is a style that paints the same."""
    painted.locator('[data-style="night"]').click()
    painted.get_by_role("button", name="Mix", exact=True).click()
    mosaic = painted.locator('[data-style="mosaic"]')
    if mosaic.get_attribute("aria-pressed") == "false":
        mosaic.click()
    pressed = painted.locator('[data-style][aria-pressed="true"]')
    others = {one.get_attribute("data-style") for one in pressed.all()} - {"night", "mosaic"}
    for other in others:
        painted.locator(f'[data-style="{other}"]').click()
    painted.get_by_label("Mixture: arrow keys").focus()
    for _ in range(5):
        painted.keyboard.press("ArrowLeft")
    shown(painted, WIDTH)
    painted.get_by_label("Name").fill("dusk")
    painted.get_by_role("button", name="Keep this mixture").click()
    painted.get_by_label("Paint with dusk").wait_for()
    painted.get_by_role("button", name="Paint", exact=True).click()
    shown(painted, WIDTH)
    styles = [builtin("night"), builtin("mosaic")]
    expected = in_python(metastyle.blend(styles, [0.75, 0.25]))
    assert worst(download(painted, "As shown"), expected) <= 2
    painted.get_by_label("Paint with dusk").click()
    shown(painted, WIDTH)
    assert worst(download(painted, "As shown"), expected) <= 2


def test_own_styles_are_renamed_taken_home_and_brought_back(painted: Any, tmp_path: Path) -> None:
    path = builtin_path("woodblock")
    assert path is not None
    painted.get_by_role("button", name="Styles", exact=True).click()
    file = {
        "name": "brought.safetensors",
        "mimeType": "application/octet-stream",
        "buffer": path.read_bytes(),
    }
    painted.locator('input[aria-label="Import a style"]').set_input_files(file)
    card = painted.locator("article", has=painted.get_by_label("Paint with brought"))
    card.get_by_role("button", name="Rename").click()
    card.get_by_label("Rename").fill("carved")
    painted.keyboard.press("Enter")
    card = painted.locator("article", has=painted.get_by_label("Paint with carved"))
    with painted.expect_download() as waiting:
        card.get_by_role("button", name="Download").click()
    assert Path(waiting.value.path()).read_bytes() == path.read_bytes()
    painted.once("dialog", lambda dialog: dialog.accept())
    card.get_by_role("button", name="Remove").click()
    card.wait_for(state="detached")
    broken = {"name": "no.safetensors", "mimeType": "application/octet-stream", "buffer": b"nothing at all"}
    painted.locator('input[aria-label="Import a style"]').set_input_files(broken)
    painted.locator(".notices p").first.wait_for()
    painted.get_by_role("button", name="Paint", exact=True).click()


def test_the_camera_is_painted_mirrored_and_kept(painted: Any) -> None:
    """Chromium's own test camera: frames come, their rate is shown, a snapshot and a recording are saved."""
    painted.context.grant_permissions(["camera", "microphone"])
    painted.get_by_role("button", name="Camera", exact=True).click()
    painted.get_by_role("button", name="Start the camera").click()
    painted.get_by_text(re.compile(r"\d frames/s · \d+ × \d+")).wait_for()
    painted.locator('canvas.running:not([data-rate="0"])').wait_for()
    still = np.asarray(download(painted, "Snapshot").convert("RGB"), int)
    assert still.std() > 10, "something is to be seen"
    painted.get_by_role("button", name="Record", exact=True).click()
    painted.wait_for_timeout(2500)
    with painted.expect_download() as waiting:
        painted.get_by_role("button", name="Stop recording").click()
    assert Path(waiting.value.path()).read_bytes()[:4] == b"\x1a\x45\xdf\xa3", "WebM"
    painted.get_by_role("button", name="Stop", exact=True).click()
    painted.get_by_role("button", name="Paint", exact=True).click()


def test_the_exported_page_needs_no_server(browser: Any, tmp_path: Path, loss_network: LossNetwork) -> None:
    """Behind a bare file server; a painting at first sight is painted as in Python."""
    from metastyle.studio.export import export_site

    site = tmp_path / "site"
    export_site(site)
    handler = partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        context = browser.new_context(accept_downloads=True)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        shown(page)
        choose(page, "Choose a photograph", encoded(WIDTH, HEIGHT, seed=5), "own.png")
        choose(page, "Choose a painting", encoded(512, 384, seed=7), "dots.png")
        page.get_by_label("Paint with dots").wait_for()
        set_slider(page, "Brush", "2")
        shown(page, WIDTH)
        page.get_by_text("PNG", exact=True).click()
        ours = download(page, "As shown")
        context.close()
        server.shutdown()
    painting = Image.open(io.BytesIO(encoded(512, 384, seed=7)))
    start = metastyle.adapt(painting, steps=0, device="cpu")
    assert worst(ours, in_python(start, grain=1)) <= 3


class QuietHandler(SimpleHTTPRequestHandler):
    """A file server that says nothing."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""
