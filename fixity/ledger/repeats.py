"""Columns of a snapshot's objects that mostly repeat another one: where they do, its file leaves them out.

A baseline is nearly always the checksum of the newest check, whose time stands in four columns. With each
written once, the table is half as large, and is proved and read faster. Their meaning does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from fixity import compute as pc
from fixity.lake.database import rows_of_files, view
from fixity.ledger.by_key import constants_of
from fixity.ledger.snapshot import SNAPSHOT

if TYPE_CHECKING:
    import duckdb

_SOURCES = {
    "bytes_read": "size",
    "expected": "checksum",
    "baseline": "checksum",
    "baseline_at": "checked_at",
    "baseline_run": "run_id",
    "verified_at": "checked_at",
    "good_at": "checked_at",
}
"""Columns, each with the one that it may repeat."""
_BITS = {name: 1 << number for number, name in enumerate(_SOURCES)}

PACKED = SNAPSHOT.append(pa.field("repeats", pa.int32()))
"""A row of the file. repeats: the bits of the columns that are NULL because they have their source's value.

A table without it, such as the queue, has all values.
"""


def packed(rows: pa.Table) -> pa.Table:
    """Rows of a snapshot as they are written, of the schema PACKED."""
    repeats = pa.chunked_array([pa.repeat(_bit(None), rows.num_rows)])
    for name, source in _SOURCES.items():
        column, other = rows.column(name), rows.column(source)
        equal = pc.fill_null(pc.equal(column, other), False)
        is_same = pc.or_(equal, pc.and_(pc.is_null(column), pc.is_null(other)))
        if pc.all(is_same).as_py():  # as nearly always
            own = pa.chunked_array([pa.nulls(rows.num_rows, column.type)])
        else:
            own = pc.if_else(is_same, pa.scalar(None, column.type), column)
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), own)
        repeats = pc.bit_wise_or(repeats, pc.if_else(is_same, _bit(name), _bit(None)))
    return rows.append_column(PACKED.field("repeats"), repeats).cast(PACKED)


def unpacked(rows: pa.Table) -> pa.Table:
    """Rows of a snapshot, from rows of the schema PACKED; those without `repeats` are whole.

    They may lack columns, but none that another of theirs repeats.
    """
    repeats = pc.fill_null(rows.column("repeats"), _bit(None))
    for name in _SOURCES.keys() & set(rows.schema.names):
        source = _SOURCES[name]
        is_same = pc.not_equal(pc.bit_wise_and(repeats, _bit(name)), _bit(None))
        whole = rows.column(source)  # as nearly always; not copied
        if not pc.all(is_same).as_py():
            whole = pc.if_else(is_same, whole, rows.column(name))
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), whole)
    return rows.drop_columns("repeats")


def packed_columns(names: Iterable[str]) -> pa.Schema:
    """The columns of PACKED that some of a snapshot are made of."""
    made_of = {"repeats", *names}
    made_of |= {source for name, source in _SOURCES.items() if name in made_of}
    return pa.schema([field for field in PACKED if field.name in made_of])


def _bit(column: str | None) -> pa.Scalar:
    return pa.scalar(_BITS[column] if column else 0, pa.int32())


def view_rows(database: duckdb.DuckDBPyConnection, name: str, files: Sequence[Path], among: str = "") -> None:
    """Create a view over tables of a snapshot, with the names of their files as `filename`.

    Columns with one value in all rows are not read: in a bucket whose objects are right that is most of
    them, and takes half of the time.
    Arguments: `among`, a table of the keys whose rows are wanted, of which nothing else is put together.
    """
    if not files:
        view(database, name, files, SNAPSHOT)
        return
    known = constants_of(*files)
    rows = rows_of_files(database, name, files, PACKED, known)
    repeats = known.get("repeats")
    whole = ", ".join(
        f"CASE WHEN repeats & {_BITS[column]} > 0 THEN {source} ELSE {column} END AS {column}"
        if repeats is None
        else f"{source} AS {column}"
        for column, source in _SOURCES.items()
        if repeats is None or int(repeats) & _BITS[column]
    )
    database.execute(
        f"CREATE OR REPLACE TEMP VIEW {name} AS "
        f"SELECT * EXCLUDE (repeats) {f'REPLACE ({whole})' if whole else ''} FROM ({rows})"
        f"{f' SEMI JOIN {among} USING (key)' if among else ''}"
    )
