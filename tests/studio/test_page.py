"""The page in Debian's Chromium, with a real server, worker and renderer."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

import metastyle
from metastyle.core.device import hardware_of, pick_device
from metastyle.core.loss_network import LossNetwork
from metastyle.core.settings import default_settings
from metastyle.weights.builtin_styles import builtin_path

from .browser import (
    HEIGHT,
    WIDTH,
    builtin,
    choose,
    download,
    in_python,
    keep_mixture,
    required,
    set_slider,
    shown,
    worst,
)
from .conftest import encoded

required()


@pytest.fixture(scope="module")
def painted(page: Any) -> Any:
    """The page with the test's photograph, painted at its own size, set to save PNG."""
    set_slider(page, "Brush", "2")
    choose(page, "Choose a photograph", encoded(WIDTH, HEIGHT, seed=5), "own.png")
    shown(page, WIDTH)
    page.get_by_text("PNG", exact=True).click()
    return page


def test_the_page_paints_like_python(painted: Any) -> None:
    """In WebAssembly, a style with grain, strength and kept colors is within two levels of 255."""
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
    # Strengths above 1 amplify differences, because parameters are float16 in the page.
    assert worst(download(painted, "As shown"), expected) <= 4
    painted.get_by_role("button", name="Reset").click()
    set_slider(painted, "Brush", "2")
    shown(painted, WIDTH)


def test_adaptation_can_be_watched_and_stopped(
    painted: Any, address: str, loss_network: LossNetwork, tmp_path: Path
) -> None:
    """The progress is shown, and 'Good enough' keeps the style."""
    steps = default_settings(hardware_of(pick_device()), "draft").steps
    painted.get_by_text("Draft", exact=True).click()
    choose(painted, "Choose a painting", encoded(96, 80, seed=6), "speckles.png")
    adapting = painted.get_by_text(re.compile(rf"Adapting to speckles · \d+ of {steps}\b"))
    adapting.wait_for(timeout=240_000)
    painted.get_by_role("button", name="Good enough").click()
    painted.locator(".adapting").wait_for(state="detached")
    shown(painted, WIDTH)
    painted.get_by_text(re.compile(r"about \d+\s(s|min) at the pace|the time left is shown")).wait_for()
    first = painted.locator("[data-style]").first
    assert first.get_attribute("aria-pressed") == "true"
    assert "speckles" in first.text_content()
    painted_here = download(painted, "As shown")
    path = tmp_path / "adapted.safetensors"
    path.write_bytes(urlopen(f"{address}api/styles/{first.get_attribute('data-style')}/file").read())
    style = metastyle.load(path)
    assert 1 <= len(style.curve) < steps
    assert worst(painted_here, in_python(style)) <= 2


def test_full_size_comes_from_the_server(painted: Any) -> None:
    painted.locator('[data-style="night"]').click()
    shown(painted, WIDTH)
    assert worst(download(painted, "Full size"), in_python(builtin("night"), precision="auto")) <= 1


def test_a_region_drawn_with_the_mouse_keeps_the_photograph(painted: Any) -> None:
    """Inside the stroke is the photograph; far outside, nothing changes."""
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
    painted.keyboard.press("Control+z")
    shown(painted, WIDTH)
    undone = np.asarray(download(painted, "As shown").convert("RGB"), int)
    assert np.abs(undone - before).max() == 0, "the stroke is still there"
    assert painted.locator(".region").count() == 1
    painted.locator(".region").get_by_role("button", name="Remove").click()
    shown(painted, WIDTH)


def test_the_command_comes_with_the_masks_of_its_regions(painted: Any) -> None:
    painted.context.grant_permissions(["clipboard-read", "clipboard-write"])
    painted.get_by_role("button", name="Add a region").click()
    assert painted.get_by_role("heading", name="Style of region 1").is_visible()
    painted.locator('[data-style="mosaic"]').click()
    assert painted.locator(".region select").input_value() == "mosaic"
    painted.locator(".overlay").click()
    shown(painted, WIDTH)
    with painted.expect_download() as waiting:
        painted.get_by_role("button", name="Copy command").click()
    assert waiting.value.suggested_filename == "region-1.png"
    mask = Image.open(io.BytesIO(Path(waiting.value.path()).read_bytes())).convert("L")
    assert mask.getextrema() == (0, 255)
    command = painted.evaluate("() => navigator.clipboard.readText()")
    assert "stylize own.png --style night" in command
    assert command.endswith("--mask region-1.png=mosaic")
    painted.get_by_role("button", name="Done").click()
    assert painted.locator('[data-style="night"]').get_attribute("aria-pressed") == "true"
    painted.locator(".region").get_by_role("button", name="Remove").click()
    shown(painted, WIDTH)


