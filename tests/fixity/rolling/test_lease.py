"""Runs that are killed, that meet each other, or that fail: checks are kept once, objects taken once."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fixity.buckets import BucketUnreachable, ListedObject, ObjectUnreadable, Sink, Throttle
from fixity.buckets.local import LocalReader
from fixity.engines.stream.engine import Check
from fixity.errors import AnotherPlace, RunOver
from fixity.lake import Lake, LakeError, LocalLake
from fixity.lake.base import Seen
from fixity.ledger import Settings
from fixity.ledger.current import current_checksums
from fixity.rolling import BucketBusy, Limits, Order, RollingRun
from fixity.rolling.dead_runs import keep_of_dead_runs
from fixity.rolling.lease import Lease, LeaseLost, leased_buckets, leases, take_lease
from fixity.tables import Provenance
from tests.fixity.rolling.support import BUCKET, Rolling, keys_of, killed, roll
from tests.fixity.support import check_inventory, take_inventory

KILLED = """
import sys, threading
from datetime import timedelta
from pathlib import Path
from fixity.lake import LocalLake
from fixity.engines.stream.pace import usual_limits
from fixity.rolling import Limits, Order, RollingRun
from fixity.rolling import heartbeat
from fixity.rolling.batches import check_shard
from fixity.rolling.roll import begin
from fixity.ledger import Settings
from fixity.buckets import Throttle
from fixity.buckets.local import LocalReader

heartbeat._KEEP_SECONDS = 0.05
class Stuck(LocalReader):
    def read(self, item, sink):
        if item.key == "0-stuck":
            threading.Event().wait()
        super().read(item, sink)
