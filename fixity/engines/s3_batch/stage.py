"""Judges the rows of a completion report one by one, and checks that the report is whole.

Rows of the usual form are read by `plain_rows`, all others are judged in `stage.sql`. Comparing the rows with
the listed objects does not belong here; that is in `join`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa

from fixity.catalog import Bucket
from fixity.digests.algorithms import SIZES
from fixity.engines.s3_batch.batch_jobs import JobState
from fixity.engines.s3_batch.errors import ReportUnusable
from fixity.engines.s3_batch.failed_tasks import COLUMNS, convert
from fixity.engines.s3_batch.job_records import JobRecord
from fixity.engines.s3_batch.plain_rows import Chunk, PlainForm, Rows, chunks
from fixity.engines.s3_batch.report import Report, ResultFile, new_md5
from fixity.engines.s3_batch.staged import Staged, Staging, staged_schema
from fixity.in_order import in_order, processors
from fixity.lake.database import new_database, quoted
from fixity.lake.writer import ROW_GROUP_ROWS
from fixity.tables import FAILED, SUCCEEDED

_MEMORY = "1GB"
_WAITING = 4  # chunks that are not digested yet
_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


def staged(
    report: Report, bucket: Bucket, job: JobRecord, edges: list[str], workspace: Path, state: JobState | None
) -> Staged:
    """The judged rows of a whole report.

    Arguments: `edges`, the first key of each range of keys but the first. Raises ReportUnusable.
    """
    with Staging(workspace / "staged", edges, job) as staging:
        try:
            rows = _stage(report, bucket, job, staging, workspace)
        except ReportUnusable:
            report.check()  # a truncated file gets its own message
            raise
    if state and state.counted and not state.empty:
        _refuse_other_counts(job, state, rows)
    return staging.staged()


def _refuse_other_counts(job: JobRecord, state: JobState, rows: dict[str, int]) -> None:
    """Refuse other numbers of rows than S3 counted: an object of a lost row would go unnoticed."""
    for kind, tasks in ((SUCCEEDED, state.succeeded), (FAILED, state.failed)):
        if rows[kind] != tasks:
            raise ReportUnusable(
                f"the report of the job {job.job_id} of '{job.bucket}' has {rows[kind]:,} rows of tasks "
                f"that {kind}, but S3 counted {tasks:,}: nothing of it was kept"
            )
    if state.succeeded + state.failed != state.tasks:
        raise ReportUnusable(
            f"S3 says of the job {job.job_id} of '{job.bucket}' that it had {state.tasks:,} tasks, but only "
            f"{state.succeeded + state.failed:,} ended: nothing of its report was kept"
        )


def _stage(
    report: Report, bucket: Bucket, job: JobRecord, staging: Staging, workspace: Path
) -> dict[str, int]:
    """Stage all rows. Returns their number by the status of their tasks."""
    failed = workspace / "failed.parquet"
    try:
        plain = 0
        nothing = workspace / "nothing.csv"
        nothing.touch()
        succeeded, other_ends = [nothing], [nothing]
        for number, result in enumerate(report.results):
            if result.kind == SUCCEEDED:
                others = workspace / f"others-{number}.csv"
                count, is_usual = _stage_plain(result, PlainForm.of(bucket, job), staging, others)
                plain += count
                (succeeded if is_usual else other_ends).append(others)
        of_failed = [result for result in report.results if result.kind == FAILED]
        for result in of_failed:
            result.check()
        files = [(result.file, result.place) for result in of_failed]
        failures = convert(files, bucket.real_name, failed)
        judged = 0
        files_of = {"succeeded": succeeded, "other_ends": other_ends, "failed": [failed]}
        for batch in _judged(files_of, bucket, job, workspace):
            staging.add(batch)
            judged += batch.num_rows
    except (ReportUnusable, duckdb.Error) as error:
        raise ReportUnusable(
            f"the report of the job {job.job_id} of '{bucket.name}' cannot be read: {_first_lines(error)}"
        ) from error
    return {SUCCEEDED: plain + judged - failures, FAILED: failures}


def _stage_plain(result: ResultFile, form: PlainForm, staging: Staging, others: Path) -> tuple[int, bool]:
    """Stage the plain rows of a file, and write the others to another. What is read is proved by the MD5.

    Returns the number of plain rows, and whether rows end as S3 ends them. Raises ReportUnusable.
    """

    def stage(chunk: Chunk) -> tuple[int, bool, list[memoryview]]:
        rows = form.rows(chunk.content) if chunk.whole else Rows([], [chunk.content])
        if chunk.whole and any(bytes(lines).count(b'"') % 2 for lines in rows.others):
            raise ReportUnusable(f"{result.place} is no CSV: a row has a quote that does not end")
        for plain in rows.plain:
            staging.add(plain)
        return sum(plain.num_rows for plain in rows.plain), chunk.whole, rows.others

    count, is_usual, md5 = 0, False, new_md5()
    with others.open("wb") as opened, ThreadPoolExecutor(1) as pool:
        read = _digested(chunks(result.file), md5.update, pool)
        with closing(in_order(stage, read, processors())) as staged:
            for plain, is_whole, lines in staged:
                count += plain
                is_usual |= is_whole
                opened.writelines(lines)
    result.compare(md5.hexdigest())
    return count, is_usual


def _digested(
    read: Iterable[Chunk], update: Callable[[memoryview], None], pool: ThreadPoolExecutor
) -> Iterator[Chunk]:
    """The chunks, whose bytes one thread digests in their order; a few of them wait for it at most."""
    waiting = deque[Future[None]]()
    for chunk in read:
        waiting.append(pool.submit(update, chunk.content))
        if len(waiting) > _WAITING:
            waiting.popleft().result()
        yield chunk
    for each in waiting:
        each.result()


def _judged(
    files: dict[str, list[Path]], bucket: Bucket, job: JobRecord, workspace: Path
) -> Iterator[pa.RecordBatch]:
    """The judged rows of files, named as in `stage.sql`. Raises duckdb.Error."""
    settings = bucket.s3_batch
    key = "url_decode(key)" if settings and settings.decode_report_keys else "key"
    if bucket.prefix:
        prefix = quoted(bucket.prefix)
        key = f"CASE WHEN starts_with({key}, {prefix}) THEN substr({key}, {len(bucket.prefix) + 1}) END"
    statement = _SQL.format(
        columns="{" + ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS) + "}", key=key
    )
    parameters = {
        **{name: [str(file) for file in paths] for name, paths in files.items()},
        "bucket": bucket.real_name,
        "algorithm": job.algorithm,
        "checksum_type": job.checksum_type,
        "octets": SIZES[job.algorithm],
    }
    schema = staged_schema(job)
    with new_database(workspace, _MEMORY) as database:
        database.execute("SET preserve_insertion_order = false")
        for batch in database.execute(statement, parameters).to_arrow_reader(ROW_GROUP_ROWS):
            yield from pa.Table.from_batches([batch]).select(schema.names).cast(schema).to_batches()


def _first_lines(error: Exception) -> str:
    """An error's message, without DuckDB's advice and settings."""
    return " ".join(str(error).partition("Possible fixes")[0].split())[:500]
