"""When a job has ended: the request for the run that takes its report, made once.

Both batch sensors share it. How each learns of a job does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import dagster as dg

from fixity.clock import utc_now
from fixity.engines.s3_batch.batch_jobs import VANISHED, JobState, describe
from fixity.engines.s3_batch.copy_jobs import CopyJob
from fixity.engines.s3_batch.errors import JobRecordUnusable
from fixity.engines.s3_batch.finished import has_ended
from fixity.engines.s3_batch.job_records import job_record, outcome_of
from fixity.lake import Lake
from jobs.names import COMPUTE_TAG, INGEST_JOB, JOB_TAG, REPAIR_ASSET, REPAIR_JOB
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
    if outcome := outcome_of(lake, bucket, job_id):
        return _handled(outcome.run_id, job_id, bucket)
    try:
        record = job_record(lake, bucket, job_id)
    except JobRecordUnusable as error:
        return NoRun(str(error))
    if record is None:
        return NoRun(f"the job {job_id} of '{bucket}' has a receipt but no record: skipped")
    request = _next_run(instance, JOB_TAG, job_id, _ingest(bucket))
    if isinstance(request, NoRun):
        return request
    state = describe(s3_control.client(bucket), s3_control.settings(bucket).account_id, job_id)
    return _not_yet(bucket, job_id, record.age, state, head_start) or request


def repair_request(
    instance: dg.DagsterInstance,
    s3_control: S3ControlResource,
    job: CopyJob,
    head_start: timedelta = timedelta(0),
) -> dg.RunRequest | NoRun:
    """The request for the run that checks what a job has copied, or why no run is needed.

    Arguments: `head_start` as for `ingest_request`. Raises S3ControlError.
    """
    if job.job_id is None:
        return NoRun(
            f"a repair of '{job.target}' was killed before S3 Batch answered: repair {job.pair} again"
        )
    config = {"ops": {REPAIR_ASSET: {"config": {"apply": True, "job": job.job_id}}}}
    run = dg.RunRequest(job_name=REPAIR_JOB, partition_key=job.pair, run_config=config)
    request = _next_run(instance, JOB_TAG, job.job_id, run)
    if isinstance(request, NoRun):
        return request
    settings = s3_control.catalog.bucket(job.target).s3_batch
    client = s3_control.for_copies(job.target).client
    assert settings is not None  # else `for_copies` raises
    state = describe(client, settings.account_id, job.job_id)
    return _not_yet(job.target, job.job_id, job.age, state, head_start) or request


def compute_request(
    instance: dg.DagsterInstance, lake: Lake, s3_control: S3ControlResource, bucket: str, job_id: str
) -> dg.RunRequest | NoRun:
    """The request for the run that loads the report of an AWS Batch job, or why no run is needed.

    Raises S3ControlError, LakeError.
    """
    if outcome := outcome_of(lake, bucket, job_id):
        return _handled(outcome.run_id, job_id, bucket)
    request = _next_run(instance, COMPUTE_TAG, job_id, _ingest(bucket))
    if isinstance(request, NoRun):
        return request
    state = s3_control.compute_job(bucket, job_id)
    if state.status == VANISHED:
        return NoRun(f"AWS Batch knows no job {job_id} of '{bucket}': skipped")
    if not state.ended:
        return NoRun(f"'{bucket}' waits for the AWS Batch job {job_id}: {state.status}", later=True)
    return request


def _not_yet(bucket: str, job_id: str, age: float, state: JobState, head_start: timedelta) -> NoRun | None:
    """Why a job's report is not taken yet; None if it is."""
    if not has_ended(age, state):
        return NoRun(f"'{bucket}' waits for the job {job_id}: {state.status}, {state.progress}", later=True)
    if state.ended_at and utc_now() - state.ended_at < head_start:
        return NoRun(f"the job {job_id} of '{bucket}' has just ended: its event may still come", later=True)
    return None


def _handled(run_id: str, job_id: str, bucket: str) -> NoRun:
    return NoRun(f"the run {run_id} already handled the job {job_id} of '{bucket}'")


def _ingest(bucket: str) -> dg.RunRequest:
    return dg.RunRequest(job_name=INGEST_JOB, partition_key=bucket)


def _next_run(
    instance: dg.DagsterInstance, tag: str, job_id: str, wanted: dg.RunRequest
) -> dg.RunRequest | NoRun:
    """The request for the next run, whose key sets it apart from failed runs; or why no run is needed."""
    of = f"the job {job_id} of '{wanted.partition_key}'"
    # Either sensor may have started it: Dagster compares run keys within one sensor only.
    runs = instance.get_runs(dg.RunsFilter(tags={tag: job_id}))
    if any(run.status not in UNSUCCESSFUL for run in runs):
        return NoRun(f"a run for {of} was started already")
    if len(runs) >= MOST_ATTEMPTS:
        asset = REPAIR_ASSET if wanted.job_name == REPAIR_JOB else "checksums"
        return NoRun(
            f"{len(runs)} runs for {of} failed, the last is {runs[0].run_id}: "
            f"remove the cause, then materialize {asset}[{wanted.partition_key}]"
        )
    kind = "compute" if tag == COMPUTE_TAG else "job"
    key = f"{kind}:{job_id}:{len(runs) + 1}" if runs else f"{kind}:{job_id}"
    return wanted._replace(run_key=key, tags={tag: job_id})
