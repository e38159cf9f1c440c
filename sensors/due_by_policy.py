"""Requests the jobs and reports that policies want, before the term ends.

It looks every 15 minutes. It requests a job (`request_checksums`) for each bucket with a policy that S3 Batch
or a Step Functions map reads, if none was requested for most of the term; the requests of many buckets are
spread over the term. It also makes a pair's report (`report_pair`) again before the newest one is older than
the pair's term, though no side has new checksums. A failed run is tried again on the next day (UTC).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import dagster as dg

from fixity.catalog import Catalog
from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.rolling.jobs import is_job_due, last_asked
from jobs import jobs_named
from jobs.names import REPORT_ASSET, REPORT_JOB, REQUEST_JOB
from jobs.runs import is_running, newest_materialization
from resources import LakeResource

_DAY = timedelta(days=1)


def due_by_policy_sensors(
    catalog: Catalog, now: Callable[[], datetime] = utc_now
) -> list[dg.SensorDefinition]:
    """The sensor `due_by_policy`, where a bucket that others read, or a pair, has a term."""
    by_jobs = any(bucket.fixity_every for bucket in catalog.checked_by_jobs)
    if not by_jobs and not any(map(catalog.term_of, catalog.reported)):
        return []

    @dg.sensor(
        name="due_by_policy",
        description=__doc__,
        jobs=jobs_named(catalog, REQUEST_JOB, REPORT_JOB),
        minimum_interval_seconds=900,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def due_by_policy(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult:
        at = now()
        due = [
            *((REQUEST_JOB, name) for name in _due_jobs(context.instance, catalog, lake.open(), at)),
            *((REPORT_JOB, name) for name in _due_reports(context.instance, catalog, at)),
        ]
        requests = [
            dg.RunRequest(job_name=job, partition_key=name, run_key=f"{job}:{name}:{at:%Y-%m-%d}")
            for job, name in due
        ]
        return dg.SensorResult(run_requests=requests, skip_reason=None if requests else "nothing is due")

    return [due_by_policy]


def _due_jobs(instance: dg.DagsterInstance, catalog: Catalog, lake: Lake, at: datetime) -> Iterator[str]:
    for bucket in catalog.checked_by_jobs:
        policy = bucket.schedule
        if policy is None or (policy.window is not None and not policy.window.is_open(at)):
            continue
        if is_job_due(bucket.name, policy.bytes, last_asked(lake, bucket, at), at) and not is_running(
            instance, REQUEST_JOB, bucket.name
        ):
            yield bucket.name


def _due_reports(instance: dg.DagsterInstance, catalog: Catalog, at: datetime) -> Iterator[str]:
    for name in catalog.reported:
        term = catalog.term_of(name)
        report = newest_materialization(instance, dg.AssetKey(REPORT_ASSET), name) if term else None
        if term is None or report is None:  # the first one is made when all sides are checked
            continue
        # A report of the future was made by a wrong clock.
        if abs(at.timestamp() - report.timestamp) >= (term - min(_DAY, term / 4)).total_seconds():
            yield name
