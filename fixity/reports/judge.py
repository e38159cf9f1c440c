"""Asks `compare.sql` for the statuses of pairs of rows, and for the pairs of tables that are not in order.

What a row says is decided there, and does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fixity import compute as pc
from fixity.lake.csv_files import LINES_AT_ONCE
from fixity.lake.database import literal, quoted
from fixity.lake.ranges import KeyRange
from fixity.lake.row_groups import ROW
from fixity.reports.beside import Rows, Window
from fixity.reports.compared import SAID
from fixity.reports.pairs import OF_A_SIDE, OLDER, READ, Found

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_name("compare.sql").read_text(encoding="utf-8")
_VERSION_NAMED, _PAIRED, _JUDGED = range(3)
"""The statements of compare.sql, in order."""
_VARIABLES = ("by_version", "due_in_replica", "due_in_source", "source_listed_at", "believable")
_NUMBER = pa.field("number", pa.int64())


def _pairs_with(names: Iterable[str]) -> list[pa.Field]:
    """The columns of pairs that have these of both sides, and the numbers of both rows."""
    fields = [*map(READ.field, names), pa.field(ROW, pa.int64())]
    return [
        each.with_name(f"{side}_{each.name}").with_nullable(True)
        for side in ("source", "replica")
        for each in fields
    ]


_OF_BOTH = [READ.field("key").with_nullable(True), READ.field("version_id")]
_PAIRS = pa.schema([*_OF_BOTH, *_pairs_with(OF_A_SIDE)])
_TO_JUDGE = pa.schema(
    [
        _NUMBER,
        _OF_BOTH[0],
        *_pairs_with(name for name in OF_A_SIDE if name not in ("etag", "checked_at")),
    ]
)


class _Passed:
    """A table that a prepared statement reads, another one each time."""

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = schema.empty_table()

    def __arrow_c_schema__(self) -> object:
        return self.rows.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.rows.__arrow_c_stream__(requested_schema)


class Judge:
    """Judges pairs of rows, for one thread. To plan the statement takes longer than to run it on a few
    thousand rows, so it is planned once.

    Arguments: `parameters`, with those that the statement takes.
    """

    def __init__(self, database: duckdb.DuckDBPyConnection, parameters: dict[str, Any]) -> None:
        self._cursor = _cursor(database, parameters)
        self._pairs, self._older = _Passed(_TO_JUDGE), _Passed(OLDER)
        self._cursor.register("pairs", self._pairs)
        self._cursor.register("older_rows", self._older)
        self._cursor.execute(f"PREPARE judge AS {_statement(self._cursor, _JUDGED).query}")

    def judge(self, pairs: Rows, older: Rows) -> pa.RecordBatch:
        """SAID of each pair, in their order; the status and the detail.

        Arguments: `pairs`, some, and `older`, as of `Found`.
        """
        rows = pa.Table.from_batches(pairs)
        self._pairs.rows = rows.append_column(_NUMBER, pa.arange(0, rows.num_rows)).select(_TO_JUDGE.names)
        of_pairs = (pc.is_in(piece.column("key"), value_set=rows["key"]) for piece in older)
        older = [
            piece.select(OLDER.names).filter(which) for piece, which in zip(older, of_pairs, strict=True)
        ]
        self._older.rows = pa.Table.from_batches(older, OLDER)
        judged = self._cursor.execute("EXECUTE judge").to_arrow_table(LINES_AT_ONCE).combine_chunks()
        self._pairs.rows, self._older.rows = _TO_JUDGE.empty_table(), OLDER.empty_table()
        numbers = judged[_NUMBER.name]
        if not pc.all(pc.equal(numbers, pa.arange(0, rows.num_rows))).as_py():
            judged = judged.sort_by(_NUMBER.name)
        said = {name: pa.nulls(rows.num_rows, SAID.field(name).type) for name in SAID.names}
        said |= {name: judged[name].combine_chunks() for name in ("status", "detail")}
        return pa.record_batch([*said.values()], schema=SAID)


def pairs_by_statement(
    database: duckdb.DuckDBPyConnection, parameters: dict[str, Any], keys: KeyRange
) -> Found:
    """What `Pairs.find` gives, of tables that are not in order within a range, or have large row groups; no
    row is looked at for being plain."""
    with _cursor(database, parameters) as cursor:
        for side, rows in zip(("source", "replica"), keys.rows, strict=True):
            _view_rows(cursor, f"{side}_rows", Path(parameters[side]), keys, rows)
        define_version_named(cursor)
        pairs = cursor.execute(_statement(cursor, _PAIRED)).to_arrow_table().select(_PAIRS.names)
        columns, none = ", ".join(OLDER.names), "AND false" if parameters["by_version"] else ""
        older = cursor.execute(f"SELECT {columns} FROM source_rows WHERE NOT is_latest {none}")
        windows = [
            Window(rows.slice(0, 0), rows, pa.repeat(0, rows.num_rows))
            for rows in pairs.cast(_PAIRS).to_batches(LINES_AT_ONCE)
        ]
        return Found(windows, older.to_arrow_table().cast(OLDER).to_batches())


def define_version_named(cursor: duckdb.DuckDBPyConnection) -> None:
    """Make the macro that gives a version's name."""
    cursor.execute(_statement(cursor, _VERSION_NAMED))


def _cursor(database: duckdb.DuckDBPyConnection, parameters: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """A cursor with the variables of compare.sql. It has views and macros of its own."""
    cursor = database.cursor()
    for name in _VARIABLES:
        cursor.execute(f"SET VARIABLE {name} = $value", {"value": parameters[name]})
    return cursor


def _statement(cursor: duckdb.DuckDBPyConnection, number: int) -> duckdb.Statement:
    return cursor.extract_statements(_SQL)[number]


def _view_rows(
    cursor: duckdb.DuckDBPyConnection, name: str, table: Path, keys: KeyRange, rows: tuple[int, int]
) -> None:
    """Have the rows of a range of a table as compare.sql takes them.

    With row numbers, DuckDB skips row groups outside of the range without reading them.
    """
    upper = "" if keys.upper is None else f"AND key < {literal(keys.upper)}"
    cursor.execute(
        f"CREATE TEMP VIEW {name} AS SELECT *, file_row_number AS {ROW} "
        f"FROM read_parquet({quoted(table)}) "
        f"WHERE file_row_number BETWEEN {rows[0]} AND {rows[1]} AND key >= {literal(keys.lower)} {upper}"
    )
