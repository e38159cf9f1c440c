"""The schedules of rolling fixity: a batch at each bucket's interval, a listing a day, coverage.

Only buckets with a term (`fixity_every`) are scheduled. What a run does belongs to the assets.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import dagster as dg

from fixity.catalog import Bucket, Catalog
from jobs.names import COVERAGE_JOB, DRILL_JOB, INVENTORY_JOB, PREMIS_JOB, ROLL_JOB
from jobs.runs import UNFINISHED


def rolling_schedules(catalog: Catalog) -> list[dg.ScheduleDefinition]:
    """The schedules of a catalog; none where no bucket has a term."""
    buckets = [bucket for bucket in catalog.buckets.values() if bucket.fixity_every]
    if not buckets:
        return []
    listed = [bucket for bucket in buckets if not bucket.has_lists]  # a sensor takes the others' lists
    text = "Lists each bucket with `fixity_every`, once a day, unless its provider writes lists."
    return [
        _batches(buckets),
        *([_daily("list_for_rolling_fixity", INVENTORY_JOB, "0 0 * * *", listed, text)] if listed else []),
        _daily(
            "premis_of_rolling_fixity",
            PREMIS_JOB,
            "30 1 * * *",
            buckets,
            "Writes PREMIS events for the new checks of each bucket with `fixity_every`, once a day.",
        ),
        dg.ScheduleDefinition(
            name="coverage_of_rolling_fixity",
            job_name=COVERAGE_JOB,
            cron_schedule="15 */6 * * *",
            description="Counts every 6 hours which objects were checked within `fixity_every`. The asset "
            "`coverage` is red while objects are overdue or no batches run.",
            default_status=dg.DefaultScheduleStatus.RUNNING,
        ),
        *_drills(catalog),
    ]


def _drills(catalog: Catalog) -> list[dg.ScheduleDefinition]:
    buckets = [catalog.buckets[name] for name in catalog.drills]
    text = "Looks, once a day, whether the drill of each bucket in `drills` was found, and ends it."
    return [_daily("look_at_drills", DRILL_JOB, "30 2 * * *", buckets, text)] if buckets else []


def _batches(buckets: list[Bucket]) -> dg.ScheduleDefinition:
    every = math.gcd(60, *(bucket.batch_interval // timedelta(minutes=1) for bucket in buckets))

    @dg.schedule(
        name="rolling_fixity",
        job_name=ROLL_JOB,
        cron_schedule=f"*/{every} * * * *" if every < 60 else "0 * * * *",
        description="Starts a batch of due objects for each bucket with `fixity_every`, at the bucket's "
        "`batch_interval`. If the bucket's last run still goes on, that run takes the next batch itself.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def rolling_fixity(
        context: dg.ScheduleEvaluationContext,
    ) -> list[dg.RunRequest] | dg.SkipReason:
        tick = context.scheduled_execution_time
        asked = [bucket for bucket in buckets if _is_turn(bucket, tick)]
        running = [bucket.name for bucket in asked if _runs(context.instance, bucket.name)]
        requests = [
            dg.RunRequest(run_key=f"{bucket.name}:{tick:%Y-%m-%dT%H:%M}", partition_key=bucket.name)
            for bucket in asked
            if bucket.name not in running
        ]
        if requests:
            return requests
        return dg.SkipReason(f"still running: {', '.join(running)}" if running else "no bucket's turn")

    return rolling_fixity


def _is_turn(bucket: Bucket, tick: datetime) -> bool:
    return tick.timestamp() // 60 * 60 % bucket.batch_interval.total_seconds() == 0


def _runs(instance: dg.DagsterInstance, bucket: str) -> bool:
    unfinished = dg.RunsFilter(job_name=ROLL_JOB, statuses=UNFINISHED, tags={"dagster/partition": bucket})
    return bool(instance.get_run_records(unfinished, limit=1))


def _daily(name: str, job: str, cron: str, buckets: list[Bucket], text: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job_name=job,
        cron_schedule=cron,
        description=text,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def daily(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        tick = context.scheduled_execution_time
        return [
            dg.RunRequest(run_key=f"{bucket.name}:{tick:%Y-%m-%d}", partition_key=bucket.name)
            for bucket in buckets
        ]

    return daily
