"""The command line, isolated from the real machine: random weights, an empty cache, tiny pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metastyle import api
from metastyle.cli.main import main
from metastyle.core.initialization import Initialization
from metastyle.core.loss_network import LossNetwork
from metastyle.weights.initialization import save_initialization


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        document: dict[str, Any] = json.loads(lines[0])
        return document


@pytest.fixture(scope="session")
def initialization_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained initialization."""
    path = tmp_path_factory.mktemp("weights") / "metastyle.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_initialization(Initialization(), path, {})
    return path


@pytest.fixture(autouse=True)
def machine(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    initialization_file: Path,
    random_loss_network: LossNetwork,
) -> Path:
    """The cache folder, which replaces the user's own."""
    cache = tmp_path / "cache"
    for module in ("weights.cache", "weights.weight_file", "cli.commands.machine"):
        monkeypatch.setattr(f"metastyle.{module}.default_cache_dir", lambda: cache)
    for module in ("initialization", "inventory"):
        monkeypatch.setattr(f"metastyle.weights.{module}.SHIPPED", initialization_file)
    monkeypatch.setattr(api, "load_loss_network", lambda *args, **kwargs: random_loss_network)
    return cache


@pytest.fixture
def program(initialization_file: Path) -> str:
    """Python code that runs the command line with random weights, for a process of its own."""
    return (
        "import sys; from pathlib import Path; import metastyle.weights.initialization as i; "
        f"i.SHIPPED = Path({str(initialization_file)!r}); "
        "from metastyle.cli.main import main; sys.exit(main())"
    )


@pytest.fixture
def command(program: str) -> list[str]:
    """The command that runs ``program``; arguments may be added."""
    return [sys.executable, "-c", program]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    def call(*arguments: object) -> Result:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return call


Draw = Callable[..., Path]


@pytest.fixture
def quick() -> tuple[str, ...]:
    """Options for an adaptation that takes a second."""
    return ("--steps", "2", "--content-size", "64", "--style-size", "64")


@pytest.fixture
def draw() -> Draw:
    return _draw


def _draw(path: Path, seed: int = 0, size: tuple[int, int] = (40, 28)) -> Path:
    """A small picture of smooth noise; ``size`` is width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize(size).save(path)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return _draw(tmp_path / "photo.png", seed=1)


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    return _draw(tmp_path / "waves.png", seed=2, size=(64, 64))


@pytest.fixture
def style_file(tmp_path: Path) -> Path:
    """A style after no steps of adaptation."""
    path = tmp_path / "plain.safetensors"
    picture = np.zeros((64, 64, 3), np.uint8)
    api.adapt(picture, steps=0, size=64, style_size=64).save(path)
    return path
