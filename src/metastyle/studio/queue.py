"""Jobs one after another: hands them to the worker, receives their progress, informs listeners."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import AsyncIterator, Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from metastyle.studio import worker
from metastyle.studio.settings import StudioSettings
from metastyle.studio.store import CANCELED, DONE, FAILED, FINISHED, FullError, Job, Store, without_paths

PATIENCE = 20.0
"""Seconds that a worker has to end a canceled job before the worker is killed."""
MOST_STARTS = 3
"""How often a job is started whose worker dies each time."""
HEARTBEAT = 15.0
T = TypeVar("T")


class Queue:
    """The worker, and the state of its job.

    Everything here happens in the thread that ``start`` makes, except for what other threads call.
    """

    def __init__(self, store: Store, settings: StudioSettings) -> None:
        self._store, self._settings = store, settings
        self._progress: dict[str, dict[str, Any]] = {}
        self._current: str | None = None
        self._canceled_at: float | None = None
        self._wake = threading.Event()
        self._closing = False
        self._process: Any = None
        self._connection: Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._thread = threading.Thread(target=self._work, name="queue", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin; listeners wait in ``loop``."""
        self._loop = loop
        self._store.requeue()
        self._thread.start()

    def close(self) -> None:
        """End the worker; the next studio starts its unfinished job again."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout=10)
        self._end_worker()

    def add(self, kind: str, request: dict[str, Any]) -> Job:
        """Add a job to the queue."""
        job = self._store.enqueue(kind, request)
        self._wake.set()
        return job

    def stop(self, job_id: str) -> None:
        """Stop a job and keep what it has reached."""
        self._order(worker.STOP, job_id)

    def cancel(self, job_id: str) -> None:
        """Cancel a job: it is no longer wanted."""
        if self._current == job_id:
            self._canceled_at = time.monotonic()
            self._order(worker.CANCEL, job_id)
        else:
            self._store.finish(job_id, CANCELED)
            self._announce()

    def state(self, job: Job) -> dict[str, Any]:
        """Everything that is known about a job."""
        known: dict[str, Any] = {
            "id": job.id,
            "kind": job.kind,
            "state": job.state,
            "created": job.created,
            "request": job.request,
            "progress": self._progress.get(job.id),
        }
        if job.state == FAILED:
            known["error"] = job.error
        if job.state == DONE:
            known["result"] = job.result
        return known

    async def follow(self, job_id: str) -> AsyncIterator[dict[str, Any] | None]:
        """The job's state now and whenever it changes, until it is finished; None where nothing happens."""
        told = None
        while (job := self._store.job(job_id)) is not None:
            changed = self._changed
            state = self.state(job)
            if state != told:
                told = state
                yield state
            if job.state in FINISHED:
                return
            try:
                await asyncio.wait_for(changed.wait(), HEARTBEAT)
            except TimeoutError:
                yield None

    def _order(self, order: str, job_id: str) -> None:
        if self._connection is not None:
            try:
                self._connection.send({"order": order, "job": job_id})
            except OSError:
                return  # the worker has just ended; the thread will notice

    def _announce(self) -> None:
        def swap() -> None:
            self._changed.set()
            self._changed = asyncio.Event()

        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(swap)

    def _work(self) -> None:
        while not self._closing:
            if self._process is None or not self._process.is_alive():
                self._lost_worker()
                if not self._start_worker():
                    self._wake.wait(1.0)
                    continue
            assert self._connection is not None
            try:
                if self._connection.poll(0.05):
                    self._hear(self._connection.recv())
                    continue
                if self._current is None:
                    self._begin_next(self._connection)
            except (EOFError, OSError):
                self._process.join(timeout=5)
                continue
            if self._canceled_at is not None and time.monotonic() - self._canceled_at > PATIENCE:
                self._process.kill()
                self._process.join()

    def _begin_next(self, connection: Connection) -> None:
        """Give the worker the next job, or wait a moment for one."""
        job = self._insist(self._store.next_job)
        if job is None:
            self._wake.wait(0.5)
            self._wake.clear()
            return
        self._current = job.id
        connection.send({"order": worker.RUN, "job": job.id, "kind": job.kind, "request": job.request})
        self._announce()

    def _insist(self, change: Callable[[], T]) -> T | None:
        """Change the records, as soon as they can be written: a full disk does not end the queue."""
        while not self._closing:
            try:
                return change()
            except FullError:
                time.sleep(0.5)
        return None

    def _hear(self, message: dict[str, Any]) -> None:
        kind, job_id = message["kind"], message.get("job")
        if kind == worker.PROGRESS:
            before = self._progress.get(job_id or "", {})
            self._progress[job_id or ""] = before | message["progress"]
        elif kind == worker.DONE:
            self._keep(job_id or "", message["result"])
            self._finish(DONE, result=message["result"])
        elif kind == worker.FAILED:
            self._finish(FAILED, error=without_paths(message["error"], self._store.folder))
        elif kind == worker.STOPPED:
            self._finish(CANCELED)
        self._announce()

    def _keep(self, job_id: str, result: dict[str, Any]) -> None:
        job = self._store.job(job_id)
        if job is not None and "style" in result:
            about = {"from": "painting", "painting": job.request["painting"], **result}
            name, style = job.request["name"], result["style"]
            self._insist(lambda: self._store.add("style", name, about, item_id=style))

    def _finish(self, state: str, **outcome: Any) -> None:
        if (current := self._current) is not None:
            self._insist(lambda: self._store.finish(current, state, **outcome))
            self._progress.pop(current, None)
        self._current = self._canceled_at = None

    def _lost_worker(self) -> None:
        """The worker has died during a job, which goes back into the queue unless that happens too often."""
        if (current := self._current) is None:
            return
        job = self._store.job(current)
        if self._canceled_at is not None:
            self._finish(CANCELED)
        elif job is not None and job.starts >= MOST_STARTS:
            self._finish(
                FAILED, error="the work ended unexpectedly: perhaps memory ran out; try a smaller size"
            )
        else:
            self._insist(lambda: self._store.put_back(current))
            self._current = None
        self._announce()

    def _start_worker(self) -> bool:
        """Whether there is a worker now; there may be no memory for one at the moment."""
        context = multiprocessing.get_context("spawn")
        try:
            self._connection, theirs = context.Pipe()
        except OSError:
            return False
        arguments = (theirs, str(self._store.folder), self._settings.device)
        process = context.Process(target=worker.main, args=arguments, daemon=True)
        try:
            process.start()
        except OSError:
            self._connection.close()
            self._connection = None
            return False
        finally:
            theirs.close()
        self._process = process
        return True

    def _end_worker(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join(timeout=5)
