"""The process that does the heavy work, one job at a time: adapting, painting at full size, films.

It is a process of its own so that nothing it does, not even being killed for its memory, takes the server
with it. It receives jobs and reports progress through a pipe, and ends when the pipe is closed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import psutil

from metastyle.errors import MetastyleError
from metastyle.files import one_line, reason
from metastyle.studio.task import CanceledError, Task

READY, STARTED, PROGRESS, DONE, FAILED, STOPPED = "ready", "started", "progress", "done", "failed", "stopped"
RUN, STOP, CANCEL = "run", "stop", "cancel"


def main(connection: Connection, folder: str, device: str) -> None:
    """Run jobs until the other end of the pipe is gone."""
    orders: SimpleQueue[dict[str, Any]] = SimpleQueue()
    events = {STOP: threading.Event(), CANCEL: threading.Event()}
    current: list[str] = []

    def listen() -> None:
        while True:
            try:
                order = connection.recv()
            except (EOFError, OSError):
                os._exit(0)  # the server is gone: whatever is under way is begun again by the next one
            if order["order"] == RUN:
                orders.put(order)
            elif current == [order["job"]]:
                events[order["order"]].set()

    threading.Thread(target=listen, daemon=True).start()
    _step_back()
    sending = threading.Lock()

    def tell(kind: str, **message: Any) -> None:
        with sending:
            connection.send({"kind": kind, **message})

    from metastyle.studio.tasks import adapt, paint

    tasks: dict[str, Callable[[Task], dict[str, Any]]]
    tasks = {"adapt": adapt, "paint": paint, "film": _film, "preview": _preview}
    tell(READY)
    while True:
        order = orders.get()
        job = order["job"]
        current[:] = [job]
        task = Task(
            job,
            order["kind"],
            order["request"],
            Path(folder),
            device,
            partial(_report, tell, job),
            events[STOP],
            events[CANCEL],
        )
        tell(STARTED, job=job)
        try:
            tell(DONE, job=job, result=tasks[order["kind"]](task))
        except CanceledError:
            tell(STOPPED, job=job)
        except MetastyleError as error:
            tell(FAILED, job=job, error=str(error))
        except Exception as error:
            tell(FAILED, job=job, error=_sentence(error))
        finally:
            current.clear()
            for event in events.values():
                event.clear()


def _film(task: Task) -> dict[str, Any]:
    from metastyle.studio.film_tasks import film  # needs optional packages

    return film(task)


def _preview(task: Task) -> dict[str, Any]:
    from metastyle.studio.film_tasks import preview

    return preview(task)


def _step_back() -> None:
    """Let the page's rendering go first: an adaptation of minutes must not make a slider stutter."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(5)


def _report(tell: Callable[..., None], job: str, progress: dict[str, Any]) -> None:
    tell(PROGRESS, job=job, progress=progress)


def _sentence(error: Exception) -> str:
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return "not enough memory: use a smaller size, or close other programs"
    if isinstance(error, OSError):
        return f"a file cannot be read or written: {reason(error)}"
    return f"unexpected {type(error).__name__}: {one_line(error)} (this is a bug)"
