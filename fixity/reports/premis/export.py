"""Exports of PREMIS events: of each check and each lost, repaired or replicated object once; some on demand.

    premis/<bucket>/<run id>.parquet    the events of the ledger's files and of objects that had none before
    premis/<bucket>/<run id>.xml        the same, as PREMIS 3; more than fit go into <run id>-000002.xml, …
    premis/<bucket>/EXPORTED.json       which files of the ledger each export has the events of

A Parquet file of events never changes. Its footer names the files of the ledger whose events it has, so a
check has one event, however often an export was killed. The XML is made from the Parquet file, the first
document last, and EXPORTED.json only saves reading the footers.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.catalog import Bucket, Catalog, Pair
from fixity.clock import CLOCKS_DIFFER, utc_now
from fixity.errors import FixityError
from fixity.lake import Lake
from fixity.lake.base import LakeFile
from fixity.lake.database import open_database, own_table, quoted, view
from fixity.lake.paths import LOOKED_AGAIN, checksums_folder, inventory_folder, premis_folder
from fixity.lake.proof import sealed, unsealed
from fixity.lake.times import counted_as
from fixity.ledger import Snapshot, ready, usable_files
from fixity.ledger.files import ledger_files, run_of
from fixity.ledger.fold import settings_of
from fixity.ledger.views import NowByKey, define_content
from fixity.reports.premis.baselines import BASELINE, Baselines
from fixity.reports.premis.columns import EVENTS, NAMESPACE, place_of
from fixity.reports.premis.deletions import deletions
from fixity.reports.premis.documents import ALL, Choice, write_document, write_documents
from fixity.reports.premis.of_incidents import of_incidents
from fixity.reports.premis.replications import newest_report, replications
from fixity.tables import TableUnreadable, naming_the_unreadable
from fixity.version import SOFTWARE

if TYPE_CHECKING:
    import duckdb

_EVENTS = Path(__file__).with_name("events.sql")
_NOT_RECORDED = f"{SOFTWARE}, version not recorded"
_LEDGER_FILES = b"ledger_files"
_NOTE = "EXPORTED.json"
_MACROS = """
    -- RFC 9562, version 5: a name's SHA-1 with the version's and the variant's bits set.
    CREATE TEMP MACRO uuid5(h) AS concat_ws(
        '-', h[1:8], h[9:12], '5' || h[14:16],
        substr('89ab89ab89ab89ab', instr('0123456789abcdef', h[17]), 1) || h[18:20], h[21:32]
    );
    CREATE TEMP MACRO uri(place, name, version) AS
        place || replace(url_encode(name), '%2F', '/') || coalesce('?versionId=' || url_encode(version), '');
"""
# DuckDB itself writes the events: with another Parquet writer they take twice as long.
_COPY = """
    COPY (({events}) UNION ALL BY NAME FROM others) TO {file} (
        FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {row_group},
        KV_METADATA {{ledger_files: {ledger_files}}}
    )
"""
_MEMORY = "256MB"  # row groups of each thread
_ROWS_OF_PARQUET = 40_960


class EventsNotWhole(FixityError):
    """The events of an export are not as many as the checks they are of."""


@dataclass(frozen=True)
class Subject:
    """The bucket whose events are written, the pairs that have it, and the pairs' buckets by name."""

    bucket: Bucket
    pairs: tuple[Pair, ...] = ()
    buckets: Mapping[str, Bucket] = field(default_factory=dict)

    @classmethod
    def of(cls, catalog: Catalog, bucket: str) -> Subject:
        """A bucket of the catalog."""
        return cls(catalog.buckets[bucket], tuple(catalog.pairs_of(bucket)), catalog.buckets)


@dataclass(frozen=True)
class Exported:
    """An export: its number of events and of files of the ledger, its documents in order, and its table; ()
    and None without events.
    """

    events: int
    ledger_files: int
    xml: tuple[str, ...] = ()
    parquet: str | None = None


def export_events(
    lake: Lake,
    subject: Subject,
    run_id: str,
    log: Callable[[str], None] = lambda text: None,
    now: Callable[[], datetime] = utc_now,
) -> Exported:
    """Export the events that were not exported yet.

    Raises TableMissing, TableUnreadable (an earlier export is damaged), EventsNotWhole, LakeError.
    """
    bucket = subject.bucket
    folder = premis_folder(bucket.name)
    with lake.workspace() as workspace:
        exports = _exports(lake, folder, workspace)
        _complete(lake, folder, exports, workspace)
        if not ledger_files(lake, bucket.name):
            return Exported(0, 0)
        snapshot = ready(lake, bucket.name, settings_of(bucket), run_id, now, log)
        new = _New(lake, subject, snapshot, exports, workspace)
        parquet, usable = new.write(now(), log)
        events = int(pq.read_metadata(parquet).num_rows)
        if not (usable or events):
            return Exported(0, 0)
        # Another export, started by hand or by the schedule, may have exported them in the meantime.
        others = _exports(lake, folder, workspace)
        if any(run in runs for runs in others.values() for run in usable):
            log("another run exported these events in the meantime: nothing is exported twice")
            return Exported(0, 0)
        lake.put(f"{folder}{run_id}.parquet", parquet, keep=True)
        names = _put_documents(lake, f"{folder}{run_id}", parquet, workspace)
    lake.put_text(f"{folder}{_NOTE}", sealed(exports | {run_id: usable}), replace=True)
    return Exported(events, len(usable), names, f"{folder}{run_id}.parquet")


