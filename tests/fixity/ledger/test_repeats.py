"""Columns that repeat another one are left out of a snapshot's file, and are there for whoever reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.lake.database import open_database
from fixity.ledger.repeats import packed, unpacked, view_rows
from fixity.ledger.snapshot import SNAPSHOT
from tests.fixity.rolling.support import Rolling

REPEATING = (
    {"size", "checksum", "checked_at", "run_id"},
    {
        *("bytes_read", "expected", "baseline", "baseline_at", "baseline_run", "verified_at", "good_at"),
    },
)


def _value(name: str, which: int | None) -> Any:
    kind = SNAPSHOT.field(name).type
    if which is None:
        return None
    if pa.types.is_timestamp(kind):
        return datetime(2026, 1, 1 + which, tzinfo=UTC)
    return which if pa.types.is_integer(kind) else str(which)


def _rows() -> pa.Table:
    """Each combination of a column that has nothing, its source's value, or another one."""
    sources, columns = REPEATING
    names = sorted(columns)
    rows = []
    for number, (source, *others) in enumerate(product((None, 1), *[(None, 1, 2)] * len(names))):
        values = dict.fromkeys(sources, source) | dict(zip(names, others, strict=True))
        same = {"key": f"{number:06d}", "algorithm": "it's one", "is_latest": True, "failures": 0}
        rows.append(same | {name: _value(name, each) for name, each in values.items()})
    return pa.Table.from_pylist(rows, SNAPSHOT)


def test_rows_are_read_as_they_were_before_they_were_written_whatever_repeats(tmp_path: Path) -> None:
    rows = _rows()
    assert unpacked(packed(rows)).equals(rows)
    # The sources have one value in each row group, but not the same.
    pq.write_table(packed(rows), tmp_path / "objects.parquet", row_group_size=rows.num_rows // 2)
    pq.write_table(rows, tmp_path / "whole.parquet")
    with open_database(tmp_path) as database:
        for name in ("objects", "whole"):  # such as the queue, in which nothing is left out
            view_rows(database, name, [tmp_path / f"{name}.parquet"])
            found = database.execute(f"SELECT * EXCLUDE (filename) FROM {name} ORDER BY key")
            assert found.to_arrow_table().cast(SNAPSHOT).equals(rows)


def test_rows_of_which_all_repeat_the_same_columns_are_read_as_they_were(tmp_path: Path) -> None:
    rows = _rows()
    with open_database(tmp_path) as database:
        for number in range(0, rows.num_rows, 97):  # each alone: all of its columns have one value
            row = rows.slice(number, 1)
            pq.write_table(packed(row), tmp_path / f"{number}.parquet")
            view_rows(database, "objects", [tmp_path / f"{number}.parquet"])
            found = database.execute("SELECT * EXCLUDE (filename) FROM objects").to_arrow_table()
            assert found.cast(SNAPSHOT).equals(row)
    assert len({each.as_py() for each in packed(rows)["repeats"].take([*range(0, rows.num_rows, 97)])}) > 20


def test_the_checksum_and_the_time_of_an_object_that_is_right_stand_in_the_file_once(
    tmp_path: Path,
) -> None:
    bucket = Rolling(tmp_path)
    bucket.put(*"abc")
    bucket.take_inventory()
    assert bucket.roll().registered == 3
    bucket.take_inventory()
    table = pq.read_table(bucket.folder / bucket.snapshot().names("objects")[0])
    assert {"checksum", "checked_at", "run_id"} <= {
        name for name in table.column_names if not table[name].null_count
    }
    assert {name for name in REPEATING[1] if table[name].null_count == 3} == REPEATING[1]
    whole = unpacked(table)
    assert whole["baseline"].equals(table["checksum"])
    assert whole["good_at"].equals(table["checked_at"])


def test_a_text_that_a_statement_cannot_hold_is_read_from_the_file(tmp_path: Path) -> None:
    rows = _rows().slice(0, 1).set_column(0, SNAPSHOT.field("key"), pa.array(["a\0b"]))
    pq.write_table(packed(rows), file := tmp_path / "objects.parquet")
    with open_database(tmp_path) as database:
        view_rows(database, "objects", [file])
        assert database.execute("SELECT key FROM objects").fetchall() == [("a\0b",)]
