"""Reports an ingest run: a CSV that compares each object's check with its records, and counts.

The counts of several runs together belong to `fixity.ingest.counts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.lake.csv_files import csv_line
from fixity.lake.database import open_database, view
from fixity.lake.paths import ingest_report_file, ingest_stats_file, tags_file, tags_folder
from fixity.ledger.files import run_of
from fixity.ledger.judge import ETAG_CONFLICT
from fixity.tables import BASELINES, CHECKSUMS, INGEST, TAGS, Provenance, naming_the_unreadable

_SQL = Path(__file__).with_suffix(".sql")
_SHOWN = 100
FIRST = 5
"""How many objects a check names."""
_BATCH = 10_000  # rows in memory at a time

MATCHED, NOTMATCHED, UNCOMPARED = "MATCHED", "NOTMATCHED", "SKIPPED"
"""The results, in Media2Cloud's words."""

TagWriter = Callable[[Iterable[dict[str, Any]]], Iterator[str | None]]
"""Writes tags to the objects of some rows. Gives for each `yes`, the reason why not, or None."""


@dataclass
class IngestCounts:
    """The counts of a report.

    etag_conflicts: objects whose ETag contradicts their bytes, and of which nothing but an earlier checksum
    of the same bytes is known. unread: listed objects that no run read; only counted for a whole bucket.
    skipped: lines whose result is SKIPPED, also of objects that failed or are missing: objects and missing
    together are matched, not_matched and skipped. first_unusable, first_lost: the first objects and files
    with an unusable or a lost record; first_not_matched, first_failed, first_missing: the first such objects.
    """

    objects: int = 0
    matched: int = 0
    not_matched: int = 0
    skipped: int = 0
    failed: int = 0
    missing: int = 0
    conflicts: int = 0
    etag_conflicts: int = 0
    without_record: int = 0
    unusable_records: int = 0
    lost_records: int = 0
    tags_written: int = 0
    tags_not_written: int = 0
    unread: int = 0
    compared_with: dict[str, int] = field(default_factory=dict)
    first_unusable: list[str] = field(default_factory=list)
    first_lost: list[str] = field(default_factory=list)
    first_not_matched: list[str] = field(default_factory=list)
    first_failed: list[str] = field(default_factory=list)
    first_missing: list[str] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, int]:
        """All that is a number."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}

    def add(self, row: dict[str, Any]) -> None:
        """Count a row of the report."""
        self.objects += row["status"] != "missing"
        self.matched += row["result"] == MATCHED
        self.not_matched += row["result"] == NOTMATCHED
        self.skipped += row["result"] == UNCOMPARED
        self.failed += row["status"] == "failed"
        self.missing += row["status"] == "missing"
        self.conflicts += row["conflicts"] > 0
        self.etag_conflicts += row["result"] == UNCOMPARED and row["error_code"] == ETAG_CONFLICT
        self.unusable_records += row["unusable_records"]
        self.lost_records += row["lost_records"]
        for is_odd, first in (
            (row["unusable_records"], self.first_unusable),
            (row["lost_records"], self.first_lost),
            (row["result"] == NOTMATCHED, self.first_not_matched),
            (row["status"] == "failed", self.first_failed),
            (row["status"] == "missing", self.first_missing),
        ):
            if is_odd and len(first) < FIRST:
                first.append(row["key"])
        self.without_record += row["expected"] is None
        self.tags_written += row["tags_written"] == "yes"
        self.tags_not_written += row["tags_written"] not in (None, "yes")
        source = row["compared_with"]
        self.compared_with[source] = self.compared_with.get(source, 0) + 1


@dataclass(frozen=True)
class IngestRun:
    """A run to report on.

    checks: a local copy of its file of the ledger, whose name in the lake is `checks_name`. records: a local
    table of the records that the run gathered. everything: whether it checked the whole bucket.
    """

    bucket: str
    run_id: str
    checks_name: str
    checks: Path
    records: Path
    everything: bool = True


@dataclass(frozen=True)
class IngestReport:
    """A report that was kept: its counts, its files' names in the lake, and the first rows that are not ok.
    latest_csv: None for a run over a few objects, which is not the bucket's latest report."""

    counts: IngestCounts
    csv: str
    latest_csv: str | None
    stats: str
    rows_not_ok: list[dict[str, Any]]


