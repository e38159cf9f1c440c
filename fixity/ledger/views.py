"""Views for DuckDB of a snapshot as it is now, and the macros that its SQL uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.lake import Lake, LakeError
from fixity.lake.database import own_table
from fixity.ledger.align import CONTENT
from fixity.ledger.blocks import rows_of
from fixity.ledger.by_key import ByKey, groups_of
from fixity.ledger.repeats import packed_columns, unpacked, view_rows
from fixity.ledger.snapshot import OBJECTS, SNAPSHOT, Snapshot
from fixity.tables import TableUnreadable, naming_the_unreadable

if TYPE_CHECKING:
    import duckdb

_FOLDED = "CREATE OR REPLACE TEMP VIEW folded AS SELECT *, '' AS filename FROM found_rows"
_NO_KEYS = pa.schema([SNAPSHOT.field("key")]).empty_table()
_NOW = Path(__file__).with_name("now.sql")
_MACROS = """
    CREATE OR REPLACE TEMP MACRO content(version_id, etag, last_modified, size) AS
        CASE WHEN version_id IS NULL OR version_id = 'null' THEN hash(etag, last_modified, size)
        ELSE hash(version_id) END;
    CREATE OR REPLACE TEMP MACRO trusted(moment, horizon) AS
        CASE WHEN moment > horizon THEN TIMESTAMPTZ '1970-01-01 00:00:00+00' ELSE moment END
