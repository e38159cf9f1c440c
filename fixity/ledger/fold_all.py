"""Folding a whole bucket: from an inventory, the snapshot before and new checks to the snapshot now.

Which check of an object counts is in `fold`.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.lake.database import open_database, quoted
from fixity.lake.paths import snapshot_folder
from fixity.ledger.by_key import ByKey, groups_of
from fixity.ledger.files import (
    changed_since_folded,
    ingest_tables,
    ledger_files,
    run_of,
    usable_files,
)
from fixity.ledger.fold import Settings
from fixity.ledger.fold_ranges import Folded, Sources, fold_ranges, news_of
from fixity.ledger.listing import Listing, inventory_before
from fixity.ledger.lost import lost_among
from fixity.ledger.repeats import PACKED, unpacked, view_rows
from fixity.ledger.snapshot import FORMAT, SNAPSHOT, Snapshot, in_force
from fixity.tables import INVENTORY, TableUnreadable

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


@dataclass(frozen=True)
class Folding:
    """The bucket to fold, in which lake and workspace; which run does it, and when (UTC)."""

    lake: Lake
    bucket: str
    settings: Settings
    run_id: str
    now: datetime
    workspace: Path


def fold(folding: Folding, before: Snapshot | None, listing: Listing) -> Snapshot:
    """Add all files that are not in the snapshot `before`, and put the new one in force. Raises LakeError."""
    lake, bucket, settings = folding.lake, folding.bucket, folding.settings
    now, workspace = folding.now, folding.workspace
    inventory = lake.fetch(listing.name, workspace)
    if before is not None and before.etag_is_md5 != settings.etag_is_md5:
        before = None  # what checks meant is different now
    prior = _prior(lake, before, workspace)
    if prior is None:
        before = None
        prior = _listed_before(lake, bucket, listing, workspace)
    in_it = dict(before.folded) if before else {}
    not_proved = set(before.not_proved) if before else set()
    ledger = ledger_files(lake, bucket)
    unfolded = [file for file in ledger if run_of(file.name) not in in_it]
    # A file without a proof is read through once, so that a damaged one is reported and breaks no query.
    files, left_out = usable_files(lake, bucket, unfolded, workspace, thoroughly=True)
    not_proved |= {run_of(file.name) for file in files if not lake.is_proved(file.path)}
    left_out += changed_since_folded(ledger, in_it)
    ingested = dict(before.ingested) if before else {}
    tables = ingest_tables(lake, bucket)
    unread = [file for file in tables if run_of(file.name) not in ingested]
    records, unusable = usable_files(lake, bucket, unread, workspace, thoroughly=True)
    left_out += [*unusable, *changed_since_folded(tables, ingested)]
    listed_at = listing.provenance.listed_at
    with open_database(workspace, _MEMORY) as database:
        known = (
            ByKey(groups_of(inventory), INVENTORY),
            ByKey(groups_of(prior) if prior else [], PACKED, unpacked),
        )
        sources = Sources(*known, news_of(database, files, records, known, workspace))
        found = fold_ranges(database, sources, settings, listed_at, now, workspace)
        pa.default_memory_pool().release_unused()  # else it stays beside what DuckDB takes to sort the queue
        read_by_day = _read_by_day(database, before, found, settings, now)
        view_rows(database, "objects", [workspace / "objects.parquet"])
        columns = ", ".join(SNAPSHOT.names)
        for name, which in _chosen(found, listed_at, now).items():
            database.execute(
                f"COPY (SELECT {columns} FROM ({which}) WHERE {_among_the_first(database, which)} "
                f"ORDER BY due_at NULLS FIRST, key LIMIT {QUEUE_ROWS}) "
                f"TO {quoted(workspace / f'{name}.parquet')} (COMPRESSION zstd, COMPRESSION_LEVEL 1, "
                f"ROW_GROUP_SIZE {_GROUP_OF_CHOSEN})"
            )
    snapshot = Snapshot(
        format=FORMAT,
        bucket=bucket,
        generation=f"{now:%Y%m%dT%H%M%S}-{folding.run_id}",
        inventory_run_id=listing.provenance.run_id,
        listed_at=listed_at.isoformat(),
        folded_at=now.isoformat(),
        every=settings.every.total_seconds(),
        algorithm=settings.algorithm,
        objects=found.listed,
        rows=found.rows,
        queued=int(pq.read_metadata(workspace / "queue.parquet").num_rows),
        folded=in_it | {run_of(file.name): file.size for file in files},
        ingested=ingested | {run_of(file.name): file.size for file in records},
        left_out={each.name: (each.size, each.why) for each in left_out},
        read_by_day=read_by_day,
        place=listing.provenance.place,
        doubted=found.doubted,
        etag_is_md5=settings.etag_is_md5,
        not_proved=sorted(not_proved),
        due_by=settings.due_by,
    )
    for name in snapshot.files:
        lake.put(name, workspace / PurePosixPath(name).name, replace=True)
    snapshot.put_in_force(lake)
    _clear_away(lake, bucket)
    return snapshot


def _prior(lake: Lake, before: Snapshot | None, workspace: Path) -> Path | None:
    if before is None:
        return None
    try:
        path = lake.fetch(before.name("objects"), workspace)
        pq.read_schema(path)
    except (FileNotFoundError, pa.ArrowException, TableUnreadable):
        return None  # lost or damaged: the whole ledger is folded again
    return path


def _listed_before(lake: Lake, bucket: str, listing: Listing, workspace: Path) -> Path | None:
    """The inventory before this one, as rows of a snapshot: what is gone since is known also without one."""
    before = inventory_before(lake, bucket, listing)
    if before is None:
        return None
    at = f"TIMESTAMPTZ '{before.provenance.listed_at.isoformat()}'"
    file = workspace / "listed-before.parquet"
    with suppress(TableUnreadable), open_database(workspace) as database:
        rows = database.from_parquet(str(lake.fetch(before.name, workspace)))
        rows.project(f"*, true AS listed, {at} AS listed_since, {at} AS last_listed_at").write_parquet(
            str(file)
        )
        return file
    return None


def _chosen(found: Folded, listed_at: datetime, now: datetime) -> dict[str, str]:
    """Queries for the rows of each table that is made of `objects`."""
    none = "FROM objects WHERE false"  # without reading all rows
    # An object that was checked after the listing may be newer than it.
    there = f"(listed OR checked_at >= TIMESTAMPTZ '{listed_at.isoformat()}')"
    return {
        "queue": "FROM objects WHERE listed AND left_out IS NULL",
        "damaged": f"FROM objects WHERE {there} AND damaged_at IS NOT NULL" if found.damaged else none,
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
    before: Snapshot | None,
    found: Folded,
    settings: Settings,
    now: datetime,
) -> dict[str, int]:
    days = Counter(before.read_by_day if before else {})
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
