"""From a job's completion report to a table of the ledger: CSV to sorted Parquet, beside the inventory.

The inventory is sorted, and cut into ranges of keys. Rows are judged one by one in `stage.sql`, and put
into a file for each range; then they meet the inventory range by range in `join.sql`, so that memory
does not grow with the bucket. Which job, and when, is decided elsewhere.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.catalog import Bucket
from fixity.database import open_database, processors
from fixity.digests import SIZES
from fixity.lake import Lake
from fixity.lake.paths import checksums_file, checksums_folder
from fixity.ledger import Checksums, TableMissing
from fixity.newest import announce
from fixity.reports.ranges import KeyRange, key_ranges
from fixity.s3_batch.completion import Report, fetch_report
from fixity.s3_batch.errors import ReportUnusable
from fixity.s3_batch.failed_rows import COLUMNS, convert
from fixity.s3_batch.jobs import JobState
from fixity.s3_batch.records import JobRecord
from fixity.table_writer import TableWriter
from fixity.tables import CHECKSUMS, FAILED, SKIPPED, SUCCEEDED, Provenance, this_software

_MEMORY = "1GB"
_RANGE_BYTES = 16 * 1024 * 1024  # of the inventory, encoded and not compressed: some 130,000 objects
_STAGE = Path(__file__).with_name("stage.sql").read_text(encoding="utf-8")
_JOIN = Path(__file__).with_name("join.sql").read_text(encoding="utf-8")

_STAGED = pa.schema(
    [(name, pa.string()) for name in ("key", "version_id", "etag", "checksum_type")]
    + [("checksum", pa.binary()), ("error_code", pa.string()), ("error_message", pa.string())]
)
"""What `stage.sql` writes."""


def ingest_report(
    lake: Lake, reports: Lake, bucket: Bucket, job: JobRecord, run_id: str, state: JobState | None = None
) -> Checksums:
    """Keep a finished job's report as `checksums/<bucket>/<run_id>.parquet`.

    Arguments: `reports`, the report bucket; `state`, the job as S3 describes it, where S3 still does: the
    report must have as many rows. Nothing is kept when any part of the report is not right.
    Raises ReportUnusable, NoReport, TableMissing where the inventory is gone, LakeError.
    """
    with lake.workspace() as workspace:
        report = fetch_report(reports, job.report, workspace)
        return keep_report(lake, bucket, job, report, run_id, workspace, state)


def keep_empty(lake: Lake, bucket: Bucket, job: JobRecord, run_id: str) -> Checksums:
    """Keep the table of a job that found nothing to check. Raises TableMissing, LakeError."""
    with lake.workspace() as workspace:
        return keep_report(lake, bucket, job, Report([], datetime.now(UTC)), run_id, workspace)


def keep_report(
    lake: Lake,
    bucket: Bucket,
    job: JobRecord,
    report: Report,
    run_id: str,
    workspace: Path,
    state: JobState | None = None,
) -> Checksums:
    """Keep the rows of a report that was fetched. Raises ReportUnusable, TableMissing, LakeError."""
    try:
        inventory = lake.fetch(job.inventory, workspace)
    except FileNotFoundError as error:
        raise TableMissing(
            f"the inventory {lake.location(job.inventory)}, with which the report of the job {job.job_id} is "
            f"to be compared, is gone: put it back, or run `fixity request {bucket.name}`"
        ) from error
    listed = Provenance.read(inventory)
    file = workspace / "checksums.parquet"
    provenance = replace(listed, bucket=bucket.name, run_id=run_id, software=this_software())
    writer = TableWriter(file, CHECKSUMS, provenance)
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    bytes_read = 0
    try:
        ranges = key_ranges(inventory, inventory, 2 * _RANGE_BYTES)
        staged = _staged(report, bucket, job, [each.lower for each in ranges[1:]], workspace, state)
        with closing(_joined(inventory, staged, ranges, bucket, job, report, run_id, workspace)) as tables:
            for table in tables:
                statuses += _count(table.column("status"))
                reasons += _count(table.column("error_code").drop_null())
                bytes_read += pc.sum(table.column("bytes_read")).as_py() or 0
                for batch in table.combine_chunks().to_batches():
                    writer.write(batch)
        writer.close()
    except BaseException:
        writer.abandon()
        raise
    name = checksums_file(bucket.name, run_id)
    lake.put(name, file)
    announce(lake, checksums_folder(bucket.name), provenance)
    return Checksums(
        name,
        statuses[SUCCEEDED],
        statuses[FAILED],
        statuses[SKIPPED],
        bytes_read,
        dict(sorted(reasons.items())),
    )


def _staged(
    report: Report, bucket: Bucket, job: JobRecord, edges: list[str], workspace: Path, state: JobState | None
) -> Path:
    """The report's rows, judged, in a folder of Parquet files. That they are whole is looked at meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        checking = pool.submit(report.check)
        try:
            staged, rows = _stage(report, bucket, job, edges, workspace)
        except ReportUnusable:
            checking.result()  # what was cut short is told as such
            raise
        checking.result()
    if state:
        _refuse_other_counts(job, state, rows)
    return staged


def _refuse_other_counts(job: JobRecord, state: JobState, rows: dict[str, int]) -> None:
    """A row that was not understood as one of its own would be an object that nobody misses."""
    for kind, tasks in ((SUCCEEDED, state.succeeded), (FAILED, state.failed)):
        if rows[kind] != tasks:
            raise ReportUnusable(
                f"the report of the job {job.job_id} of '{job.bucket}' has {rows[kind]:,} rows of tasks "
                f"that {kind}, where S3 counted {tasks:,}: nothing of it was kept"
            )


