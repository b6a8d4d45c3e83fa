"""A studio with a real worker, and small pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

fastapi = pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

from fastapi.testclient import TestClient  # noqa: E402

from metastyle.studio.app import create_app  # noqa: E402
from metastyle.studio.settings import Limits, StudioSettings  # noqa: E402

LIMITS = Limits(picture_bytes=1 << 20, picture_pixels=1_000_000, waiting=3, free_bytes=1 << 20)


def encoded(width: int = 96, height: int = 64, seed: int = 0, kind: str = "PNG") -> bytes:
    """A picture file of noise over a ramp."""
    noise = np.random.default_rng(seed).integers(0, 120, (height, width, 3))
    ramp = np.linspace(0, 130, width)[None, :, None]
    stream = io.BytesIO()
    Image.fromarray((noise + ramp).astype(np.uint8)).save(stream, kind)
    return stream.getvalue()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StudioSettings:
    return StudioSettings(folder=tmp_path_factory.mktemp("studio") / "own", device="cpu", limits=LIMITS)


@pytest.fixture(scope="module")
def client(settings: StudioSettings) -> Iterator[TestClient]:
    """A client of a running studio, on the same machine."""
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8741") as client:
        yield client


@pytest.fixture(scope="module")
def photo(client: TestClient) -> str:
    return str(client.post("/api/pictures?name=photo.png", content=encoded(seed=1)).json()["id"])


@pytest.fixture(scope="module")
def painting(client: TestClient) -> str:
    return str(client.post("/api/pictures?name=painting.png", content=encoded(seed=2)).json()["id"])


def files(folder: Path) -> set[str]:
    """Names of all files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


from .browser import address, browser, page  # noqa: E402, F401 (fixtures of the page's tests)
