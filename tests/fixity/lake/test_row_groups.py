"""Row groups as Arrow: what is shared is read once, and what is the same in all rows is not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.lake.row_groups import ROW, RowGroups

SCHEMA = pa.schema(
    [("key", pa.string()), ("status", pa.string()), ("etag", pa.string()), ("size", pa.int64())]
)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """The row groups that are read, with their columns, one after the other."""
    calls: list[tuple[int, list[str]]] = []
    original = pq.ParquetFile.read_row_group

    def noted(table: pq.ParquetFile, number: int, columns: list[str], **other: Any) -> pa.Table:
        calls.append((number, columns))
        return original(table, number, columns, **other)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    return calls


def _table(file: Path) -> Path:
    """Three row groups and an empty one among them, without a column `size`."""
    with pq.ParquetWriter(file, SCHEMA.remove(3)) as writer:
        for keys, statuses in (("ab", "ss"), ("", ""), ("cd", "sf"), ("ef", "ff")):
            columns = [list(keys), list(statuses), pa.nulls(len(keys), pa.string())]
            writer.write_table(pa.table(columns, SCHEMA.remove(3)))
    return file


def test_rows_have_their_numbers_and_come_from_the_groups_that_have_them(tmp_path: Path) -> None:
    groups = RowGroups(_table(tmp_path / "table"), SCHEMA)
    for first in range(6):
        for last in range(first - 1, 6):
            rows = [row for batch in groups.rows(first, last) for row in batch.to_pylist()]
            assert rows == [
                {"key": "abcdef"[number], "status": "sssfff"[number], "etag": None, "size": None, ROW: number}
                for number in range(first, last + 1)
            ]


def test_a_group_that_two_ranges_share_is_read_once_and_let_go_when_they_are_past_it(
    tmp_path: Path, read: list[tuple[int, list[str]]]
) -> None:
    groups = RowGroups(_table(tmp_path / "table"), SCHEMA)
    for rows in ((0, 2), (3, 4), (5, 5), (0, 0)):
        groups.rows(*rows)
    assert [number for number, _ in read] == [0, 2, 3, 0]


def test_a_column_with_one_value_is_not_read(tmp_path: Path, read: list[tuple[int, list[str]]]) -> None:
    RowGroups(_table(tmp_path / "table"), SCHEMA).rows(0, 5)
    assert read == [(0, ["key"]), (2, ["key", "status"]), (3, ["key"])]


def test_a_group_that_cannot_be_read_fails_for_all_who_want_it(tmp_path: Path) -> None:
    groups = RowGroups(_table(tmp_path / "table"), SCHEMA)
    (tmp_path / "table").write_bytes(b"")
    for _ in range(2):
        with pytest.raises((pa.ArrowException, OSError)):
            groups.rows(0, 1)
