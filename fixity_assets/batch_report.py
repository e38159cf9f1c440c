"""The steps of `checksums` for a bucket that S3 has checked: find the finished job, load its report."""

from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import dagster as dg

from fixity.engines.s3_batch.batch_jobs import JobState
from fixity.engines.s3_batch.errors import NothingYet
from fixity.engines.s3_batch.finished import finished_job, ingest_job
from fixity.lake import Lake
from fixity.lake.proof import sealed, unsealed
from fixity.tables import TableUnreadable
from fixity_assets.describe import checksums_metadata
from jobs.names import CHECKSUM_JOB_ASSET, COMPUTE_TAG, JOB_TAG
from resources import S3ControlResource, StoresResource

_WAITS = "waits"


def _found_file(scratch: str) -> str:
    return f"{scratch}job.json"


def submits_job(run: dg.DagsterRun) -> bool:
    """Whether a run submits a job as well, as that of "Materialize all" does. Then S3 reads the objects."""
    return dg.AssetKey(CHECKSUM_JOB_ASSET) in (run.asset_selection or ())


def find_job(context: dg.OpExecutionContext, lake: Lake, s3_control: S3ControlResource, scratch: str) -> None:
    """Find the job whose report is to be loaded, and note it in scratch for the next step.

    Raises NothingToIngest, S3ControlError, LakeError.
    """
    bucket = s3_control.catalog.bucket(context.partition_key)
    try:
        record, state = finished_job(
            lake,
            s3_control.client(bucket.name),
            bucket,
            context.run.run_id,
            context.run.tags.get(JOB_TAG),
            s3_control.compute_job(bucket.name, context.run.tags[COMPUTE_TAG])
            if COMPUTE_TAG in context.run.tags
            else None,
        )
    except NothingYet as error:
        if not submits_job(context.run):
            raise
        lake.put_text(_found_file(scratch), sealed({_WAITS: str(error)}), replace=True)
        return
    context.log.info(f"{bucket.name}: the job {record.job_id} is {state.status}: {state.progress}")
    note = asdict(replace(state, ended_at=None))
    lake.put_text(_found_file(scratch), sealed(note), replace=True)


def nothing_yet(lake: Lake, scratch: str) -> str | None:
    """Why there is no report yet, for a run that does not fail for that; None if there is one.

    Raises LakeError.
    """
    with suppress(FileNotFoundError, ValueError):
        found: str | None = unsealed(lake.read_text(_found_file(scratch))).get(_WAITS)
        return found
    return None


def keep_job_report(
    context: dg.OpExecutionContext,
    lake: Lake,
    s3_control: S3ControlResource,
    stores: StoresResource,
    scratch: str,
) -> tuple[dict[str, Any], str]:
    """Load the report of the job that was found; returns the table's metadata and its name in the lake.

    Raises ReportUnusable, NothingToIngest, TableMissing, AnotherPlace, BucketUnreachable, LakeError.
    """
    bucket = s3_control.catalog.bucket(context.partition_key)
    note = _found_file(scratch)
    try:
        found = JobState(**unsealed(lake.read_text(note)))
    except (ValueError, TypeError) as error:
        raise TableUnreadable(lake.location(note), error) from error
    with stores.open(bucket.name) as store:
        run = stores.catalog.run_over(lake, bucket.name, context.run.run_id)
        reports, look_again = partial(s3_control.reports, bucket.name), stores.look_again(bucket.name, store)
        record, kept = ingest_job(run, reports, found, store.find, look_again)
    return {
        **checksums_metadata(lake, kept, record.algorithm, record.inventory),
        "job_id": record.job_id,
        "tasks": found.tasks,
        "tasks_failed": found.failed,
    }, kept.file