def _stage(
    report: Report, bucket: Bucket, job: JobRecord, edges: list[str], workspace: Path
) -> tuple[Path, dict[str, int]]:
    """The folder, and how many rows the report has of tasks that succeeded and that failed."""
    staged = workspace / "staged"
    nothing = workspace / "nothing.csv"
    nothing.touch()
    succeeded = [result.file for result in report.results if result.kind == SUCCEEDED] or [nothing]
    failed = workspace / "failed.parquet"
    try:
        failures = convert(
            [(result.file, result.place) for result in report.results if result.kind == FAILED],
            bucket.real_name,
            failed,
        )
    except ReportUnusable as error:
        raise ReportUnusable(
            f"the report of the job {job.job_id} of '{bucket.name}' cannot be read: {error}"
        ) from error
    settings = bucket.s3_batch
    key = "url_decode(key)" if settings and settings.decode_report_keys else "key"
    if bucket.prefix:
        prefix = _text(bucket.prefix)
        key = f"CASE WHEN starts_with({key}, {prefix}) THEN substr({key}, {len(bucket.prefix) + 1}) END"
    statement = _STAGE.format(
        succeeded=_list(succeeded),
        failed=_text(str(failed)),
        columns="{" + ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS) + "}",
        bucket=_text(bucket.real_name),
        key=key,
        algorithm=_text(job.algorithm),
        octets=SIZES[job.algorithm],
        range=_range(0, len(edges)),
        staged=_text(str(staged)),
    )
    with open_database(workspace, _MEMORY) as database:
        try:
            database.execute("SET preserve_insertion_order = false")
            database.execute("SET VARIABLE edges = $edges::VARCHAR[]", {"edges": edges})
            ((rows,),) = database.execute(statement).fetchall()
        except duckdb.Error as error:
            raise ReportUnusable(
                f"the report of the job {job.job_id} of '{bucket.name}' cannot be read: {_first_lines(error)}"
            ) from error
    return staged, {SUCCEEDED: rows - failures, FAILED: failures}


def _range(first: int, last: int) -> str:
    """SQL for the number of a key's range, of those from `first` to `last`: as few comparisons as may be."""
    if first == last:
        return str(first)
    middle = (first + last) // 2
    return (
        f"CASE WHEN key < getvariable('edges')[{middle + 1}] "
        f"THEN {_range(first, middle)} ELSE {_range(middle + 1, last)} END"
    )


def _joined(
    inventory: Path,
    staged: Path,
    ranges: list[KeyRange],
    bucket: Bucket,
    job: JobRecord,
    report: Report,
    run_id: str,
    workspace: Path,
) -> Generator[pa.Table]:
    """The checks of one range of keys after the other; only a few ranges ahead are worked on."""
    parameters = {
        "inventory": str(inventory),
        "by_version": bucket.versions == "all",
        "algorithm": job.algorithm,
        "checked_at": report.created_at,
        "run_id": run_id,
        "whole": job.objects is None,
    }
    nothing = workspace / "nothing.parquet"
    pq.write_table(_STAGED.empty_table(), nothing)
    threads = processors()
    waiting = deque[Future[pa.Table]]()
    with open_database(workspace, _MEMORY, threads=1) as database, ThreadPoolExecutor(threads) as pool:
        database.execute("SET GLOBAL parquet_metadata_cache = true")
        # The inventory's side is gone through in its order; sorting whole rows would cost as much again.
        database.execute("SET GLOBAL disabled_optimizers = 'build_side_probe_side'")
        cursors: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
        for _ in range(threads):
            cursors.put(database.cursor())
        try:
            for number, keys in enumerate(ranges):
                if len(waiting) > threads:
                    yield waiting.popleft().result()
                files = [str(file) for file in (staged / f"range={number}").glob("*")] or [str(nothing)]
                waiting.append(pool.submit(_join, cursors, keys, files, parameters))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _join(
    cursors: SimpleQueue[duckdb.DuckDBPyConnection], keys: KeyRange, staged: list[str], common: dict[str, Any]
) -> pa.Table:
    parameters = common | {
        "lower": keys.lower,
        "upper": keys.upper,
        "listed_first": keys.source_rows[0],
        "listed_last": keys.source_rows[1],
        "staged": staged,
    }
    cursor = cursors.get()
    try:
        table = _checks(cursor, "joined", parameters)
        if pc.count_distinct(table.column("listed_row")).as_py() < table.num_rows:
            table = _checks(cursor, "one_each", parameters)
        return _in_order(table)
    finally:
        cursors.put(cursor)


def _checks(cursor: duckdb.DuckDBPyConnection, rows: str, parameters: dict[str, Any]) -> pa.Table:
    return cursor.execute(_JOIN.format(rows=rows), parameters).to_arrow_table()


def _in_order(table: pa.Table) -> pa.Table:
    """The checks in the inventory's order, in which they mostly come."""
    rows = table.column("listed_row").combine_chunks()
    if not pc.all(pc.less(rows[:-1], rows[1:])).as_py():
        table = table.take(pc.sort_indices(rows))
    return table.drop_columns("listed_row").cast(CHECKSUMS)


def _count(column: pa.ChunkedArray) -> Counter[str]:
    return Counter({item["values"]: item["counts"] for item in pc.value_counts(column).to_pylist()})


def _first_lines(error: duckdb.Error) -> str:
    """What DuckDB says, without its advice and settings."""
    return " ".join(str(error).partition("Possible fixes")[0].split())[:500]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _list(files: list[Path]) -> str:
    return "[" + ", ".join(_text(str(file)) for file in files) + "]"
