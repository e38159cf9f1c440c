"""Finds finished S3 Batch jobs whose event did not arrive, and submits requests that wait.

Every 15 minutes it asks S3 about each submitted job whose report is not loaded yet. If the job has ended
or no longer exists, it starts `ingest_checksums`: the run loads the report, or fails with S3's reasons. For a
job that copied in a repair, it starts `repair`, which checks the new copies.
If the account has room for another active job, it starts `request_checksums` for the oldest request that
waits.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

import dagster as dg

from fixity.catalog import Catalog
from fixity.engines.s3_batch.batch_jobs import MOST_ACTIVE, active_jobs
from fixity.engines.s3_batch.copy_jobs import open_copies
from fixity.engines.s3_batch.errors import S3ControlError
from fixity.engines.s3_batch.job_records import open_jobs, waiting_requests
from fixity.humanize import printable
from fixity.lake import Lake
from jobs import jobs_named
from jobs.names import CHECKSUM_JOB_ASSET, INGEST_JOB, REPAIR_JOB, REQUEST_JOB, REQUEST_TAG
from jobs.runs import UNFINISHED
from resources import LakeResource, S3ControlResource
from sensors.finished_jobs import NoRun, ingest_request, repair_request

HEAD_START = timedelta(minutes=10)
"""How long to wait for a finished job's event, so that not both sensors start a run for it."""


def batch_reconciliation_sensor(catalog: Catalog) -> dg.SensorDefinition:
    """The sensor `batch_reconciliation`, over all buckets that S3 checks."""

    @dg.sensor(
        name="batch_reconciliation",
        description=__doc__,
        jobs=jobs_named(catalog, REQUEST_JOB, INGEST_JOB, REPAIR_JOB),
        minimum_interval_seconds=900,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def batch_reconciliation(
        context: dg.SensorEvaluationContext, lake: LakeResource, s3_control: S3ControlResource
    ) -> dg.SensorResult:
        kept_in = lake.open()
        head_start = HEAD_START if catalog.queues.batch_completion else timedelta(0)
        requests: list[dg.RunRequest] = []
        notes: list[str] = []
        for ask in _questions(context.instance, catalog, kept_in, s3_control, notes):
            try:
                found = ask(head_start=head_start)
            except S3ControlError as error:
                found = NoRun(str(error))
            if isinstance(found, NoRun):
                notes.append(found.why)
            else:
                requests.append(found)
        requests += _submissions(context.instance, catalog, kept_in, s3_control, notes)
        notes = [printable(text) for text in notes]  # some are S3's own words
        for text in notes:
            context.log.info(text)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else "; ".join(notes)[:1000] or "no open jobs",
        )

    return batch_reconciliation


def _questions(
    instance: dg.DagsterInstance,
    catalog: Catalog,
    lake: Lake,
    s3_control: S3ControlResource,
    notes: list[str],
) -> Iterator[Callable[..., dg.RunRequest | NoRun]]:
    """What asks S3 about each job whose report was not taken yet."""
    for bucket in catalog.checked_by_s3:
        for record in open_jobs(lake, bucket, notes.append):
            yield partial(ingest_request, instance, lake, s3_control, bucket, record.job_id)
    for job in open_copies(lake, log=notes.append):
        if job.pair in catalog.pairs and job.target in catalog.buckets:
            yield partial(repair_request, instance, s3_control, job)


def _submissions(
    instance: dg.DagsterInstance,
    catalog: Catalog,
    lake: Lake,
    s3_control: S3ControlResource,
    notes: list[str],
) -> list[dg.RunRequest]:
    """The runs that submit waiting requests, oldest first, as many as their accounts have room for."""
    waiting = [
        each for bucket in catalog.checked_by_s3 for each in waiting_requests(lake, bucket, notes.append)
    ]
    room: dict[str, int] = {}
    requests = []
    for each in sorted(waiting, key=lambda request: request.requested_at):
        going_on = dg.RunsFilter(tags={REQUEST_TAG: each.token}, statuses=UNFINISHED)
        if instance.get_runs(going_on, limit=1):
            notes.append(f"the request for '{each.bucket}' is being submitted")
            continue
        account = s3_control.settings(each.bucket).account_id
        try:
            if account not in room:
                room[account] = MOST_ACTIVE - len(active_jobs(s3_control.client(each.bucket), account))
        except S3ControlError as error:
            notes.append(str(error))
            continue
        if room[account] <= 0:
            notes.append(f"the request for '{each.bucket}' waits: the account has {MOST_ACTIVE} active jobs")
            continue
        room[account] -= 1
        requests.append(
            dg.RunRequest(
                # No run key: if the free place is gone by then, a later tick must be able to try again.
                job_name=REQUEST_JOB,
                partition_key=each.bucket,
                tags={REQUEST_TAG: each.token},
                asset_selection=[
                    dg.AssetKey(CHECKSUM_JOB_ASSET)
                ],  # the bucket was listed when it was requested
            )
        )
    return requests
