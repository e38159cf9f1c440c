"""The schedules of policies: a batch at each bucket's interval, listings, PREMIS events, coverage.

Only buckets with a term (`policy` or `fixity_every`) are scheduled. Jobs that others run are requested by a
sensor, because only the lake knows when one is due. What a run does belongs to the assets.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import dagster as dg

from fixity.catalog import Bucket, Catalog, Policy
from jobs.names import COVERAGE_JOB, DRILL_JOB, INVENTORY_JOB, PREMIS_JOB, ROLL_JOB
from jobs.runs import is_running, newest_materialization

_Scheduled = list[tuple[Bucket, Policy]]
_EARLIER = timedelta(hours=12)  # a listing that ends late one day is due on the same day of its next turn


def rolling_schedules(catalog: Catalog) -> list[dg.ScheduleDefinition]:
    """The schedules of a catalog; none where no bucket has a term."""
    scheduled = [(each, each.schedule) for each in catalog.buckets.values()]
    policies: _Scheduled = [(bucket, policy) for bucket, policy in scheduled if policy]
    if not policies:
        return []
    buckets = [bucket for bucket, _ in policies]
    read = [(bucket, policy) for bucket, policy in policies if bucket.is_rolled or policy.sample]
    # A sensor takes the lists of the others.
    listed = [(bucket, policy) for bucket, policy in policies if not bucket.has_lists]
    return [
        *([_batches(read)] if read else []),
        *([_listings(listed)] if listed else []),
        _daily(
            "premis_of_rolling_fixity",
            PREMIS_JOB,
            "30 1 * * *",
            buckets,
            "Writes PREMIS events for the new checks of each bucket with a policy, once a day.",
        ),
        dg.ScheduleDefinition(
            name="coverage_of_rolling_fixity",
            job_name=COVERAGE_JOB,
            cron_schedule="15 */6 * * *",
            description="Counts every 6 hours which objects of all buckets were checked within their term. "
            "The asset `coverage` is red while objects are overdue or nothing runs for them.",
            default_status=dg.DefaultScheduleStatus.RUNNING,
        ),
        *_drills(catalog),
    ]


def _drills(catalog: Catalog) -> list[dg.ScheduleDefinition]:
    buckets = [catalog.buckets[name] for name in catalog.drills]
    text = "Looks, once a day, whether the drill of each bucket in `drills` was found, and ends it."
    return [_daily("look_at_drills", DRILL_JOB, "30 2 * * *", buckets, text)] if buckets else []


def _batches(policies: _Scheduled) -> dg.ScheduleDefinition:
    every = math.gcd(60, *(bucket.batch_interval // timedelta(minutes=1) for bucket, _ in policies))

    @dg.schedule(
        name="rolling_fixity",
        job_name=ROLL_JOB,
        cron_schedule=f"*/{every} * * * *" if every < 60 else "0 * * * *",
        description="Starts a batch of due objects for each bucket with a policy, at the bucket's "
        "`batch_interval`, in the policy's `window`. If the bucket's last run still goes on, that run takes "
        "the next batch itself.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def rolling_fixity(
        context: dg.ScheduleEvaluationContext,
    ) -> list[dg.RunRequest] | dg.SkipReason:
        tick = context.scheduled_execution_time
        asked = [bucket for bucket, policy in policies if _is_turn(bucket, policy, tick)]
        running = [bucket.name for bucket in asked if is_running(context.instance, ROLL_JOB, bucket.name)]
        requests = [
            dg.RunRequest(run_key=f"{bucket.name}:{tick:%Y-%m-%dT%H:%M}", partition_key=bucket.name)
            for bucket in asked
            if bucket.name not in running
        ]
        if requests:
            return requests
        return dg.SkipReason(f"still running: {', '.join(running)}" if running else "no bucket's turn")

    return rolling_fixity


def _is_turn(bucket: Bucket, policy: Policy, tick: datetime) -> bool:
    is_open = policy.window is None or policy.window.is_open(tick)
    return is_open and tick.timestamp() // 60 * 60 % bucket.batch_interval.total_seconds() == 0


def _listings(policies: _Scheduled) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="list_for_rolling_fixity",
        job_name=INVENTORY_JOB,
        cron_schedule="0 0 * * *",
        description="Lists each bucket with a policy once a day, or as `stored` says, unless its provider "
        "writes lists.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def list_for_rolling_fixity(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        tick = context.scheduled_execution_time
        return [
            dg.RunRequest(run_key=f"{bucket.name}:{tick:%Y-%m-%d}", partition_key=bucket.name)
            for bucket, policy in policies
            if _is_to_be_listed(context.instance, bucket, policy, tick)
        ]

    return list_for_rolling_fixity


def _is_to_be_listed(instance: dg.DagsterInstance, bucket: Bucket, policy: Policy, tick: datetime) -> bool:
    if policy.stored <= timedelta(days=1):
        return True
    listed = newest_materialization(instance, dg.AssetKey("inventory"), bucket.name)
    if listed is None:
        return True
    # A listing of the future was made by a wrong clock.
    return abs(tick.timestamp() - listed.timestamp) >= (policy.stored - _EARLIER).total_seconds()


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
