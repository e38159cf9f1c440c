"""Tells the status of runs that failed before they had a result, such as those whose bucket is unreachable.

Every 15 seconds it looks for runs that failed, and keeps each for the buckets and pairs that it was to check:
`fixity_status` is red for them until a later run has a result. A run that was canceled is none. Nor is a
run that a person started and that was refused as wrong usage: it says nothing of the bucket. If the lake
cannot be written, the next tick tries again.
"""

import re
from datetime import UTC, datetime, timedelta

import dagster as dg

from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.status import OF_BUCKETS, OF_PAIRS, OF_PLATFORM, Failure, keep_failure
from jobs.runs import failure_text, is_wrong_usage
from resources import LakeResource
from sensors.cursors import read_cursor

_AT_ONCE = 200
_FIRST_LOOK = timedelta(days=30)
_AGAIN = timedelta(minutes=1)
"""How long before the last look a run's end counts as new: another process may have been slow to write it."""
_FAILED = dg.DagsterRunStatus.FAILURE
_CLASS = re.compile(r"\b(?:\w+\.)+[A-Z]\w*: ")  # what Python writes before the text of an error
_BY_ITSELF = ("dagster/schedule_name", "dagster/sensor_name")
"""A tag of each run that no person started: nobody else would hear that its configuration is wrong."""
_PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED


def failed_runs_sensor() -> dg.SensorDefinition:
    """The sensor `failed_runs`, over all runs of the instance."""

    @dg.sensor(
        name="failed_runs",
        description=__doc__,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        target=[],
    )
    def failed_runs(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult:
        first = (utc_now() - _FIRST_LOOK).timestamp()
        since = datetime.fromtimestamp(read_cursor(context.cursor, float, first), UTC)
        found = context.instance.get_run_records(
            dg.RunsFilter(statuses=[_FAILED], updated_after=since - _AGAIN),
            limit=_AT_ONCE,
            order_by="update_timestamp",
            ascending=True,
        )
        kept_in = lake.open()
        for record in found:
            keep_failed_run(context.instance, record, kept_in)
        if found:
            since = max(since, _utc(found[-1].update_timestamp))
        return dg.SensorResult(cursor=str(since.timestamp()), skip_reason=f"{len(found):,} failed lately")

    return failed_runs


def keep_failed_run(instance: dg.DagsterInstance, record: dg.RunRecord, lake: Lake) -> None:
    """Keep that a run failed, for each bucket and pair of whose checks it has no result.

    Of a request of a person that could not be used, buckets and pairs are told nothing. Raises LakeError.
    """
    run_id = record.dagster_run.run_id
    ended = record.end_time
    at = datetime.fromtimestamp(ended, UTC) if ended else _utc(record.update_timestamp)
    planned = {
        (event.dagster_event.asset_key.to_user_string(), event.dagster_event.partition)
        for event in instance.all_logs(run_id, of_type=_PLANNED)
        if event.dagster_event is not None and event.dagster_event.asset_key is not None
    }
    of_platform = {(asset, None) for asset, _ in planned if asset in OF_PLATFORM}
    known = of_platform | {each for each in planned if each[0] in (*OF_BUCKETS, *OF_PAIRS)}
    if not known:
        return
    logged = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    failures = [each.dagster_event for each in logged if each.dagster_event is not None]
    if any(map(is_wrong_usage, failures)) and not any(tag in record.dagster_run.tags for tag in _BY_ITSELF):
        known &= of_platform  # a wrong key of the log is wrong for the next sealing, too
    texts = [failure_text(event) for event in failures]
    text = texts[0] if texts else _of_run(instance, run_id)
    for asset, partition in known:
        keep_failure(lake, asset, partition, Failure(run_id, at, f"the run {run_id} failed: {text}"))


def _of_run(instance: dg.DagsterInstance, run_id: str) -> str:
    """Why a run failed none of whose steps did: its broker, a worker, or its own process."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        data = entry.dagster_event.job_failure_data if entry.dagster_event else None
        if data is not None and data.error is not None:
            text = data.error.message.partition("\nStack Trace:")[0]
            return " ".join(_CLASS.sub("", text).split())
    return "it ended before it could say why; see the run in the UI"


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