def print_events(
    lake: Lake,
    subject: Subject,
    out: BinaryIO,
    choice: Choice = ALL,
    log: Callable[[str], None] = lambda text: None,
    now: Callable[[], datetime] = utc_now,
) -> None:
    """Write the chosen events as one PREMIS document.

    Events that were exported before are written as they were then, but for times that a wrong clock dated
    ahead, after a person has said so.
    Raises TableMissing, TableUnreadable, EventsNotWhole, LakeError.
    """
    with lake.workspace() as workspace:
        tables = event_tables(lake, subject, workspace, log, now)
        with naming_the_unreadable(*tables):
            write_document(tables, out, place_of(subject.bucket), workspace, choice)


def event_tables(
    lake: Lake,
    subject: Subject,
    workspace: Path,
    log: Callable[[str], None] = lambda text: None,
    now: Callable[[], datetime] = utc_now,
) -> list[Path]:
    """Local tables of all events: those that were exported, as in `print_events`, and the others.

    Raises TableMissing, TableUnreadable, EventsNotWhole, LakeError.
    """
    bucket = subject.bucket
    snapshot = ready(lake, bucket.name, settings_of(bucket), str(uuid.uuid4()), now, log)
    exports = _exports(lake, premis_folder(bucket.name), workspace)
    new = _New(lake, subject, snapshot, exports, workspace)
    return [*new.kept, new.write(now(), log)[0]]


def _exports(lake: Lake, folder: str, workspace: Path) -> dict[str, list[str]]:
    """All exports, each with the runs whose files of the ledger it has the events of."""
    try:
        noted = unsealed(lake.read_text(f"{folder}{_NOTE}"))
    except (FileNotFoundError, ValueError):  # footers say it too
        noted = {}
    names = [file.name for file in lake.list(folder) if file.name.endswith(".parquet")]
    return {run_of(name): noted.get(run_of(name)) or _runs_in(lake.fetch(name, workspace)) for name in names}


def _runs_in(export: Path) -> list[str]:
    """The runs whose events an export has."""
    with naming_the_unreadable(export):
        metadata = pq.read_schema(export).metadata or {}
        if _LEDGER_FILES in metadata:
            try:
                return [str(each) for each in json.loads(metadata[_LEDGER_FILES])]
            except (ValueError, TypeError) as error:  # of a file without a proof
                raise TableUnreadable(export, error) from error
        return sorted(set(pq.read_table(export, columns=["run_id"]).column("run_id").to_pylist()))


def _complete(lake: Lake, folder: str, exports: Iterable[str], workspace: Path) -> None:
    """Write the missing XML of exports that were killed before they wrote it."""
    there = {file.name for file in lake.list(folder)}
    for name in exports:
        if f"{folder}{name}.xml" not in there:
            table = lake.fetch(f"{folder}{name}.parquet", workspace)
            _put_documents(lake, f"{folder}{name}", table, workspace)


def _put_documents(lake: Lake, name: str, table: Path, workspace: Path) -> tuple[str, ...]:
    """Put the documents of a table as they are made, the first last: where it is, all are.

    Returns their names in order.
    """
    first: list[Path] = []
    others: list[str] = []

    def put(file: Path) -> None:
        if not first:
            first.append(file)
            return
        others.append(f"{name}-{file.stem}.xml")
        lake.put(others[-1], file, replace=True)

    write_documents([table], workspace / "documents" / table.stem, workspace, use=put)
    if not first:
        return ()
    lake.put(f"{name}.xml", first[0], replace=True)
    return (f"{name}.xml", *others)


