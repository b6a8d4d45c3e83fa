"""The exported page in Chromium without a studio server, in WebAssembly and on WebGPU."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import metastyle
from metastyle.core.grain import PAINTED
from metastyle.core.loss_network import LossNetwork
from metastyle.core.settings import AdaptationSettings

from .browser import (
    CHROMIUM,
    GPU_FLAGS,
    HEIGHT,
    WIDTH,
    builtin,
    choose,
    download,
    in_python,
    keep_mixture,
    opened,
    required,
    served,
    set_slider,
    shown,
    worst,
)
from .conftest import encoded

required()

GRAIN = PAINTED * AdaptationSettings().grain
"""What a style of the page is painted with."""

STEPS_PATIENCE = 300_000
"""Milliseconds for two steps on a busy machine."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, loss_network: LossNetwork) -> Iterator[str]:
    """The address of a file server with the exported page."""
    from metastyle.studio.site import export_site

    folder = tmp_path_factory.mktemp("alone") / "site"
    export_site(folder)
    with served(folder) as address:
        yield address


def choose_own(page: Any) -> None:
    """A photograph and a painting, dots, painted at the photograph's own size."""
    choose(page, "Choose a photograph", encoded(WIDTH, HEIGHT, seed=5), "own.png")
    choose(page, "Choose a painting", encoded(512, 384, seed=7), "dots.png")
    page.get_by_label("Paint with dots").wait_for()
    set_slider(page, "Brush", "2")


def downloaded_style(page: Any, name: str, folder: Path) -> tuple[Any, Path]:
    """The card of a style in the view of styles, and its file, downloaded into ``folder``."""
    page.get_by_role("button", name="Styles", exact=True).click()
    card = page.locator("article", has=page.get_by_label(f"Paint with {name}"))
    with page.expect_download() as waiting:
        card.get_by_role("button", name="Download").click()
    path = folder / "style.safetensors"
    waiting.value.save_as(path)
    return card, path


def test_the_exported_page_needs_no_server(browser: Any, site: str) -> None:
    """It paints in the predicted style of a new painting like Python."""
    page = opened(browser)
    page.goto(site)
    shown(page)
    choose_own(page)
    shown(page, WIDTH)
    page.get_by_text("PNG", exact=True).click()
    painted = download(page, "As shown")
    page.context.close()
    painting = Image.open(io.BytesIO(encoded(512, 384, seed=7)))
    start = metastyle.adapt(painting, steps=0, device="cpu")
    assert worst(painted, in_python(start, grain=GRAIN)) <= 3


def test_nothing_is_painted_in_a_hidden_page(browser: Any, site: str) -> None:
    """Neither the picture nor frames of the camera are painted until the page is visible again."""
    page = opened(browser)
    page.context.grant_permissions(["camera"])
    page.goto(site)
    shown(page)
    set_visibility(page, "hidden")
    before = pixels_of(page, ".after")
    page.locator('[data-style="mosaic"]').click()
    page.wait_for_timeout(1500)
    assert pixels_of(page, ".after") == before
    set_visibility(page, "visible")
    shown(page)
    assert pixels_of(page, ".after") != before

    page.get_by_role("button", name="Camera", exact=True).click()
    page.get_by_role("button", name="Start the camera").click()
    page.locator('canvas.running:not([data-rate="0"])').wait_for()
    set_visibility(page, "hidden")
    page.wait_for_timeout(1500)  # for the frame in progress
    before = pixels_of(page, "canvas.running")
    page.wait_for_timeout(1000)
    assert pixels_of(page, "canvas.running") == before
    set_visibility(page, "visible")
    for _ in range(100):
        page.wait_for_timeout(100)
        if pixels_of(page, "canvas.running") != before:
            break
    assert pixels_of(page, "canvas.running") != before
    page.context.close()


def test_a_painting_is_refined_in_the_page(browser: Any, site: str, tmp_path: Path) -> None:
    """Two steps, stopped, gone on with, and downloaded: the library paints with it as the page does."""
    page = opened(browser)
    page.goto(site)
    shown(page)
    refine = page.get_by_role("button", name="Refine (experiment)")
    assert refine.count() == 0, "built-in styles have no painting to be refined with"
    choose(page, "Choose a photograph", encoded(WIDTH, HEIGHT, seed=5), "own.png")
    choose(page, "Choose a painting", encoded(512, 384, seed=7), "dots.png")
    set_slider(page, "Brush", "2")
    refine.wait_for(timeout=STEPS_PATIENCE)
    shown(page, WIDTH)
    before = pixels_of(page, ".after")

    def take_two_steps() -> None:
        refine.click()
        progress = page.locator('.refining:not([data-step="0"]):not([data-step="1"])')
        progress.wait_for(timeout=STEPS_PATIENCE)
        assert "of 60" in progress.inner_text()
        assert "loss" in progress.inner_text()
        page.get_by_role("button", name="Good enough").click()
        refine.wait_for(timeout=STEPS_PATIENCE)
        shown(page, WIDTH)

    take_two_steps()
    after = pixels_of(page, ".after")
    assert after != before

    page.reload()  # what is known of the painting outlasts the page
    shown(page)
    set_slider(page, "Brush", "2")
    page.get_by_label("Paint with dots, refined").click()
    shown(page, WIDTH)
    after = pixels_of(page, ".after")
    take_two_steps()
    assert pixels_of(page, ".after") != after
    assert page.get_by_label("Paint with dots, refined").count() == 1, "gone on with in its place"
    page.get_by_text("PNG", exact=True).click()
    painted = download(page, "As shown")

    _, path = downloaded_style(page, "dots, refined", tmp_path)
    page.context.close()
    style = metastyle.load(path)
    assert style.painting == "dots, refined"
    assert len(style.curve) >= 4
    start = metastyle.adapt(Image.open(io.BytesIO(encoded(512, 384, seed=7))), steps=0, device="cpu")
    moved = [(style.parameters[name] - p).abs().max() for name, p in start.parameters.items()]
    assert 0 < max(moved) < 0.1
    assert worst(painted, in_python(style, grain=GRAIN)) <= 3


