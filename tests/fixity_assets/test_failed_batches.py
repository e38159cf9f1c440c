"""Batches of what is due through the real jobs: a shard that fails, a killed run, a store that is cut off."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from devstack.faults import Overwrite, Refuse
from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import SeaweedFS
from devstack.seaweedfs_damage import corrupt_object
from fixity.errors import FixityError
from fixity.lake import LakeError, LocalLake, open_lake
from fixity.rolling.lease import leases
from fixity.status import is_red, kept_of
from fixity_assets.checksums_keep import keep_table
from jobs.names import CHECKSUMS_JOB, COVERAGE_JOB, INVENTORY_JOB, ROLL_JOB
from tests.platform import PAIR, Platform

KEYS = [f"key-{number}" for number in range(6)]
_EXPIRED = Refuse(403, "ExpiredToken", times=None)


@pytest.fixture
def rolling(platform: Platform, faulty_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """Six objects behind the proxy, read one after the other in shards of two."""
    monkeypatch.setattr("fixity.engines.stream.pace.SHARD_OBJECTS", 2)
    for key in KEYS:
        platform.s3.put_object(Bucket=platform.source, Key=key, Body=key.encode())
    platform.endpoint_url = faulty_proxy.endpoint_url
    platform.bucket_settings |= {"fixity_every": "90d", "max_concurrency": 1}
    return platform


def _checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def _failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.filter_events(lambda event: event.is_step_failure)
    data = event.step_failure_data.user_failure_data
    assert event.step_key == "checksums.keep_table" and data is not None
    return data.description or ""


def _check_again(platform: Platform, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """Check all keys, due or not."""
    config = {"ops": {"checksums": {"config": {"keys": KEYS}}}}
    job = platform.definitions().resolve_job_def(CHECKSUMS_JOB)
    return job.execute_in_process(
        instance=instance, partition_key=PAIR, run_config=config, raise_on_error=False
    )


def _rows(platform: Platform, run_id: str) -> list[str]:
    table = Path(platform.catalog.lake) / "checksums" / PAIR / f"{run_id}.parquet"
    return [row["key"] for row in pq.read_table(table).to_pylist()]


def test_what_the_other_shards_found_is_told_by_the_run_of_which_one_shard_failed(
    rolling: Platform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS, faulty_proxy: FaultyProxy
) -> None:
    rolling.run(instance, INVENTORY_JOB, PAIR)
    assert rolling.run(instance, ROLL_JOB, PAIR).success
    corrupt_object(seaweedfs, rolling.source, "key-5")
    faulty_proxy.fault(_EXPIRED, key="key-3")
    result = _check_again(rolling, instance)
    assert not result.success
    assert "the credentials have expired: renew them" in _failure(result)
    assert _failure(result).endswith("What was checked is kept; the other objects stay due")
    red = {name for name, passed in _checks(result).items() if not passed}
    assert red == {"no_damage", "all_read", "no_open_incidents"}
    assert _rows(rolling, result.run_id) == ["key-0", "key-1", "key-2", "key-4", "key-5"]
    lake = open_lake(rolling.catalog)
    assert is_red(lake, "checksums", PAIR, "all_read") and not leases(lake, PAIR)
    faulty_proxy.forget()
    again = _check_again(rolling, instance)
    assert {name for name, passed in _checks(again).items() if not passed} == red - {"all_read"}


@pytest.mark.parametrize("job", [ROLL_JOB, CHECKSUMS_JOB])
def test_an_attempt_after_one_that_died_when_all_was_kept_ends_as_that_one_would_have(
    rolling: Platform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    rolling.run(instance, INVENTORY_JOB, PAIR)
    monkeypatch.setattr(keep_table, "_retry_policy", dg.RetryPolicy(max_retries=1, delay=0))
    remove, died = LocalLake.remove, list[str]()

    def remove_and_die(lake: LocalLake, folder: str) -> None:
        remove(lake, folder)
        if folder.endswith("/checksums/") and not died and is_kept(lake):
            died.append(folder)
            raise LakeError("the worker is gone")

    def is_kept(lake: LocalLake) -> bool:
        return kept_of(lake, "checksums", PAIR).run_id is not None

    monkeypatch.setattr(LocalLake, "remove", remove_and_die)
    result = rolling.run(instance, job, PAIR)
    assert died and result.success
    assert _rows(rolling, result.run_id) == KEYS


def test_a_failed_shard_is_told_again_by_an_attempt_after_one_that_died(
    rolling: Platform,
    instance: dg.DagsterInstance,
    faulty_proxy: FaultyProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rolling.run(instance, INVENTORY_JOB, PAIR)
    faulty_proxy.fault(_EXPIRED, key="key-3")
    monkeypatch.setattr(keep_table, "_retry_policy", dg.RetryPolicy(max_retries=1, delay=0))
    died: list[str] = []

    def die(*_: object) -> None:
        if not died:
            died.append("once")
            raise LakeError("the worker is gone")

    monkeypatch.setattr("fixity_assets.checksums_keep.keep_job_outcome", die)
    result = rolling.run(instance, ROLL_JOB, PAIR)
    assert died and "the credentials have expired" in _failure(result)
    assert is_red(open_lake(rolling.catalog), "checksums", PAIR, "all_read")


def test_what_a_killed_run_found_is_told_by_the_next_coverage_though_no_batch_is_read_again(
    rolling: Platform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolling.run(instance, INVENTORY_JOB, PAIR)
    rolling.run(instance, ROLL_JOB, PAIR)
    corrupt_object(seaweedfs, rolling.source, "key-5")
    with monkeypatch.context() as patch:
        patch.setattr("fixity.rolling.roll.finish", _killed)
        killed = _check_again(rolling, instance)
    assert not killed.success and "no_damage" not in _checks(killed)
    covered = rolling.run(instance, COVERAGE_JOB, None)
    assert not _checks(covered)["no_known_damage"]
    assert _rows(rolling, killed.run_id) == KEYS
    assert not leases(open_lake(rolling.catalog), PAIR)


def test_a_run_over_the_whole_bucket_keeps_what_a_killed_batch_had_checked(
    rolling: Platform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolling.run(instance, INVENTORY_JOB, PAIR)
    with monkeypatch.context() as patch:
        patch.setattr("fixity.rolling.roll.finish", _killed)
        killed = rolling.run(instance, ROLL_JOB, PAIR)
    del rolling.bucket_settings["fixity_every"]  # no batch is ever read again
    assert rolling.run(instance, CHECKSUMS_JOB, PAIR).success
    assert _rows(rolling, killed.run_id) == KEYS


def _killed(*arguments: object) -> None:
    raise FixityError("killed")


def test_the_last_step_of_a_batch_needs_no_store(
    rolling: Platform, instance: dg.DagsterInstance, faulty_proxy: FaultyProxy
) -> None:
    rolling.run(instance, INVENTORY_JOB, PAIR)
    faulty_proxy.forget()

    def cut_off() -> None:
        if len(faulty_proxy.gets()) == len(KEYS):
            faulty_proxy.fault(_EXPIRED)
            faulty_proxy.fault(_EXPIRED, listing=True)

    faulty_proxy.fault(Overwrite(cut_off, times=None))
    result = rolling.run(instance, ROLL_JOB, PAIR)
    assert result.success and all(_checks(result).values())
    assert _rows(rolling, result.run_id) == KEYS
    assert len(faulty_proxy.requests) == len(KEYS)
