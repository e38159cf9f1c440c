"""Retries runs that failed to read objects named in events.

Every 5 minutes it looks for failed runs that the sensors `new_objects` and `restore_completion` started,
and starts `ingest_selected` again for the same objects: 15 minutes after the first failure, then with
delays that double, up to 12 hours. After three failures the sensor's ticks fail and list the runs. They
succeed again once a run over these objects or over the whole bucket does: remove the cause, then
re-execute the failed run.
"""

import time
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import dagster as dg

from fixity.catalog import Catalog
from fixity.errors import FixityError
from jobs.names import INGEST_BUCKET_JOB, INGEST_SELECTED_JOB, SELECTION
from jobs.runs import UNSUCCESSFUL, due_again
from sensors.selecting import EVENTS

_PARTITION = "dagster/partition"
_LOUD = 3  # failed runs in a row before the ticks fail
_LOOK_BACK = timedelta(days=14)  # older failures were retried since, and these retries are younger
_PAGE = 1000  # runs
_MOST_REQUESTS = 50  # a tick


class ObjectsNotRead(FixityError):
    """Runs over objects named in events keep failing. The message lists them and says what to do."""

    final = False


@dataclass(frozen=True)
class _Unread:
    """A list of objects whose newest runs failed, the newest first.

    events: the kind of events that named them, from the tag of the run that they started. Other runs over
    the same list may lack that tag.
    """

    bucket: str
    selection: str
    events: str
    failed: list[dg.RunRecord]

    @property
    def newest(self) -> dg.DagsterRun:
        return self.failed[0].dagster_run

    @property
    def due(self) -> float:
        return due_again(self.failed)


def event_reconciliation_sensor(catalog: Catalog) -> dg.SensorDefinition:
    """The sensor `event_reconciliation`, over the runs started by events from the catalog's queues."""

    @dg.sensor(
        name="event_reconciliation",
        description=__doc__,
        job_name=INGEST_SELECTED_JOB,
        minimum_interval_seconds=5 * 60,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def event_reconciliation(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = time.time()
        due: list[_Unread] = []
        loud: list[_Unread] = []
        for each in _unread(context.instance, catalog.buckets, now):
            if each.due <= now:
                due.append(each)
            if len(each.failed) >= _LOUD:
                loud.append(each)
            if len(due) == _MOST_REQUESTS:
                break  # the next tick takes the rest: these are running by then
        if loud and not due:
            raise ObjectsNotRead(_said(loud))
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=f"again:{each.newest.run_id}",
                    partition_key=each.bucket,
                    tags={SELECTION: each.selection, EVENTS: each.events},
                )
                for each in due
            ],
            skip_reason=None if due else "no failed run to retry now",
        )

    return event_reconciliation


def _unread(instance: dg.DagsterInstance, buckets: Container[str], now: float) -> Iterator[_Unread]:
    """The lists whose newest run failed, the oldest failure first."""
    seen: set[tuple[str, str]] = set()
    whole: dict[str, float] = {}
    for record in _failed_of_events(instance, datetime.fromtimestamp(now, UTC) - _LOOK_BACK):
        tags = record.dagster_run.tags
        bucket, selection = tags[_PARTITION], tags[SELECTION]
        if bucket not in buckets or (bucket, selection) in seen:
            continue
        seen.add((bucket, selection))
        if bucket not in whole:
            whole[bucket] = _whole_bucket_read_at(instance, bucket)
        of_list = dg.RunsFilter(job_name=INGEST_SELECTED_JOB, tags={_PARTITION: bucket, SELECTION: selection})
        runs = takewhile(
            lambda record: record.dagster_run.status in UNSUCCESSFUL, instance.get_run_records(of_list)
        )
        since_whole = [record for record in runs if record.create_timestamp.timestamp() > whole[bucket]]
        if since_whole:
            yield _Unread(bucket, selection, tags[EVENTS], since_whole)


def _failed_of_events(instance: dg.DagsterInstance, since: datetime) -> Iterator[dg.RunRecord]:
    """All failed runs that events started, the oldest first, a page at a time."""
    failed = dg.RunsFilter(
        job_name=INGEST_SELECTED_JOB,
        statuses=list(UNSUCCESSFUL),
        tags={EVENTS: ["new", "restored"]},
        created_after=since,
    )
    cursor: str | None = None
    while page := instance.get_run_records(failed, limit=_PAGE, cursor=cursor, ascending=True):
        yield from page
        cursor = page[-1].dagster_run.run_id


def _whole_bucket_read_at(instance: dg.DagsterInstance, bucket: str) -> float:
    """When the newest run began that read all of a bucket; 0 where there is none."""
    records = instance.get_run_records(
        dg.RunsFilter(
            job_name=INGEST_BUCKET_JOB,
            statuses=[dg.DagsterRunStatus.SUCCESS],
            tags={_PARTITION: bucket},
        ),
        limit=1,
    )
    return records[0].create_timestamp.timestamp() if records else 0.0


def _said(loud: list[_Unread]) -> str:
    first = "; ".join(
        f"'{each.bucket}': {len(each.failed)} runs failed, the last is {each.newest.run_id}"
        for each in loud[:5]
    )
    return (
        f"runs over {len(loud):,} lists of objects named in events keep failing ({first}). They are retried "
        "at least every 12 hours. To retry now, remove the cause and re-execute the run, or run "
        "`fixity ingest` on the bucket"
    )