"""


class Fetched(NamedTuple):
    """Local files of a snapshot's table. since: of the rows that have changed since, oldest first. folded: of
    the table as it was folded, by key.
    """

    since: list[Path]
    folded: list[Path]


def define_content(database: duckdb.DuckDBPyConnection) -> None:
    """Define the macros `content` and `trusted`.

    `content(version_id, etag, last_modified, size)` is a number that differs for each object written under
    one key. It is never stored, because DuckDB's hash may change with its version.
    `trusted(moment, horizon)` is 1970 for a moment after the horizon. It is never stored, because the clock
    that gave the horizon may be wrong.
    """
    database.execute(_MACROS)


def view_now(
    database: duckdb.DuckDBPyConnection,
    lake: Lake,
    snapshot: Snapshot | None,
    table: str,
    workspace: Path,
) -> Fetched:
    """Make the view `now` of a snapshot's table: objects, or one of CHOSEN. Without one it is empty.

    A snapshot that is damaged is removed, because it is derived. Raises LakeError.
    """
    fetched = _fetched(lake, snapshot, table, workspace) if snapshot else Fetched([], [])
    _view(database, fetched)
    return fetched


def view_now_if_any(
    opened: Callable[[], duckdb.DuckDBPyConnection],
    lake: Lake,
    snapshot: Snapshot,
    table: str,
    workspace: Path,
) -> duckdb.DuckDBPyConnection | None:
    """The same of a table that mostly has no rows, damaged or lost: then no view is made, which takes longer.

    Arguments: `opened` gives a database, and is called only where there is a view to make.
    Returns the database with the view; None if the table has no rows. Raises LakeError.
    """
    fetched = _fetched(lake, snapshot, table, workspace)
    with reading_of(lake, snapshot), naming_the_unreadable(*fetched.folded):
        if not fetched.since and not any(pq.read_metadata(file).num_rows for file in fetched.folded):
            return None
    database = opened()
    _view(database, fetched)
    return database


def _fetched(lake: Lake, snapshot: Snapshot, table: str, workspace: Path) -> Fetched:
    with reading_of(lake, snapshot):
        since = fetch_since(lake, snapshot, workspace)
        return Fetched(since, [lake.fetch(name, workspace) for name in snapshot.names(table)])


def _view(database: duckdb.DuckDBPyConnection, fetched: Fetched) -> None:
    define_content(database)
    view_rows(database, "folded", fetched.folded)
    _define_now(database, fetched.since)


def view_now_of(
    database: duckdb.DuckDBPyConnection, lake: Lake, snapshot: Snapshot | None, keys: str, workspace: Path
) -> None:
    """Make the view `now` of a snapshot's objects that have one of some keys. Without one it is empty.

    Arguments: `keys`, a table of them. Only the parts of the snapshot that may have them are read; where one
    is damaged, the snapshot is removed, because it is derived. Raises LakeError.
    """
    define_content(database)
    rows, since = SNAPSHOT.empty_table(), []
    if snapshot is not None:
        wanted = database.execute(f"SELECT DISTINCT key FROM {keys}").fetchall()
        with reading_of(lake, snapshot):
            since = fetch_since(lake, snapshot, workspace)
            rows = rows_of(lake, snapshot, (key for (key,) in wanted), workspace)
    own_table(database, "found_rows", rows)
    database.execute(_FOLDED)
    _define_now(database, since, keys)


class NowByKey:
    """A snapshot's objects as they are now, by ranges of keys: whatever their number, memory has few of them.

    folded: their rows in the snapshot's table, with some columns: `columns`, and those that tell apart what
    was written under one key. changed: the keys of rows that have changed since it was folded. Where a table
    is damaged, the snapshot is removed, because it is derived. Raises LakeError.
    """

    def __init__(self, lake: Lake, snapshot: Snapshot, columns: Iterable[str], workspace: Path) -> None:
        schema = packed_columns({"key", *CONTENT, *columns})
        self._of = lake, snapshot
        with reading_of(lake, snapshot):
            self._since = fetch_since(lake, snapshot, workspace)
            self.changed = pa.concat_tables([_NO_KEYS, *map(_keys_of, self._since)])["key"]
            files = [lake.fetch(name, workspace) for name in snapshot.names(OBJECTS)]
            self.folded = ByKey(groups_of(*files), schema, unpacked)

    def rows(self, lower: str, upper: str | None) -> pa.Table:
        """The objects from the key `lower` up to `upper` as they were folded, sorted by key."""
        with reading_of(*self._of):
            return self.folded.rows(lower, upper)

    def view(self, database: duckdb.DuckDBPyConnection, folded: pa.Table, keys: str) -> None:
        """Make the view `now` of objects.

        Arguments: `folded`, all rows of some keys as they were folded; `keys`, a table of these keys: objects
        that changed since are left out if they have none of them.
        """
        define_content(database)
        database.register("found_rows", folded)
        database.execute(_FOLDED)
        _define_now(database, self._since, keys)


def fetch_since(lake: Lake, snapshot: Snapshot, workspace: Path) -> list[Path]:
    """Local files of the rows that have changed since a snapshot was folded, oldest first.

    They are fetched before its tables: of a snapshot that is removed meanwhile, these must not be missed.
    Raises FileNotFoundError, LakeError, TableUnreadable: see `reading_of`.
    """
    return [lake.fetch(each.name, workspace) for each in snapshot.since(lake)]


def _keys_of(file: Path) -> pa.Table:
    with naming_the_unreadable(file):
        return pq.read_table(file, columns=["key"]).cast(_NO_KEYS.schema)


@contextmanager
def reading_of(lake: Lake, snapshot: Snapshot) -> Iterator[None]:
    """A `with` block that reads files of a snapshot. One that is damaged is removed, because it is derived.

    Raises LakeError, also where another process has removed the snapshot meanwhile.
    """
    try:
        yield
    except TableUnreadable as error:
        snapshot.remove(lake)
        raise LakeError(
            f"the snapshot of '{snapshot.bucket}' was damaged and is removed: run this again, it is rebuilt "
            f"from the ledger ({error})"
        ) from error
    except FileNotFoundError as error:
        raise LakeError(
            f"the snapshot of '{snapshot.bucket}' was replaced or removed while it was read: run this again "
            f"({error})"
        ) from error


def _define_now(database: duckdb.DuckDBPyConnection, since: list[Path], among: str = "") -> None:
    if not since:
        now_is(database, "folded")
        return
    view_rows(database, "since", since, among)
    database.execute(_NOW.read_text(encoding="utf-8"))


def now_is(database: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Make the view `now` of rows of a snapshot of which none has changed since: planning it costs half."""
    database.execute(
        "CREATE OR REPLACE TEMP VIEW now AS "
        f"SELECT *, content(version_id, etag, last_modified, size) AS content FROM {rows}"
    )
