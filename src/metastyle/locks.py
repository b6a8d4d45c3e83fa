"""Locks that keep two runs from interfering with each other."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from metastyle.errors import MetastyleError
from metastyle.files import one_line, reason

CLAIM = ".claim"
"""The file in a claimed folder. Its existence means nothing: the lock on it ends with the process."""

_NO_LOCKS_HERE = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}  # some network file systems


@contextmanager
def claimed(folder: Path, purpose: str) -> Iterator[None]:
    """Hold ``folder`` for this run. It is created, and removed at the end if it is empty.

    Raises:
        MetastyleError: another run holds it (``purpose`` says why), or it cannot be created.
    """
    try:
        lock = _locked(folder, purpose)
    except OSError as error:
        raise MetastyleError(f"{one_line(folder)} cannot be written: {reason(error)}") from None
    try:
        yield
    finally:
        with suppress(OSError):
            if list(folder.iterdir()) == [folder / CLAIM]:
                shutil.rmtree(folder)
        if lock is not None:
            lock.release()


def _locked(folder: Path, purpose: str) -> FileLock | None:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / CLAIM, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise MetastyleError(f"another run is {purpose}: {one_line(folder)} is in use") from None
        except NotImplementedError:
            return None
        except FileNotFoundError:
            continue  # the previous run has just finished and removed it
        except OSError as error:
            if error.errno in _NO_LOCKS_HERE:
                return None
            raise
        if (folder / CLAIM).exists():
            return lock
        lock.release()
