"""Adapt a small network to any painting in about a minute, then repaint photographs with it.

>>> import metastyle
>>> style = metastyle.adapt("painting.jpg")
>>> style.stylize("photo.jpg").save("picture.jpg")

Importing this package is cheap: torch is imported when one of its names is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metastyle.api import adapt, blend, film, load, stylize
    from metastyle.core.adaptation import AdaptationStep
    from metastyle.core.settings import AdaptationSettings
    from metastyle.errors import MetastyleError
    from metastyle.style import Style
    from metastyle.training.run import train

__version__ = "0.2.0"

_HOME = {
    "AdaptationSettings": "metastyle.core.settings",
    "AdaptationStep": "metastyle.core.adaptation",
    "MetastyleError": "metastyle.errors",
    "Style": "metastyle.style",
    "adapt": "metastyle.api",
    "blend": "metastyle.api",
    "film": "metastyle.api",
    "load": "metastyle.api",
    "stylize": "metastyle.api",
    "train": "metastyle.training.run",
}

__all__ = [
    "AdaptationSettings",
    "AdaptationStep",
    "MetastyleError",
    "Style",
    "adapt",
    "blend",
    "film",
    "load",
    "stylize",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'metastyle' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
