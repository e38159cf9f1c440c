"""Starts a run that loads a job's completion report when the job ends.

Reads the queue `batch_completion` every 15 seconds and starts `ingest_checksums`, one run for each job
that ended. The queue has events of S3 Batch Operations, and of AWS Batch for teams that compute checksums
there. An event is only a hint: the sensor asks AWS how the job stands before it starts a run. It ignores
S3 jobs that this platform did not submit. For a job that copied in a repair, it starts `repair`, which checks
the new copies.
"""

from collections.abc import Callable

import dagster as dg

from fixity.catalog import Catalog, Queue
from fixity.engines.s3_batch.batch_jobs import TERMINAL
from fixity.engines.s3_batch.compute import ENDED, bucket_of_job
from fixity.engines.s3_batch.copy_jobs import open_copy
from fixity.engines.s3_batch.job_records import bucket_of
from fixity.lake import Lake
from jobs import jobs_named
from jobs.names import INGEST_JOB, REPAIR_JOB
from resources import LakeResource, QueuesResource, S3ControlResource
from resources.queues import Message
from sensors.events import BatchOperationsEvent, ComputeJobEvent, Event, UnknownMessage
from sensors.finished_jobs import NoRun, compute_request, ingest_request, repair_request
from sensors.messages import Inbox


def batch_completion_sensor(catalog: Catalog, queue: Queue) -> dg.SensorDefinition:
    """The sensor `batch_completion`, over the messages of a queue."""

    @dg.sensor(
        name="batch_completion",
        description=__doc__,
        jobs=jobs_named(catalog, INGEST_JOB, REPAIR_JOB),
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def batch_completion(
        context: dg.SensorEvaluationContext,
        queues: QueuesResource,
        lake: LakeResource,
        s3_control: S3ControlResource,
    ) -> dg.SensorResult:
        kept_in = lake.open()
        requests: dict[str, dg.RunRequest] = {}
        notes: list[str] = []

        def log(text: str) -> None:
            notes.append(text)
            context.log.info(text)

        def request(event: Event, _: Message) -> bool:
            found = _request(context.instance, catalog, kept_in, s3_control, event, log)
            if isinstance(found, dg.RunRequest):
                requests[str(found.run_key)] = found
                return True
            inbox.log(found.why)
            return not found.later  # if S3 does not agree with the event yet, the message comes again

        inbox = Inbox(queues.open(queue), context.cursor, kept_in, log)
        inbox.each_event(request)
        return dg.SensorResult(
            run_requests=list(requests.values()),
            cursor=inbox.cursor,
            skip_reason=None if requests else "; ".join(notes)[:1000] or "no messages",
        )

    return batch_completion


def _request(
    instance: dg.DagsterInstance,
    catalog: Catalog,
    lake: Lake,
    s3_control: S3ControlResource,
    event: Event,
    log: Callable[[str], None],
) -> dg.RunRequest | NoRun:
    if isinstance(event, ComputeJobEvent):
        bucket = bucket_of_job(event.name, event.tags, catalog.checked_by_s3)
        if event.status not in ENDED or bucket is None:
            return NoRun(
                f"the AWS Batch job {event.job_id} is {event.status}, of {bucket or 'no bucket'}: skipped"
            )
        _check_account(event, s3_control.settings(bucket).account_id, bucket)
        return compute_request(instance, lake, s3_control, bucket, event.job_id)
    if not isinstance(event, BatchOperationsEvent):
        return NoRun("an event that is not about a job: skipped")
    if event.status not in TERMINAL:
        return NoRun(f"the job {event.job_id} is {event.status}: nothing to do yet")
    bucket = bucket_of(lake, event.job_id)
    if bucket is None:
        copies = open_copy(lake, event.job_id, log)
        if copies is None:
            return NoRun(f"the job {event.job_id} was not submitted by this platform: skipped")
        return repair_request(instance, s3_control, copies)
    if bucket not in catalog.checked_by_s3:
        return NoRun(f"the job {event.job_id}: '{bucket}' no longer has `engine: s3_batch`, skipped")
    _check_account(event, s3_control.settings(bucket).account_id, bucket)
    return ingest_request(instance, lake, s3_control, bucket, event.job_id)


def _check_account(event: BatchOperationsEvent | ComputeJobEvent, account: str, bucket: str) -> None:
    if event.account not in (None, account):
        raise UnknownMessage(
            f"an event about the job {event.job_id} of '{bucket}' is of the account {event.account}, "
            f"but the catalog says {account}"
        )
