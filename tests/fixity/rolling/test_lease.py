"""Runs that meet each other, or that fail: one reads at a time, and objects are taken once."""

from __future__ import annotations

import importlib
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fixity.buckets import BucketUnreachable, ListedObject, ObjectUnreadable, Sink
from fixity.engines.stream.engine import Check
from fixity.errors import AnotherPlace, RunOver
from fixity.lake import Lake, LakeError, LocalLake
from fixity.lake.base import Seen
from fixity.rolling import BucketBusy, Limits, Order, RollingRun
from fixity.rolling.lease import Lease, LeaseLost, leased_buckets, leases, take_lease
from tests.fixity.rolling.support import BUCKET, Rolling, keys_of, roll
from tests.fixity.support import take_inventory


def test_of_two_runs_on_a_bucket_the_second_steps_back_and_leaves_nothing_behind(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a")
    bucket.take_inventory()
    other = Lease(BUCKET, "other", bucket.time.isoformat(), bucket.time.isoformat())
    other.renew(bucket.lake, bucket.time)
    with pytest.raises(BucketBusy, match="is being checked by the rolling run other"):
        bucket.roll()
    assert [each.run_id for each in leases(bucket.lake, BUCKET)] == ["other"]


def test_a_store_that_goes_away_ends_the_run_and_what_was_checked_is_kept(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a", "b")
    bucket.take_inventory()
    read = bucket.store.read

    def refusing(item, sink) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - as the reader's own
        if item.key == "b":
            raise BucketUnreachable("the credentials have expired")
        read(item, sink)

    bucket.store.read = refusing  # type: ignore[method-assign]
    with pytest.raises(BucketUnreachable):
        bucket.roll()
    bucket.store.read = read  # type: ignore[method-assign]
    bucket.over = {each.run_id for each in leases(bucket.lake, BUCKET)}
    assert bucket.rolled() == ["b"]  # at once: nobody waits for a run that is known to have failed
    assert not leases(bucket.lake, BUCKET)
    assert bucket.due() == []


def test_what_was_refused_because_the_rights_were_lost_is_no_failed_row_and_stays_due(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put(*"abcdefgh")
    bucket.take_inventory()
    bucket.store.unreadable = {"b"}
    read = bucket.store.read

    def lost(item: ListedObject, sink: Sink) -> None:
        if item.key in "efg":
            raise ObjectUnreadable("AccessDenied", "no")
        if item.key == "h":
            raise BucketUnreachable("the rights were lost")
        read(item, sink)

    bucket.store.read = lost  # type: ignore[method-assign]
    with pytest.raises(BucketUnreachable, match="the rights were lost"):
        bucket.roll()
    bucket.store.read = read  # type: ignore[method-assign]
    bucket.store.unreadable = set()
    bucket.over = {each.run_id for each in leases(bucket.lake, BUCKET)}
    after = bucket.roll()
    assert after.failed == 0 and {*"efgh"} <= set(keys_of(bucket.ledger(after)))
    for ledger in (bucket.folder / "checksums/b").glob("*.parquet"):
        assert "AccessDenied" not in {row["error_code"] for row in pq.read_table(ledger).to_pylist()}


def test_a_few_failures_of_a_run_that_ends_well_are_kept(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put(*"abcdefgh")
    bucket.take_inventory()
    bucket.store.unreadable = {*"bdefgh"}
    rolled = bucket.roll()
    assert (rolled.succeeded, rolled.failed) == (2, 6)


def test_what_was_listed_at_another_place_is_not_read(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a")
    take_inventory(bucket.store, bucket.lake, BUCKET, "i", now=bucket.now, place="s3://there")
    order = Order(BUCKET, bucket.settings, Limits(5), 1800.0, place="s3://here")
    with pytest.raises(AnotherPlace, match="was listed at s3://there, but the catalog now says s3://here"):
        roll(order, RollingRun(bucket.store, bucket.lake, "r", 2, now=bucket.now))
    assert bucket.store.read_keys == []


def test_a_lake_that_refuses_for_a_while_loses_no_check_and_a_lease_that_is_gone_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("fixity.rolling.heartbeat")
    monkeypatch.setattr(module, "_KEEP_SECONDS", 0.01)
    bucket = Rolling(tmp_path)
    bucket.put("a", "b")
    bucket.take_inventory()
    put, read, refused = LocalLake.put, bucket.store.read, threading.Event()

    def refusing(lake: LocalLake, name: str, file: Path, replace: bool = False, keep: bool = False) -> None:
        if "/checks/" in name and not refused.is_set():
            refused.set()
            raise LakeError("slow down")
        put(lake, name, file, replace, keep)

    def waiting(item: ListedObject, sink: Sink) -> None:
        read(item, sink)
        if item.key == "b":
            assert refused.wait(10)

    monkeypatch.setattr(LocalLake, "put", refusing)
    bucket.store.read = waiting  # type: ignore[method-assign]
    monkeypatch.setattr("fixity.engines.stream.engine._BATCH", 1)
    assert bucket.rolled() == ["a", "b"]

    def long(item: ListedObject, sink: Sink) -> None:
        bucket.lake.remove("scratch/rolling/b/")
        threading.Event().wait(10)

    bucket.store.read = long  # type: ignore[method-assign]
    with pytest.raises(LeaseLost, match=r"the run r\d+ has no lease on 'b' any more"):
        bucket.roll(keys=["a"])
    assert not leases(bucket.lake, BUCKET)


def _race(lake: Lake, folder: Path, runs: list[str]) -> list[str]:
    """Take the lease by several runs at once, each with a lake of its own; those that go on."""
    together = threading.Barrier(len(runs))
    going: list[str] = []

    def take(run_id: str) -> None:
        own = LocalLake(folder) if isinstance(lake, LocalLake) else lake
        together.wait(timeout=30)
        with suppress(BucketBusy):
            going.append(take_lease(own, BUCKET, run_id, datetime.now(UTC)).run_id)

    threads = [threading.Thread(target=take, args=(run_id,)) for run_id in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return going


def test_of_runs_that_start_at_once_exactly_one_goes_on(lake: Lake, tmp_path: Path) -> None:
    for turn in range(25 if isinstance(lake, LocalLake) else 5):
        going = _race(lake, tmp_path / "lake", [f"a{turn}", f"b{turn}", f"c{turn}"])
        assert [each.run_id for each in leases(lake, BUCKET)] == going
        (one,) = going
        if turn % 2:  # of the others, killed: the next turn is of those that take over
            old = Lease(BUCKET, one, "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00")
            old.renew(lake, datetime(2026, 1, 1, tzinfo=UTC))
            going_on = _race(lake, tmp_path / "lake", [f"d{turn}", f"e{turn}"])
            assert len(going_on) == 1
            lake.remove(f"scratch/rolling/b/{going_on[0]}/")
        lake.remove(f"scratch/rolling/b/{one}/")
    assert len(lake.list("scratch/rolling/b/turns/")) == 1  # and what is past is not kept


def test_a_run_that_was_slow_to_claim_does_not_go_on_beside_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = LocalLake(tmp_path)
    now = datetime.now(UTC)
    take_lease(lake, BUCKET, "before", now).end(lake)
    put_if, slow = lake.put_if, ["first", "second"]

    def put_late(name: str, text: str, seen: Seen | None) -> bool:
        while slow:  # two others have had their turns since ours was chosen, and one goes on
            other = take_lease(LocalLake(tmp_path), BUCKET, slow.pop(0), now)
            if slow:
                other.end(lake)
        return put_if(name, text, seen)

    monkeypatch.setattr(lake, "put_if", put_late)
    with pytest.raises(BucketBusy, match="rolling run second"):
        take_lease(lake, BUCKET, "late", now)
    assert [each.run_id for each in leases(lake, BUCKET)] == ["second"]


def test_where_the_store_does_not_decide_two_runs_never_both_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overwrite(lake: LocalLake, name: str, text: str, seen: Seen | None) -> bool:
        while True:
            with suppress(LakeError):  # the other removed the folder meanwhile; such a store has no folders
                lake.put_text(name, text, replace=True)
                return True

    monkeypatch.setattr(LocalLake, "decides", False)
    monkeypatch.setattr(LocalLake, "put_if", overwrite)
    for turn in range(10):
        going = _race(LocalLake(tmp_path), tmp_path, [f"a{turn}", f"b{turn}"])
        assert len(going) <= 1
        for run_id in going:
            LocalLake(tmp_path).remove(f"scratch/rolling/b/{run_id}/")
    alone = take_lease(LocalLake(tmp_path), BUCKET, "alone", datetime.now(UTC))
    assert alone.run_id == "alone"


def test_a_run_that_is_known_to_be_over_is_not_waited_for(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a")
    bucket.take_inventory()
    bucket.roll_killed()
    with pytest.raises(BucketBusy):
        bucket.roll()
    order = Order(BUCKET, bucket.settings, Limits(100), 1800.0)
    again = RollingRun(
        bucket.store, bucket.lake, "next", 2, now=bucket.now, is_over=lambda run_id: run_id != "next"
    )
    assert roll(order, again).objects == 0  # its check is kept
    assert [keys_of(pq.read_table(file)) for file in (bucket.folder / "checksums/b").glob("*.parquet")] == [
        ["a"]
    ]


def test_a_run_that_has_ended_reads_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("fixity.rolling.heartbeat"), "_KEEP_SECONDS", 0.01)
    bucket = Rolling(tmp_path)
    bucket.put("a")
    bucket.take_inventory()
    over = threading.Event()
    order = Order(BUCKET, bucket.settings, Limits(100), 1800.0)
    late = RollingRun(
        bucket.store, bucket.lake, "late", 2, now=bucket.now, is_over=lambda run_id: over.is_set()
    )

    def cut_off(item: ListedObject, sink: Sink) -> None:
        over.set()
        threading.Event().wait(10)

    bucket.store.read = cut_off  # type: ignore[method-assign]
    with pytest.raises(RunOver, match="the run late has ended"):
        roll(order, late)
    with pytest.raises(RunOver):
        roll(order, late)
    assert not (bucket.folder / "checksums").exists()
    del bucket.store.read
    bucket.over = {"late"}
    assert bucket.rolled() == ["a"]


@pytest.mark.parametrize("stands_still", ["with checks", "with a heartbeat"])
def test_a_process_that_stood_still_while_another_run_took_over_adds_nothing_and_takes_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stands_still: str
) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a", "b")
    bucket.take_inventory()
    mine = take_lease(bucket.lake, BUCKET, "slow", bucket.time)
    put, later = LocalLake.put, bucket.time + timedelta(minutes=11)

    def stand_still(lake: LocalLake, name: str, file: Path, *arguments: bool, **named: bool) -> None:
        monkeypatch.setattr(LocalLake, "put", put)
        bucket.time = later
        assert bucket.rolled() == ["a", "b"]
        put(lake, name, file, *arguments, **named)

    monkeypatch.setattr(LocalLake, "put", stand_still)
    with bucket.lake.workspace() as workspace, pytest.raises(LeaseLost, match="the run slow has no lease"):
        if stands_still == "with checks":
            ended = Check(0, "succeeded", "00", None, None, 1, bucket.time)
            mine.keep(bucket.lake, "late", [ended], workspace)
        else:
            mine.renew(bucket.lake, bucket.time)
    assert not leases(bucket.lake, BUCKET)
    assert len(list((bucket.folder / "checksums/b").glob("*.parquet"))) == 1


def test_the_step_that_takes_the_lease_is_done_again_by_another_worker(tmp_path: Path) -> None:
    lake, now = LocalLake(tmp_path), datetime.now(UTC)
    take_lease(lake, BUCKET, "run", now)
    assert take_lease(lake, BUCKET, "run", now).run_id == "run"
    with pytest.raises(BucketBusy, match="by the rolling run run since"):
        take_lease(lake, BUCKET, "another", now)


def test_what_a_file_browser_leaves_beside_leases_is_none(tmp_path: Path) -> None:
    lake, now = LocalLake(tmp_path), datetime.now(UTC)
    mine = take_lease(lake, BUCKET, "run", now)
    for folder in ("scratch/rolling/", f"scratch/rolling/{BUCKET}/"):
        lake.put_text(f"{folder}.DS_Store", "left")
    assert leases(lake, BUCKET) == [mine] and leased_buckets(lake) == {BUCKET}
    mine.end(lake)
    assert leases(lake, BUCKET) == [] and leased_buckets(lake) == set()


@pytest.mark.parametrize(("seconds", "beats"), [(1, 1), (31, 2)])
def test_steps_write_a_heartbeat_only_where_the_last_is_half_a_minute_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, beats: int
) -> None:
    bucket, written = Rolling(tmp_path), list[str]()
    bucket.put("a")
    bucket.take_inventory()
    read, put_text = bucket.store.read, LocalLake.put_text

    def slowly(item: ListedObject, sink: Sink) -> None:
        bucket.time += timedelta(seconds=seconds)
        read(item, sink)

    def noted(lake: LocalLake, name: str, text: str, replace: bool = False) -> None:
        written.append(name.rpartition("/")[2])
        put_text(lake, name, text, replace)

    monkeypatch.setattr(bucket.store, "read", slowly)
    monkeypatch.setattr(LocalLake, "put_text", noted)
    assert bucket.rolled() == ["a"]
    assert written.count("alive.json") == beats