def test_undo_the_keyboard_and_the_copied_command_work(painted: Any) -> None:
    painted.context.grant_permissions(["clipboard-read", "clipboard-write"])
    painted.locator('[data-style="night"]').click()
    painted.locator('[data-style="mosaic"]').click()
    assert painted.locator('[data-style="mosaic"]').get_attribute("aria-pressed") == "true"
    painted.get_by_role("button", name="Copy command").click()
    painted.get_by_text("Copied").wait_for()
    painted.keyboard.press("Control+z")
    assert painted.locator('[data-style="night"]').get_attribute("aria-pressed") == "true"
    for value in ("1.3", "0.7"):
        set_slider(painted, "Strength", value)
    strength = painted.locator('label:has-text("Strength") input[type="range"]').first
    for value in ("1.3", "1"):
        painted.get_by_role("button", name="Undo").click()
        assert strength.input_value() == value
    compare = painted.get_by_label("Before and after")
    compare.focus()
    painted.keyboard.press("ArrowRight")
    assert float(compare.input_value()) > 0


def test_an_invalid_picture_is_reported_and_changes_nothing(painted: Any) -> None:
    choose(painted, "Choose a photograph", b"nothing", "broken.jpg")
    painted.locator(".notices p", has_text="not a picture").wait_for()
    choose(painted, "Choose a photograph", encoded(12, 20), "thin.png")
    painted.locator(".notices p", has_text="thin.png has 12 × 20 pixels: a picture needs").wait_for()
    assert painted.get_by_label("Before and after").is_visible()
    shown(painted, WIDTH)


def test_styles_are_mixed_on_a_pad_and_saved(painted: Any) -> None:
    """The arrow keys move the point to a ratio of 3 : 1; the saved mixture paints the same."""
    painted.locator('[data-style="night"]').click()
    painted.get_by_role("button", name="Mix", exact=True).click()
    point = painted.get_by_label("Mixture: arrow keys")
    assert point.evaluate("point => point.style.left") == "0%", "opening the view has changed the look"
    mosaic = painted.locator('[data-style="mosaic"]')
    if mosaic.get_attribute("aria-pressed") == "false":
        mosaic.click()
    pressed = painted.locator('[data-style][aria-pressed="true"]')
    others = {one.get_attribute("data-style") for one in pressed.all()} - {"night", "mosaic"}
    for other in others:
        painted.locator(f'[data-style="{other}"]').click()
    keep_mixture(painted, "dusk")
    painted.get_by_role("button", name="Paint", exact=True).click()
    shown(painted, WIDTH)
    painted.get_by_role("button", name="Mix", exact=True).click()
    assert point.evaluate("point => point.style.left") == "25%", "a look at another view has moved the point"
    painted.get_by_role("button", name="Paint", exact=True).click()
    shown(painted, WIDTH)
    styles = [builtin("night"), builtin("mosaic")]
    expected = in_python(metastyle.blend(styles, [0.75, 0.25]))
    assert worst(download(painted, "As shown"), expected) <= 2
    painted.get_by_label("Paint with dusk").click()
    shown(painted, WIDTH)
    assert worst(download(painted, "As shown"), expected) <= 2


def test_styles_can_be_imported_renamed_downloaded_and_removed(painted: Any, tmp_path: Path) -> None:
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


