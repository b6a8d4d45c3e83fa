"""Ctrl-C while there is something worth keeping: the current step is finished first."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self


class StopRequest:
    """The first Ctrl-C asks to stop after the current step, the second one stops immediately.

    Until ``armed`` is set there is nothing worth keeping, and the first Ctrl-C stops immediately.
    """

    def __init__(self) -> None:
        self.armed = False
        self.asked = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked or not self.armed:
            raise KeyboardInterrupt
        self.asked = True
