"""Judges the rows of a completion report one by one (in `stage.sql`); writes a file for each range of keys.

Meanwhile, it checks that the report is whole. Comparing the rows with the listed objects does not belong
here; that is in `join`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

from fixity.catalog import Bucket
from fixity.digests.algorithms import SIZES
from fixity.engines.s3_batch.batch_jobs import JobState
from fixity.engines.s3_batch.errors import ReportUnusable
from fixity.engines.s3_batch.failed_tasks import COLUMNS, convert
from fixity.engines.s3_batch.job_records import JobRecord
from fixity.engines.s3_batch.report import Report
from fixity.lake.database import open_database, quoted
from fixity.tables import FAILED, SUCCEEDED

MEMORY = "1GB"
"""DuckDB's memory limit, here and in `join`. Rows in transit take as much again."""

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


def staged(
    report: Report, bucket: Bucket, job: JobRecord, edges: list[str], workspace: Path, state: JobState | None
) -> Path:
    """The folder of Parquet files with the judged rows of a whole report. Raises ReportUnusable."""
    with ThreadPoolExecutor(1) as pool:
        checking = pool.submit(report.check)
        try:
            staged, rows = _stage(report, bucket, job, edges, workspace)
        except ReportUnusable:
            checking.result()  # a truncated file gets its own message
            raise
        checking.result()
    if state and state.counted and not state.empty:
        _refuse_other_counts(job, state, rows)
    return staged


def _refuse_other_counts(job: JobRecord, state: JobState, rows: dict[str, int]) -> None:
    """Refuse other numbers of rows than S3 counted: an object of a lost row would go unnoticed."""
    for kind, tasks in ((SUCCEEDED, state.succeeded), (FAILED, state.failed)):
        if rows[kind] != tasks:
            raise ReportUnusable(
                f"the report of the job {job.job_id} of '{job.bucket}' has {rows[kind]:,} rows of tasks "
                f"that {kind}, but S3 counted {tasks:,}: nothing of it was kept"
            )


def _stage(
    report: Report, bucket: Bucket, job: JobRecord, edges: list[str], workspace: Path
) -> tuple[Path, dict[str, int]]:
    """The folder, and the number of the report's rows by the status of their tasks."""
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
        prefix = quoted(bucket.prefix)
        key = f"CASE WHEN starts_with({key}, {prefix}) THEN substr({key}, {len(bucket.prefix) + 1}) END"
    statement = _SQL.format(
        succeeded=_list(succeeded),
        failed=quoted(failed),
        columns="{" + ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS) + "}",
        bucket=quoted(bucket.real_name),
        key=key,
        algorithm=quoted(job.algorithm),
        octets=SIZES[job.algorithm],
        range=_range(0, len(edges)),
        staged=quoted(staged),
    )
    with open_database(workspace, MEMORY) as database:
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
    """SQL for the number of a key's range, between `first` and `last`, with the fewest comparisons."""
    if first == last:
        return str(first)
    middle = (first + last) // 2
    return (
        f"CASE WHEN key < getvariable('edges')[{middle + 1}] "
        f"THEN {_range(first, middle)} ELSE {_range(middle + 1, last)} END"
    )


def _first_lines(error: duckdb.Error) -> str:
    """DuckDB's error message, without its advice and settings."""
    return " ".join(str(error).partition("Possible fixes")[0].split())[:500]


def _list(files: list[Path]) -> str:
    return "[" + ", ".join(quoted(file) for file in files) + "]"
