"""The sensor that makes the report follow: once for each new pair of tables, never for one side."""

from __future__ import annotations

import shutil

import dagster as dg

from fixity.catalog import load_catalog
from jobs.names import CHECKSUMS_JOB, INVENTORY_JOB, REPORT_JOB, ROLL_JOB
from sensors.both_sides import both_sides_sensor
from tests.platform import PAIR, Platform


def _tick(platform: Platform, instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    sensor = both_sides_sensor(load_catalog(platform.file))
    with dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=platform.definitions()
    ) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def _reason(result: dg.SensorResult) -> str:
    assert result.skip_reason is not None
    return result.skip_reason.skip_message or ""


def test_without_tables_nothing_happens(platform: Platform, instance: dg.DagsterInstance) -> None:
    result = _tick(platform, instance)
    assert not result.run_requests and _reason(result) == "no new checksums"


def test_the_first_side_waits_and_the_tick_says_for_which(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.run(instance, CHECKSUMS_JOB, PAIR)
    result = _tick(platform, instance)
    assert not result.run_requests and _reason(result) == f"{PAIR} waits for {PAIR}-repl"


def test_the_second_side_brings_one_report_and_the_next_tick_none(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.check_both(instance)
    first = _tick(platform, instance)
    assert first.run_requests is not None
    (request,) = first.run_requests
    assert request.partition_key == PAIR and (request.run_key or "").startswith(f"{PAIR}:")
    assert not _tick(platform, instance, first.cursor).run_requests
    # A cursor that was lost asks again with the same run key, which Dagster starts once only.
    (again,) = _tick(platform, instance).run_requests or []
    assert again.run_key == request.run_key


def test_after_a_report_both_sides_must_be_new_again(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.check_both(instance)
    cursor = _tick(platform, instance).cursor
    platform.run(instance, CHECKSUMS_JOB, f"{PAIR}-repl")
    one_side = _tick(platform, instance, cursor)
    assert not one_side.run_requests and _reason(one_side) == f"{PAIR} waits for {PAIR}"
    platform.run(instance, CHECKSUMS_JOB, PAIR)
    assert len(_tick(platform, instance, one_side.cursor).run_requests or []) == 1


def test_a_report_that_was_made_by_hand_is_not_made_again(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.check_both(instance)
    assert platform.run(instance, REPORT_JOB, PAIR).success
    assert not _tick(platform, instance).run_requests


def test_a_failed_check_of_a_side_is_no_table(platform: Platform, instance: dg.DagsterInstance) -> None:
    platform.run(instance, CHECKSUMS_JOB, PAIR)
    platform.replica = "no-such-bucket"
    assert not platform.run(instance, CHECKSUMS_JOB, f"{PAIR}-repl").success
    assert not _tick(platform, instance).run_requests


def test_a_report_that_failed_waits_for_a_person_or_for_new_tables_and_is_not_asked_for_again_and_again(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.check_both(instance)
    first = _tick(platform, instance)
    assert len(first.run_requests or []) == 1
    tables = platform.folder / "lake" / "checksums" / PAIR
    (table,) = tables.glob("*.parquet")
    table.rename(platform.folder / "away")
    assert not platform.run(instance, REPORT_JOB, PAIR).success
    assert not _tick(platform, instance, first.cursor).run_requests
    (platform.folder / "away").rename(table)
    # A person runs it again: a run of its own, which needs no run key.
    assert platform.run(instance, REPORT_JOB, PAIR).success
    assert not _tick(platform, instance, first.cursor).run_requests


def test_new_tables_bring_a_report_after_one_that_failed(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.check_both(instance)
    first = _tick(platform, instance)
    (asked,) = first.run_requests or []
    (platform.folder / "lake").rename(platform.folder / "away")
    assert not platform.run(instance, REPORT_JOB, PAIR).success
    shutil.rmtree(platform.folder / "lake")
    (platform.folder / "away").rename(platform.folder / "lake")
    platform.check_both(instance)
    (again,) = _tick(platform, instance, first.cursor).run_requests or []
    assert again.run_key != asked.run_key


def test_batches_of_rolling_checks_bring_a_report_a_day_and_a_whole_check_brings_one_at_once(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.bucket_settings |= {"fixity_every": "90d", "batch_items": 1}
    for key in "abc":
        platform.put(key)
    sides = (PAIR, f"{PAIR}-repl")
    for bucket in sides:
        platform.run(instance, INVENTORY_JOB, bucket)
        platform.run(instance, ROLL_JOB, bucket)
    first = _tick(platform, instance)
    assert len(first.run_requests or []) == 1
    platform.run(instance, REPORT_JOB, PAIR)
    for bucket in sides:
        platform.run(instance, ROLL_JOB, bucket)
    second = _tick(platform, instance, first.cursor)
    assert not second.run_requests and "only rolling checks are new" in _reason(second)
    platform.run(instance, CHECKSUMS_JOB, PAIR)
    assert len(_tick(platform, instance, second.cursor).run_requests or []) == 1


def test_a_pair_with_several_replicas_waits_for_all_and_says_for_which(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    buckets = {name: {"path": f"./{name}"} for name in ("a", "b", "c", "d")}
    platform.more = {"buckets": buckets, "pairs": {"a": {"replicas": ["b", "c", "d"]}}}

    def checked(*names: str) -> None:
        for name in names:
            instance.report_runless_asset_event(dg.AssetMaterialization("checksums", partition=name))

    checked("a", "c")
    waiting = _tick(platform, instance)
    assert not waiting.run_requests and _reason(waiting) == "a waits for b, d"
    checked("b", "d")
    first = _tick(platform, instance, waiting.cursor)
    assert [request.partition_key for request in first.run_requests or []] == ["a"]
    checked("a", "b", "c")
    assert _reason(_tick(platform, instance, first.cursor)) == "a waits for d"
    platform.more["pairs"]["a"]["replicas"] = ["b", "c"]  # the cursor is of three replicas
    assert [
        request.partition_key for request in _tick(platform, instance, first.cursor).run_requests or []
    ] == ["a"]


def test_where_the_check_of_a_copy_failed_the_other_copies_are_reported_alone_once(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.more = {
        "buckets": {
            PAIR: {"store": "real", "bucket": platform.source},
            f"{PAIR}-repl": {"store": "real", "bucket": platform.replica},
            "gone": {"path": "./gone"},
        },
        "pairs": {PAIR: {"replicas": [f"{PAIR}-repl", "gone"], "replication_lag": "0s"}},
    }
    for bucket in (PAIR, f"{PAIR}-repl"):
        assert platform.run(instance, CHECKSUMS_JOB, bucket).success
    assert not _tick(platform, instance).run_requests  # the other one may come yet
    assert not platform.run(instance, CHECKSUMS_JOB, "gone").success
    alone = _tick(platform, instance)
    assert [each.partition_key for each in alone.run_requests or []] == [f"{PAIR}-to-{PAIR}-repl"]
    assert not _tick(platform, instance, alone.cursor).run_requests
    (platform.folder / "gone").mkdir()
    assert platform.run(instance, CHECKSUMS_JOB, "gone").success
    together = _tick(platform, instance, alone.cursor)
    assert [each.partition_key for each in together.run_requests or []] == [PAIR]
