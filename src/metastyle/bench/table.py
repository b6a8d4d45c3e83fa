"""Results as tables: a JSON file of rows that is read, extended and resumed, and Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from metastyle.errors import MetastyleError
from metastyle.files import read_json, write_bytes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")


class Table(Generic[Row]):
    """Rows of one dataclass, each identified by its key, in a file that is written whenever rows are added.

    An interrupted measurement resumes from that file: it skips the keys that are there.
    """

    def __init__(
        self,
        path: Path,
        kind: type[Row],
        key: Sequence[str],
        *,
        others: Iterable[Path] = (),
        merge: bool = False,
    ) -> None:
        """Read what is there.

        Args:
            key: names of the fields that together identify a row.
            others: files of other processes that measure for the same table.
            merge: write the rows of ``others`` to ``path``, too.

        Raises:
            MetastyleError: a file holds rows of another version.
        """
        self.path = path
        self._key = attrgetter(*key)
        self._own = {self._key(row): row for row in read_rows(path, kind)}
        self._all = self._own | {self._key(row): row for other in others for row in read_rows(other, kind)}
        if merge:
            self._own = dict(self._all)

    def __iter__(self) -> Iterator[Row]:
        return iter(list(self._all.values()))

    def __contains__(self, key: Hashable) -> bool:
        return key in self._all

    def get(self, *key: Hashable) -> Row | None:
        """The row with this key."""
        return self._all.get(key)

    def add(self, *rows: Row) -> None:
        """Add rows, replacing those with the same keys, and write the file."""
        found = {self._key(row): row for row in rows}
        self._own |= found
        self._all |= found
        write_rows(self.path, list(self._own.values()))


def shared_table(folder: Path, kind: type[Row], key: Sequence[str], shard: str = "") -> Table[Row]:
    """The table of a folder, whichever process measured a row; ``shard`` names this process's file."""
    path = folder / (f"results-{shard}.json" if shard else "results.json")
    every = (folder / "results.json", *sorted(folder.glob("results-*.json")))
    others = [other for other in every if other != path]
    return Table(path, kind, key, others=others, merge=not shard)


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """The rows of a file; none if it does not exist.

    Raises:
        MetastyleError: they are of another version, whose rows have other fields, or the file is damaged.
    """
    found = read_json(path, (dict, list)) if path.exists() else []
    try:
        return [kind(**row) for row in (found["rows"] if isinstance(found, dict) else found)]
    except (TypeError, KeyError):
        raise MetastyleError(f"{path}: results of another version of metastyle: use another folder") from None


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as JSON, one per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(asdict(row), ensure_ascii=False) for row in rows)
    write_bytes(path, f"[\n{lines}\n]\n".encode(), overwrite=True)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table with the column names ``head``; cells that a row lacks at its end stay empty."""
    lines = [_line([*row, *[""] * (len(head) - len(row))]) for row in rows]
    return [_line(head), "|---" * len(head) + "|", *lines]


def write_markdown(path: Path, text: str) -> None:
    """Write a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (text.rstrip("\n") + "\n").encode(), overwrite=True)


def escaped(text: str) -> str:
    """Text escaped for a cell of a Markdown table."""
    return text.replace("|", "\\|")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escaped, cells))} |"
