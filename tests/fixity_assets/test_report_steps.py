"""The report of a large pair on several machines: steps compare parts of it, and one makes the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fixity.reports import pair_steps
from jobs.names import CHECKSUMS_JOB, REPORT_ASSET, REPORT_JOB
from resources.pool import POOL
from tests.conftest import MakeBucket
from tests.platform import PAIR, Platform, read_report, report_metadata

OF_RUN = {"csv", "latest_csv", "evidence", "trend", "source_run", "replica_run"}


@pytest.fixture
def workers(platform: Platform, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance for executors of several machines. Their steps are executed here all the same."""
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        instance.event_log_storage.set_concurrency_slots(POOL, 8)
        platform.more["executor"] = "docker"
        yield instance


def said_of(result: dg.ExecuteInProcessResult) -> tuple[Any, ...]:
    """All that a report says: its rows, its metadata, its checks, and what is red."""
    assert result.success
    said = report_metadata(result)
    checks = sorted(
        (each.check_name, each.passed, each.severity.value, each.description or "")
        for each in result.get_asset_check_evaluations()
        if each.asset_key == dg.AssetKey(REPORT_ASSET)
    )
    return read_report(said["csv"]), {name: said[name] for name in said.keys() - OF_RUN}, checks


def steps_of(result: dg.ExecuteInProcessResult) -> list[str]:
    return [
        str(event.step_key).removeprefix(f"{REPORT_ASSET}.")
        for event in result.all_events
        if event.is_step_start
    ]


def test_what_steps_compare_is_reported_like_what_one_compares_and_looked_at_again(
    platform: Platform, workers: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        platform.put(f"k{number}")
    platform.put("differs", b"one", replica=b"two")
    platform.s3.put_object(Bucket=platform.source, Key="missing", Body=b"the same")
    platform.check_both(workers)
    small = platform.run(workers, REPORT_JOB, PAIR)  # also the second look
    assert steps_of(small) == ["plan_comparison", "make_report"]
    monkeypatch.setattr(pair_steps, "RANGE_BYTES", 200)
    monkeypatch.setattr(pair_steps, "_RANGES_OF_STEP", 2)
    large = platform.run(workers, REPORT_JOB, PAIR)
    steps = steps_of(large)
    assert len([step for step in steps if step.startswith("compare_part[")]) > 2
    assert (steps[0], steps[-1]) == ("plan_comparison", "make_report")
    rows, said, checks = said_of(large)
    before, _, checks_before = said_of(small)
    assert (rows, checks) == (before, checks_before)
    assert {row["status"] for row in rows} == {"ok", "mismatch", "missing_replica"}
    assert said["dagster/row_count"] == 8
    assert not list((platform.folder / "lake/scratch").glob(f"*/{REPORT_ASSET}/*"))


def test_a_second_look_judges_anew_what_steps_compared(
    platform: Platform, workers: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_steps, "RANGE_BYTES", 200)
    monkeypatch.setattr(pair_steps, "_RANGES_OF_STEP", 1)
    for key in "abc":
        platform.put(key)
    platform.s3.delete_object(Bucket=platform.replica, Key="b")
    platform.check_both(workers)
    platform.s3.put_object(Bucket=platform.replica, Key="b", Body=b"the same bytes")
    rows, said, checks = said_of(platform.run(workers, REPORT_JOB, PAIR))
    assert [row["status"] for row in rows] == ["ok"] * 3
    assert (said["looked_again"], said["turned_out_right"]) == (1, 1)
    assert all(passed for _, passed, _, _ in checks)


def test_a_pair_with_several_replicas_is_reported_by_one_step(
    platform: Platform, workers: dg.DagsterInstance, make_bucket: MakeBucket
) -> None:
    third = make_bucket()
    settings = platform.more
    settings["buckets"] = {
        name: {"store": "real", "bucket": bucket}
        for name, bucket in ((PAIR, platform.source), (f"{PAIR}-repl", platform.replica), ("third", third))
    }
    settings["pairs"] = {PAIR: {"replicas": [f"{PAIR}-repl", "third"], "replication_lag": "0s"}}
    platform.put("a")
    platform.s3.put_object(Bucket=third, Key="a", Body=b"other bytes")
    for bucket in settings["buckets"]:
        assert platform.run(workers, CHECKSUMS_JOB, bucket).success
    result = platform.run(workers, REPORT_JOB, PAIR)
    assert result.success
    assert steps_of(result) == ["plan_comparison", "make_report"]
    red = {each.check_name for each in result.get_asset_check_evaluations() if not each.passed}
    assert "no_mismatches" in red
