"""Starts a pair's report when both of its buckets have new checksums, or all, if it has several replicas.

Every 15 seconds it looks for new materializations of `checksums`, and starts `report_pair` once all
buckets of a pair have one. It starts nothing if the pair's newest report already used them, as after a
backfill or `fixity verify`. It does not start a failed report again: re-execute it, or wait for the next
checksums of all buckets. If the last check of a bucket with a copy failed, the other copies of that pair are
reported alone. Batches of rolling fixity lead to one report a day at most.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from fixity.catalog import Catalog, Copies
from jobs.names import CHECKSUMS_JOB, REPORT_ASSET, REPORT_JOB, ROLL_JOB, ROLLING, runs_compared
from jobs.runs import UNSUCCESSFUL, newest_materialization
from sensors.cursors import read_cursor

_CHECKSUMS = dg.AssetKey("checksums")
_REPORT = dg.AssetKey(REPORT_ASSET)
_BETWEEN_ROLLING_REPORTS = 24 * 3600.0  # seconds: a batch changes little of what a report says
_MATERIALIZED = dg.DagsterEventType.ASSET_MATERIALIZATION


def both_sides_sensor(catalog: Catalog) -> dg.SensorDefinition:
    """The sensor `report_when_both_sides_are_checked`, over all pairs of the catalog."""

    @dg.sensor(
        name="report_when_both_sides_are_checked",
        description=__doc__,
        job_name=REPORT_JOB,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def both_sides(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        newest = context.instance.get_latest_storage_id_by_partition(_CHECKSUMS, _MATERIALIZED)
        seen = read_cursor(context.cursor, dict[str, tuple[int, ...]], {})
        requests: list[dg.RunRequest] = []
        waiting: list[str] = []
        for name, buckets in catalog.reported.items():
            tables = tuple(newest.get(bucket, 0) for bucket in buckets)
            before = seen.get(name, ())
            if len(before) != len(buckets):  # the catalog has changed
                before = (0,) * len(buckets)
            late = [
                bucket for bucket, table, old in zip(buckets, tables, before, strict=True) if table <= old
            ]
            if not late and _is_soon(context.instance, name, buckets):
                waiting.append(f"{name}: only rolling checks are new, and its report is younger than a day")
            elif not late:
                seen[name] = tables
                if not _reported_already(context.instance, name, buckets):
                    run_key = ":".join(map(str, (name, *tables)))
                    requests.append(dg.RunRequest(run_key=run_key, partition_key=name))
            elif len(late) < len(buckets):
                waiting.append(f"{name} waits for {', '.join(late)}")
                copies = catalog.copies.get(name)
                if copies and any(_failed(context.instance, bucket) for bucket in late):
                    requests += _each_alone(context.instance, copies, newest, seen)
        return dg.SensorResult(
            run_requests=requests,
            cursor=json.dumps(seen),
            skip_reason=None if requests else "; ".join(waiting) or "no new checksums",
        )

    return both_sides


def _failed(instance: dg.DagsterInstance, bucket: str) -> bool:
    """Whether the last check of a bucket failed."""
    for job in (CHECKSUMS_JOB, ROLL_JOB):
        of_bucket = dg.RunsFilter(job_name=job, tags={"dagster/partition": bucket})
        if any(
            run.dagster_run.status in UNSUCCESSFUL for run in instance.get_run_records(of_bucket, limit=1)
        ):
            return True
    return False


def _each_alone(
    instance: dg.DagsterInstance,
    copies: Copies,
    newest: Mapping[str, int],
    seen: dict[str, tuple[int, ...]],
) -> Iterator[dg.RunRequest]:
    """The reports of those copies of which both buckets are new. Arguments: `newest`, the table of each
    bucket; `seen`, those that reports have had, which this adds to.
    """
    together = dict(zip(copies.buckets, seen.get(copies.name, ()), strict=False))
    for pair in copies.pairs:
        buckets = (pair.source, pair.replica)
        tables = tuple(newest.get(bucket, 0) for bucket in buckets)
        alone = dict(zip(buckets, seen.get(pair.name, ()), strict=False))
        late = any(
            table <= max(together.get(bucket, 0), alone.get(bucket, 0))
            for bucket, table in zip(buckets, tables, strict=True)
        )
        if late or _is_soon(instance, pair.name, buckets):
            continue
        seen[pair.name] = tables
        if not _reported_already(instance, pair.name, buckets):
            yield dg.RunRequest(run_key=":".join(map(str, (pair.name, *tables))), partition_key=pair.name)


def _is_soon(instance: dg.DagsterInstance, name: str, buckets: Sequence[str]) -> bool:
    """Whether only rolling checks are new, and the last report is less than a day old."""
    report = newest_materialization(instance, _REPORT, name)
    if report is None or time.time() - report.timestamp > _BETWEEN_ROLLING_REPORTS:
        return False
    tables = [newest_materialization(instance, _CHECKSUMS, bucket) for bucket in buckets]
    return all(
        table is not None
        and table.asset_materialization is not None
        and ROLLING in table.asset_materialization.metadata
        for table in tables
    )


def _reported_already(instance: dg.DagsterInstance, name: str, buckets: Sequence[str]) -> bool:
    report = newest_materialization(instance, _REPORT, name)
    if report is None or report.asset_materialization is None:
        return False
    made_from = report.asset_materialization.metadata
    tables = [newest_materialization(instance, _CHECKSUMS, bucket) for bucket in buckets]
    said = [made_from[each].value if each in made_from else None for each in runs_compared(buckets)]
    return said == [table.run_id if table else None for table in tables]