store = Stuck(Path(sys.argv[1]), Throttle(2))
order = Order("b", Settings(timedelta(days=90), "SHA256"), Limits(100), 1800.0)
run = RollingRun(store, LocalLake(Path(sys.argv[2])), "killed", 2)
plan = begin(order, run, usual_limits())
check_shard(order, run, plan, plan.shards[0])
"""


def test_after_a_kill_the_next_run_keeps_what_was_checked_and_checks_the_rest_each_once(
    tmp_path: Path,
) -> None:
    folder, lake = tmp_path / "data", LocalLake(tmp_path / "lake")
    folder.mkdir()
    for number in range(30):
        (folder / f"a-{number:02d}").write_bytes(b"content")
    (folder / "0-stuck").write_bytes(bytes(5 * 1024**2))
    store = LocalReader(folder, Throttle(2))
    take_inventory(store, lake, BUCKET, "i")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder), str(tmp_path / "lake")])
    kept = tmp_path / "lake/scratch/rolling/b/killed"
    deadline = time.monotonic() + 60
    while sum(pq.read_metadata(file).num_rows for file in kept.glob("checks/*.parquet")) < 30:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run did not keep its checks"
        time.sleep(0.05)
    process.kill()
    process.wait()
    order = Order(BUCKET, Settings(timedelta(days=90), "SHA256"), Limits(100), 1800.0)
    with pytest.raises(BucketBusy, match="rolling run killed since"):
        roll(order, RollingRun(store, lake, "too-soon", 2))
    said: list[str] = []

    def later() -> datetime:
        return datetime.now(UTC) + timedelta(minutes=11)

    rolled = roll(order, RollingRun(store, lake, "next", 2, said.append, later))
    assert any("the run killed was killed or failed: its 30 checks are kept" in text for text in said)
    assert rolled.objects == 1
    tables = {
        file.stem: keys_of(pq.read_table(file)) for file in (tmp_path / "lake/checksums/b").glob("*.parquet")
    }
    assert {name: len(keys) for name, keys in tables.items()} == {"killed": 30, "next": 1}
    assert roll(order, RollingRun(store, lake, "last", 2, now=later)).objects == 0
    assert not leases(lake, BUCKET)


@pytest.mark.parametrize("killed_after", ["ledger", "changed rows"])
def test_a_run_killed_while_it_keeps_its_checks_has_them_counted_once(
    tmp_path: Path, killed_after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a", "b", "c")
    bucket.take_inventory()

    def killed(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    what = "keep_since" if killed_after == "ledger" else "point_to_latest"
    with monkeypatch.context() as patch:
        patch.setattr(f"fixity.rolling.finish.{what}", killed)
        with pytest.raises(KeyboardInterrupt):
            bucket.roll(2)
    bucket.time += timedelta(minutes=11)
    assert bucket.rolled() == ["c"]
    tables = [
        keys_of(pq.read_table(file)) for file in sorted((bucket.folder / "checksums/b").glob("*.parquet"))
    ]
    assert tables == [["a", "b"], ["c"]]
    assert bucket.due() == []


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


def _ends_after_a_newer_fold(tmp_path: Path) -> Rolling:
    """A run that checked `gone` and `k2` ends after another listing, and a later check of `k2`."""
    bucket = Rolling(tmp_path)
    bucket.time = datetime.now(UTC) - timedelta(days=92)
    bucket.put("gone", "k2")
    bucket.take_inventory()
    bucket.roll()
    bucket.time += timedelta(days=91)
    bucket.store.damage("gone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.rolling.finish.checksums_file", killed)
        with pytest.raises(KeyboardInterrupt):
            bucket.roll()
    bucket.time += timedelta(days=1)
    del bucket.store.objects["gone", None]
    bucket.put("new")
    bucket.store.damage("k2")
    inventory = take_inventory(bucket.store, bucket.lake, BUCKET, "i-again", now=bucket.now)
    check_inventory(bucket.store, bucket.lake, inventory, "whole")
    assert [each.key for each in bucket.damaged()] == ["k2"]
    bucket.roll()
    return bucket


def test_a_run_that_ends_after_a_newer_fold_hides_no_damage_and_invents_none(tmp_path: Path) -> None:
    bucket = _ends_after_a_newer_fold(tmp_path)
    assert [each.key for each in bucket.damaged()] == ["k2"]


def test_what_a_late_run_read_is_not_called_the_newest_check_of_the_newest_listing(tmp_path: Path) -> None:
    bucket = _ends_after_a_newer_fold(tmp_path)
    with bucket.lake.workspace() as workspace:
        table = pq.read_table(current_checksums(bucket.lake, BUCKET, workspace)[0])
    late = list((bucket.folder / "checksums/b").glob("r*.parquet"))
    said = {Provenance.read(file).inventory_run_id for file in late}
    assert dict(zip(keys_of(table), table.column("run_id").to_pylist(), strict=True)) == {
        "k2": "whole", "new": "whole"
    }  # fmt: skip
    assert said == {"i00001"}


def test_what_cannot_be_used_of_a_dead_run_is_named_and_set_aside_and_blocks_no_other(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a")
    bucket.take_inventory()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.rolling.finish.checksums_file", killed)
        with pytest.raises(KeyboardInterrupt):
            bucket.roll()
    (batch,) = (bucket.folder / "scratch/rolling/b").glob("*/batch-*")
    batch.unlink()
    spoiled = bucket.folder / "scratch/rolling/b/spoiled/alive.json"
    spoiled.parent.mkdir()
    spoiled.write_text("{")
    bucket.time += timedelta(minutes=11)
    assert bucket.rolled() == ["a"]
    assert any("cannot be used" in text and "set-aside/b/" in text for text in bucket.said)
    assert not leases(bucket.lake, BUCKET)
    assert len(list((bucket.folder / "set-aside/b").glob("*/checks/*.parquet"))) == 1


def test_what_a_dead_run_read_is_kept_by_the_algorithm_that_it_was_read_by(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a")
    bucket.take_inventory()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.rolling.finish.checksums_file", killed)
        with pytest.raises(KeyboardInterrupt):
            bucket.roll()
    bucket.settings = replace(bucket.settings, algorithm="SHA512")
    for _ in range(2):
        bucket.time += timedelta(days=91)
        bucket.roll()
    files = sorted((bucket.folder / "checksums/b").glob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert [(row["algorithm"], len(row["checksum"])) for row in rows] == [
        ("SHA256", 64),
        ("SHA512", 128),
        ("SHA512", 128),
    ]
    assert bucket.damaged() == []


def test_a_lease_that_is_half_gone_is_of_use_to_its_heir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a")
    bucket.take_inventory()
    remove = LocalLake.remove

    def half(lake: LocalLake, folder: str) -> None:
        remove(lake, folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LocalLake, "remove", half)
        with pytest.raises(KeyboardInterrupt):
            bucket.roll()
    bucket.time += timedelta(minutes=11)
    assert bucket.rolled() == []
    assert not (bucket.folder / "set-aside").exists() and not leases(bucket.lake, BUCKET)


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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.rolling.finish.checksums_file", killed)
        with pytest.raises(KeyboardInterrupt):
            bucket.roll()
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


def test_what_a_dead_run_found_is_kept_by_whatever_run_comes_next_and_not_while_one_works(
    tmp_path: Path,
) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a", "b")
    bucket.take_inventory()
    bucket.roll()
    bucket.time += timedelta(days=91)
    bucket.store.damage("a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.rolling.finish.checksums_file", killed)
        with pytest.raises(KeyboardInterrupt):
            bucket.roll()
    (dead,) = leases(bucket.lake, BUCKET)
    over: set[str] = set()

    def keep(run_id: str) -> None:
        keep_of_dead_runs(
            bucket.lake, BUCKET, bucket.settings, run_id, bucket.time, over.__contains__, bucket.said.append
        )

    keep("campaign")  # nobody knows yet that it is dead
    assert bucket.damaged() == []
    over.add(dead.run_id)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("fixity.rolling.finish.checksums_file", killed)
        keep("campaign")
    assert leases(bucket.lake, BUCKET) == [dead] and leased_buckets(bucket.lake) == {BUCKET}
    working = take_lease(bucket.lake, BUCKET, "working", bucket.time, over.__contains__)
    keep("campaign")
    assert bucket.damaged() == []
    working.end(bucket.lake)
    keep("coverage")
    assert [each.key for each in bucket.damaged()] == ["a"]
    assert any(
        f"the run {dead.run_id} was killed or failed: its 2 checks are kept" in text for text in bucket.said
    )
    assert not leases(bucket.lake, BUCKET) and not leased_buckets(bucket.lake)
