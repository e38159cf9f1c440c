"""Folding a whole bucket: from an inventory, the snapshot before and new checks to the snapshot now.

What is folded is in `fold_plan`, which check of an object counts in `fold`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.lake.database import open_database, quoted, view
from fixity.lake.paths import snapshot_folder
from fixity.ledger.fold import Settings
from fixity.ledger.fold_plan import Folding, FoldPlan, planned, sources_of, usable
from fixity.ledger.fold_ranges import Folded, Sources, fold_ranges
from fixity.ledger.listing import Listing
from fixity.ledger.lost import lost_among
from fixity.ledger.repeats import view_rows
from fixity.ledger.snapshot import CHOSEN, OBJECTS, OF_PART, SNAPSHOT, Snapshot, in_force
from fixity.tables import FAILED, INGEST

if TYPE_CHECKING:
    import duckdb

_MEMORY = "900MB"
QUEUE_ROWS = 250_000
"""The rows of the queue: half of them are what a day of batches at the default rate checks, and then the
snapshot is made anew anyway, because the bucket is listed each day."""
_GROUP_OF_CHOSEN = 10_240
"""Rows of a row group of the queue: a batch is at its front, and only the first groups are read for it."""
_DAYS_KEPT = 40
_KEPT_FOR = timedelta(days=1)


class FoldedPart(NamedTuple):
    """A part that is kept in the lake: its figures, and local files of the rows chosen of it, by table."""

    found: Folded
    chosen: Mapping[str, Path]


def fold(folding: Folding, before: Snapshot | None, listing: Listing) -> Snapshot:
    """Add all files that are not in the snapshot `before`, and put the new one in force. Raises LakeError."""
    with open_database(folding.workspace, _MEMORY) as database:
        plan, sources = planned(database, folding, before, listing)
        count, parts = len(plan.snapshot.parts), list[FoldedPart]()
        for number in range(count):
            # Of several parts each has its own, whose memory goes back before the next part needs some.
            of_part = open_database(folding.workspace, _MEMORY) if count > 1 else nullcontext(database)
            with of_part as own:
                parts.append(_folded(own, folding, plan, sources, number))
        return _put_in_force(database, folding, plan, parts)


def plan_fold(folding: Folding, before: Snapshot | None, listing: Listing) -> FoldPlan:
    """What `fold` would do, for `fold_part` on several machines. Raises LakeError."""
    with open_database(folding.workspace, _MEMORY) as database:
        return planned(database, folding, before, listing)[0]


def fold_part(folding: Folding, plan: FoldPlan, number: int) -> FoldedPart:
    """Fold a part of a plan, and keep it in the lake.

    Raises FileNotFoundError or TableUnreadable where a file is no longer what it was, LakeError.
    """
    with open_database(folding.workspace, _MEMORY) as database:
        return _folded(database, folding, plan, sources_of(database, folding, plan), number)


def put_in_force(folding: Folding, plan: FoldPlan, parts: Sequence[FoldedPart]) -> Snapshot:
    """Put the snapshot of all parts of a plan in force. Raises as `fold_part`."""
    with open_database(folding.workspace, _MEMORY) as database:
        files = usable(folding, plan, plan.ingested)
        view(database, "ingested", [file.path for file in files], INGEST)
        return _put_in_force(database, folding, plan, parts)


def _folded(
    database: duckdb.DuckDBPyConnection, folding: Folding, plan: FoldPlan, sources: Sources, number: int
) -> FoldedPart:
    """Fold a part, and keep it in the lake."""
    snapshot, keys = plan.snapshot, plan.ranges[number]
    folder = folding.workspace / f"part-{number}"
    folder.mkdir()
    listed_at = datetime.fromisoformat(snapshot.listed_at)
    found = fold_ranges(database, sources, folding.settings, listed_at, folding.now, keys, folder)
    pa.default_memory_pool().release_unused()  # else it stays beside what DuckDB takes to sort the queue
    view_rows(database, OBJECTS, [folder / OF_PART[0]])
    chosen = {table: folder / f"{table}.parquet" for table in CHOSEN}
    for table, rows in _chosen(found, listed_at, folding.now).items():
        _write_first(database, rows, chosen[table])
    for name in snapshot.files_of(number):
        folding.lake.put(name, folder / PurePosixPath(name).name, replace=True)
    return FoldedPart(found, chosen)


def _write_first(database: duckdb.DuckDBPyConnection, rows: str, file: Path) -> None:
    """Write those of some rows that are due first."""
    database.execute(
        f"COPY (SELECT {', '.join(SNAPSHOT.names)} FROM ({rows}) WHERE {_among_the_first(database, rows)} "
        f"ORDER BY due_at NULLS FIRST, key LIMIT {QUEUE_ROWS}) "
        f"TO {quoted(file)} (COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {_GROUP_OF_CHOSEN})"
    )


def _put_in_force(
    database: duckdb.DuckDBPyConnection, folding: Folding, plan: FoldPlan, parts: Sequence[FoldedPart]
) -> Snapshot:
    lake, found = folding.lake, sum((part.found for part in parts), Folded())
    chosen = {table: _together(database, table, parts, folding.workspace) for table in CHOSEN}
    snapshot = replace(
        plan.snapshot,
        objects=found.listed,
        never=found.never,
        rows=found.rows,
        queued=int(pq.read_metadata(chosen["queue"]).num_rows),
        read_by_day=_read_by_day(database, plan.snapshot.read_by_day, found, folding.settings, folding.now),
        doubted=found.doubted,
    )
    for table, file in chosen.items():
        lake.put(snapshot.names(table)[0], file, replace=True)
    snapshot.put_in_force(lake)
    _clear_away(lake, folding.bucket)
    return snapshot


def _together(
    database: duckdb.DuckDBPyConnection, table: str, parts: Sequence[FoldedPart], workspace: Path
) -> Path:
    """The rows that were chosen of all parts, as those of one."""
    files = [part.chosen[table] for part in parts]
    if len(files) == 1:
        return files[0]
    view(database, "of_parts", files, SNAPSHOT)
    _write_first(database, "FROM of_parts", file := workspace / f"{table}.parquet")
    return file


def _chosen(found: Folded, listed_at: datetime, now: datetime) -> dict[str, str]:
    """Queries for the rows of each table that is made of `objects`."""
    none = "FROM objects WHERE false"  # without reading all rows
    # An object that was checked after the listing may be newer than it.
    there = f"(listed OR checked_at >= TIMESTAMPTZ '{listed_at.isoformat()}')"
    return {
        "queue": "FROM objects WHERE listed AND left_out IS NULL",
        "damaged": f"FROM objects WHERE {there} AND damaged_at IS NOT NULL" if found.damaged else none,
        "unread": f"FROM objects WHERE listed AND status = '{FAILED}'" if found.unread else none,
        "lost": lost_among("objects", listed_at, now) if found.may_be_lost else none,
    }


def _among_the_first(database: duckdb.DuckDBPyConnection, rows: str) -> str:
    """A condition that leaves hardly more than the rows that are due first; sorting all rows is slow."""
    first = f"SELECT due_at FROM ({rows}) ORDER BY due_at NULLS FIRST LIMIT {QUEUE_ROWS}"
    last = database.execute(f"SELECT max(due_at) FROM ({first})").fetchone()
    until = f" OR due_at <= TIMESTAMPTZ '{last[0].isoformat()}'" if last and last[0] else ""
    return f"(due_at IS NULL{until})"


def _read_by_day(
    database: duckdb.DuckDBPyConnection,
    before: Mapping[str, int],
    found: Folded,
    settings: Settings,
    now: datetime,
) -> dict[str, int]:
    days = Counter(before)
    days.update(found.read_by_day)
    # What ingest read by other algorithms than the bucket's is in its own tables alone.
    for day, count in database.execute(
        "SELECT strftime(checked_at AT TIME ZONE 'UTC', '%Y-%m-%d'), sum(size)::BIGINT FROM ingested "
        "WHERE checksum IS NOT NULL AND algorithm <> ? AND checked_at IS NOT NULL GROUP BY ALL",
        [settings.algorithm],
    ).fetchall():
        days[day] += count
    oldest = (now - timedelta(days=_DAYS_KEPT)).date().isoformat()
    return {day: count for day, count in sorted(days.items()) if day >= oldest}


def _clear_away(lake: Lake, bucket: str) -> None:
    """Remove generations older than a day that are not in force; runs in progress may read younger ones."""
    folder = snapshot_folder(bucket)
    youngest: dict[str, datetime] = {}
    for file in lake.list(folder):
        generation, _, inside = file.name.removeprefix(folder).partition("/")
        if inside:
            youngest[generation] = max(file.appeared, youngest.get(generation, file.appeared))
    snapshot = in_force(lake, bucket)
    for generation, appeared in youngest.items():
        if (snapshot is None or generation != snapshot.generation) and utc_now() - appeared > _KEPT_FOR:
            lake.remove(f"{folder}{generation}/")
