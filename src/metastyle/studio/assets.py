"""What the page fetches besides itself: graphs, theta, built-in styles, and the order of the parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

import metastyle
from metastyle.core.loss_network import LossNetwork
from metastyle.core.low_rank import SCALE
from metastyle.core.settings import EFFORTS, AdaptationSettings
from metastyle.images.contents import PROCEDURAL_SHARE, procedural_pool
from metastyle.studio import graphs, refinement
from metastyle.weights.builtin_styles import PHOTOGRAPH, artworks
from metastyle.weights.initialization import load_initialization
from metastyle.weights.vgg16 import load_loss_network

PAGE = Path(__file__).with_name("page")
"""The built page; 'make studio' builds it, and the wheel carries it."""

__all__ = ["PAGE", "PHOTOGRAPH"]


@cache
def model() -> dict[str, Any]:
    """How the vector of parameters is laid out, and which initialization styles have to be made for."""
    _, base = load_initialization()
    return {
        "base": base,
        "segments": [[s.name, list(s.shape), s.offset] for s in graphs.layout()],
        "norms": list(graphs.norm_names()),
        "low_rank_scale": SCALE,
    }


@cache
def theta() -> bytes:
    """theta in float16."""
    return graphs.theta_bytes(load_initialization()[0])


@cache
def graph(name: str) -> bytes:
    """A graph that holds no weights, by its name in ``graphs.GRAPHS``."""
    return graphs.GRAPHS[name]()


@cache
def describe(quick: bool) -> bytes:
    """The graph that turns a painting into a start, for GPUs or, quick, for processors.

    Raises:
        MetastyleError: VGG-16's weights are unavailable.
    """
    return graphs.describe_graph(load_initialization()[0], load_loss_network(), quick)


FILES: dict[str, Callable[[], bytes]] = {
    "theta.f16": theta,
    "photograph.jpg": PHOTOGRAPH.read_bytes,
    "describe.onnx": partial(describe, quick=False),
    "quick-describe.onnx": partial(describe, quick=True),
    **{f"{name}.onnx": partial(graph, name) for name in graphs.GRAPHS},
}
"""What the page computes with, by its name in the folder ``model``."""


def contents() -> bytes:
    """Procedural pictures to adapt on beside the photograph: squares, one below the other, as JPEG."""
    count = round(PROCEDURAL_SHARE * AdaptationSettings().pool)
    pool = procedural_pool(count, refinement.SIZE, 0).permute(0, 2, 3, 1).reshape(-1, refinement.SIZE, 3)
    stream = BytesIO()
    Image.fromarray((255 * pool).round().byte().numpy()).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def _with_weights(write: Callable[[LossNetwork], bytes]) -> bytes:
    return write(load_loss_network())


REFINEMENT: dict[str, Callable[[], bytes]] = {
    "contents.jpg": contents,
    **{f"{name}.onnx": partial(_with_weights, write) for name, write in refinement.GRAPHS.items()},
}
"""What the page without a server adapts with, besides ``FILES``."""


def refining() -> dict[str, Any]:
    """How the page without a server adapts: sizes, and the library's own settings."""
    settings = AdaptationSettings()
    return {
        "size": refinement.SIZE,
        **refinement.state_sizes(),
        "rate": settings.learning_rate,
        "warm_up": settings.warm_up,
        "grain": settings.grain,
        "pool": settings.pool,
        "steps": {effort: changes.get("steps", settings.steps) for effort, changes in EFFORTS["cpu"].items()},
    }


@cache
def tag(name: str) -> str:
    """A digest of one of ``FILES``, by which a browser knows whether it has it already."""
    return f'"{hashlib.sha256(FILES[name]()).hexdigest()[:32]}"'


@cache
def builtin_styles() -> list[dict[str, Any]]:
    """The built-in styles, as the interface lists styles."""
    return [
        {
            "id": artwork.name,
            "name": artwork.title,
            "origin": "builtin",
            "grain": metastyle.load(artwork.path).grain,
            "note": f"{artwork.artist}, {artwork.year}" if artwork.year else artwork.artist,
        }
        for artwork in artworks()
    ]
