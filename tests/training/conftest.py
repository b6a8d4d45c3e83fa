"""Tiny pictures, a tiny loss network, tiny runs."""

from __future__ import annotations

import multiprocessing
import runpy
import tarfile
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metastyle.training.config import TrainingConfig
from metastyle.training.config_file import load_config

TINY = str(Path(__file__).with_name("tiny.py"))


def write_pictures(folder: Path, count: int, seed: int) -> Path:
    """Write pictures of smooth noise in different sizes, half of them in a subfolder."""
    rng = np.random.default_rng(seed)
    (folder / "more").mkdir(parents=True)
    for k in range(count):
        small = rng.integers(0, 256, (rng.integers(4, 7), rng.integers(4, 7), 3), dtype=np.uint8)
        size = int(rng.integers(20, 40)), int(rng.integers(20, 40))
        place = folder / "more" if k % 2 else folder
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(place / f"{k}.png")
    return folder


@pytest.fixture(scope="session")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("data") / "contents", 12, seed=1)


@pytest.fixture(scope="session")
def styles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("data") / "styles", 9, seed=2)


@pytest.fixture(scope="session")
def shards(contents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same photographs in two tar shards."""
    folder = tmp_path_factory.mktemp("shards")
    pictures = sorted(contents.rglob("*.png"))
    for k in range(2):
        with tarfile.open(folder / f"{k:04d}.tar", "w") as shard:
            for picture in pictures[k::2]:
                shard.add(picture, picture.name)
            shard.add(__file__, "notes.txt")
    return folder


@pytest.fixture(scope="session")
def vgg() -> Any:
    return runpy.run_path(TINY)["TinyLossNetwork"]()


@pytest.fixture
def overrides(contents: Path, styles: Path, tmp_path: Path) -> dict[str, object]:
    """Changes to the smoke preset, with which an iteration takes about a tenth of a second."""
    return {
        "data.contents": str(contents),
        "data.styles": str(styles),
        "data.crop": 16,
        "data.style_side": [16, 24],
        "data.style_cap": 24,
        "data.workers": 0,
        "data.cache": str(tmp_path / "cache"),
        "objective.inner_steps": 0,
        "objective.learn_step_sizes": False,
        "run.output": str(tmp_path / "run"),
        "run.iterations": 6,
    }


@pytest.fixture
def config(overrides: dict[str, object]) -> Callable[..., TrainingConfig]:
    """``config(name=value)`` with two underscores for the dot."""

    def make(**changes: object) -> TrainingConfig:
        changed = {name.replace("__", "."): value for name, value in changes.items()}
        return load_config("smoke", {**overrides, **changed})

    return make


@pytest.fixture(scope="session")
def start_process() -> Callable[..., BaseProcess]:
    """Start a training run in a process of its own, which can be killed like any other.

    Processes are forked from a server that has only imported modules. ``kill`` is that of ``tiny.kill_at``.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["metastyle.training.meta"])

    def start(
        overrides: dict[str, object], environment: dict[str, str], kill: tuple[str, int] | None = None
    ) -> BaseProcess:
        job = {"overrides": overrides, "environment": environment, "kill": kill}
        process = context.Process(target=runpy.run_path, args=(TINY, {"JOB": job}))
        process.start()
        return process

    return start
