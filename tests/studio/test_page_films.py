"""The Film view in Chromium: a clip with sound, a preview of three frames, and the film."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from .browser import required, shown

required()
av = pytest.importorskip("av")
pytest.importorskip("cv2")

from clips import make_clip, moving  # noqa: E402

DROP = """([name, content]) => {
    const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name, { type: "video/mp4" }));
    window.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""


def test_a_clip_becomes_a_film(page: Any, tmp_path: Path) -> None:
    """Dropped anywhere; other views in between change nothing."""
    clip = make_clip(tmp_path / "holiday.mp4", moving(25))
    page.locator('[data-style="night"]').click()
    shown(page)
    page.evaluate(DROP, [clip.name, base64.b64encode(clip.read_bytes()).decode()])
    page.get_by_role("heading", name="holiday", level=2).wait_for()
    page.get_by_role("button", name="Styles", exact=True).click()
    page.get_by_role("button", name="Film", exact=True).click()
    page.locator('label:has-text("To") input[type="range"]').first.fill("0.5")

    page.get_by_role("button", name="Preview three frames").click()
    preview = page.get_by_alt_text("Preview three frames")
    preview.wait_for()
    for _ in range(100):
        if preview.evaluate("image => image.complete && image.naturalWidth") >= 3 * 64:
            break
        page.wait_for_timeout(100)
    assert preview.evaluate("image => image.naturalWidth") >= 3 * 64, "the preview is not three frames wide"

    page.get_by_role("button", name="Paint the film").click()
    film = page.get_by_label("Film", exact=True).and_(page.locator("video"))
    film.wait_for()
    for _ in range(100):
        if film.evaluate("video => video.readyState >= 1"):
            break
        page.wait_for_timeout(100)
    assert film.evaluate("video => video.duration") == pytest.approx(0.5, abs=0.1)
    assert film.evaluate("video => [video.videoWidth, video.videoHeight]") == [64, 48]
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download").click()
    with av.open(str(waiting.value.path())) as film:
        assert {stream.type for stream in film.streams} == {"video", "audio"}

    page.get_by_role("button", name="Work", exact=True).click()
    page.locator('[data-job="film"][data-state="done"]').wait_for()
    page.locator('[data-job="preview"][data-state="done"]').wait_for()
    page.get_by_role("button", name="Paint", exact=True).click()


def test_a_film_is_begun_again_until_its_clip_is_gone(page: Any, address: str) -> None:
    """After a reload: the same clip, range, smoothing and look, for another style."""
    page.locator('[data-style="mosaic"]').click()
    shown(page)
    page.reload()
    shown(page)
    page.get_by_role("button", name="Work", exact=True).click()
    card = page.locator('[data-job="film"][data-state="done"]')
    card.get_by_role("button", name="Again with").click()
    page.get_by_role("heading", name="holiday", level=2).wait_for()
    original = page.get_by_label("holiday")
    for _ in range(100):
        if original.evaluate("video => video.readyState >= 1"):
            break
        page.wait_for_timeout(100)
    assert original.evaluate("video => [video.videoWidth, video.videoHeight]") == [64, 48]
    assert page.locator('label:has-text("To") input[type="range"]').first.input_value() == "0.5"
    assert page.locator('[data-style="night"]').get_attribute("aria-pressed") == "true"
    page.locator('[data-style="mosaic"]').click()
    page.get_by_role("button", name="Paint the film").click()
    page.get_by_label("Film", exact=True).and_(page.locator("video")).wait_for()
    newest, *_ = json.load(urlopen(f"{address}api/jobs"))
    assert (newest["kind"], newest["request"]["end"]) == ("film", 0.5)
    assert [one["style"] for one in newest["request"]["styles"]] == ["mosaic"]

    urlopen(Request(f"{address}api/clips/{newest['request']['clip']}", method="DELETE"))
    page.get_by_role("button", name="Work", exact=True).click()
    card.first.get_by_role("button", name="Again with").click()
    page.locator(".notices p", has_text="The clip holiday is no longer on the server").wait_for()
    page.get_by_role("heading", name="Work").wait_for()
    page.get_by_role("button", name="Paint", exact=True).click()


def test_a_clip_is_removed_by_itself_or_with_its_last_film(page: Any, address: str, tmp_path: Path) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    clip = make_clip(tmp_path / "beach.mp4", moving(9))
    content = base64.b64encode(clip.read_bytes()).decode()

    def exists(name: str) -> bool:
        try:
            return bool(json.load(urlopen(f"{address}api/clips/{name}")))
        except HTTPError as error:
            assert error.code == 404
            return False

    page.evaluate(DROP, [clip.name, content])
    page.get_by_role("heading", name="beach").wait_for()
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("button", name="Choose a clip").wait_for()
    assert asked == ["Remove the clip beach from the studio? Films made of it stay."]

    page.evaluate(DROP, [clip.name, content])
    page.get_by_role("button", name="Preview three frames").click()
    page.get_by_alt_text("Preview three frames").wait_for()
    newest, *_ = json.load(urlopen(f"{address}api/jobs"))
    assert newest["kind"] == "preview" and exists(newest["request"]["clip"])
    page.get_by_role("button", name="Another clip").click()
    page.get_by_role("button", name="Work", exact=True).click()
    card = page.locator('[data-job="preview"]', has_text="beach")
    card.get_by_role("button", name="Remove", exact=True).click()
    card.wait_for(state="detached")
    assert asked[1:] == ["Remove beach, its file and the clip it was made of?"]
    for _ in range(50):
        if not exists(newest["request"]["clip"]):
            break
        page.wait_for_timeout(100)
    assert not exists(newest["request"]["clip"])
