"""Rolling fixity through the real jobs on a real server: batches, the ledger, damage, coverage, PREMIS."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow.parquet as pq
import pytest

from devstack.faults import Refuse
from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import SeaweedFS
from devstack.seaweedfs_damage import corrupt_object
from fixity.catalog import load_catalog
from fixity.ledger import by_key, fold_plan, ready
from fixity.ledger.fold import settings_of
from fixity.rolling import lease
from jobs.names import CHECKSUMS_JOB, COVERAGE_JOB, INGEST_BUCKET_JOB, INVENTORY_JOB, PREMIS_JOB, ROLL_JOB
from jobs.rolling import rolling_schedules
from resources.pool import POOL
from tests.platform import PAIR, Platform

MIB = 1024**2


@pytest.fixture
def rolling(platform: Platform) -> Platform:
    platform.bucket_settings |= {"fixity_every": "90d", "batch_items": 4}
    return platform


def _metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """What a run said of an asset: a batch in which nothing was due is an observation."""
    (said,) = [
        event.asset_observation_data.asset_observation
        if event.is_asset_observation
        else event.step_materialization_data.materialization
        for event in result.filter_events(lambda e: e.is_asset_observation or e.is_step_materialization)
        if event.asset_key == dg.AssetKey(asset)
    ]
    return {name: value.value for name, value in said.metadata.items()}


def _checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def _coverage(platform: Platform, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return platform.definitions().resolve_job_def(COVERAGE_JOB).execute_in_process(instance=instance)


def test_batches_cover_a_bucket_and_silent_damage_is_found_with_since_when(
    rolling: Platform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS
) -> None:
    for number in range(6):
        rolling.put(f"key-{number}", b"content %d" % number)
    rolling.run(instance, INVENTORY_JOB, PAIR)
    counts = []
    for _ in range(3):
        result = rolling.run(instance, ROLL_JOB, PAIR)
        assert result.success and _checks(result) == {
            "no_damage": True,
            "all_read": True,
            "ledger_readable": True,
            "nothing_lost": True,
            "no_open_incidents": True,
            "reads_stable": True,
        }
        said = _metadata(result, "checksums")
        counts.append((said["succeeded"], said["registered"]))
    assert counts == [(4, 4), (2, 2), (0, 0)]
    corrupt_object(seaweedfs, rolling.source, "key-3")
    rolling.s3.put_object(Bucket=rolling.source, Key="key-4", Body=b"lawfully replaced")
    result = rolling.run(instance, CHECKSUMS_JOB, PAIR)
    red = [name for name, passed in _checks(result).items() if not passed]
    assert red == ["no_damage", "no_open_incidents"]
    (evaluation, *_) = result.get_asset_check_evaluations()
    (record,) = evaluation.metadata["objects"].value.records  # type: ignore[union-attr]
    assert record.data["key"] == "key-3" and record.data["expected"] != record.data["actual"]
    assert record.data["good_at"] < record.data["damaged_at"]
    covered = _coverage(rolling, instance)
    assert not _checks(covered)["no_known_damage"]
    said = _metadata(covered, "coverage")
    assert [said[name] for name in ("objects", "within_term", "never", "damaged")] == [6, 6, 0, 1]
    events = _metadata(rolling.run(instance, PREMIS_JOB, PAIR), "premis_events")
    assert (events["dagster/row_count"], events["ledger_files"]) == (12, 3)
    assert _metadata(rolling.run(instance, PREMIS_JOB, PAIR), "premis_events")["dagster/row_count"] == 0


def test_objects_that_vanish_are_a_warning_and_an_error_where_they_were_known_to_be_damaged(
    rolling: Platform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS
) -> None:
    for key in ("deleted", "damaged", "stays"):
        rolling.put(key)
    rolling.run(instance, INVENTORY_JOB, PAIR)
    assert all(_checks(rolling.run(instance, ROLL_JOB, PAIR)).values())
    for key, severity in (("deleted", "WARN"), ("damaged", "ERROR")):
        if key == "damaged":
            corrupt_object(seaweedfs, rolling.source, key)
            rolling.run(instance, CHECKSUMS_JOB, PAIR)
        rolling.s3.delete_object(Bucket=rolling.source, Key=key)
        rolling.run(instance, INVENTORY_JOB, PAIR)
        for job in (ROLL_JOB, CHECKSUMS_JOB):
            evaluations = rolling.run(instance, job, PAIR).get_asset_check_evaluations()
            (check,) = [each for each in evaluations if each.check_name == "nothing_lost"]
            assert (check.passed, check.severity.value) == (False, severity)
            assert key in {row.data["key"] for row in check.metadata["objects"].value.records}  # type: ignore[union-attr]
        covered = _coverage(rolling, instance).get_asset_check_evaluations()
        (check,) = [each for each in covered if each.check_name == "nothing_lost"]
        assert (check.passed, check.severity.value) == (False, severity)
    assert check.description == f"{PAIR}: 2 objects lost"


def test_a_rolling_run_counts_as_a_materialization_of_checksums_only_where_it_checked_something(
    rolling: Platform, instance: dg.DagsterInstance
) -> None:
    rolling.put("a")
    rolling.run(instance, INVENTORY_JOB, PAIR)
    first, second = (rolling.run(instance, ROLL_JOB, PAIR) for _ in range(2))
    assert _metadata(first, "checksums")["dagster/row_count"] == 1
    assert not second.get_asset_materialization_events() and all(_checks(second).values())
    assert _metadata(second, "checksums")["dagster/row_count"] == 0


def test_the_config_of_checksums_chooses_what_is_due_or_a_few_keys(
    rolling: Platform, instance: dg.DagsterInstance
) -> None:
    for key in "abcdef":
        rolling.put(key)
    job = rolling.definitions().resolve_job_def(CHECKSUMS_JOB)

    def checked(**config: object) -> list[str]:
        result = job.execute_in_process(
            instance=instance, partition_key=PAIR, run_config={"ops": {"checksums": {"config": config}}}
        )
        table = Path(_metadata(result, "checksums")["table"])
        return [row["key"] for row in pq.read_table(table).to_pylist()]

    assert checked(objects="due", items=2) == ["a", "b"]
    assert checked(keys=["b", "f"]) == ["b", "f"]
    assert checked(objects="due") == ["c", "d", "e"]
    assert checked() == list("abcdef")


def test_on_workers_several_steps_fold_the_ledger_of_a_large_bucket_before_a_batch_is_chosen(
    rolling: Platform, tmp_path: Path, seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_key, "_RANGE_ROWS", 1)
    monkeypatch.setattr(by_key, "_MOST_READS", 1000)
    monkeypatch.setattr(fold_plan, "_RANGES_OF_PART", 1)
    rolling.more["executor"] = "docker"  # its steps are executed here all the same
    rolling.bucket_settings |= {"batch_items": 2}
    for key in "abcdef":
        rolling.put(key)
    folded: list[list[str]] = []
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        instance.event_log_storage.set_concurrency_slots(POOL, 8)
        for number in range(4):
            if number == 3:
                corrupt_object(seaweedfs, rolling.source, "c")
                rolling.bucket_settings |= {"fixity_every": "1s"}
            rolling.run(instance, INVENTORY_JOB, PAIR)
            result = rolling.run(instance, ROLL_JOB, PAIR)
            assert result.success
            steps = [str(event.step_key) for event in result.all_events if event.is_step_start]
            folded.append(sorted(step for step in steps if "fold_part" in step))
        assert _metadata(result, "checksums")["registered"] == 0
        result = rolling.run(instance, CHECKSUMS_JOB, PAIR)
    assert [len(each) for each in folded] == [0, 2, 3, 4]  # a part a batch, and what nobody has read
    assert [name for name, passed in _checks(result).items() if not passed] == [
        "no_damage",
        "no_open_incidents",
    ]
    assert not list((rolling.folder / "lake" / "scratch").glob("*/checksums/*"))


@pytest.mark.parametrize("record", [{"sha256": "0" * 64}, {"md5": "0" * 32}])
def test_bytes_that_ingest_found_wrong_are_damage_and_never_the_baseline(
    rolling: Platform, instance: dg.DagsterInstance, record: dict[str, str]
) -> None:
    rolling.s3.put_object(Bucket=rolling.source, Key="wrong", Body=b"not what came", Metadata=record)
    rolling.s3.put_object(Bucket=rolling.source, Key="right", Body=b"what came")
    for job in (INVENTORY_JOB, INGEST_BUCKET_JOB):
        rolling.run(instance, job, PAIR)
    rolled = rolling.definitions().resolve_job_def(ROLL_JOB)
    result = rolled.execute_in_process(instance=instance, partition_key=PAIR, raise_on_error=False)
    (check,) = [check for check in result.get_asset_check_evaluations() if check.check_name == "no_damage"]
    assert not check.passed and check.metadata["damaged"].value == 1
    snapshot = Path(rolling.catalog.lake) / "standing" / PAIR
    rows = duckdb.sql(f"FROM read_parquet('{snapshot}/**/objects.parquet')").to_arrow_table().to_pylist()
    assert hashlib.sha256(b"not what came").hexdigest() not in {row["baseline"] for row in rows}


def test_a_read_that_fails_is_no_damage_and_is_due_again_within_the_hour(
    rolling: Platform, instance: dg.DagsterInstance, faulty_proxy: FaultyProxy
) -> None:
    rolling.put("a")
    rolling.endpoint_url = faulty_proxy.endpoint_url
    faulty_proxy.fault(Refuse(403, times=None), key="a")
    rolling.run(instance, INVENTORY_JOB, PAIR)
    result = rolling.run(instance, ROLL_JOB, PAIR)
    assert _metadata(result, "checksums")["failed"] == 1
    assert [name for name, passed in _checks(result).items() if not passed] == ["all_read"]
    (_, all_read, *_) = result.get_asset_check_evaluations()
    assert all_read.description == "AccessDenied: 1"
    covered = _metadata(_coverage(rolling, instance), "coverage")
    assert (covered["never"], covered["failing"], covered["damaged"]) == (1, 1, 0)


def test_bandwidth_and_concurrency_of_the_catalog_hold_over_a_whole_run_by_the_server_s_own_count(
    rolling: Platform, instance: dg.DagsterInstance, faulty_proxy: FaultyProxy
) -> None:
    rolling.bucket_settings |= {"max_concurrency": 2, "max_bandwidth": "4MiB", "batch_items": 100}
    for number in range(12):
        rolling.s3.put_object(Bucket=rolling.source, Key=f"key-{number:02d}", Body=bytes(MIB))
    rolling.endpoint_url = faulty_proxy.endpoint_url
    rolling.run(instance, INVENTORY_JOB, PAIR)
    faulty_proxy.forget()
    assert _metadata(rolling.run(instance, ROLL_JOB, PAIR), "checksums")["succeeded"] == 12
    assert faulty_proxy.max_concurrent <= 2
    begun, ended = faulty_proxy.sent[0][0], faulty_proxy.sent[-1][0]
    assert sum(count for _, count in faulty_proxy.sent) == 12 * MIB
    # What stands in buffers on the way is sent before it is read: at most a piece a thread, and a socket's.
    assert (12 * MIB - 4 * MIB) / (ended - begun) <= 4.4 * MIB


def test_a_second_run_on_a_bucket_steps_back_and_says_which_one_is_at_work(
    rolling: Platform, instance: dg.DagsterInstance
) -> None:
    rolling.put("a")
    rolling.run(instance, INVENTORY_JOB, PAIR)
    lake = rolling.folder / "lake/scratch/rolling" / PAIR / "other"
    lake.mkdir(parents=True)
    beat = datetime.now(UTC).isoformat()
    (lake / "alive.json").write_text(f'{{"began": "{beat}", "beat": "{beat}"}}')
    result = rolling.run(instance, ROLL_JOB, PAIR)
    (event, *_) = result.filter_events(lambda event: event.is_step_failure)
    assert event.step_failure_data.user_failure_data is not None
    assert "by the rolling run other since" in (event.step_failure_data.user_failure_data.description or "")


def test_the_egress_budget_of_a_store_is_shared_by_its_buckets(
    rolling: Platform, instance: dg.DagsterInstance
) -> None:
    rolling.put("a", bytes(600))
    for bucket in (PAIR, f"{PAIR}-repl"):
        rolling.run(instance, INVENTORY_JOB, bucket)
    text = rolling.file.read_text().replace(
        "region: us-east-1", "region: us-east-1\n    monthly_egress: 1000B"
    )
    (rolling.folder / "budget.yaml").write_text(text)
    catalog = load_catalog(rolling.folder / "budget.yaml")
    assert catalog.stores["real"].monthly_egress == 1000
    from fixity_assets.definitions import build_definitions

    job = build_definitions(catalog).resolve_job_def(ROLL_JOB)
    first, second = (
        _metadata(job.execute_in_process(instance=instance, partition_key=bucket), "checksums")
        for bucket in (PAIR, f"{PAIR}-repl")
    )
    assert (first["bytes_read"], first["cut_short"]) == (600, "-")
    assert second["bytes_read"] == 0
    assert second["cut_short"] == "1 objects are larger than the 400 B that monthly_egress leaves for now"


def test_the_schedule_asks_for_each_bucket_at_its_interval_unless_it_still_runs(
    rolling: Platform, tmp_path: Path
) -> None:
    rolling.bucket_settings["batch_interval"] = "45m"
    repository = rolling.definitions().get_repository_def()
    schedule = repository.get_schedule_def("rolling_fixity")
    assert (schedule.name, schedule.cron_schedule) == ("rolling_fixity", "*/15 * * * *")
    noon = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:

        def asked(at: datetime) -> list[str | None]:
            with dg.build_schedule_context(instance, at, repository_def=repository) as context:
                requests = schedule.evaluate_tick(context).run_requests
            return [request.partition_key for request in requests or []]

        assert asked(noon) == [PAIR, f"{PAIR}-repl"]
        assert asked(noon + timedelta(minutes=15)) == [] and asked(noon + timedelta(minutes=45)) != []
        job = rolling.definitions().resolve_job_def(ROLL_JOB)
        tags = {"dagster/partition": PAIR}
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
        assert asked(noon) == [f"{PAIR}-repl"]


def test_only_buckets_that_ask_for_it_are_scheduled(platform: Platform) -> None:
    assert rolling_schedules(platform.catalog) == []
    platform.bucket_settings["fixity_every"] = "90d"
    names = [schedule.name for schedule in platform.definitions().schedules or []]
    assert names == [
        "rolling_fixity",
        "list_for_rolling_fixity",
        "premis_of_rolling_fixity",
        "coverage_of_rolling_fixity",
    ]
    dg.Definitions.validate_loadable(platform.definitions())


def test_a_truncated_file_of_the_ledger_and_an_emptied_listing_turn_coverage_red_and_stop_nothing(
    rolling: Platform, instance: dg.DagsterInstance
) -> None:
    rolling.put("a")
    rolling.run(instance, INVENTORY_JOB, PAIR)
    rolling.run(instance, ROLL_JOB, PAIR)
    ledger = rolling.folder / "lake/checksums" / PAIR
    (whole,) = ledger.glob("*.parquet")
    (ledger / "torn.parquet").write_bytes(whole.read_bytes()[:-100])
    rolling.s3.delete_object(Bucket=rolling.source, Key="a")
    rolling.run(instance, INVENTORY_JOB, PAIR)
    assert rolling.run(instance, ROLL_JOB, PAIR).success
    covered = _coverage(rolling, instance)
    assert not _checks(covered)["ledger_readable"] and not _checks(covered)["schedule_runs"]
    (readable,) = [
        check for check in covered.get_asset_check_evaluations() if check.check_name == "ledger_readable"
    ]
    assert "torn.parquet" in (readable.description or "") and "--confirm-empty" in (
        readable.description or ""
    )
    assert _metadata(covered, "coverage")["objects"] == 1
    settings = settings_of(rolling.catalog.buckets[PAIR])
    from fixity.lake import open_lake

    lake = open_lake(rolling.catalog)
    assert ready(lake, PAIR, settings, "x").objects == 1 and not lease.leases(lake, PAIR)
