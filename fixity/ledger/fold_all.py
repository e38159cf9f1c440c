"""Folding a whole bucket: from an inventory, the snapshot before and new checks to the snapshot now.

Which check of an object counts is in `fold`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.clock import utc_now
from fixity.lake import Lake, LakeError
from fixity.lake.database import open_database, quoted, view
from fixity.lake.paths import snapshot_folder
from fixity.lake.proof import sealed, unsealed
from fixity.ledger.by_key import ByKey, Keys, groups_of, ranges_of
from fixity.ledger.files import (
    LedgerFile,
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
from fixity.ledger.snapshot import CHOSEN, FORMAT, OBJECTS, OF_PART, SNAPSHOT, Snapshot, in_force
from fixity.tables import INGEST, INVENTORY, TableUnreadable

if TYPE_CHECKING:
    import duckdb

_MEMORY = "900MB"
QUEUE_ROWS = 250_000
"""The rows of the queue: half of them are what a day of batches at the default rate checks, and then the
snapshot is made anew anyway, because the bucket is listed each day."""
_RANGES_OF_PART = 100
"""Seven to ten million objects, whose files have one or two gigabytes."""
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


@dataclass(frozen=True)
class FoldPlan:
    """What is folded, by names in the lake, and what the snapshot will say of itself, but for its figures.

    prior: the tables of the snapshot before; or the inventory before, with `listed_at`, when it was listed.
    files, ingested: of the ledger and of ingest, which are not in it yet. replaces: the generation that was
    in force, if any was.
    """

    snapshot: Snapshot
    inventory: str
    prior: list[str]
    listed_at: str | None
    files: list[str]
    ingested: list[str]
    replaces: str | None

    def to_json(self) -> str:
        """The plan as a text, for `from_json`."""
        return sealed(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> FoldPlan:
        """The plan of a text. Raises ValueError, TypeError, KeyError."""
        values = unsealed(text)
        return cls(**values | {"snapshot": Snapshot.of(values["snapshot"])})

    @property
    def ranges(self) -> list[Keys]:
        """The keys of each part."""
        return [(lower or "", upper) for lower, upper in pairwise(["", *self.snapshot.cuts, None])]

    def still_holds(self, lake: Lake, settings: Settings) -> bool:
        """Whether it may be put in force: neither the snapshot nor what the catalog says is another now.

        A run that is re-executed has a plan of days ago, and a newer snapshot knows more. Raises LakeError.
        """
        planned, now = self.snapshot, in_force(lake, self.snapshot.bucket)
        return (
            planned.format == FORMAT
            and self.replaces == (now.generation if now else None)
            and planned.every == settings.every.total_seconds()
            and planned.algorithm == settings.algorithm
            and planned.due_by == settings.due_by
            and planned.etag_is_md5 == settings.etag_is_md5
        )


class FoldedPart(NamedTuple):
    """A part that is kept in the lake: its figures, and local files of the rows chosen of it, by table."""

    found: Folded
    chosen: Mapping[str, Path]


def fold(folding: Folding, before: Snapshot | None, listing: Listing) -> Snapshot:
    """Add all files that are not in the snapshot `before`, and put the new one in force. Raises LakeError."""
    with open_database(folding.workspace, _MEMORY) as database:
        plan, sources = _planned(database, folding, before, listing)
        parts = [
            _folded(database, folding, plan, sources, number) for number in range(len(plan.snapshot.parts))
        ]
        return _put_in_force(database, folding, plan, parts)


def plan_fold(folding: Folding, before: Snapshot | None, listing: Listing) -> FoldPlan:
    """What `fold` would do, for `fold_part` on several machines. Raises LakeError."""
    with open_database(folding.workspace, _MEMORY) as database:
        return _planned(database, folding, before, listing)[0]


def fold_part(folding: Folding, plan: FoldPlan, number: int) -> FoldedPart:
    """Fold a part of a plan, and keep it in the lake. Raises LakeError."""
    with open_database(folding.workspace, _MEMORY) as database:
        return _folded(database, folding, plan, _sources_of(database, folding, plan), number)


def put_in_force(folding: Folding, plan: FoldPlan, parts: Sequence[FoldedPart]) -> Snapshot:
    """Put the snapshot of all parts of a plan in force. Raises LakeError."""
    with open_database(folding.workspace, _MEMORY) as database:
        files = _usable(folding, plan.ingested)
        view(database, "ingested", [file.path for file in files], INGEST)
        return _put_in_force(database, folding, plan, parts)


def _planned(
    database: duckdb.DuckDBPyConnection, folding: Folding, before: Snapshot | None, listing: Listing
) -> tuple[FoldPlan, Sources]:
    lake, bucket, settings = folding.lake, folding.bucket, folding.settings
    replaces = before.generation if before else None
    if before is not None and before.etag_is_md5 != settings.etag_is_md5:
        before = None  # what checks meant is different now
    if before is not None and not _is_whole(lake, before, folding.workspace):
        before = None  # lost or damaged: the whole ledger is folded again
    listed_before = None if before else _listed_before(folding, listing)
    in_it = dict(before.folded) if before else {}
    ledger = ledger_files(lake, bucket)
    unfolded = [file for file in ledger if run_of(file.name) not in in_it]
    # A file without a proof is read through once, so that a damaged one is reported and breaks no query.
    files, left_out = usable_files(lake, bucket, unfolded, folding.workspace, thoroughly=True)
    not_proved = {
        *(before.not_proved if before else ()),
        *(run_of(file.name) for file in files if not lake.is_proved(file.path)),
    }
    left_out += changed_since_folded(ledger, in_it)
    ingested = dict(before.ingested) if before else {}
    tables = ingest_tables(lake, bucket)
    unread = [file for file in tables if run_of(file.name) not in ingested]
    records, unusable = usable_files(lake, bucket, unread, folding.workspace, thoroughly=True)
    left_out += [*unusable, *changed_since_folded(tables, ingested)]
    snapshot = Snapshot(
        format=FORMAT,
        bucket=bucket,
        generation=f"{folding.now:%Y%m%dT%H%M%S}-{folding.run_id}",
        inventory_run_id=listing.provenance.run_id,
        listed_at=listing.provenance.listed_at.isoformat(),
        folded_at=folding.now.isoformat(),
        every=settings.every.total_seconds(),
        algorithm=settings.algorithm,
        objects=0,
        rows=0,
        queued=0,
        folded=in_it | {run_of(file.name): file.size for file in files},
        ingested=ingested | {run_of(file.name): file.size for file in records},
        left_out={each.name: (each.size, each.why) for each in left_out},
        read_by_day=dict(before.read_by_day) if before else {},
        place=listing.provenance.place,
        etag_is_md5=settings.etag_is_md5,
        not_proved=sorted(not_proved),
        due_by=settings.due_by,
    )
    plan = FoldPlan(
        snapshot,
        listing.name,
        before.names(OBJECTS) if before else [listed_before.name] if listed_before else [],
        listed_before.provenance.listed_at.isoformat() if listed_before else None,
        [file.name for file in files],
        [file.name for file in records],
        replaces,
    )
    sources = _sources(database, folding, plan, files, records)
    cuts = [lower for lower, _ in ranges_of(sources)][_RANGES_OF_PART::_RANGES_OF_PART]
    return replace(plan, snapshot=replace(snapshot, cuts=cuts)), sources


def _listed_before(folding: Folding, listing: Listing) -> Listing | None:
    before = inventory_before(folding.lake, folding.bucket, listing)
    with suppress(TableUnreadable):
        if before is not None:
            folding.lake.fetch(before.name, folding.workspace)
            return before
    return None


def _is_whole(lake: Lake, before: Snapshot, workspace: Path) -> bool:
    try:
        for name in before.names(OBJECTS):
            pq.read_schema(lake.fetch(name, workspace))
    except (FileNotFoundError, pa.ArrowException, TableUnreadable):
        return False
    return True


def _sources_of(database: duckdb.DuckDBPyConnection, folding: Folding, plan: FoldPlan) -> Sources:
    """What a plan folds. Raises LakeError, also where a file is no longer what it was."""
    files, ingested = _usable(folding, plan.files), _usable(folding, plan.ingested)
    return _sources(database, folding, plan, files, ingested)


def _usable(folding: Folding, names: Sequence[str]) -> list[LedgerFile]:
    wanted = set(names)
    there = [*ledger_files(folding.lake, folding.bucket), *ingest_tables(folding.lake, folding.bucket)]
    chosen = [file for file in there if file.name in wanted]
    files, left_out = usable_files(folding.lake, folding.bucket, chosen, folding.workspace)
    if len(files) < len(wanted):
        why = "; ".join(f"{each.name} {each.why}" for each in left_out) or "a file is gone"
        raise LakeError(f"the ledger of '{folding.bucket}' changed while it was folded: run again ({why})")
    return files


def _sources(
    database: duckdb.DuckDBPyConnection,
    folding: Folding,
    plan: FoldPlan,
    files: Sequence[LedgerFile],
    ingested: Sequence[LedgerFile],
) -> Sources:
    lake, workspace = folding.lake, folding.workspace
    prior = [lake.fetch(name, workspace) for name in plan.prior]
    if plan.listed_at is not None:
        prior = [_as_rows(prior[0], plan.listed_at, workspace)]
    known = (
        ByKey(groups_of(lake.fetch(plan.inventory, workspace)), INVENTORY),
        ByKey(groups_of(*prior), PACKED, unpacked),
    )
    return Sources(*known, news_of(database, files, ingested, known, workspace))


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


def _as_rows(inventory: Path, listed_at: str, workspace: Path) -> Path:
    """The inventory before, as rows of a snapshot: what is gone since is known also without one."""
    at, file = f"TIMESTAMPTZ {quoted(listed_at)}", workspace / "listed-before.parquet"
    with open_database(workspace) as database:
        rows = database.from_parquet(str(inventory))
        rows.project(f"*, true AS listed, {at} AS listed_since, {at} AS last_listed_at").write_parquet(
            str(file)
        )
    return file


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
