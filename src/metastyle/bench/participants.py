"""The systems that take part in a comparison: those of this package, by name, and your own."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from metastyle.errors import MetastyleError
from metastyle.systems.registry import SYSTEMS
from metastyle.systems.system import System

Maker = Callable[[torch.device], System]


def maker(text: str, weights: Path | None = None, **more: Any) -> Maker:
    """``adain``, ``metastyle steps=200`` or ``package.module:Class key=value``, as a callable of the device.

    ``weights``, a folder of trained weights, goes to those systems that take it; ``more`` are further
    arguments of the system.

    Values are Python literals, or else text. Modules in the current folder are found, too.

    Raises:
        MetastyleError: there is no such system, module or class.
    """
    name, *words = text.split() or [""]
    changes: dict[str, Any] = {**more}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise MetastyleError(f"--method {text}: write NAME key=value key=value")
        changes[key] = _value(value)
    make = SYSTEMS.get(name) or _imported(name)
    if weights is not None and "weights" in inspect.signature(make).parameters:
        changes.setdefault("weights", weights)
    if "weights" in changes:
        changes["weights"] = Path(str(changes["weights"]))
        if not changes["weights"].is_dir():
            raise MetastyleError(f"{changes['weights']}: no such folder of trained weights")

    def call(device: torch.device) -> System:
        try:
            return make(device, **changes)
        except TypeError as error:
            raise MetastyleError(f"--method {text}: {error}") from None

    return call


def _imported(name: str) -> Callable[..., System]:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise MetastyleError(
            f"--method {name}: use one of {', '.join(SYSTEMS)}, or your own as package.module:Class"
        )
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        made: Callable[..., System] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise MetastyleError(f"--method {name}: {error}") from None
    return made


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
