"""Results of the public functions do not depend on global settings of torch, numpy and Python."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import decoded, make_clip, moving
from PIL import Image
from surroundings import SURROUNDINGS, state

import metastyle
from metastyle import api
from metastyle.core.loss_network import LossNetwork
from metastyle.films.clip import open_clip
from metastyle.films.encode import choose_encoding
from metastyle.films.job import FilmJob
from metastyle.films.temporal import TemporalPainter, TemporalSettings
from metastyle.rendering.frozen import FrozenStylizer

QUICK: dict[str, Any] = {"size": 64, "style_size": 64, "steps": 2, "batch": 1, "pool": 2, "device": "cpu"}

Works = dict[str, Callable[[Path], Any]]


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch, random_loss_network: LossNetwork) -> None:
    monkeypatch.setattr(api, "load_loss_network", lambda *_, **__: random_loss_network)


def picture(seed: int = 0, height: int = 40, width: int = 52) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def style() -> metastyle.Style:
    return metastyle.load("mosaic")


def numbers(style: metastyle.Style) -> list[np.ndarray]:
    return [np.array(style.curve), *(p.numpy() for p in style.parameters.values())]


def adapt(folder: Path) -> list[np.ndarray]:
    losses: list[float] = []
    photos = [picture(1, 70, 90), Image.fromarray(picture(2, 90, 70))]
    full = metastyle.adapt(
        picture(), contents=photos, match_color=picture(3), on_step=lambda s: losses.append(s.total), **QUICK
    )
    light = metastyle.adapt(picture(), parameters="low_rank", cache=folder, **QUICK | {"steps": 1})
    light.save(folder / "style.safetensors")
    mixed = metastyle.blend([full, metastyle.load(folder / "style.safetensors")], [1, 2])
    return [*numbers(full), *numbers(light), *numbers(mixed), np.array(losses)]


def stylize(style: metastyle.Style) -> Callable[[Path], list[np.ndarray]]:
    def paint(folder: Path) -> list[np.ndarray]:
        array = picture(4)
        tensor = torch.from_numpy(array).permute(2, 0, 1)[None]
        transparent = np.dstack([array, array[..., 0]])
        half = array[..., 0] > 128
        stylizer = style.stylizer(device="cpu")
        frozen = FrozenStylizer(style.network(), [array], device="cpu")
        return [
            style.stylize(array, strength=1.5, size=60, keep_color=True),
            style.stylize((transparent / 255).astype(np.float16), brush=8.0, max_memory=16_000_000),
            style.stylize([tensor.float() / 255])[0].numpy(),
            np.asarray(metastyle.stylize(Image.fromarray(array), "garden", regions=[(half, style)])),
            stylizer.render_tensor(tensor.float() / 255).numpy(),
            *(moments.mean.numpy() for moments in stylizer.measure(array)),
            frozen.render(array),
        ]

    return paint


def film(style: metastyle.Style) -> Callable[[Path], list[np.ndarray]]:
    def make(folder: Path) -> list[np.ndarray]:
        clip = make_clip(folder / "clip.mp4", moving(4))
        out = folder / "painted.mkv"
        job = FilmJob(open_clip(clip), out, choose_encoding(out, None, 10), identity={})
        painter = TemporalPainter(style.stylizer(device="cpu"), TemporalSettings(every=2), keep_color=True)
        for _ in job.run(painter):
            pass
        job.finish()
        return [pixels for _, pixels in decoded(out)]

    return make


@pytest.fixture(scope="module")
def works(style: metastyle.Style) -> Works:
    return {"adapt": adapt, "stylize": stylize(style), "film": film(style)}


@pytest.fixture(scope="module")
def expected() -> dict[str, list[np.ndarray]]:
    return {}


@pytest.fixture
def expect(
    expected: dict[str, list[np.ndarray]], works: Works, tmp_path: Path
) -> Callable[[str], list[np.ndarray]]:
    """The results under default settings, computed once per kind of work."""

    def undisturbed(name: str) -> list[np.ndarray]:
        if name not in expected:
            (tmp_path / "undisturbed").mkdir()
            expected[name] = works[name](tmp_path / "undisturbed")
        return expected[name]

    return undisturbed


@pytest.mark.parametrize("name", ["adapt", "stylize", "film"])
@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_results_do_not_depend_on_global_settings(
    surroundings: str, name: str, works: Works, expect: Callable[[str], list[np.ndarray]], tmp_path: Path
) -> None:
    wanted = expect(name)
    with SURROUNDINGS[surroundings]():
        before = state()
        results = works[name](tmp_path)
        assert state() == before
    assert len(results) == len(wanted)
    for result, right in zip(results, wanted, strict=True):
        assert result.dtype == right.dtype and np.array_equal(result, right)


def test_importing_and_stylizing_emit_no_warning(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "photo.png")
    code = "import metastyle, sys; metastyle.stylize(sys.argv[1], 'mosaic').save(sys.argv[2])"
    where = [str(tmp_path / name) for name in ("photo.png", "painted.png")]
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *where], capture_output=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, b"")
