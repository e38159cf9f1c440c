"""The asset `map_results` on a real server: the results object, and checks that reach the report."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from devstack.seaweedfs import SeaweedFS
from devstack.seaweedfs_damage import corrupt_object
from fixity.buckets import ListedObject, ObjectSkipped, ObjectUnreadable, Sink
from fixity.buckets.s3.reader import S3Reader
from fixity.engines.s3_batch.job_records import waiting_requests
from fixity.engines.step_functions import keep_checks as ledger
from fixity.incidents.state import incidents_now
from fixity.lake import LakeError, open_lake
from fixity.lake.database import open_database
from fixity.ledger.bucket_run import BucketRun
from fixity.status import StatusRow, status_of
from fixity.status.kept import read_all
from fixity_assets import map_results as assets
from jobs.names import CHECKSUMS_JOB, MAP_RESULTS_JOB, MAP_RUNS, REFUSED, REPORT_JOB
from tests.conftest import MakeBucket
from tests.fixity.engines.step_functions.support import WrittenRun, execution, failed
from tests.platform import PAIR, Platform, read_report, report_metadata

LEDGER = {"bucket": "$.bucket", "key": "$.file.key", "checksum": "$.checksum.sha256"}


@pytest.fixture
def written(platform: Platform, make_bucket: MakeBucket) -> WrittenRun:
    run = WrittenRun(platform.s3, make_bucket())
    platform.more = {"map_results": {"bucket": run.bucket, "store": "real", "ledger": LEDGER}}
    return run


def _checked(written: WrittenRun, platform: Platform, bodies: dict[str, bytes], bucket: str = "") -> None:
    """The map's results for objects of the source, as if it had read them a second after their writing."""
    objects = platform.s3.list_objects_v2(Bucket=platform.source).get("Contents", [])
    soon = max((each["LastModified"] for each in objects), default=datetime.now(UTC)) + timedelta(seconds=1)
    written.put(
        [
            execution(
                {
                    "bucket": bucket or platform.source,
                    "file": {"key": key},
                    "checksum": {"sha256": hashlib.sha256(body).hexdigest()},
                },
                StartDate=soon.isoformat(),
                StopDate=soon.isoformat(),
            )
            for key, body in bodies.items()
        ]
    )
    written.finish()


def _run(platform: Platform, instance: dg.DagsterInstance, written: WrittenRun) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions(str(MAP_RUNS.name), [written.name])
    return platform.run(instance, MAP_RESULTS_JOB, written.name)


