"""Folding a whole bucket: from an inventory, the snapshot before and new checks to the snapshot now.

It goes range by range over sorted tables, so that memory does not grow with the bucket. Which check of an
object counts is in `fold`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.clock import CLOCKS_DIFFER, utc_now
from fixity.lake import Lake
from fixity.lake.database import open_database, quoted, view
from fixity.lake.paths import snapshot_folder
from fixity.lake.ranges import TableNotSorted, pieces_of
from fixity.lake.writer import ROW_GROUP_ROWS, parquet_writer
from fixity.ledger.files import (
    LedgerFile,
    changed_since_folded,
    ingest_tables,
    ledger_files,
    run_of,
    usable_files,
)
from fixity.ledger.fold import NEWS, Settings, folded
from fixity.ledger.listing import Listing, inventory_before
from fixity.ledger.lost import lost_among
from fixity.ledger.snapshot import FORMAT, SNAPSHOT, Snapshot, in_force
from fixity.tables import CHECKSUMS, INGEST, INVENTORY, TableUnreadable

if TYPE_CHECKING:
    import duckdb

_RANGE_ROWS = 200_000
_MEMORY = "900MB"
_LARGE_ROWS = 100_000  # a file of the ledger with more is read range by range
QUEUE_ROWS = 250_000
"""The rows of the queue: half of them are what a day of batches at the default rate checks, and then the
snapshot is made anew anyway, because the bucket is listed each day."""
_DAYS_KEPT = 40
_KEPT_FOR = timedelta(days=1)
_CHOSEN = {
    "queue": "FROM objects WHERE listed AND left_out IS NULL",
    # An object that was checked after the listing may be newer than it.
    "damaged": "FROM objects "
    "WHERE (listed OR checked_at >= TIMESTAMPTZ '{listed_at}') AND damaged_at IS NOT NULL",
}
TABLES = ("objects", *_CHOSEN, "lost")


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
    objects = workspace / "objects.parquet"
    rows = 0
    with open_database(workspace, _MEMORY) as database:
        view(database, "ingested", [file.path for file in records], INGEST)
        news = _open_views(database, inventory, prior, files, workspace)
        with parquet_writer(objects, SNAPSHOT) as writer:
            for lower, upper in _ranges([inventory, *([prior] if prior else []), *news]):
                for batch in folded(database, settings, listing.provenance.listed_at, now, lower, upper):
                    writer.write_batch(batch, row_group_size=ROW_GROUP_ROWS)
                    rows += batch.num_rows
        read_by_day = _read_by_day(database, before, settings, now)
        view(database, "objects", [objects], SNAPSHOT)
        listed = _count(database, "listed")
        doubted = _count(
            database, f"greatest(checked_at, verified_at, good_at) > '{(now + CLOCKS_DIFFER).isoformat()}'"
        )
        columns = ", ".join(SNAPSHOT.names)
        listed_at = listing.provenance.listed_at
        chosen = {name: which.format(listed_at=listed_at.isoformat()) for name, which in _CHOSEN.items()}
        # Hardly ever is an object lost, and looking for it reads all columns of all rows.
        may_be_lost = _count(database, "NOT listed OR error_code = 'DeletedSinceListed'")
        lost = lost_among("objects", listed_at, now) if may_be_lost else "FROM objects WHERE false"
        for name, which in {**chosen, "lost": lost}.items():
            database.execute(
                f"COPY (SELECT {columns} FROM ({which}) WHERE {_among_the_first(database, which)} "
                f"ORDER BY due_at NULLS FIRST, key LIMIT {QUEUE_ROWS}) "
                f"TO {quoted(workspace / f'{name}.parquet')} (COMPRESSION zstd, COMPRESSION_LEVEL 1)"
            )
    snapshot = Snapshot(
        format=FORMAT,
        bucket=bucket,
        generation=f"{now:%Y%m%dT%H%M%S}-{folding.run_id}",
        inventory_run_id=listing.provenance.run_id,
        listed_at=listing.provenance.listed_at.isoformat(),
        folded_at=now.isoformat(),
        every=settings.every.total_seconds(),
        algorithm=settings.algorithm,
        objects=listed,
        rows=rows,
        queued=int(pq.read_metadata(workspace / "queue.parquet").num_rows),
        folded=in_it | {run_of(file.name): file.size for file in files},
        ingested=ingested | {run_of(file.name): file.size for file in records},
        left_out={each.name: (each.size, each.why) for each in left_out},
        read_by_day=read_by_day,
        place=listing.provenance.place,
        doubted=doubted,
        etag_is_md5=settings.etag_is_md5,
        not_proved=sorted(not_proved),
        due_by=settings.due_by,
    )
    for name in TABLES:
        lake.put(snapshot.name(name), workspace / f"{name}.parquet", replace=True)
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


def _large(files: list[LedgerFile]) -> list[Path]:
    return [file.path for file in files if file.rows > _LARGE_ROWS and _is_sorted(file.path)]


def _is_sorted(path: Path) -> bool:
    try:
        pieces_of(path, 2**62)
    except TableNotSorted:
        return False
    return True


def _open_views(
    database: duckdb.DuckDBPyConnection,
    listing: Path,
    prior: Path | None,
    files: list[LedgerFile],
    workspace: Path,
) -> list[Path]:
    """Make the views for folding; returns the sorted tables of checks among them."""
    large = _large(files)
    small = [file for file in files if file.path not in large]
    view(database, "listing", [listing], INVENTORY)
    view(database, "prior", [prior] if prior else [], SNAPSHOT)
    view(database, "small", [file.path for file in small], CHECKSUMS)
    if sum(file.rows for file in small) > _LARGE_ROWS:
        # Thousands of small files are read once, not once for each range.
        large.append(workspace / "small-sorted.parquet")
        database.execute(
            f"COPY (SELECT {', '.join(CHECKSUMS.names)} FROM small ORDER BY key) TO '{large[-1]}' "
            f"(ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
        )
        view(database, "small", [], CHECKSUMS)
    view(database, "large", large, CHECKSUMS)
    database.execute("CREATE TEMP VIEW checks AS FROM large UNION ALL BY NAME FROM small")
    database.execute(f"CREATE TEMP VIEW news AS {NEWS}")
    return large


def _ranges(tables: list[Path]) -> Iterator[tuple[str, str | None]]:
    pieces = sorted(
        (piece for table in tables for piece in pieces_of(table, 2**62)), key=lambda piece: piece.first
    )
    edges: list[str | None] = [""]
    lower = ""
    held = 0
    for piece in pieces:
        if held >= _RANGE_ROWS and piece.first > lower:
            lower, held = piece.first, 0
            edges.append(lower)
        held += piece.rows
    for begin, end in pairwise([*edges, None]):
        yield begin or "", end


def _count(database: duckdb.DuckDBPyConnection, condition: str) -> int:
    row = database.execute(f"SELECT count(*) FROM objects WHERE {condition}").fetchone()
    return int(row[0]) if row else 0


def _among_the_first(database: duckdb.DuckDBPyConnection, rows: str) -> str:
    """A condition that leaves hardly more than the rows that are due first; sorting all rows is slow."""
    first = f"SELECT due_at FROM ({rows}) ORDER BY due_at NULLS FIRST LIMIT {QUEUE_ROWS}"
    last = database.execute(f"SELECT max(due_at) FROM ({first})").fetchone()
    until = f" OR due_at <= TIMESTAMPTZ '{last[0].isoformat()}'" if last and last[0] else ""
    return f"(due_at IS NULL{until})"


def _read_by_day(
    database: duckdb.DuckDBPyConnection, before: Snapshot | None, settings: Settings, now: datetime
) -> dict[str, int]:
    days = dict(before.read_by_day) if before else {}
    # What ingest read by other algorithms than the bucket's is in its own tables alone.
    for day, count in database.execute(
        "SELECT strftime(checked_at AT TIME ZONE 'UTC', '%Y-%m-%d'), sum(bytes_read)::BIGINT FROM ("
        "SELECT checked_at, bytes_read FROM news WHERE NOT only_verdict UNION ALL "
        "SELECT checked_at, size FROM ingested WHERE checksum IS NOT NULL AND algorithm <> ?"
        ") WHERE checked_at IS NOT NULL GROUP BY ALL",
        [settings.algorithm],
    ).fetchall():
        days[day] = days.get(day, 0) + count
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
