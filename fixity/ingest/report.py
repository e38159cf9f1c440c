"""What came of a run: each object's result, counted, as a table and a CSV.

What the checks of several runs say together belongs to `fixity.ingest.counts`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Algorithm
from fixity.clock import utc_now
from fixity.engines.stream.shards import Plan, fetch_parts, read_part
from fixity.ingest.plan import ingest_scratch
from fixity.lake import Lake, LakeError
from fixity.lake.database import open_database
from fixity.lake.paths import ingest_file, ingest_report_file, ingest_stats_file
from fixity.ledger.inventory import Wanted
from fixity.tables import CHECKSUMS, INGEST, Provenance, this_software

_SQL = Path(__file__).with_suffix(".sql")
_SHOWN = 100
_BATCH = 10_000  # rows in Python's hands at a time

MATCHED, NOTMATCHED, UNCOMPARED = "MATCHED", "NOTMATCHED", "SKIPPED"
"""The results, in Media2Cloud's words."""

TagWriter = Callable[[Iterable[dict[str, Any]]], Iterator[str | None]]
"""Writes the result of rows to their objects' tags; gives what to say of each."""


@dataclass
class IngestCounts:
    """What a report counts. unread: objects that are listed and were never read; of a whole bucket alone."""

    objects: int = 0
    matched: int = 0
    not_matched: int = 0
    skipped: int = 0
    failed: int = 0
    missing: int = 0
    conflicts: int = 0
    without_record: int = 0
    unusable_records: int = 0
    tags_written: int = 0
    tags_not_written: int = 0
    unread: int = 0
    compared_with: dict[str, int] = field(default_factory=dict)

    def add(self, row: dict[str, Any]) -> None:
        """Count a row of the report."""
        self.objects += row["status"] != "missing"
        self.matched += row["result"] == MATCHED
        self.not_matched += row["result"] == NOTMATCHED
        self.skipped += row["result"] == UNCOMPARED
        self.failed += row["status"] == "failed"
        self.missing += row["status"] == "missing"
        self.conflicts += row["conflicts"] > 0
        self.unusable_records += row["unusable_records"]
        self.without_record += row["expected"] is None
        self.tags_written += row["tags_written"] == "yes"
        self.tags_not_written += row["tags_written"] not in (None, "yes")
        source = row["compared_with"]
        self.compared_with[source] = self.compared_with.get(source, 0) + 1


@dataclass(frozen=True)
class IngestReport:
    """A report as kept: what was counted, its files' names in the lake, the first rows that are not
    in order. latest_csv: None for a run over a few objects, which is not the newest of its bucket."""

    counts: IngestCounts
    table: str
    csv: str
    latest_csv: str | None
    stats: str
    rows_not_ok: list[dict[str, Any]]


def make_ingest_report(
    lake: Lake,
    scratch: str,
    plans: dict[Algorithm, Plan],
    objects: Path,
    baselines: Path,
    bucket: str,
    run_id: str,
    workspace: Path,
    everything: bool,
    write_tags: TagWriter | None = None,
    gone: Sequence[Wanted] = (),
    now: Callable[[], datetime] = utc_now,
) -> IngestReport:
    """Hold what was computed (the parts below `scratch`) against the records, and keep the report.

    Arguments: `objects` and `baselines`, local tables; `everything`, whether the objects are the whole
    bucket; `write_tags`, None where none are to be written; `gone`, objects that were named and
    are not among `objects`: they are missing.
    Where an attempt before kept the run's table, that stands as it is, and the report is made from it.
    Raises LakeError; nothing is kept where parts are missing.
    """
    table_name = ingest_file(bucket, run_id)
    table, csv_file = workspace / "ingest.parquet", workspace / "ingest.csv"
    try:
        kept = lake.fetch(table_name, workspace)
    except FileNotFoundError:
        given = {
            "baselines": str(baselines),
            "run_id": run_id,
            "now": now(),
            "gone_keys": [key for key, _ in gone],
            "gone_versions": [version_id for _, version_id in gone],
        }
        made = _made(lake, scratch, plans, objects, given, table, write_tags)
    else:
        made = _kept(kept)
    counts = IngestCounts()
    not_ok: list[dict[str, Any]] = []
    with csv_file.open("w", newline="", encoding="utf-8") as text:
        csv_writer = csv.writer(text, lineterminator="\n")
        csv_writer.writerow(INGEST.names)
        for row in made:
            counts.add(row)
            csv_writer.writerow([_text(row[name]) for name in INGEST.names])
            if len(not_ok) < _SHOWN and not _in_order(row):
                not_ok.append(row)
    day = now().date()
    csv_name = ingest_report_file(bucket, day, run_id)
    latest_csv = ingest_report_file(bucket, None, run_id) if everything else None
    stats_name = ingest_stats_file(bucket, day, run_id)
    if table.exists():  # made now, and not by an attempt before
        lake.put(table_name, table)
    lake.put(csv_name, csv_file, replace=True)
    lake.put_text(stats_name, json.dumps(vars(counts), indent=2) + "\n", replace=True)
    if latest_csv is not None:
        lake.copy(csv_name, latest_csv)
        lake.copy(stats_name, ingest_stats_file(bucket, None, run_id))
    return IngestReport(counts, table_name, csv_name, latest_csv, stats_name, not_ok)


def _made(
    lake: Lake,
    scratch: str,
    plans: dict[Algorithm, Plan],
    objects: Path,
    given: dict[str, Any],
    table: Path,
    write_tags: TagWriter | None,
) -> Iterator[dict[str, Any]]:
    """The rows of a report, made of the parts below `scratch`; when all are given, `table` has them.

    Arguments: `given`, what the SQL is given beside the parts.
    """
    workspace = table.parent
    checks = workspace / "checks.parquet"
    to_read, planned = pq.read_metadata(objects).num_rows, sum(plan.objects for plan in plans.values())
    if planned != to_read:
        raise LakeError(
            f"the plans below {lake.location(scratch)} are of {planned:,} of {to_read:,} objects: "
            "run the bucket's ingest anew"
        )
    _join_parts(lake, plans, scratch, checks, workspace)
    given = {"checks": str(checks), **given}
    provenance = replace(Provenance.read(objects), run_id=given["run_id"], software=this_software())
    schema = provenance.attach(INGEST)
    with open_database(workspace) as database, pq.ParquetWriter(table, schema, compression="zstd") as writer:
        for batch in database.execute(_SQL.read_text(encoding="utf-8"), given).to_arrow_reader(_BATCH):
            rows = pa.Table.from_batches([batch]).cast(INGEST).to_pylist()
            if write_tags is not None:
                for row, said in zip(rows, write_tags(rows), strict=True):
                    row["tags_written"] = said
            yield from rows
            writer.write_table(pa.Table.from_pylist(rows, schema))


def _kept(table: Path) -> Iterator[dict[str, Any]]:
    """The rows of a report's table."""
    with pq.ParquetFile(table) as file:
        for batch in file.iter_batches(_BATCH):
            yield from batch.to_pylist()


def _text(value: object) -> object:
    """A value as the CSV has it: times as in the report of a pair."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value


def _in_order(row: dict[str, Any]) -> bool:
    return row["result"] == MATCHED and not row["conflicts"] and row["tags_written"] in (None, "yes")


def _join_parts(lake: Lake, plans: dict[Algorithm, Plan], scratch: str, file: Path, workspace: Path) -> None:
    with pq.ParquetWriter(file, CHECKSUMS) as writer:
        for algorithm, plan in plans.items():
            for part in fetch_parts(lake, ingest_scratch(scratch, algorithm), plan, workspace):
                writer.write_table(read_part(part))
