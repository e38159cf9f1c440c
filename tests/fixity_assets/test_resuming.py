"""Runs of several shards, and runs that go on: retried, re-executed, or meant for another place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devstack.faults import Overwrite, Refuse, ServerError
from devstack.faulty_proxy import FaultyProxy
from fixity.buckets import Throttle
from fixity.engines.stream.shards import Plan, Shard
from fixity.lake import LocalLake
from fixity_assets import checksums_read
from fixity_assets.checksums_read import hash_objects
from fixity_assets.checksums_run import scratch_of
from jobs.names import CHECKSUMS_JOB, INGEST_BUCKET_JOB, REPORT_JOB
from tests.conftest import MakeBucket
from tests.fixity_assets.elsewhere import in_shards, two_shards_job
from tests.forked import forked
from tests.platform import PAIR, Platform, read_report, report_metadata

KEYS = [f"key-{number:02d}" for number in range(12)]
EXPIRED = Refuse(403, code="ExpiredToken", times=None)


# Dagster keeps a reconstructed job by its name for the whole process: each test has one of its own.
def all_again_job() -> dg.JobDefinition:
    return in_shards(6, 4)


def another_place_job() -> dg.JobDefinition:
    return in_shards(6, 4)


def lost_rights_job() -> dg.JobDefinition:
    return in_shards(6, 4)


def gathering_job() -> dg.JobDefinition:
    return in_shards(6, 4, INGEST_BUCKET_JOB)


def swept_job() -> dg.JobDefinition:
    return in_shards(6, 4)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the jobs set is put back after each test."""
    monkeypatch.setattr("fixity.engines.stream.pace.SHARD_OBJECTS", 6)
    monkeypatch.setattr("fixity.engines.stream.shards.PART_OBJECTS", 4)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on disk, which other processes find as well."""
    (tmp_path / "instance").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "instance")) as on_disk:
        yield on_disk


@pytest.fixture
def faulty(platform: Platform, faulty_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> FaultyProxy:
    """A pair with twelve objects on each side, behind the proxy, read one after the other."""
    for key in KEYS:
        platform.put(key, key.encode())
    platform.endpoint_url = faulty_proxy.endpoint_url
    platform.bucket_settings["max_concurrency"] = 1
    monkeypatch.setenv("FIXITY_CATALOG", str(platform.file))
    return faulty_proxy


def _run(
    job: object, local: dg.DagsterInstance, again: dg.ReexecutionOptions | None = None
) -> tuple[dg.JobExecutionResult, list[str], str]:
    """Run the job for the source; the result, the steps that began, and why one failed."""
    with dg.execute_job(
        dg.reconstructable(job),  # type: ignore[arg-type]
        local,
        tags={"dagster/partition": PAIR},
        reexecution_options=again,
    ) as result:
        steps = [str(event.step_key) for event in result.all_events if event.is_step_start]
        failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    told = [data.user_failure_data.description for data in failures if data.user_failure_data]
    return result, steps, "; ".join(map(str, told))


def _read(proxy: FaultyProxy) -> list[str]:
    return [str(request.key) for request in proxy.gets()]


def test_a_bucket_of_several_shards_gives_one_table_in_the_order_of_keys(
    platform: Platform, instance: dg.DagsterInstance, faulty: FaultyProxy
) -> None:
    result = platform.run(instance, CHECKSUMS_JOB, PAIR)
    steps = [str(event.step_key) for event in result.all_events if event.is_step_start]
    assert [step for step in steps if "hash_objects" in step] == [
        "checksums.hash_objects[0]", "checksums.hash_objects[1]"
    ]  # fmt: skip
    assert _read(faulty) == KEYS
    assert platform.run(instance, CHECKSUMS_JOB, f"{PAIR}-repl").success
    said = report_metadata(platform.run(instance, REPORT_JOB, PAIR))
    assert [(row["key"], row["status"]) for row in read_report(said["csv"])] == [(key, "ok") for key in KEYS]


def _of_copies(home: Path) -> None:
    """Run the job on an instance on disk; what its steps begin with is looked at where they build the job."""
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        result, steps, told = _run(two_shards_job, instance)
    assert result.success, told
    assert {step for step in steps if "hash_objects" in step} == {
        "checksums.hash_objects[0]", "checksums.hash_objects[1]"
    }  # fmt: skip


def test_the_shards_may_be_hashed_by_several_processes_that_import_nothing_and_the_report_is_the_same(
    platform: Platform, local: dg.DagsterInstance, faulty: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIXITY_EXECUTOR", "multiprocess")
    platform.bucket_settings["max_concurrency"] = 2  # else there would be one shard
    assert platform.file.exists()
    process = forked(_of_copies, Path(local.root_directory))
    process.join(240)
    assert process.exitcode == 0
    assert sorted(_read(faulty)) == KEYS
    (table,) = (platform.folder / "lake" / "checksums" / PAIR).glob("*.parquet")
    assert [table.stem] == [run.run_id for run in local.get_runs()]
    assert platform.run(local, CHECKSUMS_JOB, f"{PAIR}-repl").success  # by one process
    assert report_metadata(platform.run(local, REPORT_JOB, PAIR))["matches"] == len(KEYS)


def test_a_shard_is_tried_again_when_the_store_was_away_and_goes_on_after_its_last_part(
    platform: Platform, instance: dg.DagsterInstance, faulty: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.engines.stream.pace.SHARD_OBJECTS", 12)
    monkeypatch.setattr(hash_objects, "_retry_policy", dg.RetryPolicy(max_retries=1, delay=0))
    monkeypatch.setattr(Throttle, "back_off", lambda *arguments: None)

    def go_away() -> None:
        faulty.fault(ServerError(times=4), key="key-09")
        faulty.fault(ServerError(times=4), listing=True)

    faulty.fault(Overwrite(go_away), key="key-00")  # once the bucket has been listed
    result = platform.run(instance, CHECKSUMS_JOB, PAIR)
    assert result.success
    retried = [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert [event.step_key for event in retried] == ["checksums.hash_objects[0]"]
    assert _read(faulty) == KEYS[:9] + ["key-09"] * 4 + KEYS[9:]
    (made,) = [
        event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey("checksums")
    ]
    assert made.metadata["succeeded"].value == 12


def test_re_executing_all_of_a_failed_run_lists_anew_and_reads_what_is_missing(
    platform: Platform, local: dg.DagsterInstance, faulty: FaultyProxy
) -> None:
    faulty.fault(EXPIRED, key="key-09")
    failed, _, told = _run(all_again_job, local)
    assert not failed.success and "ExpiredToken" in told
    before = set(_read(faulty)) - {"key-09"}
    faulty.forget()
    platform.s3.delete_object(Bucket=platform.source, Key="key-00")
    again, steps, told = _run(all_again_job, local, dg.ReexecutionOptions(parent_run_id=failed.run_id))
    assert again.success, told
    assert steps[:2] == ["inventory", "checksums.plan_shards"]
    assert len(before) >= 3 and sorted(_read(faulty)) == sorted({*KEYS[1:]} - before)
    assert not list((platform.folder / "lake" / "scratch").iterdir())


def test_a_run_that_lost_its_rights_stops_and_goes_on_after_the_objects_that_it_has_read(
    platform: Platform, local: dg.DagsterInstance, faulty: FaultyProxy
) -> None:
    denied = Refuse(times=None)

    def withdraw() -> None:
        faulty.fault(denied)
        faulty.fault(denied, listing=True)

    faulty.fault(Overwrite(withdraw), key="key-02")
    failed, _, told = _run(lost_rights_job, local)
    assert not failed.success and "Its objects are refused too (AccessDenied)" in told
    assert "then run it again: it goes on after the objects that it has read" in told
    assert sum(request.fault is denied for request in faulty.requests) == 4
    faulty.forget()
    again = dg.ReexecutionOptions.from_failure(failed.run_id, local)
    resumed, _, told = _run(lost_rights_job, local, again)
    assert resumed.success, told
    assert sorted(_read(faulty)) == KEYS[3:]  # the shards are hashed in any order
    (table,) = (platform.folder / "lake" / "checksums" / PAIR).glob("*.parquet")
    assert pq.read_table(table).column("status").to_pylist() == ["succeeded"] * 12


def test_a_run_does_not_go_on_in_another_place_than_the_one_it_listed(
    platform: Platform, local: dg.DagsterInstance, faulty: FaultyProxy, make_bucket: MakeBucket
) -> None:
    faulty.fault(EXPIRED, key="key-09")
    failed, _, _ = _run(another_place_job, local)
    faulty.forget()
    as_listed, platform.source = platform.source, make_bucket()
    assert platform.file.exists()
    again = dg.ReexecutionOptions.from_failure(failed.run_id, local)
    refused, steps, told = _run(another_place_job, local, again)
    assert not refused.success and steps == ["checksums.hash_objects[1]"]
    assert f"{PAIR} was listed at s3://{as_listed}/ at {faulty.endpoint_url}, current versions" in told
    assert f"the catalog now says s3://{platform.source}/ at " in told
    assert f"materializes inventory[{PAIR}] and checksums[{PAIR}]" in told
    assert _read(faulty) == []
    platform.source = as_listed
    assert platform.file.exists()
    resumed, _, told = _run(another_place_job, local, again)
    assert resumed.success, told


def test_a_run_whose_scratch_is_gone_says_what_to_run(
    platform: Platform, local: dg.DagsterInstance, faulty: FaultyProxy
) -> None:
    faulty.fault(EXPIRED, key="key-09")
    failed, _, _ = _run(swept_job, local)
    (scratch,) = (platform.folder / "lake" / "scratch").iterdir()
    scratch.rename(platform.folder / "swept")
    again = dg.ReexecutionOptions.from_failure(failed.run_id, local)
    refused, _, told = _run(swept_job, local, again)
    assert not refused.success and f"scratch/{failed.run_id}/checksums is gone" in told
    assert f"start a new run that materializes checksums[{PAIR}]" in told


def test_an_ingest_that_failed_among_the_records_asks_for_no_record_a_second_time(
    platform: Platform, local: dg.DagsterInstance, faulty: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.ingest.records.collect.PART_OBJECTS", 4)
    platform.bucket_settings["records_in"] = ["object-tagging"]
    monkeypatch.setenv("FIXITY_CATALOG", str(platform.file))

    def tags_asked_for() -> list[str]:
        return sorted(str(seen.key) for seen in faulty.gets() if seen.path.endswith("?tagging"))

    faulty.fault(EXPIRED, key="key-09")
    failed, steps, told = _run(gathering_job, local)
    assert (failed.success, steps, "ExpiredToken" in told) == (False, ["inventory", "baselines"], True)
    assert tags_asked_for()[:8] == KEYS[:8]
    faulty.forget()
    again = dg.ReexecutionOptions.from_failure(failed.run_id, local)
    resumed, steps, told = _run(gathering_job, local, again)
    assert (resumed.success, steps[0]) == (True, "baselines"), told
    assert tags_asked_for() == KEYS[8:]
    assert not list((platform.folder / "lake" / "scratch").iterdir())


class _Overtaken(LocalLake):
    """Another attempt keeps its plan before this one keeps anything."""

    plan_of_other: Plan | None = None

    def __init__(self, root: Path, other: Callable[[], Plan]) -> None:
        super().__init__(root)
        self._other = other

    def put(self, name: str, file: Path, replace: bool = False, keep: bool = False) -> None:
        if self.plan_of_other is None:
            self.plan_of_other = self._other()
        super().put(name, file, replace, keep)


def test_of_two_attempts_that_plan_at_once_the_plan_of_one_counts_for_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums_read, "refuse_over", lambda context: None)
    context: Any = SimpleNamespace(
        run=SimpleNamespace(run_id="r", root_run_id=None), log=SimpleNamespace(warning=print)
    )
    pq.write_table(pa.table({"key": ["k"]}), objects := tmp_path / "objects.parquet")
    root, scratch = tmp_path / "lake", scratch_of(context)

    def keep(lake: LocalLake, name: str) -> Plan:
        plan = Plan(f"{scratch}{name}.parquet", "SHA256", [Shard(0, 1, 1)], bucket="b", run_id="r")
        return checksums_read._keep_plan(context, lake, plan, objects, tmp_path)

    overtaken = _Overtaken(root, lambda: keep(LocalLake(root), "other"))
    plan = keep(overtaken, "late")
    assert plan == overtaken.plan_of_other
    assert plan.inventory == f"{scratch}other.parquet"
    assert keep(LocalLake(root), "later") == plan
    assert plan.inventory in [file.name for file in LocalLake(root).list(scratch)]


def test_of_two_re_executions_of_one_run_the_second_waits_for_the_first(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    pq.write_table(pa.table({"key": ["k"]}), objects := tmp_path / "objects.parquet")
    lake = LocalLake(tmp_path / "lake")

    def keep(run: dg.DagsterRun) -> Plan:
        context: Any = SimpleNamespace(
            run=run, instance=instance, log=SimpleNamespace(warning=print, info=print)
        )
        plan = Plan("inventory/b/i.parquet", "SHA256", [Shard(0, 1, 1)], bucket="b", run_id=run.run_id)
        return checksums_read._keep_plan(context, lake, plan, objects, tmp_path)

    runs = [
        dg.DagsterRun("a job", root_run_id="root", parent_run_id="root", status=dg.DagsterRunStatus.STARTED)
        for _ in range(2)
    ]
    first, second = (instance.add_run(run) for run in runs)
    kept = keep(first)
    with pytest.raises(dg.Failure, match="is in progress, and they would share its parts") as refused:
        keep(second)
    assert not refused.value.allow_retries
    assert keep(first) == kept
    instance.report_run_failed(first)
    assert keep(second).run_id == second.run_id
