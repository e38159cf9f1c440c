"""The whole life of objects: when they were written, listed and checked, what was expected of them, what went
wrong and what became of it, from all that the lake holds of them. Nothing is read from a bucket.

A file that cannot be read or proved does not count, and is named. Judging objects does not belong here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Catalog
from fixity.incidents.events import read_events
from fixity.incidents.state import incidents_now
from fixity.lake import Lake
from fixity.lake.database import open_database, own_table, quoted, view
from fixity.lake.paths import baselines_folder
from fixity.ledger.files import ingest_tables, ledger_files, usable_files
from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import TableMissing
from fixity.ledger.lost import LOST, lost_now
from fixity.ledger.refresh import gone, ready
from fixity.ledger.snapshot import SNAPSHOT, Snapshot
from fixity.ledger.views import view_now
from fixity.tables import BASELINES, CHECKSUMS, INCIDENT_EVENTS, INGEST, Provenance, TableUnreadable

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql")
_TIME = SNAPSHOT.field("verified_at").type
_DAMAGED = "listed AND damaged_at IS NOT NULL"
_IN_WORDS = """
    CREATE TEMP MACRO in_words(moment) AS strftime(make_timestamp(epoch_us(moment)), '%Y-%m-%dT%H:%M:%S.%fZ')
"""
_HISTORY = 'SELECT * REPLACE (in_words("at") AS "at") FROM life'
_LOST = """
    SELECT
        key, version_id, size, in_words(last_seen) AS last_seen, in_words(gone_at) AS gone_at,
        in_words(good_at) AS last_right_at, in_words(damaged_at) AS damaged_at,
        baseline_algorithm || ':' || baseline AS expected
    FROM lost
    ORDER BY key, version_id NULLS FIRST
"""
_MEMORY = "1GB"


@dataclass(frozen=True)
class Lives:
    """What is known of some keys of a bucket: their moments in order, and how they stand now.

    moments: by key, then time (UTC); `what` is written, listed, record, check, gone, or an incident's event.
    now: rows of the snapshot, one a version or content. open_incidents: those of the keys that are not over.
    not_read: files that do not count, and why.
    """

    moments: pa.Table
    now: list[dict[str, Any]]
    lost: list[dict[str, Any]]
    open_incidents: list[str]
    not_read: list[str]


@dataclass(frozen=True)
class Wrong:
    """How many objects of a bucket are damaged now, and lost; and the files that do not count, with why."""

    damaged: int
    lost: int
    not_read: list[str]


def lives_of(lake: Lake, catalog: Catalog, bucket: str, keys: Iterable[str]) -> Lives:
    """The whole life of some keys of a bucket. Raises LakeError."""
    wanted = set(keys)
    with _opened(lake, catalog, bucket, wanted) as (database, not_read):
        moments = database.execute("FROM life").to_arrow_table()
        now = database.execute(
            f"SELECT {', '.join(SNAPSHOT.names)} FROM now SEMI JOIN keys USING (key) "
            "ORDER BY key, is_latest DESC, last_modified DESC"
        ).to_arrow_table()
        gone = database.execute("FROM lost SEMI JOIN keys USING (key)").to_arrow_table()
    pairs = {pair.name for pair in catalog.pairs_of(bucket)}
    open_incidents = {
        each.incident_id
        for incident in incidents_now(lake)
        for each in incident.objects
        if each.key in wanted
        and not each.is_over
        and (each.bucket == bucket or (each.bucket is None and each.pair in pairs))
    }
    return Lives(moments, now.to_pylist(), gone.to_pylist(), sorted(open_incidents), not_read)


def write_lives(lake: Lake, catalog: Catalog, bucket: str, keys: Iterable[str], folder: Path) -> Wrong:
    """Write `history.csv`, the whole lives of some keys and of what is damaged or lost now, and `lost.csv`.

    However many they are, they are not held in memory. Raises LakeError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _opened(lake, catalog, bucket, keys, with_wrong=True) as (database, not_read):
        database.execute(_IN_WORDS)
        for query, name in ((_HISTORY, "history.csv"), (_LOST, "lost.csv")):
            database.execute(f"COPY ({query}) TO {quoted(folder / name)} (FORMAT csv, HEADER)")
        damaged, lost = database.execute(
            f"SELECT (SELECT count(*) FROM now WHERE {_DAMAGED}), (SELECT count(*) FROM lost)"
        ).fetchall()[0]
    return Wrong(damaged, lost, not_read)


