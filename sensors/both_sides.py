"""Starts a pair's report when both of its buckets have new checksums, or all, if it has several replicas.

Every 15 seconds it looks for new materializations of `checksums`, and starts `report_pair` once all
buckets of a pair have one. It starts nothing if the pair's newest report already used them, as after a
backfill or `fixity verify`. It does not start a failed report again: re-execute it, or wait for the next
checksums of all buckets. Batches of rolling fixity lead to one report a day at most.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import dagster as dg

from fixity.catalog import Catalog
from jobs.names import REPORT_ASSET, REPORT_JOB, ROLLING, runs_compared
from jobs.runs import newest_materialization
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
        return dg.SensorResult(
            run_requests=requests,
            cursor=json.dumps(seen),
            skip_reason=None if requests else "; ".join(waiting) or "no new checksums",
        )

    return both_sides


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
