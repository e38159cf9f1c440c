"""Opens DuckDB for a run: in memory, with a memory limit and a directory to spill to.

There is no shared database file: tables are Parquet, so runs never wait for each other. The statements of
other modules do not belong here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa

from fixity.in_order import processors

if TYPE_CHECKING:
    import duckdb

MEMORY_BYTES = 512_000_000
"""How much memory a database may take, unless it is opened with another limit."""
MEMORY_LIMIT = f"{MEMORY_BYTES}B"
_MOST_IDLE = 2  # one block may be within another
_IDLE: list[duckdb.DuckDBPyConnection] = []
os.register_at_fork(before=_IDLE.clear)  # a copy of the process would lack their threads
_IMPORTING = Lock()
_FILE = "fixity_name_of_the_file"
_TYPES = {
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "timestamp[us, tz=UTC]": "TIMESTAMP WITH TIME ZONE",
}


@contextmanager
def open_database(
    workspace: Path, memory_limit: str = MEMORY_LIMIT, threads: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a database in memory, for the length of a `with` block.

    A new one takes DuckDB 8 ms, in which it fills a catalog of its functions. So each is used again, by one
    block at a time. What is made in it must be temporary, and goes with the connection. No setting of the
    whole database may be changed: for that there is `new_database`, which has the same arguments.
    """
    database = _idle(workspace, memory_limit, threads) or new_database(workspace, memory_limit, threads)
    with database.cursor() as connection:
        yield connection
    if len(_IDLE) < _MOST_IDLE:
        _IDLE.append(database)


def new_database(
    workspace: Path, memory_limit: str = MEMORY_LIMIT, threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A database in memory that nobody else uses, and that spills into `workspace`.

    Arguments: `memory_limit` in DuckDB's form; `threads`, by default one for each processor. Extensions
    are never downloaded.
    """
    with _IMPORTING:
        imported = "duckdb" in sys.modules
        import duckdb  # here: it takes 30 ms, and hashing a bucket does not need it

        if not imported:
            return _opened_by_import(workspace, memory_limit, threads)
    return duckdb.connect(
        ":memory:",
        config={
            "memory_limit": memory_limit,
            "threads": threads or processors(),
            "temp_directory": _spill(workspace),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )


@contextmanager
def opened_when_needed(
    opened: Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]],
) -> Iterator[Callable[[], duckdb.DuckDBPyConnection]]:
    """A function that gives a database, for the length of a `with` block: it is opened at the first call.

    To import DuckDB and open one takes 40 ms, which who rarely needs it saves. Threads may call the function.
    Arguments: `opened`, which opens it for the rest of the block.
    """
    databases: list[duckdb.DuckDBPyConnection] = []
    opening = Lock()

    def database() -> duckdb.DuckDBPyConnection:
        with opening:
            if not databases:
                databases.append(stack.enter_context(opened()))
            return databases[0]

    with ExitStack() as stack:
        yield database


def _opened_by_import(workspace: Path, memory_limit: str, threads: int | None) -> duckdb.DuckDBPyConnection:
    """The database that DuckDB opened when it was imported, as a new one: nobody can have used it yet.

    Whoever wants DuckDB's own connection from now on gets another one.
    """
    import duckdb

    database = duckdb.default_connection()
    closed = database.cursor()
    closed.close()
    duckdb.set_default_connection(closed)  # one that is closed is replaced when it is asked for
    database.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
    _set(database, workspace, memory_limit, threads)
    return database


def _idle(workspace: Path, memory_limit: str, threads: int | None) -> duckdb.DuckDBPyConnection | None:
    """A database that was used before, with these settings."""
    if not _IDLE:
        return None
    import duckdb

    with suppress(IndexError, duckdb.NotSupportedError):  # what has spilled cannot spill elsewhere
        database = _IDLE.pop()
        _set(database, workspace, memory_limit, threads)
        return database
    return None


def _set(
    database: duckdb.DuckDBPyConnection, workspace: Path, memory_limit: str, threads: int | None
) -> None:
    database.execute(
        f"SET temp_directory = {quoted(_spill(workspace))}; SET threads = {threads or processors()}; "
        f"SET memory_limit = {quoted(memory_limit)}"
    )


def _spill(workspace: Path) -> str:
    spill = workspace / "spill"
    spill.mkdir(parents=True, exist_ok=True)  # DuckDB does not create parents, and spilling would fail
    return str(spill)


def quoted(text: str | Path) -> str:
    """A text quoted for SQL, because some statements of DuckDB take no parameters."""
    return "'" + str(text).replace("'", "''") + "'"


def view(
    database: duckdb.DuckDBPyConnection,
    name: str,
    files: Sequence[Path],
    schema: pa.Schema,
    known: Mapping[str, str | int | None] = MappingProxyType({}),
) -> None:
    """Create a view over Parquet files, with their names as `filename`. Without files, it is empty.

    Columns that a file lacks are NULL; columns that are not in `schema` are left out.
    Arguments: `known`, columns that have one value in all rows, and so are not read.
    """
    rows = rows_of_files(database, name, files, schema, known)
    database.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {rows}")


def rows_of_files(
    database: duckdb.DuckDBPyConnection,
    name: str,
    files: Sequence[Path],
    schema: pa.Schema,
    known: Mapping[str, str | int | None] = MappingProxyType({}),
) -> str:
    """The query of `view`, for a view that has more to say: each that is made of another takes a millisecond.

    It rests on a table that is made here, by `name`.
    """
    typed = ", ".join(f"{field.name} {_type_of(field.type)}" for field in schema)
    database.execute(f"CREATE OR REPLACE TEMP TABLE {name}_empty ({typed}, filename VARCHAR)")
    if not files:
        return f"FROM {name}_empty"
    columns = ", ".join(
        f"{literal(known[field.name])}::{_type_of(field.type)} AS {field.name}"
        if field.name in known
        else field.name
        for field in schema
    )
    paths = ", ".join(map(quoted, files))
    # A table may have a column `filename` of its own, as DuckDB writes it: that is not the file's name.
    return (
        f"SELECT {columns}, {_FILE} AS filename FROM ("
        f"FROM read_parquet([{paths}], union_by_name = true, filename = {_FILE}) "
        f"UNION ALL BY NAME SELECT * RENAME (filename AS {_FILE}) FROM {name}_empty)"
    )


def literal(value: str | int | None) -> str:
    """A value as SQL, because views take no parameters."""
    if value is None:
        return "NULL"
    pieces = map(quoted, str(value).split("\0"))  # a statement ends at a NUL, which a key may have
    return f"({' || chr(0) || '.join(pieces)})"


def _type_of(kind: pa.DataType) -> str:
    """DuckDB's type for one of Arrow. It takes seven times as long to find it out from an empty table."""
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{field.name} {_type_of(field.type)}' for field in kind)})"
    if pa.types.is_list(kind):
        return f"{_type_of(kind.value_type)}[]"
    if pa.types.is_map(kind):
        return f"MAP({_type_of(kind.key_type)}, {_type_of(kind.item_type)})"
    return _TYPES[str(kind)]


def own_table(database: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    """Make a temporary table of DuckDB from one of Arrow, to which it cannot push down all its filters."""
    database.register("of_arrow", rows)
    database.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM of_arrow")
    database.unregister("of_arrow")
