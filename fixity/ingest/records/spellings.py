"""Finds the objects of records whose names are spelled in another way than the objects' keys.

Which spellings a manifest's name allows is in `bags`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fixity.buckets import BucketReader

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql")


def define_spellings(
    database: duckdb.DuckDBPyConnection, records: Path, objects: Path, unlisted: BucketReader | None
) -> None:
    """The macro `source_of`, and the table `spellings` of records and the objects that they are of.

    Arguments: `records` and `objects`, local tables; `unlisted`, the bucket if `objects` are only some of it:
    a record whose own object is there is of no other. Raises BucketUnreachable.
    """
    database.execute(
        "CREATE TEMP MACRO source_of(recorded_as, recorded_in) AS "
        "CASE recorded_as WHEN 'manifest' THEN recorded_in ELSE recorded_as END"
    )
    database.execute(_SQL.read_text(encoding="utf-8"), {"records": str(records), "objects": str(objects)})
    if unlisted is not None:
        keys = [key for (key,) in database.execute("SELECT DISTINCT key FROM spellings").fetchall()]
        there = [key for key in keys if unlisted.find(key) is not None]
        database.execute("DELETE FROM spellings WHERE list_contains(?, key)", [there])
