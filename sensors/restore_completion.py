"""Checks objects that were restored from an archive, and looks again at those that are not ready.

Every minute it reads the queue `restore_completion` for `Object Restore Completed` events, if the catalog
has that queue, and the results of each bucket's last look (asset `restored`). It starts `ingest_selected`
for the objects that can be read now. It starts `restore_bucket` when it is time to look again: after 4
minutes for Expedited, 12 hours for DEEP_ARCHIVE with Bulk, else 4 hours, and not before objects found
ready were read. A failed look is repeated after 15 minutes, then with delays that double, up to 12 hours.
"""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from fixity.catalog import Catalog
from jobs import jobs_named
from jobs.names import INGEST_SELECTED_JOB, LOOK_AGAIN_AT, READY, RESTORE_JOB, RESTORED_ASSET, SELECTION
from jobs.runs import UNFINISHED, UNSUCCESSFUL, due_again
from resources import LakeResource, QueuesResource
from sensors.messages import Inbox
from sensors.selecting import take_batch

_RESTORED = dg.AssetKey(RESTORED_ASSET)
READING = "fixity/reading"
"""The tag of runs over objects that a look found ready."""


def restore_completion_sensor(catalog: Catalog) -> dg.SensorDefinition:
    """The sensor `restore_completion`, over the buckets with `archived: restore`."""
    buckets = catalog.restoring

    @dg.sensor(
        name="restore_completion",
        description=__doc__,
        jobs=jobs_named(catalog, INGEST_SELECTED_JOB, RESTORE_JOB),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def restore_completion(
        context: dg.SensorEvaluationContext, queues: QueuesResource, lake: LakeResource
    ) -> dg.SensorResult:
        requests: list[dg.RunRequest] = []
        cursor = context.cursor or json.dumps([])
        if catalog.queues.restore_completion is not None:
            kept_in, queue = lake.open(), queues.open(catalog.queues.restore_completion)
            inbox = Inbox(queue, context.cursor, kept_in, context.log.info)
            batch = take_batch(catalog, inbox, "restore_completed", buckets.__contains__)
            requests += batch.requests(kept_in, "restored")
            cursor = inbox.cursor
        for bucket in buckets:
            requests += _after_the_last_look(context.instance, bucket, time.time())
        return dg.SensorResult(
            run_requests=requests,
            cursor=cursor,
            skip_reason=None if requests else "no restored objects, and it is not time to look again",
        )

    return restore_completion


def _after_the_last_look(instance: dg.DagsterInstance, bucket: str, now: float) -> Iterator[dg.RunRequest]:
    """Read what the last look found ready; look again when it is time. Run keys make it once a look."""
    looks = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=_RESTORED, asset_partitions=[bucket]), limit=1
    ).records
    if not looks or looks[0].asset_materialization is None:
        return
    look, said = looks[0].storage_id, looks[0].asset_materialization.metadata
    if READY in said:
        yield dg.RunRequest(
            run_key=f"ready:{bucket}:{look}",
            job_name=INGEST_SELECTED_JOB,
            partition_key=bucket,
            tags={SELECTION: str(said[READY].value), READING: "restored"},
        )
    if LOOK_AGAIN_AT in said and now >= float(str(said[LOOK_AGAIN_AT].value)):
        reading = dg.RunsFilter(
            job_name=INGEST_SELECTED_JOB,
            statuses=UNFINISHED,
            tags={"dagster/partition": bucket, READING: "restored"},
        )
        failed = _failed_since(instance, bucket, looks[0].timestamp)
        rested = not failed or now >= due_again(failed)
        if rested and not instance.get_run_records(reading, limit=1):
            again = f":{len(failed)}" if failed else ""
            yield dg.RunRequest(
                run_key=f"look:{bucket}:{look}{again}", job_name=RESTORE_JOB, partition_key=bucket
            )


def _failed_since(instance: dg.DagsterInstance, bucket: str, look: float) -> Sequence[dg.RunRecord]:
    """The looks that failed since the last one that did not, the newest first."""
    return instance.get_run_records(
        dg.RunsFilter(
            job_name=RESTORE_JOB,
            statuses=list(UNSUCCESSFUL),
            tags={"dagster/partition": bucket},
            created_after=datetime.fromtimestamp(look, UTC),
        )
    )