def make_ingest_report(
    lake: Lake,
    run: IngestRun,
    workspace: Path,
    write_tags: TagWriter | None = None,
    now: Callable[[], datetime] = utc_now,
) -> IngestReport:
    """Compare a run's checks with all records, and keep the report.

    Arguments: `write_tags`, None to write no tags. Tags of an earlier attempt are not written again.
    Raises LakeError.
    """
    csv_file = workspace / "ingest.csv"
    counts = IngestCounts()
    not_ok: list[dict[str, Any]] = []
    with csv_file.open("w", newline="", encoding="utf-8") as text:
        text.write(csv_line(INGEST.names))
        for row in _rows(lake, run, workspace, write_tags):
            counts.add(row)
            text.write(csv_line(_text(row[name]) for name in INGEST.names))
            if len(not_ok) < _SHOWN and not _is_ok(row):
                not_ok.append(row)
    day = now().date()
    csv_name = ingest_report_file(run.bucket, day, run.run_id)
    latest_csv = ingest_report_file(run.bucket, None, run.run_id) if run.everything else None
    stats_name = ingest_stats_file(run.bucket, day, run.run_id)
    lake.put(csv_name, csv_file, replace=True)
    stats = {**counts.figures, "compared_with": counts.compared_with}
    lake.put_text(stats_name, json.dumps(stats, indent=2) + "\n", replace=True)
    if latest_csv is not None:
        lake.copy(csv_name, latest_csv)
        lake.copy(stats_name, ingest_stats_file(run.bucket, None, run.run_id))
    return IngestReport(counts, csv_name, latest_csv, stats_name, not_ok)


def report_table(lake: Lake, run: IngestRun, workspace: Path, file: Path) -> Path:
    """Write the rows of a run's report as a table (INGEST) to `file`. Raises LakeError."""
    with pq.ParquetWriter(file, INGEST) as writer:
        for batch in _batches(lake, run, workspace):
            writer.write_table(batch.select(INGEST.names).cast(INGEST))
    return file


def _rows(
    lake: Lake, run: IngestRun, workspace: Path, write_tags: TagWriter | None
) -> Iterator[dict[str, Any]]:
    """The rows of a report. Writes their tags first, and keeps the results of that at the end."""
    name = tags_file(run.bucket, run_of(run.checks_name))
    if write_tags is None or any(file.name == name for file in lake.list(tags_folder(run.bucket))):
        for batch in _batches(lake, run, workspace):
            yield from batch.to_pylist()
        return
    tags = workspace / "tags.parquet"
    with pq.ParquetWriter(tags, Provenance.read(run.checks).attach(TAGS), compression="zstd") as writer:
        for batch in _batches(lake, run, workspace):
            rows = batch.to_pylist()
            for row, written in zip(rows, write_tags(rows), strict=True):
                row["tags_written"] = written
            yield from rows
            tagged = [row for row in rows if row["tags_written"] is not None]
            writer.write_table(pa.Table.from_pylist(tagged, writer.schema))
    lake.put(name, tags)


def _batches(lake: Lake, run: IngestRun, workspace: Path) -> Iterator[pa.Table]:
    """The rows of a report, in order; the columns of INGEST, `own_algorithm` and `own_checksum`."""
    try:
        tags = [lake.fetch(tags_file(run.bucket, run_of(run.checks_name)), workspace)]
    except FileNotFoundError:
        tags = []
    with naming_the_unreadable(run.checks, run.records), open_database(workspace) as database:
        view(database, "checks", [run.checks], CHECKSUMS)
        view(database, "records", [run.records], BASELINES)
        view(database, "tags", tags, TAGS)
        parameters = {"run_id": run.run_id, "missing_at": Provenance.read(run.records).listed_at}
        for batch in database.execute(_SQL.read_text(encoding="utf-8"), parameters).to_arrow_reader(_BATCH):
            yield pa.Table.from_batches([batch])


def _text(value: object) -> object:
    """A value for the CSV, with times as in a pair's report."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value


def _is_ok(row: dict[str, Any]) -> bool:
    return row["result"] == MATCHED and not row["conflicts"] and row["tags_written"] in (None, "yes")