def test_a_refinement_goes_on_after_a_reload(browser: Any, site: str) -> None:
    """From its last kept step, also if it is the first one of the style."""
    page = opened(browser)
    page.goto(site)
    shown(page)
    choose(page, "Choose a painting", encoded(512, 384, seed=7), "dots.png")
    page.get_by_role("button", name="Refine (experiment)").click(timeout=STEPS_PATIENCE)
    page.get_by_text(re.compile(r"dots, refined · [1-9]\d* of 60")).wait_for(timeout=STEPS_PATIENCE)
    page.wait_for_timeout(1000)  # for the first step to be kept
    page.reload()
    going_on = page.get_by_text(re.compile(r"dots, refined · ([2-9]|\d\d) of 60"))
    going_on.wait_for(timeout=STEPS_PATIENCE)
    page.get_by_role("button", name="Good enough").click()
    page.locator(".refining").wait_for(state="detached", timeout=STEPS_PATIENCE)
    page.reload()
    shown(page)
    assert page.get_by_label("Paint with dots, refined").count() == 1
    page.wait_for_timeout(2000)
    assert page.locator(".refining").count() == 0, "what has ended does not go on"
    page.context.close()


def test_a_mixture_is_kept_with_its_recipe(browser: Any, site: str, tmp_path: Path) -> None:
    """It paints as the library's, outlasts the page under its new name, and is a file for the library."""
    page = opened(browser)
    page.goto(site)
    shown(page)
    choose_own(page)
    page.locator('[data-style="mosaic"]').click()
    page.get_by_role("button", name="Mix", exact=True).click()
    page.locator('[data-style="mosaic"][aria-pressed="true"]').wait_for()
    for chosen in page.locator('[data-style][aria-pressed="true"]').all():
        if chosen.get_attribute("data-style") != "mosaic":
            other = chosen.get_attribute("data-style")
    page.locator('[data-style="night"]').click()
    page.locator(f'[data-style="{other}"]').click()
    keep_mixture(page, "dusk")
    page.get_by_role("button", name="Styles", exact=True).click()
    card = page.locator("article", has=page.get_by_label("Paint with dusk"))
    assert "0.75 Mosaic + 0.25 Night" in card.inner_text()
    card.get_by_role("button", name="Rename").click()
    card.get_by_label("Rename").fill("evening")
    page.keyboard.press("Enter")
    page.get_by_label("Paint with evening").wait_for()

    page.reload()
    shown(page)
    assert page.get_by_label("Paint with dots").count() == 1, "paintings outlast the page, too"
    choose(page, "Choose a photograph", encoded(WIDTH, HEIGHT, seed=5), "own.png")
    page.get_by_label("Paint with evening").click()
    set_slider(page, "Brush", "2")
    shown(page, WIDTH)
    page.get_by_text("PNG", exact=True).click()
    painted = download(page, "As shown")
    card, path = downloaded_style(page, "evening", tmp_path)
    page.once("dialog", lambda dialog: dialog.accept())
    card.get_by_role("button", name="Remove").click()
    card.wait_for(state="detached")
    page.reload()
    shown(page)
    assert page.get_by_label("Paint with evening").count() == 0
    page.context.close()

    style = metastyle.load(path)
    expected = metastyle.blend([builtin("mosaic"), builtin("night")], [0.75, 0.25])
    assert style.painting == expected.painting
    for ours, theirs in zip(style.settings["blend"], expected.settings["blend"], strict=True):
        assert ours == theirs | {"weight": pytest.approx(theirs["weight"])}
    assert style.grain == pytest.approx(expected.grain)
    assert worst(painted, in_python(expected)) <= 2


SET_VISIBILITY = """state => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def set_visibility(page: Any, state: str) -> None:
    """Make the page behave as if its tab were visible or hidden."""
    page.evaluate(SET_VISIBILITY, state)


def pixels_of(page: Any, canvas: str) -> str:
    """The content of a canvas, as a data URL."""
    seen: str = page.locator(canvas).evaluate("canvas => canvas.toDataURL()")
    return seen


def test_webgpu_paints_like_python(browser: Any, site: str) -> None:
    """Chromium's software adapter takes seconds for a small picture."""
    own = browser.browser_type.launch(executable_path=str(CHROMIUM), args=GPU_FLAGS)
    page = opened(own)
    page.set_default_timeout(STEPS_PATIENCE)
    page.add_init_script(f"({SET_VISIBILITY})('hidden')")  # until the small picture is chosen
    page.goto(f"{site}?backend=webgpu")
    photo = encoded(128, 16, seed=5)
    page.locator('[data-style="mosaic"]').click()
    choose(page, "Choose a photograph", photo, "small.png")
    set_slider(page, "Brush", "3")
    page.get_by_text("WebGPU").wait_for()
    set_visibility(page, "visible")
    shown(page, 128)
    page.get_by_text("PNG", exact=True).click()
    painted = download(page, "As shown")
    own.close()
    picture = Image.open(io.BytesIO(photo))
    expected = builtin("mosaic").stylize(picture, brush=8, device="cpu", precision="float32")
    assert worst(painted, np.asarray(expected, int)) <= 2
