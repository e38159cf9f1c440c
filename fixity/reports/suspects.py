"""The rows of a report that say that something is wrong: the first are collected, with both sides' checks.

Also says in each row what is known of it. Finding that out does not belong here.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.lake.database import view
from fixity.lake.row_groups import constants_of_group
from fixity.lake.writer import VARIED
from fixity.reports.by_range import run_statement
from fixity.reports.columns import SUSPECTS
from fixity.tables import CHECKSUMS

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_ROW = "row"


def define_confirmed(database: duckdb.DuckDBPyConnection) -> None:
    """Make the macro that says which checks are confirmed."""
    database.execute(database.extract_statements(_SQL)[0])


def tell_known(cursor: duckdb.DuckDBPyConnection, parameters: dict[str, Any], suspect_rows: int) -> int:
    """Say in the rows of a comparison what is known of them besides.

    Arguments: `parameters` of suspects.sql; `suspect_rows`, how many rows of the range are suspect.
    Returns how many of those without a finding were not looked at twice.
    """
    define, tell, tell_beyond, tell_same_damage = cursor.extract_statements(_SQL)
    beyond = 0
    known = 0 if parameters["findings"] is None else _changed_by(cursor, tell, parameters)
    is_beyond = parameters["findings"] is not None and known < suspect_rows
    if is_beyond or parameters["knows_damage"]:
        for side in ("source", "replica"):
            view(cursor, f"{side}_checks", [Path(parameters[side])], CHECKSUMS)
    if is_beyond:
        cursor.execute(define)
        beyond = _changed_by(cursor, tell_beyond, parameters)
    if parameters["knows_damage"]:
        run_statement(cursor, tell_same_damage, parameters)
    return beyond


def _changed_by(
    cursor: duckdb.DuckDBPyConnection, statement: duckdb.Statement, parameters: dict[str, Any]
) -> int:
    """Run an UPDATE; returns how many rows it changed."""
    return int(run_statement(cursor, statement, parameters).fetchall()[0][0])


class Suspects:
    """The first suspect rows of a report. They wait in a file: the few that each range leaves in memory would
    lie between what the next ones take, so that little of it is given back.

    Arguments: `file`, an empty one for them. room: how many more it takes.
    """

    def __init__(self, room: int, file: IO[bytes]) -> None:
        self.room = room
        self._file = file
        self._writer: pa.RecordBatchStreamWriter | None = None

    def add(self, rows: pa.Table | None) -> None:
        """Take the suspect rows of the next range, as `ComparedRows` gives them. Raises OSError."""
        if rows is not None and self.room:
            some = rows.slice(0, self.room)
            self._writer = self._writer or pa.ipc.new_stream(self._file, rows.schema)
            self._writer.write_table(some)
            self.room -= some.num_rows

    def rows(self) -> pa.Table | None:
        """The rows as they were taken, once; None if there are no rows. Raises OSError."""
        if self._writer is None:
            return None
        self._writer.close()
        self._file.seek(0)
        return pa.ipc.open_stream(self._file).read_all()

    def keep(self, file: Path, source: Path, replica: Path) -> Path | None:
        """Write the rows as a table of SUSPECTS, with both sides' checks; None if there are no rows.

        Of the sides' tables, only row groups with suspects are read, and of these only what is not in the
        rows: they have the columns that are large.
        """
        rows = self.rows()
        if rows is None:
            return None
        columns = {name: rows[name] for name in rows.column_names}
        with ThreadPoolExecutor(2) as pool:  # Arrow reads without Python's lock
            sides = {
                side: pool.submit(_checks, table, rows[f"{side}_row"], _lacking(rows, side))
                for side, table in (("source", source), ("replica", replica))
            }
        for side, checks in sides.items():
            columns |= {f"{side}_{name}": checks.result()[name] for name in _lacking(rows, side)}
        whole = pa.table([columns[name] for name in SUSPECTS.names], SUSPECTS.names)
        unfinished = file.with_suffix(".unfinished")
        pq.write_table(whole.cast(SUSPECTS), unfinished, compression="none")  # it does not outlive the run
        return unfinished.replace(file)


def _lacking(rows: pa.Table, side: str) -> list[str]:
    """The columns of a side's check that rows do not have."""
    of_side = [field.name for field in CHECKSUMS if f"{side}_{field.name}" in SUSPECTS.names]
    return [name for name in of_side if f"{side}_{name}" not in rows.column_names]


def _checks(file: Path, numbers: pa.ChunkedArray, names: list[str]) -> pa.Table:
    """The rows of a table with these numbers, NULL where there is no number, or no such column."""
    there = [field.name for field in pq.read_schema(file) if field.name in names]
    texts = [name for name in there if pa.types.is_string(CHECKSUMS.field(name).type)]
    # A dictionary's texts are put in only for the rows that are taken, which are few.
    with pq.ParquetFile(file, read_dictionary=[name for name in texts if name not in VARIED]) as table:
        schema = pa.schema([(name, CHECKSUMS.field(name).type) for name in there] + [(_ROW, pa.int64())])
        found = [schema.empty_table()]
        start = 0
        for group in range(table.num_row_groups):
            end = start + table.metadata.row_group(group).num_rows
            within = numbers.filter(pc.and_(pc.greater_equal(numbers, start), pc.less(numbers, end)))
            if len(within):
                known = constants_of_group(table.metadata, group)
                read = table.read_row_group(group, [name for name in there if name not in known])
                chosen = pc.subtract(within, start)
                columns = {name: read[name].take(chosen) for name in read.column_names}
                columns |= {name: pa.repeat(known[name], len(within)) for name in there if name in known}
                rows = pa.table([columns[name] for name in there] + [within], schema.names)
                found.append(rows.cast(schema))
            start = end
    rows = pa.concat_tables(found)
    rows = rows.take(pc.index_in(numbers, rows[_ROW]))
    return pa.table([rows[name] if name in there else pa.nulls(len(numbers)) for name in names], names)
