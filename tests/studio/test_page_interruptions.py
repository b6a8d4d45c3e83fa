"""The page when it is reloaded or its server is killed during an adaptation."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import pytest

from metastyle.core.loss_network import LossNetwork

from .browser import choose, opened, required, shown
from .conftest import encoded
from .running import Studio, call, free_port

required()

SLOW = 240_000
"""Milliseconds in which even a busy machine takes the first steps."""


@pytest.mark.timeout(600)  # two servers and two workers import torch
def test_adaptation_continues_after_a_reload_and_after_a_killed_server(
    browser: Any, tmp_path: Path, loss_network: LossNetwork
) -> None:
    """After a reload and after a restart of the server, the page shows the progress again."""
    port = free_port()
    studio = Studio(tmp_path / "own", port)
    page = opened(browser)
    try:
        page.goto(f"http://127.0.0.1:{port}/")
        shown(page)
        choose(page, "Choose a painting", encoded(96, 80, seed=6), "speckles.png")
        adapting = page.get_by_text(re.compile(r"Adapting to speckles · \d+ of \d+"))
        adapting.wait_for(timeout=SLOW)

        page.reload()
        adapting.wait_for(timeout=SLOW)
        page.locator('[data-revision]:not([data-revision="0"])').wait_for()
        assert page.locator("[data-style]").count() >= 14, "styles are missing"

        studio.end(signal.SIGKILL)
        studio = Studio(tmp_path / "own", port)
        page.wait_for_timeout(4000)  # until the browser has reconnected
        adapting.wait_for(timeout=SLOW)
        page.get_by_role("button", name="Good enough").click()
        page.locator(".adapting").wait_for(state="detached", timeout=SLOW)
        shown(page)
        first = page.locator("[data-style]").first
        assert "speckles" in first.text_content()
        assert first.get_attribute("aria-pressed") == "true"
    finally:
        page.context.close()
        studio.end()


@pytest.mark.timeout(600)
def test_a_kept_style_is_taken_further_across_reloads(
    browser: Any, tmp_path: Path, loss_network: LossNetwork
) -> None:
    """Photograph, region and look outlast the page; 'Go on' needs no painting, and goes on itself."""
    studio = Studio(tmp_path / "own")
    page = opened(browser)
    try:
        page.goto(f"http://127.0.0.1:{studio.port}/")
        shown(page)
        choose(page, "Choose a photograph", encoded(96, 64, seed=5), "own.png")
        page.get_by_text("Draft", exact=True).click()
        choose(page, "Choose a painting", encoded(96, 80, seed=6), "speckles.png")
        adapting = page.get_by_text(re.compile(r"Adapting to speckles · \d+ of \d+"))
        adapting.wait_for(timeout=SLOW)
        page.get_by_role("button", name="Good enough").click()
        page.locator(".adapting").wait_for(state="detached", timeout=SLOW)
        shown(page, 512)
        plain = painted_canvas(page)
        page.get_by_role("button", name="Add a region").click()
        page.locator(".region select").select_option("mosaic")
        page.locator(".overlay").click()
        shown(page, 512)
        with_region = painted_canvas(page)
        assert with_region != plain

        page.reload()
        shown(page, 512)
        assert page.locator(".region").count() == 1
        assert page.locator(".region select").input_value() == "mosaic"
        assert painted_canvas(page) == with_region
        assert page.get_by_text("own", exact=True).count() == 1
        assert page.locator("[data-style]").first.get_attribute("aria-pressed") == "true"
        page.get_by_role("button", name="Go on").click()
        adapting.wait_for(timeout=SLOW)

        page.reload()
        adapting.wait_for(timeout=SLOW)
        page.get_by_role("button", name="Good enough").click()
        page.locator(".adapting").wait_for(state="detached", timeout=SLOW)
        shown(page)
        newest = page.locator("[data-style]").first
        assert newest.get_attribute("aria-pressed") == "true"
        jobs = call(studio.port, "jobs")
        assert [job["state"] for job in jobs] == ["done", "done"]
        assert jobs[0]["request"]["start"] == jobs[1]["result"]["style"]
    finally:
        page.context.close()
        studio.end()


def painted_canvas(page: Any) -> str:
    """What is painted, as a data URL."""
    seen: str = page.locator(".after").evaluate("canvas => canvas.toDataURL()")
    return seen


def test_a_missing_server_is_reported_and_the_page_keeps_painting(browser: Any, tmp_path: Path) -> None:
    """Painting in the page needs no server; actions that need one report that it does not answer."""
    studio = Studio(tmp_path / "own")
    page = opened(browser)
    try:
        page.goto(f"http://127.0.0.1:{studio.port}/")
        shown(page)
        page.locator('[data-style="mosaic"]').click()
        shown(page)
        studio.end(signal.SIGKILL)
        page.get_by_label("Keep the photograph’s colors").check()
        shown(page)
        choose(page, "Choose a painting", encoded(96, 80, seed=6), "speckles.png")
        page.locator(".notices p", has_text="does not answer").wait_for()
        shown(page)
    finally:
        page.context.close()
