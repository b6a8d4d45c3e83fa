"""Overlapping work: the next items are made ahead, and finished ones are handled behind.

Each has its own thread, at most a few items away from the caller. Its errors are raised in the caller, and
no thread outlives its ``with`` block.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

_END = object()
_POLL = 0.05  # seconds between two checks whether a thread has stopped


@dataclass(frozen=True)
class _Failure:
    error: BaseException


@contextmanager
def made_ahead(items: Generator[T, None, None], *, most: int, name: str) -> Iterator[Iterator[T]]:
    """Iterate over ``items`` on a thread called ``name``, at most ``most`` of them ahead of the caller.

    An error in ``items`` is raised where the caller would have received the next item. At the end of the
    block ``items`` is closed, even if it is not exhausted.
    """
    waiting: queue.Queue[Any] = queue.Queue(most)
    stop = threading.Event()

    def make() -> None:
        last: object = _END
        try:
            with closing(items):
                for item in items:
                    if stop.is_set():
                        return
                    waiting.put(item)
        except BaseException as error:
            last = _Failure(error)
        waiting.put(last)

    def taken() -> Iterator[T]:
        while (item := waiting.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item

    thread = threading.Thread(target=make, name=name, daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stop.set()
        while thread.is_alive():  # it may be waiting for room
            with suppress(queue.Empty):
                waiting.get_nowait()
            thread.join(_POLL if waiting.empty() else 0)


@contextmanager
def handled_behind(
    handle: Callable[[Iterator[T]], None], *, most: int, name: str
) -> Iterator[Callable[[T], None]]:
    """Give items to ``handle``, which iterates over them on a thread called ``name``.

    The caller gets a function that hands over one item; it waits while ``most`` items are queued. At the end
    of the block ``handle`` finishes its items. If it fails, its error is raised with the next item, or at the
    end of the block unless that has failed itself.
    """
    waiting: queue.Queue[Any] = queue.Queue(most)
    failures: list[BaseException] = []
    ended = False

    def items() -> Iterator[T]:
        nonlocal ended
        while not ended:
            item = waiting.get()
            ended = item is _END
            if not ended:
                yield item

    def work() -> None:
        try:
            handle(items())
        except BaseException as error:
            failures.append(error)
        for _ in items():  # so that the caller never waits for room
            pass

    def give(item: T) -> None:
        if failures:
            raise failures[0]
        waiting.put(item)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield give
    finally:
        waiting.put(_END)
        thread.join()
    if failures:
        raise failures[0]
