"""From a job's completion report to a table of the ledger: CSV to sorted Parquet, beside the inventory.

Rows are judged one by one in `stage.sql` and sorted; then they meet the inventory range by range in
`join.sql`, so that memory does not grow with the bucket. Which job, and when, is decided elsewhere.
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

from fixity.catalog import Algorithm, Bucket
from fixity.database import open_database, processors
from fixity.lake import Lake
from fixity.lake.paths import checksums_file, checksums_folder
from fixity.ledger import Checksums
from fixity.newest import announce
from fixity.reports.ranges import KeyRange, key_ranges
from fixity.s3_batch.completion import Report, fetch_report
from fixity.s3_batch.errors import ReportUnusable
from fixity.s3_batch.records import JobRecord
from fixity.table_writer import TableWriter
from fixity.tables import CHECKSUMS, FAILED, SKIPPED, SUCCEEDED, Provenance

_MEMORY = "1GB"
_RANGE_BYTES = 32 * 1024 * 1024
_STAGE = Path(__file__).with_name("stage.sql").read_text(encoding="utf-8")
_JOIN = Path(__file__).with_name("join.sql").read_text(encoding="utf-8")
_COLUMNS = ("bucket", "key", "version_id", "task_status", "http_status", "error_code", "message")

_OCTETS: dict[Algorithm, int] = {
    "MD5": 16, "SHA1": 20, "SHA256": 32, "SHA512": 64, "CRC32": 4, "CRC32C": 4, "CRC64NVME": 8,
    "XXHASH64": 8, "XXHASH3": 8, "XXHASH128": 16,
}  # fmt: skip


def ingest_report(lake: Lake, reports: Lake, bucket: Bucket, job: JobRecord, run_id: str) -> Checksums:
    """Keep a finished job's report as `checksums/<bucket>/<run_id>.parquet`.

    Arguments: `reports`, the report bucket. Nothing is kept when any part of the report is not right.
    Raises ReportUnusable, FileNotFoundError where there is no report, LakeError.
    """
    with lake.workspace() as workspace:
        report = fetch_report(reports, job.report, workspace)
        return keep_report(lake, bucket, job, report, run_id, workspace)


def keep_empty(lake: Lake, bucket: Bucket, job: JobRecord, run_id: str) -> Checksums:
    """Keep the table of a job that found nothing to check. Raises LakeError."""
    with lake.workspace() as workspace:
        return keep_report(lake, bucket, job, Report([], [], datetime.now(UTC)), run_id, workspace)


def keep_report(
    lake: Lake, bucket: Bucket, job: JobRecord, report: Report, run_id: str, workspace: Path
) -> Checksums:
    """Keep the rows of a report that was fetched. Raises ReportUnusable, LakeError."""
    inventory = lake.fetch(job.inventory, workspace)
    listed = Provenance.read(inventory)
    file = workspace / "checksums.parquet"
    provenance = replace(listed, bucket=bucket.name, run_id=run_id)
    writer = TableWriter(file, CHECKSUMS, provenance)
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    bytes_read = 0
    try:
        staged = _stage(report, bucket, job, workspace)
        with closing(_joined(inventory, staged, bucket, job, report, run_id, workspace)) as tables:
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


def _stage(report: Report, bucket: Bucket, job: JobRecord, workspace: Path) -> Path:
    """The report's rows, judged and sorted, as a Parquet file."""
    staged = workspace / "staged.parquet"
    nothing = workspace / "nothing.csv"
    nothing.touch()
    settings = bucket.s3_batch
    key = "url_decode(key)" if settings and settings.decode_report_keys else "key"
    if bucket.prefix:
        prefix = _text(bucket.prefix)
        key = f"CASE WHEN starts_with({key}, {prefix}) THEN substr({key}, {len(bucket.prefix) + 1}) END"
    statement = _STAGE.format(
        succeeded=_list(report.succeeded or [nothing]),
        failed=_list(report.failed or [nothing]),
        columns="{" + ", ".join(f"'{name}': 'VARCHAR'" for name in _COLUMNS) + "}",
        bucket=_text(bucket.real_name),
        key=key,
        algorithm=_text(job.algorithm),
        octets=_OCTETS[job.algorithm],  # type: ignore[index]
        staged=_text(str(staged)),
    )
    with open_database(workspace, _MEMORY) as database:
        try:
            database.execute(statement)
        except duckdb.Error as error:
            raise ReportUnusable(
                f"the report of the job {job.job_id} of '{bucket.name}' cannot be read: {_first_lines(error)}"
            ) from error
    return staged


def _joined(
    inventory: Path,
    staged: Path,
    bucket: Bucket,
    job: JobRecord,
    report: Report,
    run_id: str,
    workspace: Path,
) -> Generator[pa.Table]:
    """The checks of one range of keys after the other; only a few ranges ahead are worked on."""
    parameters = {
        "inventory": str(inventory),
        "staged": str(staged),
        "by_version": bucket.versions == "all",
        "algorithm": job.algorithm,
        "checked_at": report.created_at,
        "run_id": run_id,
        "whole": job.objects is None,
    }
    threads = processors()
    waiting = deque[Future[pa.Table]]()
    with open_database(workspace, threads=1) as database, ThreadPoolExecutor(threads) as pool:
        database.execute("SET GLOBAL parquet_metadata_cache = true")
        cursors: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
        for _ in range(threads):
            cursors.put(database.cursor())
        try:
            for keys in key_ranges(inventory, staged, _RANGE_BYTES):
                if len(waiting) > threads:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(_join, cursors, keys, parameters))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _join(
    cursors: SimpleQueue[duckdb.DuckDBPyConnection], keys: KeyRange, common: dict[str, Any]
) -> pa.Table:
    parameters = common | {
        "lower": keys.lower,
        "upper": keys.upper,
        "listed_first": keys.source_rows[0],
        "listed_last": keys.source_rows[1],
        "staged_first": keys.replica_rows[0],
        "staged_last": keys.replica_rows[1],
    }
    cursor = cursors.get()
    try:
        join, count, reduce, checks = cursor.extract_statements(_JOIN)
        _execute(cursor, join, parameters)
        rows, expected = _execute(cursor, count, parameters).fetchall()[0]
        if rows > expected:
            _execute(cursor, reduce, parameters)
        return _execute(cursor, checks, parameters).to_arrow_table().cast(CHECKSUMS)
    finally:
        cursors.put(cursor)


def _execute(
    cursor: duckdb.DuckDBPyConnection, statement: duckdb.Statement, parameters: dict[str, Any]
) -> duckdb.DuckDBPyConnection:
    return cursor.execute(statement, {name: parameters[name] for name in statement.named_parameters})


def _count(column: pa.ChunkedArray) -> Counter[str]:
    return Counter({item["values"]: item["counts"] for item in pc.value_counts(column).to_pylist()})


def _first_lines(error: duckdb.Error) -> str:
    """What DuckDB says, without its advice and settings."""
    return " ".join(str(error).partition("Possible fixes")[0].split())[:500]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _list(files: list[Path]) -> str:
    return "[" + ", ".join(_text(str(file)) for file in files) + "]"
