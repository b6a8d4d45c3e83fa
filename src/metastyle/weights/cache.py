"""Caches: what they lack is made again, and what they cannot take is used without being remembered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from metastyle.errors import MetastyleError
from metastyle.files import reason

_log = logging.getLogger(__name__)

_said: set[Path] = set()


def remember(path: Path, what: str, write: Callable[[Path], object]) -> None:
    """Let ``write`` put ``what`` at ``path``, in a folder that is made. A cache that fails is no error.

    It is a line in the log instead, one for each folder.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    except (MetastyleError, OSError) as error:
        if path.parent not in _said:
            _said.add(path.parent)
            where = "" if isinstance(error, MetastyleError) else f"{path.parent}: "
            _log.warning("%s will not be remembered: %s%s", what, where, reason(error))
