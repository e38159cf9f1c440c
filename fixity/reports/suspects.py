"""The rows of a report that say that something is wrong: the first are collected, with both sides' checks.

Also says in each row what is known of it. Finding that out does not belong here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from fixity.lake.database import view
from fixity.lake.row_groups import ROW, RowGroups
from fixity.reports.by_range import run_statement
from fixity.reports.columns import SUSPECTS
from fixity.reports.pairs import REST
from fixity.tables import CHECKSUMS

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


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
    """The first suspect rows of a report, as a table of SUSPECTS. They go to a file at once: the few that
    each range leaves in memory would lie between what the next ones take, so that little is given back.

    Arguments: `room`, how many it takes; `file`, an empty one for them.
    """

    def __init__(self, room: int, file: BinaryIO) -> None:
        self.room = room
        self._file = file
        self._writer: pa.RecordBatchFileWriter | None = None

    def add(self, rows: pa.Table | None) -> None:
        """Take the suspect rows of the next range (SUSPECTS). Raises OSError."""
        if rows is not None and self.room:
            some = rows.slice(0, self.room)
            self._writer = self._writer or pa.ipc.new_file(self._file, SUSPECTS)
            self._writer.write_table(some)
            self.room -= some.num_rows

    def close(self) -> None:
        """Complete the file, if there are rows; else it stays empty. Raises OSError."""
        if self._writer:
            self._writer.close()


def read_suspects(file: Path) -> pa.Table:
    """The suspect rows in a file of a comparison (SUSPECTS). They stay in the file, which may be replaced.

    Raises OSError.
    """
    with pa.memory_map(str(file)) as mapped:
        return pa.ipc.open_file(mapped).read_all()


def with_the_rest(rows: pa.Table, source: RowGroups, replica: RowGroups) -> pa.Table:
    """Suspect rows with all that both sides' checks say of them (SUSPECTS).

    Arguments: `rows`, as `ComparedRows` gives them; both sides' tables, with the columns of REST.
    """
    columns = {name: rows[name] for name in rows.column_names}
    for side, table in (("source", source), ("replica", replica)):
        chosen = table.chosen(rows[f"{side}_{ROW}"])
        columns |= {f"{side}_{name}": chosen[name] for name in REST.names}
    return pa.table([columns[name] for name in SUSPECTS.names], SUSPECTS.names).cast(SUSPECTS)
