"""Facts about this machine, and its speed of adapting and stylizing."""

from __future__ import annotations

import importlib.util
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

import metastyle
from metastyle.cli.extras import EXTRAS
from metastyle.core.adaptation import Adaptation
from metastyle.core.device import compute_dtype, hardware_of, photo_precision, pick_device
from metastyle.core.initialization import Initialization
from metastyle.core.loss_network import LossNetwork
from metastyle.core.network import TransformationNetwork
from metastyle.core.settings import AdaptationSettings, default_settings
from metastyle.images.contents import procedural_pool
from metastyle.rendering.stylizer import Stylizer
from metastyle.weights.cache import default_cache_dir
from metastyle.weights.inventory import weight_files

_SIDE = 512
_STEP_BUDGET = 5.0
_MOST_STEPS = 6
_DRAWN = 2  # procedural pictures drawn to time the drawing; they are repeated to fill the pool
_VECTOR_UNITS = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")


def describe(device: str = "auto") -> dict[str, Any]:
    """Facts about this machine that matter for speed and features, as JSON values.

    Raises:
        MetastyleError: ``device`` is not on this machine.
    """
    chosen = pick_device(device)
    memory = psutil.virtual_memory()
    cache = default_cache_dir()
    return {
        "metastyle": metastyle.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "device": _device(chosen),
        "precision": str(compute_dtype(chosen)).removeprefix("torch."),
        "memory": {"total_gb": _gb(memory.total), "free_gb": _gb(memory.available)},
        "extras": {name: all(map(_installed, modules)) for name, modules in EXTRAS.items()},
        "weights": {found.file.name: found.state for found in weight_files()},
        "cache": {"folder": str(cache), "mb": round(_size(cache) / 1e6, 1)},
    }


def measure(device: str = "auto", progress: Callable[[float], None] = lambda share: None) -> dict[str, Any]:
    """Seconds for the default adaptation, for 512 x 512 pixels and for 12 megapixels (extrapolated).

    Runs a few steps and one picture on random weights, which take the same arithmetic. The first of each is
    not counted. The time is limited, so that a slow machine measures fewer steps.
    """
    settings = default_settings(hardware_of(pick_device(device)))
    setup, adaptation = _setup_seconds(settings, device)
    progress(0.5)
    step = _step_seconds(adaptation)
    progress(0.8)
    picture = _picture_seconds(device)
    progress(1.0)
    return {
        "adaptation_steps": settings.steps,
        "adaptation_seconds": round(setup + step * settings.steps, 3),
        "setup_seconds": round(setup, 3),
        "step_seconds": round(step, 4),
        "picture_512_seconds": round(picture, 4),
        "picture_12mp_seconds": round(picture * 12e6 / _SIDE**2, 2),
        "weights": "random",
    }


def _setup_seconds(settings: AdaptationSettings, device: str) -> tuple[float, Adaptation]:
    """The seconds before the first step, and the prepared adaptation."""
    painting = torch.rand(1, 3, settings.style_size, settings.style_size)
    loss_network, initialization = LossNetwork(), Initialization()
    started = time.perf_counter()
    pool = procedural_pool(_DRAWN, settings.size, settings.seed)
    drawing = (time.perf_counter() - started) * settings.contents / _DRAWN
    started = time.perf_counter()
    contents = pool.repeat(settings.contents // _DRAWN, 1, 1, 1)
    adaptation = Adaptation(initialization, loss_network, painting, contents, settings, device)
    return drawing + time.perf_counter() - started, adaptation


def _step_seconds(adaptation: Adaptation) -> float:
    started = time.perf_counter()
    ends = []
    for step in adaptation:
        ends.append(step.seconds)
        if len(ends) >= 2 and (time.perf_counter() - started > _STEP_BUDGET or len(ends) > _MOST_STEPS):
            break
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def _picture_seconds(device: str) -> float:
    network = TransformationNetwork().eval().requires_grad_(False)
    stylizer = Stylizer(network, device=device, precision=photo_precision("auto", pick_device(device)))
    picture = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
    best = float("inf")
    for _ in range(2):
        started = time.perf_counter()
        stylizer.render(picture)
        best = min(best, time.perf_counter() - started)
    return best


def _processor() -> dict[str, Any]:
    # Older releases of torch do not list the features of the processor.
    flags = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return {
        "name": str(flags.get("cpu_name") or platform.processor() or platform.machine()),
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "units": [name for name in _VECTOR_UNITS if flags.get(name)],
    }


def _device(device: torch.device) -> str:
    if device.type != "cuda":
        return device.type
    found = torch.cuda.get_device_properties(device)
    return f"{device.type} ({found.name}, {_gb(found.total_memory)} GB)"


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _gb(size: int) -> float:
    return round(size / 1e9, 1)