def test_the_camera_is_painted_and_recorded(painted: Any) -> None:
    """With Chromium's fake camera, the frame rate is shown, and a snapshot and a recording are saved."""
    painted.context.grant_permissions(["camera", "microphone"])
    painted.get_by_role("button", name="Camera", exact=True).click()
    painted.get_by_role("button", name="Start the camera").click()
    painted.get_by_text(re.compile(r"\d frames/s · \d+ × \d+")).wait_for()
    painted.locator('canvas.running:not([data-rate="0"])').wait_for()
    still = np.asarray(download(painted, "Snapshot").convert("RGB"), int)
    assert still.std() > 10, "the snapshot is blank"
    painted.get_by_role("button", name="Record", exact=True).click()
    painted.wait_for_timeout(2500)
    with painted.expect_download() as waiting:
        painted.get_by_role("button", name="Stop recording").click()
    assert Path(waiting.value.path()).read_bytes()[:4] == b"\x1a\x45\xdf\xa3", "WebM"
    painted.get_by_role("button", name="Stop", exact=True).click()
    painted.get_by_role("button", name="Paint", exact=True).click()


def test_finished_work_is_seen_and_begun_again(painted: Any) -> None:
    """The picture at full size is listed with its photograph; 'Again' brings all back to be changed."""
    painted.locator('[data-style="mosaic"]').click()
    set_slider(painted, "Strength", "0.5")
    painted.get_by_role("button", name="Add a region").click()
    painted.locator(".region select").select_option("woodblock")
    painted.locator(".overlay").click()
    shown(painted, WIDTH)
    before = np.asarray(download(painted, "As shown").convert("RGB"), int)
    download(painted, "Full size")
    painted.locator(".region").get_by_role("button", name="Remove").click()
    painted.get_by_role("button", name="Reset").click()
    painted.locator('[data-style="night"]').click()
    painted.get_by_role("button", name="Work", exact=True).click()
    card = painted.locator('[data-job="paint"][data-state="done"]').first
    card.locator("img").nth(1).wait_for()
    card.get_by_role("button", name="Again with").click()
    shown(painted)
    assert painted.locator('[data-style="mosaic"]').get_attribute("aria-pressed") == "true"
    assert painted.locator('label:has-text("Strength") output').inner_text() == "50 %"
    assert painted.locator(".region select").input_value() == "woodblock"
    set_slider(painted, "Brush", "2")
    shown(painted, WIDTH)
    after = np.asarray(download(painted, "As shown").convert("RGB"), int)
    # The photograph is its preview here, a JPEG, and so is the mask.
    assert np.abs(after - before).mean() < 3

    painted.reload()
    shown(painted)
    assert painted.get_by_text("own", exact=True).count() == 1
    assert painted.locator(".region select").input_value() == "woodblock"
    painted.locator(".region").get_by_role("button", name="Remove").click()
    painted.get_by_role("button", name="Reset").click()


WITHIN = """([inner, outer]) => {
    const all = [...document.querySelectorAll(`${outer} ${inner}`)];
    return !all.length || all.some((one) => {
        const [a, b] = [one, one.closest(outer)].map((e) => e.getBoundingClientRect());
        return a.left >= b.left - 1 && a.right <= b.right + 1 && a.bottom <= b.bottom + 1;
    });
}"""
"""Whether one of these elements, if there are any, is within the other."""


@pytest.mark.parametrize("size", [(1280, 900), (360, 640)])
def test_no_view_is_larger_than_the_window(painted: Any, size: tuple[int, int]) -> None:
    """Panels scroll; the document does not. What is on a stage ends there, and the chosen style is seen."""
    painted.locator('[data-style="woodblock"]').click()  # the last one
    painted.set_viewport_size({"width": size[0], "height": size[1]})
    for view in ("Paint", "Mix", "Styles", "Camera", "Film", "Work"):
        painted.get_by_role("button", name=view, exact=True).click()
        painted.wait_for_timeout(300)
        beyond = painted.evaluate(
            "() => { const e = document.documentElement;"
            " return [e.scrollWidth - innerWidth, e.scrollHeight - innerHeight]; }"
        )
        assert beyond == [0, 0], view
        painted.wait_for_function(WITHIN, arg=[".invitation", ".stage"])
        painted.wait_for_function(WITHIN, arg=[".chosen", ".strip"])
    painted.get_by_role("button", name="Paint", exact=True).click()
    painted.set_viewport_size({"width": 1280, "height": 900})