def _as_counted(export: Path, counted: Mapping[str, datetime], workspace: Path) -> Path:
    """An export, or a copy in which later times of events are the moments that they count as.

    Arguments: `counted`, these moments (UTC) by the run that the events are of. Raises TableUnreadable.
    """
    if not counted:
        return export
    runs, latest = (
        pa.array(counted.keys(), pa.string()),
        pa.array(counted.values(), pa.timestamp("us", "UTC")),
    )
    with naming_the_unreadable(export), pq.ParquetFile(export) as table:
        if not pc.any(pc.is_in(table.read(["run_id"])["run_id"], value_set=runs)).as_py():
            return export
        copy = workspace / f"{export.stem}-as-counted.parquet"
        with pq.ParquetWriter(copy, table.schema_arrow) as writer:
            for number in range(table.num_row_groups):
                rows = table.read_row_group(number)
                of_run = latest.take(pc.index_in(rows["run_id"], value_set=runs).combine_chunks())
                for name in ("event_datetime", "expected_at"):
                    place, times = rows.schema.get_field_index(name), rows[name]
                    at = of_run.cast(times.type)
                    is_later = pc.fill_null(pc.greater(times, at), False)
                    rows = rows.set_column(place, rows.schema.field(place), pc.if_else(is_later, at, times))
                writer.write_table(rows, row_group_size=max(rows.num_rows, 1))
    return copy


class _New:
    """The events of a bucket that no export has. kept: local copies of the exports, with times as they count
    (`fixity.lake.times`)."""

    def __init__(
        self,
        lake: Lake,
        subject: Subject,
        snapshot: Snapshot,
        exports: dict[str, list[str]],
        workspace: Path,
    ) -> None:
        self._lake, self._subject, self._snapshot, self._workspace = lake, subject, snapshot, workspace
        bucket = subject.bucket.name
        folder = premis_folder(bucket)
        counted = {**counted_as(lake, inventory_folder(bucket)), **counted_as(lake, checksums_folder(bucket))}
        self.kept = [
            _as_counted(lake.fetch(f"{folder}{name}.parquet", workspace), counted, workspace)
            for name in exports
        ]
        self._done = {run for runs in exports.values() for run in runs}

    def write(self, now: datetime, log: Callable[[str], None]) -> tuple[Path, list[str]]:
        """Write them into a local table. Returns it, and the runs whose checks they are of."""
        bucket, lake, workspace = self._subject.bucket, self._lake, self._workspace
        usable, _ = usable_files(
            lake, bucket.name, self._not_exported(), workspace, doubted=self._snapshot.left_out
        )
        runs = [run_of(each.name) for each in usable]
        made = pa.table(
            {
                "filename": pa.array([str(each.path) for each in usable], pa.string()),
                "agent": pa.array([each.software or _NOT_RECORDED for each in usable], pa.string()),
                "second_look": pa.array([LOOKED_AGAIN in each.name for each in usable], pa.bool_()),
            }
        )
        file = workspace / "events.parquet"
        known = Baselines(NowByKey(lake, self._snapshot, BASELINE, workspace), usable, workspace)
        with known.stream() as rows, open_database(workspace, _MEMORY) as database:
            database.execute(_MACROS)
            define_content(database)
            view(database, "exported", self.kept, EVENTS)
            database.register("made", made)
            database.register("known", rows)
            self._others(database, log)
            copy = _COPY.format(
                events=_EVENTS.read_text(encoding="utf-8"),
                file=quoted(file),
                row_group=_ROWS_OF_PARQUET,
                ledger_files=quoted(json.dumps(runs)),
            )
            values = {
                "namespace": NAMESPACE.hex,
                "bucket": bucket.name,
                "place": place_of(bucket),
                "horizon": now + CLOCKS_DIFFER,
            }
            database.execute(copy, values)
            others = database.table("others").shape[0]
        events = int(pq.read_metadata(file).num_rows) - others
        if events != known.checks:
            raise EventsNotWhole(
                f"{events:,} events were made of the {known.checks:,} new checks of '{bucket.name}', and "
                "none is kept, because each check has one. Either another program wrote a table in "
                f"{checksums_folder(bucket.name)}, or this is a bug of fixity: please report it"
            )
        return file, runs

    def _not_exported(self) -> list[LakeFile]:
        files = ledger_files(self._lake, self._subject.bucket.name)
        return [file for file in files if run_of(file.name) not in self._done]

    def _others(self, database: duckdb.DuckDBPyConnection, log: Callable[[str], None]) -> None:
        """Make the table `others`: events that are of no check."""
        bucket, pairs = self._subject.bucket, self._subject.pairs
        places = {name: place_of(each) for name, each in self._subject.buckets.items()}
        places[bucket.name] = place_of(bucket)
        of_objects = [
            deletions(self._lake, bucket, self._snapshot, self.kept, places[bucket.name]),
            of_incidents(self._lake, bucket.name, pairs, self.kept, places),
        ]
        own_table(database, "others", pa.concat_tables(of_objects))
        for pair in pairs:
            if pair.replica == bucket.name:
                report, problem = newest_report(self._lake, pair, self._workspace)
                if problem:
                    log(problem)
                if report:
                    query, parameters = replications(report, pair, bucket, self._subject.buckets[pair.source])
                    database.execute(f"INSERT INTO others BY NAME {query}", parameters)
