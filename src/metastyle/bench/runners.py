"""One system, prepared and timed: in this process, or in a separate one, whose peak memory is its own."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from metastyle.bench.floor import counted
from metastyle.bench.participants import Maker, maker
from metastyle.bench.pictures import apply, sentence, wait
from metastyle.errors import MetastyleError
from metastyle.systems.system import Stylize, System

_POLL_EVERY = 0.004  # seconds


@dataclass(frozen=True)
class Prepared:
    """A system whose style has been prepared."""

    name: str
    seconds: float
    """Including those of a training whose result was loaded."""
    parameters: int
    styles: str


class Repainted(NamedTuple):
    """What one picture took; memory and multiply-adds only if they were watched."""

    seconds: float
    memory: int | None = None
    """Peak of bytes held meanwhile."""
    operations: int | None = None
    """Multiply-adds (``bench/floor.py``)."""


class Runner(Protocol):
    """One system that is timed."""

    def prepare(self, style: Tensor) -> Prepared:
        """Load the system and prepare a style (1, 3, H, W) in [0, 1].

        Raises:
            Exception: whatever the system does.
        """

    def repaint(self, photo: Tensor, *, watch: bool) -> Repainted:
        """Time a photograph (1, 3, H, W) and, if ``watch``, look at memory and count multiply-adds.

        Raises:
            Exception: whatever the system does.
        """

    def close(self) -> None:
        """Release everything."""


class Local:
    """A system in this process. Memory is counted from the moment at which the runner was made."""

    def __init__(self, make: Maker, device: torch.device) -> None:
        self._make, self._device = make, device
        self._system: System | None = None
        self._stylize: Stylize | None = None
        _return_memory()
        self._before = _taken(device)

    def prepare(self, style: Tensor) -> Prepared:
        """Load and prepare; only the latter is timed."""
        self._system = system = self._make(self._device)  # kept: its weights count as memory
        style = style.to(self._device)
        started = time.perf_counter()
        self._stylize = system.prepare(style)
        wait(self._device)
        seconds = time.perf_counter() - started + getattr(system, "earlier", 0.0)
        _return_memory()  # what only preparing needed does not count
        return Prepared(system.name, seconds, system.parameters, system.styles)

    def repaint(self, photo: Tensor, *, watch: bool) -> Repainted:
        """See ``Runner``."""
        assert self._stylize is not None
        timed = partial(_seconds, self._stylize, photo.to(self._device), self._device)
        if not watch:
            return Repainted(timed())
        with _watching(self._device) as peak:
            seconds, operations = counted(timed)
        return Repainted(seconds, max(0, peak[0] - self._before), operations)

    def close(self) -> None:
        """Forget the system and the style."""
        self._system = self._stylize = None


class Separate:
    """A system in a process of its own, which only computes during calls and may crash alone."""

    def __init__(self, text: str, weights: Path | None, device: torch.device) -> None:
        """``text`` and ``weights`` are those of ``participants.maker``."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        arguments = (other, text, weights, str(device), list(sys.path), torch.get_num_threads())
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        other.close()

    def prepare(self, style: Tensor) -> Prepared:
        """See ``Local``."""
        found: Prepared = self._ask("prepare", style)
        return found

    def repaint(self, photo: Tensor, *, watch: bool) -> Repainted:
        """See ``Local``."""
        found: Repainted = self._ask("repaint", photo, watch=watch)
        return found

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _ask(self, what: str, picture: Tensor, **changes: Any) -> Any:
        try:
            self._pipe.send((what, picture.numpy(), changes))
            answer, failed = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(5)
            code = self._process.exitcode
            killed = ": killed, as happens when memory is too small" if code == -9 else ""
            raise MetastyleError(f"its process ended with code {code}{killed}") from None
        if failed:
            raise MetastyleError(str(answer))
        return answer


def _serve(
    pipe: Connection, text: str, weights: Path | None, device: str, path: list[str], threads: int
) -> None:
    """Answer the requests of ``Separate`` until it closes the pipe."""
    sys.path[:] = path
    torch.set_num_threads(threads)

    def make(where: torch.device) -> System:  # if this fails, prepare() reports it
        return maker(text, weights)(where)

    runner = Local(make, torch.device(device))
    while True:
        try:
            what, picture, changes = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):  # the parent is done, or dead
            os._exit(0)
        pixels: NDArray[np.float32] = picture
        try:
            answer = getattr(runner, what)(torch.from_numpy(pixels.copy()), **changes)
            pipe.send((answer, False))
        except KeyboardInterrupt:
            os._exit(1)
        except Exception as error:  # whatever a system does, the others are measured
            pipe.send((sentence(error), True))


def _taken(device: torch.device) -> int:
    """Bytes that this process holds on a device."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return int(psutil.Process().memory_info().rss)


def _return_memory() -> None:
    """Give freed memory back to the system, so that a system that takes it again is seen to take it."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:  # of the GNU C library
        trim(0)


def _seconds(stylize: Stylize, photo: Tensor, device: torch.device) -> float:
    if device.type == "cuda":  # the device's own clock: Python's part between two pictures does not count
        with torch.cuda.device(device):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            begin.record()
            apply(stylize, photo)
            end.record()
            end.synchronize()
        return begin.elapsed_time(end) / 1000  # type: ignore[no-any-return]
    wait(device)
    started = time.perf_counter()
    apply(stylize, photo)
    wait(device)
    return time.perf_counter() - started


@contextmanager
def _watching(device: torch.device) -> Iterator[list[int]]:
    """A list whose only number becomes the peak of bytes held during the block."""
    peak = [0]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak[0] = torch.cuda.max_memory_allocated(device)
        return
    done = threading.Event()

    def poll() -> None:
        while not done.wait(_POLL_EVERY):
            peak[0] = max(peak[0], _taken(device))

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        peak[0] = max(peak[0], _taken(device))
