"""Checks new objects against their recorded checksums soon after upload.

Reads the queue `new_objects` every 30 seconds for `Object Created` events and starts `ingest_selected`:
one run a bucket, for all objects that this tick's events name. An event is only a hint: the run looks up
the object itself. Buckets with another engine than `stream` are left out.
"""

import dagster as dg

from fixity.catalog import Catalog, Queue
from jobs.names import INGEST_SELECTED_JOB
from resources import LakeResource, QueuesResource
from sensors.messages import Inbox
from sensors.selecting import take_batch


def new_objects_sensor(catalog: Catalog, queue: Queue) -> dg.SensorDefinition:
    """The sensor `new_objects`, over all buckets of the catalog."""

    @dg.sensor(
        name="new_objects",
        description=__doc__,
        job_name=INGEST_SELECTED_JOB,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def new_objects(
        context: dg.SensorEvaluationContext, queues: QueuesResource, lake: LakeResource
    ) -> dg.SensorResult:
        kept_in = lake.open()
        inbox = Inbox(queues.open(queue), context.cursor, kept_in, context.log.info)
        batch = take_batch(
            catalog, inbox, "created", lambda bucket: catalog.buckets[bucket].engine == "stream"
        )
        requests = batch.requests(kept_in, "new")
        return dg.SensorResult(
            run_requests=requests,
            cursor=inbox.cursor,
            skip_reason=None if requests else "no new objects",
        )

    return new_objects
