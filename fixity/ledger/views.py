"""Views for DuckDB: of Parquet files that may be none, and of a snapshot as it is now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from fixity.lake import Lake
from fixity.lake.database import quoted
from fixity.ledger.judge import STRENGTH_SQL
from fixity.ledger.snapshot import SNAPSHOT, Snapshot

if TYPE_CHECKING:
    import duckdb

_NOW = Path(__file__).with_name("now.sql")
_CONTENT = """
    CREATE OR REPLACE TEMP MACRO content(version_id, etag, last_modified, size) AS
        CASE WHEN version_id IS NULL OR version_id = 'null' THEN hash(etag, last_modified, size)
        ELSE hash(version_id) END
"""


_TRUSTED = """
    CREATE OR REPLACE TEMP MACRO trusted(told, horizon) AS
        CASE WHEN told > horizon THEN TIMESTAMPTZ '1970-01-01 00:00:00+00' ELSE told END
"""


def define_content(database: duckdb.DuckDBPyConnection) -> None:
    """Define `content(version_id, etag, last_modified, size)`: it tells apart what was written under one key.

    Its values are never kept: DuckDB's hash may change with its version. And `trusted(told, horizon)`: a
    time beyond the horizon tells nothing, and counts as long ago. Nor is that kept: the clock that is
    wrong may be the one by which the horizon was reckoned. And `strength(source, algorithm)`, see `judge`.
    """
    database.execute(_CONTENT)
    database.execute(_TRUSTED)
    database.execute(STRENGTH_SQL)


def view(
    database: duckdb.DuckDBPyConnection, name: str, files: Sequence[Path], schema: pa.Schema = SNAPSHOT
) -> None:
    """Make a view over Parquet files, with their names as `filename`; without files, an empty one.

    Columns that a file lacks are NULL; those that `schema` does not know are left out.
    """
    empty = schema.append(pa.field("filename", pa.string())).empty_table()
    database.register(f"{name}_empty", empty)
    if not files:
        database.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS FROM {name}_empty")
        return
    columns = ", ".join(schema.names)
    paths = ", ".join(map(quoted, files))
    database.execute(
        f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT {columns}, filename FROM ("
        f"FROM read_parquet([{paths}], union_by_name = true, filename = true) "
        f"UNION ALL BY NAME FROM {name}_empty)"
    )


def view_now(
    database: duckdb.DuckDBPyConnection, lake: Lake, snapshot: Snapshot, table: str, workspace: Path
) -> None:
    """Make the view `now` of a snapshot's table: objects, queue or damaged. Raises LakeError."""
    define_content(database)
    view(database, "folded", [lake.fetch(snapshot.name(table), workspace)])
    view(database, "since", [lake.fetch(each.name, workspace) for each in snapshot.since(lake)])
    database.execute(_NOW.read_text(encoding="utf-8"))
