"""When a bucket's job has ended: the request for the run that loads its report, made once.

Both batch sensors share it. How each learns of a job does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import dagster as dg

from fixity.clock import utc_now
from fixity.engines.s3_batch.batch_jobs import VANISHED, describe
from fixity.engines.s3_batch.errors import JobRecordUnusable
from fixity.engines.s3_batch.finished import has_ended
from fixity.engines.s3_batch.job_records import job_record, outcome_of
from fixity.lake import Lake
from jobs.names import COMPUTE_TAG, INGEST_JOB, JOB_TAG
from jobs.runs import UNSUCCESSFUL
from resources import S3ControlResource

MOST_ATTEMPTS = 3
"""How many runs may fail over one report: a passing cause gets another try."""


@dataclass(frozen=True)
class NoRun:
    """Why no run is started; `later`: whether one will be, since the job still runs."""

    why: str
    later: bool = False


def ingest_request(
    instance: dg.DagsterInstance,
    lake: Lake,
    s3_control: S3ControlResource,
    bucket: str,
    job_id: str,
    head_start: timedelta = timedelta(0),
) -> dg.RunRequest | NoRun:
    """The request for the run that loads a job's report, or why no run is needed.

    Arguments: `head_start`, how long to wait for the event of a job that has ended.
    Raises S3ControlError, LakeError.
    """
    try:
        record = job_record(lake, bucket, job_id)
    except JobRecordUnusable as error:
        return NoRun(str(error))
    if record is None:
        return NoRun(f"the job {job_id} of '{bucket}' has a receipt but no record: skipped")
    request = _next_run(instance, lake, JOB_TAG, bucket, job_id)
    if isinstance(request, NoRun):
        return request
    state = describe(s3_control.client(bucket), s3_control.settings(bucket).account_id, job_id)
    if not has_ended(record, state):
        return NoRun(f"'{bucket}' waits for the job {job_id}: {state.status}, {state.progress}", later=True)
    if state.ended_at and utc_now() - state.ended_at < head_start:
        return NoRun(f"the job {job_id} of '{bucket}' has just ended: its event may still come", later=True)
    return request


def compute_request(
    instance: dg.DagsterInstance, lake: Lake, s3_control: S3ControlResource, bucket: str, job_id: str
) -> dg.RunRequest | NoRun:
    """The request for the run that loads the report of an AWS Batch job, or why no run is needed.

    Raises S3ControlError, LakeError.
    """
    request = _next_run(instance, lake, COMPUTE_TAG, bucket, job_id)
    if isinstance(request, NoRun):
        return request
    state = s3_control.compute_job(bucket, job_id)
    if state.status == VANISHED:
        return NoRun(f"AWS Batch knows no job {job_id} of '{bucket}': skipped")
    if not state.ended:
        return NoRun(f"'{bucket}' waits for the AWS Batch job {job_id}: {state.status}", later=True)
    return request


def _next_run(
    instance: dg.DagsterInstance, lake: Lake, tag: str, bucket: str, job_id: str
) -> dg.RunRequest | NoRun:
    """The request for the next run, whose key sets it apart from failed runs; or why no run is needed."""
    if outcome := outcome_of(lake, bucket, job_id):
        return NoRun(f"the run {outcome.run_id} already handled the job {job_id} of '{bucket}'")
    # Either sensor may have started it: Dagster compares run keys within one sensor only.
    runs = instance.get_runs(dg.RunsFilter(tags={tag: job_id}))
    if any(run.status not in UNSUCCESSFUL for run in runs):
        return NoRun(f"a run for the job {job_id} of '{bucket}' was started already")
    if len(runs) >= MOST_ATTEMPTS:
        return NoRun(
            f"{len(runs)} runs for the job {job_id} of '{bucket}' failed, the last is {runs[0].run_id}: "
            f"remove the cause, then materialize checksums[{bucket}]"
        )
    kind = "compute" if tag == COMPUTE_TAG else "job"
    key = f"{kind}:{job_id}:{len(runs) + 1}" if runs else f"{kind}:{job_id}"
    return dg.RunRequest(run_key=key, job_name=INGEST_JOB, partition_key=bucket, tags={tag: job_id})
