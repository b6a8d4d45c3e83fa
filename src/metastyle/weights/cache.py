"""The user's cache folder. Caches are optional: missing entries are made again, and a cache that cannot be
written is skipped."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import platformdirs

from metastyle.errors import MetastyleError
from metastyle.files import reason

_log = logging.getLogger(__name__)

_reported: set[Path] = set()


def default_cache_dir() -> Path:
    """The user's cache folder for this program, by the platform's convention. It need not exist."""
    return Path(platformdirs.user_cache_dir("metastyle", appauthor=False))


def cache_if_possible(path: Path, what: str, write: Callable[[Path], object]) -> None:
    """Make the folder of ``path`` and call ``write`` to store ``what`` there.

    A cache that cannot be written is not an error: a warning is logged instead, once per folder.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    except (MetastyleError, OSError) as error:
        if path.parent not in _reported:
            _reported.add(path.parent)
            where = "" if isinstance(error, MetastyleError) else f"{path.parent}: "
            _log.warning("%s will not be cached: %s%s", what, where, reason(error))
