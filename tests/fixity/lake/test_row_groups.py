"""Row groups as Arrow: what is shared is read once, and what is the same in all rows is not read."""

from __future__ import annotations

import gc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.lake.footer import newest_in
from fixity.lake.ranges import pieces_in_footer, pieces_of
from fixity.lake.row_groups import ROW, RowGroups
from fixity.reports.ages import oldest_in

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


def test_chosen_rows_come_in_the_order_of_their_numbers_and_without_one_as_null(tmp_path: Path) -> None:
    groups = RowGroups(_table(tmp_path / "table"), SCHEMA)
    none = dict.fromkeys(SCHEMA.names)
    for numbers in ([4, None, 0, 3, 0], [None], [], [2]):
        assert groups.chosen(pa.chunked_array([numbers], pa.int64())).to_pylist() == [
            none if number is None else {**none, "key": "abcdef"[number], "status": "sssfff"[number]}
            for number in numbers
        ]


def test_of_chosen_rows_only_what_varies_in_their_groups_is_read(
    tmp_path: Path, read: list[tuple[int, list[str]]]
) -> None:
    RowGroups(_table(tmp_path / "table"), SCHEMA).chosen(pa.chunked_array([[5, 2]]))
    assert read == [(2, ["key", "status"]), (3, ["key"])]


def test_a_group_that_cannot_be_read_fails_for_all_who_want_it(tmp_path: Path) -> None:
    groups = RowGroups(_table(tmp_path / "table"), SCHEMA)
    (tmp_path / "table").write_bytes(b"")
    for _ in range(2):
        with pytest.raises((pa.ArrowException, OSError)):
            groups.rows(0, 1)


@pytest.mark.parametrize(
    "look",
    [
        lambda file: pieces_of(file, 10**9),
        lambda file: pieces_in_footer(pq.read_metadata(file)),
        lambda file: RowGroups(file, SCHEMA).rows(0, 5),
        lambda file: newest_in(pq.read_metadata(file), datetime(2026, 1, 1, tzinfo=UTC)),
        oldest_in,
    ],
)
def test_a_footer_is_let_go_at_once_and_not_when_garbage_is_looked_for(
    tmp_path: Path, look: Callable[[Path], object]
) -> None:
    file = tmp_path / "table"
    times = pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 6)
    with pq.ParquetWriter(file, schema := SCHEMA.append(pa.field("checked_at", times.type))) as writer:
        columns = [list("abcdef"), ["s"] * 6, ["e"] * 6, [1] * 6, times]
        writer.write_table(pa.table(columns, schema))
    gc.collect()
    gc.disable()
    try:
        before = _footers()
        look(file)
        assert _footers() == before
    finally:
        gc.enable()


def _footers() -> int:
    # `isinstance` asks an object for its class, which wakes up the lazy objects that other tests left behind.
    return sum(type(each) is pq.FileMetaData for each in gc.get_objects())
