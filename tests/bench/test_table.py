from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from metastyle.bench.table import Table, markdown, read_rows, write_markdown, write_rows
from metastyle.errors import MetastyleError


@dataclass(frozen=True)
class Row:
    system: str
    photo: str
    value: float
    error: str = ""


A, B, C = Row("ours", "a", 1.0), Row("ours", "b", 2.0), Row("é | ours", "a", 3.0, 'it "failed"')


def table(path: Path, **options: object) -> Table[Row]:
    return Table(path, Row, ("system", "photo"), **options)  # type: ignore[arg-type]


def test_rows_round_trip_with_one_row_per_line(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.json"
    assert read_rows(path, Row) == []
    write_rows(path, [A, C])
    assert read_rows(path, Row) == [A, C]
    assert len(path.read_text(encoding="utf-8").splitlines()) == 4


def test_files_of_version_0_1_0_are_read(tmp_path: Path) -> None:
    rows = [{"system": "ours", "photo": "a", "value": 1.0}]
    (tmp_path / "rows.json").write_text(json.dumps({"rows": rows}))
    assert read_rows(tmp_path / "rows.json", Row) == [A]


@pytest.mark.parametrize("text", ['[{"system": "ours"}]', '[{"other": 1}]', '{"figures": []}', "[1]"])
def test_rows_of_another_version_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(MetastyleError, match=r"rows\.json: results of another version"):
        table(tmp_path / "rows.json")


@pytest.mark.parametrize("data", [b"", b"[1", b"\xff", b"[" * 100_000, b"5", b"null"])
def test_damaged_results_are_refused_in_a_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "rows.json").write_bytes(data)
    with pytest.raises(MetastyleError, match=r"rows\.json: damaged: it (is not JSON|holds a \w+)$"):
        table(tmp_path / "rows.json")


def test_a_measurement_resumes(tmp_path: Path) -> None:
    first = table(tmp_path / "rows.json")
    first.add(A)
    again = table(tmp_path / "rows.json")
    assert ("ours", "a") in again and ("ours", "b") not in again
    assert again.get("ours", "a") == A and again.get("ours", "b") is None
    again.add(B, Row("ours", "a", 9.0))
    assert [row.value for row in table(tmp_path / "rows.json")] == [9.0, 2.0]


def test_rows_of_other_processes_are_read_but_not_rewritten(tmp_path: Path) -> None:
    own, other = tmp_path / "rows-1of2.json", tmp_path / "rows-2of2.json"
    write_rows(other, [B])
    mine = table(own, others=[other])
    assert ("ours", "b") in mine
    mine.add(A)
    assert list(mine) == [B, A] and read_rows(own, Row) == [A] and read_rows(other, Row) == [B]
    merged = table(tmp_path / "rows.json", others=[own, other], merge=True)
    merged.add(C)
    assert read_rows(tmp_path / "rows.json", Row) == [A, B, C]


def test_markdown_tables_are_escaped_and_padded(tmp_path: Path) -> None:
    lines = markdown(["system", "value"], [["a|b", "1"], ["c"]])
    assert lines == ["| system | value |", "|---|---|", "| a\\|b | 1 |", "| c |  |"]
    write_markdown(tmp_path / "new" / "page.md", "\n".join(lines))
    assert (tmp_path / "new" / "page.md").read_text(encoding="utf-8").endswith("| c |  |\n")
