"""What the studio keeps: pictures, clips, styles and jobs in one SQLite file, their bytes in a folder.

Files are called by identifiers that the studio makes; names that users give are only ever shown.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metastyle.errors import MetastyleError
from metastyle.files import one_line, reason, sync
from metastyle.studio.settings import Limits

QUEUED, RUNNING, DONE, FAILED, CANCELED = "queued", "running", "done", "failed", "canceled"
FINISHED = (DONE, FAILED, CANCELED)

_TABLES = """
CREATE TABLE IF NOT EXISTS item (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, about TEXT NOT NULL, created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS job (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL,
    error TEXT, result TEXT, created REAL NOT NULL, finished REAL, starts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS job_state ON job (state, created);
"""


_OWNERS = {
    "picture": "SELECT id FROM item WHERE kind = 'picture'",
    "clip": "SELECT id FROM item WHERE kind = 'clip'",
    "style": "SELECT id FROM item WHERE kind = 'style'",
    "result": "SELECT id FROM job WHERE state = 'done'",
    "work": "SELECT id FROM job WHERE state IN ('queued', 'running')",
}
"""Whose files may be in each folder when a studio starts: an unfinished job makes its result again."""
_OWN_NAME = re.compile(r"[0-9a-f]{20}(?:[0-9a-f]{12})?(?:\.[0-9a-z]+)?")
"""An identifier, or the first 32 digits of a SHA-256, and perhaps a suffix."""


class FullError(MetastyleError):
    """Nothing more can be kept or queued at the moment."""


@dataclass(frozen=True)
class Item:
    """A picture, a clip or a style that is kept."""

    id: str
    kind: str
    """``picture``, ``clip`` or ``style``."""
    name: str
    """For people."""
    about: dict[str, Any]
    created: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class Job:
    """Work that was asked for."""

    id: str
    kind: str
    """``adapt``, ``paint``, ``film`` or ``preview``."""
    request: dict[str, Any]
    state: str
    error: str | None
    result: dict[str, Any] | None
    created: float
    finished: float | None
    starts: int
    """How often it was started: more than once if its worker died."""


class Store:
    """The folder of one studio.

    Raises:
        MetastyleError: the folder cannot be used.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self._limits = limits
        self._lock = threading.RLock()
        try:
            for name in ("picture", "clip", "style", "result", "work"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(folder / "studio.sqlite", check_same_thread=False, timeout=30)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.executescript(_TABLES)
            self._remove_strays()
        except (OSError, sqlite3.Error) as error:
            raise MetastyleError(f"{one_line(folder)} cannot be used: {reason(error)}") from None

    def _remove_strays(self) -> None:
        """Remove what a killed studio has left: files between their writing and their record, or after it.

        Only files with names as the studio gives them: its folder may hold others.
        """
        for left_over in self.folder.glob("*/.*.part"):
            left_over.unlink(missing_ok=True)
        known = {kind: {row[0] for row in self._db.execute(question)} for kind, question in _OWNERS.items()}
        for kind, owners in known.items():
            for path in (self.folder / kind).iterdir():
                owner = path.name.partition(".")[0]
                if _OWN_NAME.fullmatch(path.name) and owner not in owners:
                    _remove(path)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with self._db:
                    yield self._db
            except sqlite3.Error as error:
                raise FullError(f"the studio's records cannot be written: {reason(error)}") from None

    # Items

    def path(self, item_id: str, kind: str) -> Path:
        """Where the bytes of an item are."""
        return self.folder / kind / item_id

    def add(self, kind: str, name: str, about: dict[str, Any], item_id: str | None = None) -> Item:
        """Record an item whose bytes are in place."""
        item = Item(item_id or new_id(), kind, shown(name), about, time.time())
        self._sync(kind, item.id)
        with self._change() as db:
            db.execute(
                "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?, ?)",
                (item.id, item.kind, item.name, json.dumps(item.about), item.created),
            )
        return item

    def items(self, kind: str) -> list[Item]:
        """All items of a kind, the newest first."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM item WHERE kind = ? ORDER BY created DESC", (kind,))
            return [_item(row) for row in rows.fetchall()]

    def item(self, item_id: str, kind: str) -> Item | None:
        """One item, if it is kept."""
        with self._lock:
            row = self._db.execute("SELECT * FROM item WHERE id = ? AND kind = ?", (item_id, kind)).fetchone()
        return None if row is None else _item(row)

    def rename(self, item_id: str, name: str) -> None:
        """Give an item another name."""
        with self._change() as db:
            db.execute("UPDATE item SET name = ? WHERE id = ?", (shown(name), item_id))

    def remove(self, item_id: str, kind: str) -> None:
        """Remove an item and its file."""
        with self._change() as db:
            db.execute("DELETE FROM item WHERE id = ? AND kind = ?", (item_id, kind))
        self._remove_files(kind, item_id)

    def check_room(self, more: int) -> None:
        """Raise FullError unless ``more`` bytes can be kept."""
        free = shutil.disk_usage(self.folder).free
        if free - more < self._limits.free_bytes:
            raise FullError("the disk is nearly full: remove something first")
        kept = sum(map(_size, self.folder.rglob("*")))
        if kept + more > self._limits.stored_bytes:
            raise FullError(
                f"the studio keeps {kept / 1e9:.1f} of at most {self._limits.stored_bytes / 1e9:.0f} GB:"
                " remove results or clips first"
            )

    # Jobs

    def enqueue(self, kind: str, request: dict[str, Any]) -> Job:
        """Record a job in the queue.

        Raises:
            FullError: too many are waiting.
        """
        job = Job(new_id(), kind, request, QUEUED, None, None, time.time(), None, 0)
        with self._change() as db:
            waiting = db.execute("SELECT count(*) FROM job WHERE state = ?", (QUEUED,)).fetchone()[0]
            if waiting >= self._limits.waiting:
                raise FullError(f"{waiting} jobs are waiting already: try again when some have finished")
            db.execute(
                "INSERT INTO job (id, kind, request, state, created) VALUES (?, ?, ?, ?, ?)",
                (job.id, kind, json.dumps(request), QUEUED, job.created),
            )
        return job

    def job(self, job_id: str) -> Job | None:
        """One job, if it is known."""
        with self._lock:
            row = self._db.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()
        return None if row is None else _job(row)

    def jobs(self, most: int = 200) -> list[Job]:
        """The newest jobs, the newest first."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM job ORDER BY created DESC LIMIT ?", (most,)).fetchall()
        return [_job(row) for row in rows]

    def next_job(self) -> Job | None:
        """The job whose turn it is; it is running from now on."""
        with self._change() as db:
            row = db.execute(
                "SELECT * FROM job WHERE state = ? ORDER BY kind = 'film', created LIMIT 1", (QUEUED,)
            ).fetchone()
            if row is None:
                return None
            db.execute("UPDATE job SET state = ?, starts = starts + 1 WHERE id = ?", (RUNNING, row[0]))
        return self.job(row[0])

    def finish(
        self, job_id: str, state: str, *, error: str | None = None, result: dict[str, Any] | None = None
    ) -> None:
        """Record how a job ended, and remove its unfinished work; one that has ended stays as it is."""
        if state == DONE:
            self._sync("result", job_id)
        with self._change() as db:
            db.execute(
                "UPDATE job SET state = ?, error = ?, result = ?, finished = ?"
                " WHERE id = ? AND state IN ('queued', 'running')",
                (state, error, None if result is None else json.dumps(result), time.time(), job_id),
            )
        self._remove_files("work", job_id)

    def requeue(self) -> int:
        """Put jobs that a killed studio had started back into the queue; returns their number.

        That start does not count, because the job did not cause its end.
        """
        with self._change() as db:
            change = "UPDATE job SET state = ?, starts = starts - 1 WHERE state = ?"
            return db.execute(change, (QUEUED, RUNNING)).rowcount

    def put_back(self, job_id: str) -> None:
        """Put one started job back into the queue."""
        with self._change() as db:
            db.execute("UPDATE job SET state = ? WHERE id = ? AND state = ?", (QUEUED, job_id, RUNNING))

    def forget_job(self, job_id: str) -> None:
        """Remove a job's record and its files."""
        with self._change() as db:
            db.execute("DELETE FROM job WHERE id = ?", (job_id,))
        for kind in ("result", "work"):
            self._remove_files(kind, job_id)

    def _sync(self, kind: str, owner: str) -> None:
        """Sync files to the disk before the record that refers to them is written."""
        try:
            for path in (self.folder / kind).glob(f"{owner}*"):
                sync(path)
        except OSError as error:
            raise FullError(f"the studio's files cannot be written: {reason(error)}") from None

    def _remove_files(self, kind: str, job_id: str) -> None:
        for path in (self.folder / kind).glob(f"{job_id}*"):
            _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def without_paths(line: str, folder: Path) -> str:
    """An error line without the paths of files, which are private and of no use to clients."""
    return re.sub(rf"{re.escape(str(folder))}/[^\s:;,']+", "the file", line)


def _size(path: Path) -> int:
    """Bytes of a file; 0 for anything else, and for one that has just been removed."""
    try:
        status = path.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def new_id() -> str:
    """An identifier that nobody can guess and every file system accepts."""
    return secrets.token_hex(10)


def shown(name: str) -> str:
    """A name as it is shown: printable, on one line, of at most 80 characters."""
    return "".join(c if c.isprintable() else " " for c in name).strip()[:80] or "untitled"


def _item(row: tuple[Any, ...]) -> Item:
    return Item(row[0], row[1], row[2], json.loads(row[3]), row[4])


def _job(row: tuple[Any, ...]) -> Job:
    job_id, kind, request, state, error, result, created, finished, starts = row
    done = None if result is None else json.loads(result)
    return Job(job_id, kind, json.loads(request), state, error, done, created, finished, starts)
