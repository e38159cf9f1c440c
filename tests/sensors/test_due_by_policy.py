"""The sensor that requests jobs of others, and reports of pairs, before their term ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from fixity.catalog import load_catalog
from fixity.engines.s3_batch.job_records import keep_record, new_record
from fixity.lake import open_lake
from fixity_assets.definitions import build_definitions
from jobs.names import REPORT_JOB, REQUEST_JOB
from resources import CatalogResource, LakeResource
from sensors.due_by_policy import due_by_policy_sensors

NOW = datetime.now(UTC).replace(hour=12)
DAY = timedelta(days=1)
_BATCH = (
    's3_batch: {account_id: "111122223333", role_arn: "arn:aws:iam::111122223333:role/x", report_bucket: r}\n'
)
_MAPS = """
map_results:
  bucket: results
  ledger: {bucket: $.b, key: $.k, checksum: $.c}
"""
_MACHINE = "  state_machine: arn:aws:states:us-east-1:111122223333:stateMachine:checks\n"


def _due(
    folder: Path, buckets: str, now: datetime, instance: dg.DagsterInstance
) -> list[tuple[object, object]]:
    file = folder / "fixity.yaml"
    file.write_text(f"lake: ./lake\n{_BATCH}{buckets}", encoding="utf-8")
    catalog = load_catalog(file)
    found = due_by_policy_sensors(catalog, lambda: now)
    if not found:
        return []
    lake = LakeResource(catalog=CatalogResource(file=str(file)))
    with dg.build_sensor_context(instance=instance, resources={"lake": lake}) as context:
        result = found[0](context)
    assert isinstance(result, dg.SensorResult)
    return [(request.job_name, request.partition_key) for request in result.run_requests or []]


def test_a_job_is_requested_where_others_read_and_the_term_wants_it(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    buckets = (
        "policies: {p: {bytes: 90d, by: s3_batch}, night: {bytes: 90d, by: s3_batch, window: '20:00-06:00'}}"
        "\n"
        "buckets: {by-s3: {policy: p}, at-night: {policy: night}, by-hand: {engine: s3_batch}, "
        "by-us: {fixity_every: 90d}, by-map: {policy: {bytes: 90d, by: step_functions}}}\n"
    )
    assert _due(tmp_path, buckets + _MAPS, NOW, instance) == [(REQUEST_JOB, "by-s3")]
    due = _due(tmp_path, buckets + _MAPS + _MACHINE, NOW, instance)
    assert due == [(REQUEST_JOB, "by-s3"), (REQUEST_JOB, "by-map")]
    night = _due(tmp_path, buckets + _MAPS, NOW.replace(hour=22), instance)
    assert night == [(REQUEST_JOB, "by-s3"), (REQUEST_JOB, "at-night")]


def test_after_a_job_was_requested_by_hand_none_is_for_half_an_interval_and_one_is_in_time(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    buckets = "buckets: {b: {fixity_every: 90d, engine: s3_batch}}\n"
    assert _due(tmp_path, buckets, NOW, instance) == [(REQUEST_JOB, "b")]
    catalog = load_catalog(tmp_path / "fixity.yaml")
    keep_record(
        open_lake(catalog), new_record(catalog.buckets["b"], "job", "run", "inventory/b/i.parquet", None)
    )
    assert _due(tmp_path, buckets, NOW + 37 * DAY, instance) == []
    assert _due(tmp_path, buckets, NOW + 77 * DAY, instance) == [(REQUEST_JOB, "b")]


def test_while_a_request_is_being_made_no_other_is(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    buckets = "buckets: {b: {fixity_every: 90d, engine: s3_batch}}\n"
    assert _due(tmp_path, buckets, NOW, instance)
    job = build_definitions(load_catalog(tmp_path / "fixity.yaml")).resolve_job_def(REQUEST_JOB)
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "b"})
    assert _due(tmp_path, buckets, NOW, instance) == []


@pytest.mark.parametrize(("term", "days"), [("", 89), (", fixity_every: 7d", 6)])
def test_a_pair_is_reported_again_before_its_report_is_older_than_the_term(
    tmp_path: Path, instance: dg.DagsterInstance, term: str, days: int
) -> None:
    pair = f"buckets: {{a: {{fixity_every: 90d}}, b: }}\npairs: {{p: {{source: a, replica: b{term}}}}}\n"
    assert _due(tmp_path, pair, NOW, instance) == []  # the first report comes when both sides are checked
    instance.report_runless_asset_event(dg.AssetMaterialization("fixity_report", partition="p"))
    assert _due(tmp_path, pair, NOW + (days - 1) * DAY, instance) == []
    assert _due(tmp_path, pair, NOW + (days + 1) * DAY, instance) == [(REPORT_JOB, "p")]
    # The report of a clock that was ten years ahead stops no other.
    assert _due(tmp_path, pair, NOW - 3650 * DAY, instance) == [(REPORT_JOB, "p")]
