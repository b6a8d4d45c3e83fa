"""Global settings of torch and numpy that a caller may have changed, and those that this library needs.

Tensors are made with explicit types: the default type is shared by all threads, so it is left alone.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import ParamSpec, TypeVar

import numpy as np
import torch

from metastyle.core.device import DEVICE_TYPES

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def own_surroundings() -> Iterator[None]:
    """Gradients on, autocast off, the CPU as default device, and numpy's default error handling.

    Deterministic algorithms are used if the caller asks for them and torch has them. Used around every public
    function, as a decorator or a ``with``; nested uses cost microseconds.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.device("cpu"))
        if _within_autocast():
            for device_type in DEVICE_TYPES:
                # Its cache of rounded weights is emptied where the caller's block ends: steps that change the
                # weights would go on with the first ones.
                stack.enter_context(torch.autocast(device_type, enabled=False, cache_enabled=False))
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        stack.enter_context(_deterministic_where_possible)
        yield


def each_step(generate: Callable[P, Generator[T, None, None]]) -> Callable[P, Generator[T, None, None]]:
    """A decorator for generators: each step runs in ``own_surroundings``, and only the steps do."""

    @functools.wraps(generate)
    def steps(*args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        with closing(generate(*args, **kwargs)) as generator:
            while True:
                with own_surroundings():
                    try:
                        item = next(generator)
                    except StopIteration:
                        return
                yield item

    return steps


def _within_autocast() -> bool:
    """Also if an inner block has switched it off: the cache belongs to the outer one."""
    depth = torch.autocast_increment_nesting()
    torch.autocast_decrement_nesting()
    return depth > 1


class _DeterministicWherePossible:
    """``torch.use_deterministic_algorithms`` without the error for operations that have no such algorithm.

    The setting belongs to all threads: the first to enter changes it, the last to leave restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._changed = False

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            strict = torch.are_deterministic_algorithms_enabled()
            if strict and not torch.is_deterministic_algorithms_warn_only_enabled():
                torch.use_deterministic_algorithms(True, warn_only=True)
                self._changed = True

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._changed and not self._inside:
                torch.use_deterministic_algorithms(True)
                self._changed = False


_deterministic_where_possible = _DeterministicWherePossible()
