"""Finds the job of a bucket whose report should be ingested, or explains why there is none.

Reading the report does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fixity.catalog import Bucket
from fixity.engines.s3_batch.batch_jobs import CANCELLED, COMPLETE, VANISHED, JobState, describe
from fixity.engines.s3_batch.errors import JobRecordUnusable, NoReport, NothingToIngest, NothingYet
from fixity.engines.s3_batch.job_records import (
    JobOutcome,
    JobRecord,
    job_record,
    keep_outcome,
    keep_record,
    new_record,
    newest_job,
    outcome_of,
)
from fixity.lake import Lake
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.inventory import newest_inventory
from fixity.ledger.write import Checksums

if TYPE_CHECKING:
    from mypy_boto3_s3control import S3ControlClient

    from fixity.engines.s3_batch.absent import Find
    from fixity.ledger.judge import LookAgain

_YOUNG = 3600.0  # seconds: S3 may not know a new job yet


def has_ended(age: float, state: JobState) -> bool:
    """Whether a job has ended, by its age in seconds and its state as S3 describes it now."""
    return state.ended and not (state.status == VANISHED and age < _YOUNG)


def finished_job(
    lake: Lake,
    client: S3ControlClient,
    bucket: Bucket,
    run_id: str,
    job_id: str | None = None,
    computed: JobState | None = None,
) -> tuple[JobRecord, JobState]:
    """The job whose report should be ingested. Keeps the outcome of a job that failed or was cancelled.

    Arguments: `job_id`, the job of an event; by default the newest. `computed`, the state of a job of AWS
    Batch, if the event was about one.
    Raises NothingToIngest, JobRecordUnusable, S3ControlError, LakeError.
    """
    assert bucket.s3_batch is not None  # the catalog guarantees it
    if computed:
        return _computed(lake, bucket, computed, run_id)
    damaged: list[str] = []
    record = (
        job_record(lake, bucket.name, job_id) if job_id else newest_job(lake, bucket.name, damaged.append)
    )
    if damaged:
        raise JobRecordUnusable(f"which job of '{bucket.name}' is the newest is not known: {damaged[0]}")
    if record is None:
        raise NothingYet(
            f"no job was submitted for '{bucket.name}' yet: materialize checksum_job[{bucket.name}], "
            f"or run `fixity request {bucket.name}`"
        )
    if job_id:
        earlier = outcome_of(lake, bucket.name, job_id)
        if earlier and earlier.run_id != run_id:
            raise NothingToIngest(f"the run {earlier.run_id} already handled the job {job_id}")
    state = describe(client, bucket.s3_batch.account_id, record.job_id)
    if not has_ended(record.age, state):
        status = "not known to S3 yet" if state.ended else f"{state.status}: {state.progress}"
        raise NothingYet(
            f"the job {record.job_id} of '{bucket.name}' is {status}. When it ends, the sensors "
            "batch_completion or batch_reconciliation will ingest its report"
        )
    # S3 forgets a job after 90 days, but not its report.
    if state.status not in (COMPLETE, VANISHED) and not state.empty:
        keep_outcome(lake, bucket.name, JobOutcome(record.job_id, state.status, run_id))
        raise NothingToIngest(_why(record, state))
    return record, state


def ingest_job(
    run: BucketRun,
    reports: Callable[[str], Lake],
    record: JobRecord,
    state: JobState,
    find: Find,
    look_again: LookAgain,
) -> Checksums:
    """Keep the checks of a finished job. Its outcome is kept once all that follows from them is.

    Arguments: `reports` opens a report bucket by its name; `state`, from `finished_job`; `find` looks for
    objects that the report does not name; `look_again` reads objects that differ.
    Raises ReportUnusable, NothingToIngest if there is no report, TableMissing, AnotherPlace,
    BucketUnreachable, LakeError.
    """
    from fixity.engines.s3_batch.keep import ingest_report  # here: it imports DuckDB

    lake, name = run.lake, run.bucket.name
    try:
        # The report bucket of the job's request; the catalog may have changed since.
        return ingest_report(run, reports(record.report_bucket), record, state, find, look_again)
    except NoReport as error:
        if state.status == VANISHED:
            keep_outcome(lake, name, JobOutcome(record.job_id, VANISHED, run.run_id))
        raise NothingToIngest(
            f"the job {record.job_id} of '{name}' has no completion report: {error}"
        ) from error


def _computed(lake: Lake, bucket: Bucket, state: JobState, run_id: str) -> tuple[JobRecord, JobState]:
    record = job_record(lake, bucket.name, state.job_id)
    if record is None:
        # Its report is compared with the newest inventory.
        record = new_record(bucket, state.job_id, "", newest_inventory(lake, bucket.name), None)
        keep_record(lake, record)
    if state.status != COMPLETE:
        keep_outcome(lake, bucket.name, JobOutcome(state.job_id, state.status, run_id))
        raise NothingToIngest(_why(record, state))
    return record, state


def _why(record: JobRecord, state: JobState) -> str:
    reasons = "; ".join(state.reasons) or "S3 gives no reason"
    end = "was cancelled" if state.status == CANCELLED else "failed"
    return (
        f"the job {record.job_id} of '{record.bucket}' {end} ({state.progress}): {reasons}. "
        f"To check the bucket, run `fixity request {record.bucket}`"
    )
