"""The steps of `checksums` for a bucket that S3 has checked: find the finished job, load its report."""

from contextlib import suppress
from functools import partial
from typing import Any

import dagster as dg
from pydantic import TypeAdapter

from fixity.engines.s3_batch.batch_jobs import COMPLETE, JobState
from fixity.engines.s3_batch.errors import NothingYet
from fixity.engines.s3_batch.finished import finished_job, ingest_job
from fixity.engines.s3_batch.job_records import JobOutcome, JobRecord, job_record, keep_outcome
from fixity.engines.s3_batch.second_job import first_checks, note_second_look
from fixity.engines.stream.reported import settle_reported
from fixity.lake import Lake
from fixity.lake.proof import sealed, unsealed
from fixity.ledger.judge import LookAgain
from fixity.tables import TableUnreadable
from fixity_assets.describe import checksums_metadata
from jobs.names import CHECKSUM_JOB_ASSET, COMPUTE_TAG, JOB_TAG, READ_BY_S3
from resources import S3ControlResource, StoresResource

_WAITS = "waits"
_STATE = TypeAdapter(JobState)


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
    lake.put_text(_found_file(scratch), sealed(_STATE.dump_python(state, mode="json")), replace=True)


def nothing_yet(lake: Lake, scratch: str) -> str | None:
    """Why there is no report yet, for a run that does not fail for that; None if there is one.

    Raises LakeError.
    """
    with suppress(FileNotFoundError, ValueError):  # `keep_job_report` refuses a note that is damaged
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
    name = context.partition_key
    note = _found_file(scratch)
    try:
        found = _STATE.validate_python(unsealed(lake.read_text(note)))
    except ValueError as error:
        raise TableUnreadable(lake.location(note), error) from error
    record = job_record(lake, name, found.job_id)
    assert record is not None  # `find_job` found it
    reports = partial(s3_control.reports, name)
    with stores.open(name) as store:
        run = stores.catalog.run_over(lake, name, context.run.run_id)
        look_again = _settling(context, lake, record) or stores.look_again(name, store)
        kept = ingest_job(run, reports, record, found, store.find, look_again)
    wanted = note_second_look(lake, s3_control.reports(name), run.bucket, record, kept.file)
    return {
        **checksums_metadata(lake, kept, record.algorithm, record.inventory),
        "job_id": record.job_id,
        "tasks": found.tasks,
        "tasks_failed": found.failed,
        **({READ_BY_S3: wanted.objects} if wanted else {}),
    }, kept.file


def keep_job_outcome(context: dg.OpExecutionContext, lake: Lake, metadata: dict[str, Any]) -> None:
    """Keep that a job was handled, last of all: a run that is killed before it is done again.

    Arguments: `metadata` of the run's table, which names the job if it is from a report. Raises LakeError.
    """
    if job_id := metadata.get("job_id"):
        keep_outcome(lake, context.partition_key, JobOutcome(job_id, COMPLETE, context.run.run_id))


def _settling(context: dg.OpExecutionContext, lake: Lake, job: JobRecord) -> LookAgain | None:
    """How the checks of a job that is a second look are settled with the first ones; None for other jobs."""
    try:
        first = first_checks(lake, job)
    except (FileNotFoundError, TableUnreadable) as error:
        context.log.warning(
            f"the job {job.job_id} counts as a first look, because {job.first} is gone: {error}"
        )
        return None
    return None if first is None else partial(settle_reported, first)