@contextmanager
def _opened(
    lake: Lake, catalog: Catalog, bucket: str, keys: Iterable[str], with_wrong: bool = False
) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[str]]]:
    """A database with the views `life` and `now`, and the tables `keys` and `lost`; and what was not read."""
    not_read: list[str] = []
    snapshot = _snapshot(lake, catalog, bucket, not_read)
    with lake.workspace() as workspace, open_database(workspace, _MEMORY) as database:
        checks, unread = usable_files(lake, bucket, ledger_files(lake, bucket), workspace, thoroughly=True)
        ingested, more = usable_files(lake, bucket, ingest_tables(lake, bucket), workspace, thoroughly=True)
        unread += [*more, *gone(lake, bucket)]
        not_read += [f"{lake.location(each.name)} {each.why}" for each in unread]
        records = _tables_of_records(lake, bucket, workspace, not_read)
        view(database, "checks", [each.path for each in checks], CHECKSUMS)
        view(database, "ingested", [each.path for each in ingested], INGEST)
        view(database, "records", [file for file, _ in records], BASELINES)
        view_now(database, lake, snapshot, "objects", workspace)
        looks = {
            "filename": pa.array([str(file) for file, _ in records], pa.string()),
            "listed_at": pa.array([listed_at for _, listed_at in records], _TIME),
        }
        own_table(database, "looks", pa.table(looks))
        own_table(database, "events", _events(lake, catalog, bucket, not_read))
        own_table(database, "lost", _lost(lake, catalog, bucket, snapshot))
        own_table(database, "keys", pa.table({"key": pa.array(sorted(set(keys)), pa.string())}))
        if with_wrong:
            wrong = f"SELECT key FROM now WHERE {_DAMAGED} UNION SELECT key FROM lost"
            database.execute(f"INSERT INTO keys ({wrong} EXCEPT FROM keys)")
        database.execute(f"CREATE TEMP VIEW life AS {_SQL.read_text(encoding='utf-8')}")
        said = dict.fromkeys(each.removeprefix("left out: ") for each in not_read)
        yield database, list(said)


def _snapshot(lake: Lake, catalog: Catalog, bucket: str, not_read: list[str]) -> Snapshot | None:
    try:
        return ready(
            lake, bucket, settings_of(catalog.buckets[bucket]), str(uuid.uuid4()), log=not_read.append
        )
    except TableMissing:  # it was never listed
        return None


def _lost(lake: Lake, catalog: Catalog, bucket: str, snapshot: Snapshot | None) -> pa.Table:
    """The objects that vanished, each with when that was found."""
    if snapshot is None:
        return LOST.append(pa.field("gone_at", _TIME)).empty_table()
    lost = lost_now(lake, catalog.buckets[bucket], snapshot)
    listed_at = datetime.fromisoformat(snapshot.listed_at)
    gone_at = [row["checked_at"] if row["listed"] else listed_at for row in lost.to_pylist()]
    return lost.append_column("gone_at", pa.array(gone_at, _TIME))


def _events(lake: Lake, catalog: Catalog, bucket: str, not_read: list[str]) -> pa.Table:
    """The events of incidents that may be about a bucket's objects."""
    events, unreadable = read_events(lake)
    not_read += [f"{lake.location(each.name)} {each.why}" for each in unreadable]
    pairs = {pair.name for pair in catalog.pairs_of(bucket)}
    of_bucket = [
        each
        for each in events
        if each.key is None or each.bucket == bucket or (each.bucket is None and each.pair in pairs)
    ]
    columns = {name: [getattr(each, name) for each in of_bucket] for name in INCIDENT_EVENTS.names}
    return pa.table(columns, INCIDENT_EVENTS)


def _tables_of_records(
    lake: Lake, bucket: str, workspace: Path, not_read: list[str]
) -> list[tuple[Path, datetime]]:
    """Local copies of a bucket's tables of records, and when the bucket was listed for each (UTC)."""
    found: list[tuple[Path, datetime]] = []
    for each in lake.list(baselines_folder(bucket)):
        if each.name.endswith(".parquet"):
            try:
                file = lake.fetch(each.name, workspace)
                pq.read_table(file, columns=["key"])
                found.append((file, Provenance.read(file).listed_at))
            except (pa.ArrowException, OSError, TableUnreadable) as error:
                not_read.append(f"{lake.location(each.name)} cannot be used: {error}")
    return found
