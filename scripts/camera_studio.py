"""Measures the camera of the studio's page: its rate, its size, and how still its paint is.

python scripts/camera_studio.py [--photo FILE] [--pictures FOLDER]

The page is exported and driven in Debian's Chromium; the camera is a film of a photograph that a camera
passes over. The paint is measured on frames whose motion is known: by how many levels of 255 what was painted
moves against the scene from one frame to the next (``pan``), and changes where nothing moves (``still``).
"""

from __future__ import annotations

import argparse
import base64
import io
import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure_studio import ASKING, EXAMPLES, FLAGS, _at_rest, _file_server, _painter
from PIL import Image
from playwright.sync_api import sync_playwright

from metastyle.studio.site import export_site

WIDTH, HEIGHT = 320, 240
STEP, FRAMES = 3, 10
STYLES = ("starry-night", "mosaic", "night")
SECONDS = 30

MOVING = (
    "async ([frames, style, grain]) => {"
    + ASKING
    + """
    const file = await (await fetch(`model/styles/${style}.safetensors`)).arrayBuffer();
    await ask({ kind: "style", id: "a", file });
    const look = { mix: [{ style: "a", weight: 1 }], strength: 1, grain, keepColor: false };
    const painted = [];
    for (const [index, frame] of frames.entries()) {
        const bitmap = await createImageBitmap(await (await fetch(frame)).blob());
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
        const on = canvas.getContext("2d");
        on.drawImage(bitmap, 0, 0);
        const photo = on.getImageData(0, 0, bitmap.width, bitmap.height);
        const order = { kind: "frame", look, fresh: index === 0 };
        const { width, height, data } = await ask({ ...order, photo });
        on.putImageData(new ImageData(data, width, height), 0, 0);
        const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
        painted.push(btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")));
    }
    worker.terminate();
    return painted;
}"""
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photo", type=Path, default=EXAMPLES / "photos" / "lake.jpg")
    parser.add_argument("--pictures", type=Path, help="a folder for the painted frames")
    options = parser.parse_args()
    photo = Image.open(options.photo).convert("RGB").resize((640, 480), Image.Resampling.LANCZOS)
    with tempfile.TemporaryDirectory() as top, sync_playwright() as p:
        export_site(Path(top) / "site")
        film = _film(photo, Path(top) / "camera.y4m")
        flags = [*FLAGS, f"--use-file-for-fake-video-capture={film}"]
        browser = p.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        with _file_server(Path(top) / "site") as address:
            for what, value in _painter(browser, address):
                print(f"| {what} | {value:.2f} |", flush=True)
            _camera(browser, address)
            print("| style | grain | pan | still |\n|---|---|---|---|")
            page = browser.new_page()
            page.goto(address)
            page.locator('.after:not([data-edge="0"])').wait_for(state="attached", timeout=300_000)
            for style in STYLES:
                for grain in (0, 1):
                    _stillness(page, photo, style, grain, options.pictures)
        browser.close()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _camera(browser: Any, address: str) -> None:
    """The rate and the size that the camera comes to."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.grant_permissions(["camera"])
    page = context.new_page()
    page.set_default_timeout(300_000)
    page.goto(address)
    page.locator('.after:not([data-edge="0"])').wait_for(state="attached")
    _at_rest(page)
    page.get_by_role("button", name="Camera", exact=True).click()
    page.wait_for_timeout(8000)  # previews of styles
    page.get_by_role("button", name="Start the camera").click()
    canvas = page.locator("canvas.running")
    seen = []
    for _ in range(SECONDS):
        page.wait_for_timeout(1000)
        size = canvas.evaluate("c => `${c.width} × ${c.height}`")
        seen.append(f"{float(canvas.get_attribute('data-rate')):.1f} ({size})")
    print(f"camera, frames a second, every third second: {', '.join(seen[::3])}", flush=True)
    context.close()


def _stillness(page: Any, photo: Image.Image, style: str, grain: int, folder: Path | None) -> None:
    pan = [photo.crop((STEP * i, 60, STEP * i + WIDTH, 60 + HEIGHT)) for i in range(FRAMES)]
    moving = _painted(page, pan, style, grain)
    standing = _painted(page, pan[:1] * FRAMES, style, grain)
    against = [np.abs(b[:, :-STEP] - a[:, STEP:]).mean() for a, b in itertools.pairwise(moving)]
    still = [np.abs(b - a).mean() for a, b in itertools.pairwise(standing)]
    print(f"| {style} | {grain} | {np.mean(against):.1f} | {np.mean(still):.2f} |", flush=True)
    if folder is not None:
        folder.mkdir(exist_ok=True)
        both = np.concatenate([np.concatenate(moving[:3], 1), np.concatenate(moving[3:6], 1)])
        Image.fromarray(both.astype(np.uint8)).save(folder / f"{style}-{grain}.png")


def _painted(page: Any, frames: list[Image.Image], style: str, grain: int) -> list[np.ndarray]:
    addresses = [f"data:image/png;base64,{base64.b64encode(_png(frame)).decode()}" for frame in frames]
    painted = page.evaluate(MOVING, [addresses, style, grain])
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB"), float) for one in painted
    ]


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _film(photo: Image.Image, path: Path) -> Path:
    """The photograph, passed over and back, in the format that Chromium takes for a camera."""
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W480 H360 F30:1 Ip A1:1 C420jpeg\n")
        for number in range(100):
            left = 3 * min(number, 100 - number)
            part = np.asarray(photo.crop((left, 60, left + 480, 420)).convert("YCbCr"))
            file.write(b"FRAME\n" + part[..., 0].tobytes())
            for channel in (1, 2):
                file.write(part[::2, ::2, channel].tobytes())
    return path


if __name__ == "__main__":
    main()