def _metadata(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    return {
        event.asset_key.to_user_string(): {
            name: value.value
            for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }


def _refusal(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.filter_events(lambda event: event.is_step_failure)
    assert event.step_failure_data.user_failure_data is not None
    return event.step_failure_data.user_failure_data.description or ""


def test_results_become_an_object_and_their_checks_a_report(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun
) -> None:
    platform.put("a", b"one")
    platform.put("b", b"two")
    platform.put("c", b"three", replica=b"THREE")
    assert platform.run(instance, CHECKSUMS_JOB, f"{PAIR}-repl").success
    _checked(written, platform, {"a": b"one", "b": b"not two", "c": b"three"})
    result = _run(platform, instance, written)
    assert result.success
    assert [each["file"]["key"] for each in written.results()["results"]] == ["a", "b", "c"]
    said = _metadata(result)
    assert said["map_results"]["dagster/row_count"] == 3
    assert said["map_results"]["results"] == f"s3://{written.bucket}/{written.results_key}"
    assert said["map_results"]["checks"] == {
        "kept": {PAIR: {"succeeded": 3, "failed": 0, "skipped": 0}},
        "left_out": {},
    }
    # The bucket's own tables are new by it, as after a run of their own.
    assert said["inventory"]["dagster/row_count"] == said["checksums"]["dagster/row_count"] == 3
    assert instance.get_materialized_partitions(dg.AssetKey("checksums")) == {PAIR, f"{PAIR}-repl"}
    evaluated = {each.check_name: each.partition for each in result.get_asset_check_evaluations()}
    assert evaluated["no_damage"] == evaluated["no_open_incidents"] == PAIR
    reported = platform.run(instance, REPORT_JOB, PAIR)
    statuses = {row["key"]: row["status"] for row in read_report(report_metadata(reported)["csv"])}
    # The map read other bytes of b than there are; the platform read what the replica has.
    assert statuses == {"a": "ok", "b": "ok", "c": "mismatch"}


def _row(platform: Platform) -> StatusRow:
    rows = status_of(open_lake(platform.catalog), platform.catalog, datetime.now(UTC)).rows
    (found,) = (row for row in rows if (row.kind, row.name) == ("bucket", PAIR))
    return found


def test_a_bucket_of_which_a_map_read_some_objects_is_not_verified_until_maps_have_read_each(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun, make_bucket: MakeBucket
) -> None:
    for key in ("a", "b", "c"):
        platform.put(key, key.encode())
    platform.bucket_settings["engine"] = "step_functions"
    some = ("only some of its objects were checked",)
    for keys, said in (("a", some), ("ab", some), ("c", ())):
        run = WrittenRun(platform.s3, written.bucket)
        _checked(run, platform, {key: key.encode() for key in keys})
        assert _run(platform, instance, run).success and _row(platform).unknown == said


def test_an_object_that_could_not_be_read_is_not_forgotten_when_a_map_reads_another_one(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = S3Reader.read

    def fail(self: S3Reader, item: ListedObject, sink: Sink) -> None:
        if item.key == "b":
            raise ObjectUnreadable("InternalError", "a disk of the store is broken")
        read(self, item, sink)

    monkeypatch.setattr(S3Reader, "read", fail)
    for key in ("a", "b"):
        platform.put(key, key.encode())
    assert platform.run(instance, CHECKSUMS_JOB, PAIR).success
    _checked(written, platform, {"a": b"a"})
    assert _run(platform, instance, written).success
    assert "could not be read before: 1" in [each.text for each in _row(platform).red]


def test_damage_that_a_map_found_opens_an_incident(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun, seaweedfs: SeaweedFS
) -> None:
    for key in ("a", "b"):
        platform.put(key, key.encode())
    assert platform.run(instance, CHECKSUMS_JOB, PAIR).success
    corrupt_object(seaweedfs, platform.source, "b")
    bad = platform.s3.get_object(Bucket=platform.source, Key="b")["Body"].read()
    _checked(written, platform, {"a": b"a", "b": bad})
    result = _run(platform, instance, written)
    red = {each.check_name for each in result.get_asset_check_evaluations() if not each.passed}
    assert result.success and red == {"no_damage", "no_open_incidents"}
    (incident,) = incidents_now(open_lake(platform.catalog))
    (found,) = incident.objects
    assert (found.bucket, found.key, found.state, found.confirmed) == (PAIR, "b", "open", True)
    assert found.found == {f"SHA256:{hashlib.sha256(bad).hexdigest()}"}


def test_damage_that_a_map_found_where_only_s3_can_read_is_left_to_a_job_of_s3(
    platform: Platform,
    instance: dg.DagsterInstance,
    written: WrittenRun,
    make_bucket: MakeBucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: S3Reader, item: ListedObject, sink: Sink) -> None:
        raise ObjectSkipped("Archived", "it has to be restored")

    monkeypatch.setattr(S3Reader, "read_afresh", refuse)
    for key in ("a", "b"):
        platform.put(key, key.encode())
    assert platform.run(instance, CHECKSUMS_JOB, PAIR).success
    role = "arn:aws:iam::111122223333:role/fixity-jobs"
    platform.more["s3_batch"] = {
        "account_id": "111122223333", "role_arn": role, "report_bucket": make_bucket()
    }  # fmt: skip
    platform.bucket_settings = {"engine": "s3_batch"}
    _checked(written, platform, {"a": b"a", "b": b"B"})
    result = _run(platform, instance, written)
    assert result.success and _metadata(result)["checksums"]["to_be_read_again_by_s3"] == 1
    (waiting,) = waiting_requests(open_lake(platform.catalog), PAIR)
    assert (waiting.objects, waiting.first) == (1, f"checksums/{PAIR}/{result.run_id}.parquet")


def test_a_run_that_failed_in_part_is_refused_and_neither_object_nor_check_is_kept(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun
) -> None:
    platform.put("a", b"one")
    written.put([failed("bad", cause="out of memory")], "FAILED")
    _checked(written, platform, {"a": b"one"})
    result = _run(platform, instance, written)
    assert not result.success and "bad (FAILED: States.TaskFailed: out of memory)" in _refusal(result)
    (run,) = instance.get_runs()
    assert REFUSED in run.tags
    assert not written.written and not list(platform.folder.glob("lake/checksums/**/*.parquet"))


def test_a_bucket_that_is_away_for_a_moment_is_waited_for_by_the_run(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "RETRIES", dg.RetryPolicy(max_retries=1, delay=0))
    platform.put("a", b"one")
    _checked(written, platform, {"a": b"one"})
    attempts: list[Path] = []

    def away_at_first(workspace: Path, memory: str, threads: int) -> AbstractContextManager[Any]:
        attempts.append(workspace)
        if len(attempts) == 1:
            raise LakeError("the lake is away")
        return open_database(workspace, memory, threads)

    # When the bucket was listed: the second attempt finds what the first one kept.
    monkeypatch.setattr(ledger, "open_database", away_at_first)
    assert _run(platform, instance, written).success and len(attempts) == 2
    (run,) = instance.get_runs()
    assert REFUSED not in run.tags


def test_a_map_over_one_object_of_a_large_bucket_does_not_list_it(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a", "b"):
        platform.put(key, key.encode())
    assert platform.run(instance, CHECKSUMS_JOB, PAIR).success
    monkeypatch.setattr(ledger, "_PAGE", 1)  # as if each object were a page of the listing
    _checked(written, platform, {"a": b"a"})
    result = _run(platform, instance, written)
    said = _metadata(result)
    assert set(said) == {"map_results", "checksums"} and said["checksums"]["succeeded"] == 1
    assert not (platform.folder / "lake/scratch" / result.run_id).exists()


def test_a_failure_on_the_second_bucket_leaves_the_first_one_s_table_announced(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "RETRIES", None)
    platform.put("a", b"one")
    _checked(written, platform, {"a": b"one"})
    _checked(written, platform, {"a": b"one"}, bucket=platform.replica)
    keep = ledger.keep_checks

    def away_for_the_second(run: BucketRun, *more: Any) -> ledger.KeptChecks:
        if run.bucket.name != PAIR:
            raise LakeError("the lake is away")
        return keep(run, *more)

    monkeypatch.setattr("fixity.engines.step_functions.keep.keep_checks", away_for_the_second)
    assert not _run(platform, instance, written).success
    for table in ("inventory", "checksums"):
        assert instance.get_materialized_partitions(dg.AssetKey(table)) == {PAIR}


def test_results_that_are_no_checks_of_the_catalog_s_buckets_are_counted(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun
) -> None:
    _checked(written, platform, {"a": b"one"}, bucket="somebody-else-s")
    said = _metadata(_run(platform, instance, written))
    assert set(said) == {"map_results"}
    assert said["map_results"]["checks"] == {"kept": {}, "left_out": {"of no bucket": {"unknown_bucket": 1}}}


def test_without_a_mapping_there_is_the_object_alone(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun
) -> None:
    del platform.more["map_results"]["ledger"]
    _checked(written, platform, {"a": b"one"})
    said = _metadata(_run(platform, instance, written))
    assert set(said) == {"map_results"} and "checks" not in said["map_results"]


def test_a_map_that_ran_again_counts_by_its_newest_manifest_and_two_maps_are_refused(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun
) -> None:
    del platform.more["map_results"]["ledger"]
    written.put([execution({"run": 1})])
    written.finish()
    written.folder = f"{written.name}/checks/z-second-run/"
    written.manifest["ResultFiles"]["SUCCEEDED"] = []
    written.put([execution({"run": 2})])
    written.finish()
    assert _run(platform, instance, written).success and written.results()["results"] == [{"run": 2}]
    written.folder = f"{written.name}/viruses/a-map-run/"
    written.finish()
    result = _run(platform, instance, written)
    assert not result.success and "several maps wrote below" in _refusal(result)


def test_a_partition_without_a_manifest_says_where_it_looked(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun
) -> None:
    result = _run(platform, instance, written)
    assert f"there is no manifest below s3://{written.bucket}/{written.name}/" in _refusal(result)


def test_a_bucket_whose_checksums_a_map_computes_is_not_read_by_the_platform(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun
) -> None:
    platform.bucket_settings["engine"] = "step_functions"
    platform.put("a", b"one")
    result = platform.run(instance, CHECKSUMS_JOB, PAIR)
    assert not result.success and "start its state machine" in _refusal(result)
    _checked(written, platform, {"a": b"one"})
    said = _metadata(_run(platform, instance, written))
    assert said["map_results"]["checks"]["kept"] == {PAIR: {"succeeded": 1, "failed": 0, "skipped": 0}}
    assert ("map_results", None) in read_all(open_lake(platform.catalog))


def test_a_catalog_without_map_results_has_no_such_asset(platform: Platform) -> None:
    definitions = platform.definitions()
    dg.Definitions.validate_loadable(definitions)
    assert not definitions.resolve_asset_graph().has(dg.AssetKey("map_results"))
    assert not any(sensor.name == "results_manifest" for sensor in definitions.sensors or [])
