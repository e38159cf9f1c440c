"""The spine through the real assets on a real server: inventory, checksums, report."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from devstack.faults import CorruptBytes, CutConnection, Refuse
from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import SeaweedFS
from devstack.seaweedfs_damage import corrupt_object
from fixity.errors import WrongUsage
from fixity.lake.paths import stats_file
from jobs.names import CHECKSUMS_JOB, REPORT_JOB
from tests.conftest import MakeBucket
from tests.fixity_assets.elsewhere import job_of_environment
from tests.platform import PAIR, Platform, read_report, report_metadata


def _checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def test_two_equal_buckets_are_verified(platform: Platform, instance: dg.DagsterInstance) -> None:
    for number in range(30):
        platform.put(f"folder-{number % 3}/file {number} é.txt", b"content %d" % number)
    result = platform.verify(instance)
    said = report_metadata(result)
    assert (said["total_objects"], said["matches"]) == (30, 30)
    assert all(_checks(result).values())
    rows = read_report(said["csv"])
    assert [row["status"] for row in rows] == ["ok"] * 30
    assert [row["key"] for row in rows] == sorted((row["key"] for row in rows), key=str.encode)
    first = next(row for row in rows if row["key"].endswith("file 0 é.txt"))
    assert (
        first["checksum_source"] == hashlib.sha256(b"content 0").hexdigest() == first["checksum_replication"]
    )


def test_every_kind_of_difference_is_told_apart_in_one_report(
    platform: Platform, instance: dg.DagsterInstance, faulty_proxy: FaultyProxy
) -> None:
    for key in ("fine", "changed", "only-source", "only-replica", "unreadable"):
        platform.put(key, key.encode(), replica=b"CHANGED" if key == "changed" else None)
    platform.s3.delete_object(Bucket=platform.replica, Key="only-source")
    platform.s3.delete_object(Bucket=platform.source, Key="only-replica")
    platform.endpoint_url = faulty_proxy.endpoint_url
    faulty_proxy.fault(Refuse(403, times=None), key="unreadable")
    result = platform.verify(instance)
    said = report_metadata(result)
    assert {row["key"]: row["status"] for row in read_report(said["csv"])} == {
        "fine": "ok",
        "changed": "mismatch",
        "only-source": "missing_replica",
        "only-replica": "missing_source",
        "unreadable": "failed_source",
    }
    assert {name: said[name] for name in ("total_objects", "matches", "mismatches")} == {
        "total_objects": 4,
        "matches": 1,
        "mismatches": 1,
    }
    assert (said["failed_source"], said["failed_replication"]) == (1, 1)  # both failed: once in each figure
    assert said["reasons"] == {"AccessDenied": 2}
    assert _checks(result) == {
        "something_compared": True,
        "no_damage": True,
        "no_mismatches": False,
        "no_missing_source": False,
        "no_missing_replica": False,
        "no_failures": False,
        "all_checked": True,
        "all_comparable": True,
        "ledger_readable": True,
        "no_open_incidents": False,
    }
    assert [record["key"] for record in said["not_ok"]] == [
        "changed", "only-replica", "only-source", "unreadable",
    ]  # fmt: skip


def test_a_second_check_finds_silent_damage_at_once_and_says_when_the_bytes_were_last_right(
    platform: Platform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS
) -> None:
    for key in "abc":
        platform.put(key)
    assert all(_checks(platform.run(instance, CHECKSUMS_JOB, PAIR)).values())
    between = datetime.now(UTC)
    corrupt_object(seaweedfs, platform.source, "b")
    for _ in range(2):  # and it stays so
        result = platform.run(instance, CHECKSUMS_JOB, PAIR)
        assert _checks(result) == {
            "no_damage": False,
            "all_read": True,
            "ledger_readable": True,
            "no_open_incidents": False,
            "nothing_lost": True,
            "reads_stable": True,
        }
        (no_damage, *_) = result.get_asset_check_evaluations()
        assert no_damage.severity == dg.AssetCheckSeverity.ERROR and no_damage.partition == PAIR
        (row,) = no_damage.metadata["objects"].value.records  # type: ignore[union-attr]
        assert row.data["key"] == "b"
        good_at = datetime.fromisoformat(str(row.data["good_at"]))
        assert good_at < between < datetime.fromisoformat(str(row.data["damaged_at"]))


def test_a_bit_that_flips_on_the_way_is_a_warning_about_the_store_and_no_damage(
    platform: Platform, instance: dg.DagsterInstance, faulty_proxy: FaultyProxy
) -> None:
    for key in "abc":
        platform.put(key)
    platform.endpoint_url = faulty_proxy.endpoint_url
    assert all(_checks(platform.run(instance, CHECKSUMS_JOB, PAIR)).values())
    faulty_proxy.fault(CorruptBytes(), key="b")
    result = platform.run(instance, CHECKSUMS_JOB, PAIR)
    (check,) = [each for each in result.get_asset_check_evaluations() if not each.passed]
    assert (check.check_name, check.severity) == ("reads_stable", dg.AssetCheckSeverity.WARN)
    assert "1 objects gave different bytes" in (check.description or "")
    assert "the store 'real'" in (check.description or "")
    (row,) = check.metadata["objects"].value.records  # type: ignore[union-attr]
    assert (row.data["key"], row.data["status"]) == ("b", "succeeded")
    assert all(_checks(platform.run(instance, CHECKSUMS_JOB, PAIR)).values())


def test_checksums_and_ingest_of_one_run_leave_each_other_s_scratch_alone(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.put("a")
    assets = [
        asset for asset in platform.definitions().assets or [] if isinstance(asset, dg.AssetsDefinition)
    ]
    result = dg.materialize(
        assets,
        selection=["inventory", "baselines", "checksums", "ingest_report"],
        partition_key=PAIR,
        resources=dict(platform.definitions().resources or {}),
        instance=instance,
        raise_on_error=False,
    )
    assert result.success
    assert not list((platform.folder / "lake" / "scratch").iterdir())


def test_the_report_of_the_day_and_the_latest_and_their_counts_stand_at_duracloud_s_paths(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.put("a")
    result = platform.verify(instance)
    lake = platform.folder / "lake"
    reports = sorted(path.relative_to(lake).as_posix() for path in (lake / "reports").rglob("*.csv"))
    assert reports[0] == f"reports/0000-00-00-LATEST/checksums/{PAIR}_checksum-report.csv"
    of_the_day, run = sorted(reports[1:], key=len)
    day = of_the_day.split("/")[1]
    assert of_the_day == f"reports/{day}/checksums/{PAIR}_checksum-report.csv"
    assert run == f"reports/{day}/checksums/{result.run_id}/{PAIR}_checksum-report.csv"
    assert len({(lake / report).read_bytes() for report in reports}) == 1
    stats = lake / f"metadata/0000-00-00-LATEST/checksums/stats/{PAIR}_checksum-report.json"
    assert json.loads(stats.read_text())["matches"] == 1
    assert not list((lake / "scratch").iterdir())  # nothing of the run is left behind


def test_a_report_says_how_old_its_evidence_is(platform: Platform, instance: dg.DagsterInstance) -> None:
    platform.put("a")
    began = datetime.now(UTC)
    platform.check_both(instance)
    checked = datetime.now(UTC)
    platform.s3.put_object(Bucket=platform.source, Key="new", Body=b"x")
    assert platform.run(instance, "take_inventory", PAIR).success
    said = report_metadata(platform.run(instance, REPORT_JOB, PAIR))
    file = platform.folder / "lake" / stats_file(PAIR, None)
    told = {name: text for name, text in json.loads(file.read_text()).items() if isinstance(text, str)}
    times = {name: datetime.fromisoformat(text) for name, text in told.items()}
    assert list(times) == [
        "source_listed_at", "source_oldest_check", "source_newest_check",
        "replica_listed_at", "replica_oldest_check", "replica_newest_check",
    ]  # fmt: skip
    assert times["source_listed_at"] > checked  # the newer inventory, of which one object was not checked
    assert began < times["source_oldest_check"] <= times["source_newest_check"] < checked
    assert began < times["replica_listed_at"] < times["replica_oldest_check"] < checked
    assert {name: said[name] for name in times} == {name: time.timestamp() for name, time in times.items()}


def test_a_report_on_what_nobody_read_says_that_it_was_never_checked(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    said = report_metadata(platform.verify(instance))
    assert (said["source_oldest_check"], said["replica_newest_check"]) == ("never", "never")


def test_an_empty_replica_of_a_source_with_objects_is_a_divergence_and_two_empty_sides_a_warning(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    result = platform.verify(instance)
    assert report_metadata(result)["total_objects"] == 0
    (warned,) = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert (warned.check_name, warned.severity) == ("something_compared", dg.AssetCheckSeverity.WARN)
    platform.s3.put_object(Bucket=platform.source, Key="new", Body=b"x")
    result = platform.verify(instance)
    assert report_metadata(result)["missing_replica"] == 1
    assert not _checks(result)["no_missing_replica"]


def test_a_bucket_that_is_not_there_ends_its_own_run_with_a_plain_message(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.put("a")
    platform.replica = "no-such-bucket"
    assert platform.run(instance, CHECKSUMS_JOB, PAIR).success
    failed = platform.run(instance, CHECKSUMS_JOB, f"{PAIR}-repl")
    (event,) = failed.filter_events(lambda event: event.is_step_failure)
    assert event.step_failure_data.user_failure_data is not None
    assert "no such bucket" in (event.step_failure_data.user_failure_data.description or "")


def test_a_report_before_both_sides_are_checked_says_what_to_run(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.put("a")
    platform.run(instance, CHECKSUMS_JOB, PAIR)
    failed = platform.run(instance, REPORT_JOB, PAIR)
    (event,) = failed.filter_events(lambda event: event.is_step_failure)
    assert event.step_failure_data.user_failure_data is not None
    assert f"materialize checksums[{PAIR}-repl]" in (
        event.step_failure_data.user_failure_data.description or ""
    )


def test_the_lake_may_be_a_prefix_of_a_bucket(
    platform: Platform, instance: dg.DagsterInstance, make_bucket: MakeBucket
) -> None:
    managed = make_bucket()
    platform.lake = f"s3://{managed}/fixity"
    platform.put("a", b"x", replica=b"y")
    said = report_metadata(platform.verify(instance))
    assert said["mismatches"] == 1
    latest = f"fixity/reports/0000-00-00-LATEST/checksums/{PAIR}_checksum-report.csv"
    assert said["latest_csv"] == f"s3://{managed}/{latest}"
    text = platform.s3.get_object(Bucket=managed, Key=latest)["Body"].read().decode()
    assert ",a,,mismatch,SHA256," in text
    kept = {item["Key"].split("/")[1] for item in platform.s3.list_objects_v2(Bucket=managed)["Contents"]}
    assert kept == {
        "inventory",
        "checksums",
        "reports",
        "status",
        "history",
        "metadata",
        "log",
        "incidents",
    }  # fmt: skip - and no scratch


def test_a_table_older_than_the_newest_inventory_leaves_new_objects_not_checked(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.put("a")
    platform.check_both(instance)
    platform.put("b")
    assert platform.run(instance, "take_inventory", PAIR).success
    assert platform.run(instance, "take_inventory", f"{PAIR}-repl").success
    result = platform.run(instance, REPORT_JOB, PAIR)
    said = report_metadata(result)
    assert {row["key"]: row["status"] for row in read_report(said["csv"])} == {"a": "ok", "b": "not_checked"}
    assert not _checks(result)["all_checked"]


def test_a_failed_run_re_executed_from_failure_does_not_read_again_what_it_has_read(
    platform: Platform, faulty_proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.engines.stream.shards.PART_OBJECTS", 4)
    for number in range(12):
        platform.put(f"key-{number:02d}")
    platform.endpoint_url = faulty_proxy.endpoint_url
    platform.bucket_settings["max_concurrency"] = 1
    monkeypatch.setenv("FIXITY_CATALOG", str(platform.file))
    broken = Refuse(403, code="ExpiredToken", times=None)
    faulty_proxy.fault(broken, key="key-09")
    job = dg.reconstructable(reconstructed_job)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as local:
        with dg.execute_job(job, local, tags={"dagster/partition": PAIR}) as failed:
            assert not failed.success
        faulty_proxy.forget()
        again = dg.ReexecutionOptions.from_failure(failed.run_id, local)
        with dg.execute_job(
            job, local, tags={"dagster/partition": PAIR}, reexecution_options=again
        ) as resumed:
            assert resumed.success
            steps = {event.step_key for event in resumed.all_events if event.is_step_start}
    assert steps == {"checksums.hash_objects[0]", "checksums.keep_table"}
    read_again = {request.key for request in faulty_proxy.requests if request.key}
    assert read_again == {f"key-{number:02d}" for number in range(9, 12)}


def reconstructed_job() -> dg.JobDefinition:
    """The job of checksums: Dagster wants a function without arguments."""
    return job_of_environment(CHECKSUMS_JOB)


def test_a_connection_cut_again_and_again_gives_the_right_checksum_in_the_end(
    platform: Platform, instance: dg.DagsterInstance, faulty_proxy: FaultyProxy
) -> None:
    body = bytes(range(256)) * 8192
    platform.put("large", body)
    platform.endpoint_url = faulty_proxy.endpoint_url
    faulty_proxy.fault(CutConnection(100_000, times=3), key="large")
    said = report_metadata(platform.verify(instance))
    (row,) = read_report(said["csv"])
    assert (row["status"], row["checksum_source"]) == ("ok", hashlib.sha256(body).hexdigest())


def test_the_definitions_load_and_describe_themselves(platform: Platform) -> None:
    definitions = platform.definitions()
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    for name, kinds in (
        ("inventory", {"s3", "parquet"}),
        ("checksums", {"python", "parquet"}),
        ("fixity_report", {"duckdb", "csv"}),
    ):
        node = graph.get(dg.AssetKey(name))
        assert node.kinds == kinds and node.group_name == "fixity" and node.description
        assert list(node.owners) == ["team:deposit"]
        columns = node.metadata["dagster/column_schema"].columns
        assert columns[0].name in ("key", "bucket") and all(column.description for column in columns)
    assert graph.get(dg.AssetKey("inventory")).partitions_def == dg.StaticPartitionsDefinition(
        [PAIR, f"{PAIR}-repl"]
    )


def test_an_unknown_executor_is_refused_with_what_would_be_right(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIXITY_EXECUTOR", "dask")
    with pytest.raises(WrongUsage, match="must be one of in_process, multiprocess, celery, k8s, ecs, docker"):
        platform.definitions()
