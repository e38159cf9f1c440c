"""A batch that is read in shards, by steps that know nothing of each other, under one lease."""

from __future__ import annotations

import importlib
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fixity.buckets import BucketUnreachable, ListedObject, Sink
from fixity.engines.stream.pace import ShardLimits
from fixity.errors import RunOver
from fixity.rolling import BucketBusy, Limits, Order, RollingRun
from fixity.rolling.batches import check_shard
from fixity.rolling.egress import EgressBudget, egress_left
from fixity.rolling.lease import Lease, LeaseLost, leases
from fixity.rolling.roll import begin, end, release
from tests.fixity.rolling.support import BUCKET, Rolling, keys_of, killed


class Cut:
    """A batch of six objects in three shards, and the run that reads them."""

    def __init__(self, folder: Path) -> None:
        self.bucket = Rolling(folder)
        self.bucket.put(*"abcdef")
        self.bucket.take_inventory()
        self.order = Order(BUCKET, self.bucket.settings, Limits(100), 1800.0)
        self.run = RollingRun(self.bucket.store, self.bucket.lake, "cut", 1, now=self.bucket.now)
        self.plan = begin(self.order, self.run, ShardLimits(2, 1024, "two", steps=1))

    def check(self, number: int, run: RollingRun | None = None) -> None:
        check_shard(self.order, run or self.run, self.plan, self.plan.shards[number])

    def end(self) -> list[str]:
        rolled = end(self.bucket.lake, self.plan, self.order.settings, self.bucket.time)
        release(self.bucket.lake, self.plan, self.bucket.time)
        return keys_of(self.bucket.ledger(rolled))


def test_a_batch_is_read_shard_by_shard_under_one_lease_which_others_respect(tmp_path: Path) -> None:
    cut = Cut(tmp_path)
    assert [shard.objects for shard in cut.plan.shards] == [2, 2, 2]
    for number in (2, 0, 1):
        cut.check(number)
        with pytest.raises(BucketBusy, match="is being checked by the rolling run cut"):
            cut.bucket.roll()
    assert cut.end() == list("abcdef")
    assert sorted(cut.bucket.store.read_keys) == list("abcdef")
    assert cut.bucket.due() == [] and not leases(cut.bucket.lake, BUCKET)


def test_all_shards_are_read_by_one_algorithm_though_the_catalog_names_another_since(tmp_path: Path) -> None:
    cut = Cut(tmp_path)
    cut.check(0)
    cut.order = replace(cut.order, settings=replace(cut.order.settings, algorithm="SHA512"))
    for number in (1, 2):
        cut.check(number)
    rows = cut.bucket.ledger(end(cut.bucket.lake, cut.plan, cut.order.settings, cut.bucket.time)).to_pylist()
    assert [(row["algorithm"], len(row["checksum"])) for row in rows] == [("SHA256", 64)] * 6


def test_another_attempt_at_a_shard_reads_only_what_the_one_before_did_not_check(tmp_path: Path) -> None:
    cut = Cut(tmp_path)
    _fail(cut, 1, "d")
    for number in range(3):
        cut.check(number)
    assert sorted(cut.bucket.store.read_keys) == list("abcdef")
    assert cut.end() == list("abcdef")


def _fail(cut: Cut, number: int, key: str) -> None:
    """A shard whose store goes away at a key."""
    read = cut.bucket.store.read

    def refusing(item: ListedObject, sink: Sink) -> None:
        if item.key == key:
            raise BucketUnreachable("the store is away")
        read(item, sink)

    cut.bucket.store.read = refusing  # type: ignore[method-assign]
    with pytest.raises(BucketUnreachable):
        cut.check(number)
    cut.bucket.store.read = read  # type: ignore[method-assign]


def test_a_shard_that_fails_leaves_the_lease_to_the_others_until_the_run_has_ended(tmp_path: Path) -> None:
    cut = Cut(tmp_path)
    cut.check(0)
    _fail(cut, 1, "d")
    with pytest.raises(BucketBusy, match="is being checked by the rolling run cut"):
        cut.bucket.roll()
    cut.check(2)
    assert cut.end() == list("abcef")
    assert cut.bucket.rolled() == ["d"]


def test_what_a_failed_shard_and_the_others_take_counts_against_the_budget_of_the_store(
    tmp_path: Path,
) -> None:
    cut = Cut(tmp_path)  # six objects of one byte
    budget = [EgressBudget(10, (BUCKET, "another"))]

    def left() -> int:
        other = Lease("another", "other", cut.bucket.time.isoformat(), cut.bucket.time.isoformat())
        return egress_left(cut.bucket.lake, budget, other, cut.bucket.time).size

    assert left() == 4
    _fail(cut, 1, "d")
    assert left() == 4
    cut.check(0)
    cut.check(2)
    assert cut.end() == list("abcef")
    assert left() == 5  # what was not read is free again


def test_of_two_attempts_at_a_shard_at_once_no_row_comes_twice_and_unlike_bytes_are_no_damage(
    tmp_path: Path,
) -> None:
    cut = Cut(tmp_path)
    read = cut.bucket.store.read
    nested = iter("ab")

    def overtaken(item: ListedObject, sink: Sink) -> None:
        if next(nested, None) == "a":  # the first read of the first attempt is overtaken by a whole other one
            cut.check(0)
            cut.bucket.store.damage("b")
        read(item, sink)

    cut.bucket.store.read = overtaken  # type: ignore[method-assign]
    for number in range(3):
        cut.check(number)
    assert cut.end() == list("abcdef")
    (ledger,) = (cut.bucket.folder / "checksums/b").glob("*.parquet")
    failed = {row["key"]: row["error_code"] for row in pq.read_table(ledger).to_pylist() if row["error_code"]}
    assert failed == {"b": "UnstableRead"}
    assert cut.bucket.damaged() == []


def test_the_shards_of_a_run_whose_lease_another_took_over_are_left_to_that_run(tmp_path: Path) -> None:
    cut = Cut(tmp_path)
    cut.check(0)
    cut.bucket.time += timedelta(minutes=11)
    assert cut.bucket.rolled() == list("cdef")
    with pytest.raises(LeaseLost, match="the run cut has no lease on 'b' any more"):
        cut.check(1)
    with pytest.raises(LeaseLost):
        cut.end()
    assert sorted(cut.bucket.store.read_keys) == list("abcdef")


def test_the_last_step_that_dies_before_it_has_told_the_result_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Cut(tmp_path)
    for number in range(3):
        cut.check(number)
    first = end(cut.bucket.lake, cut.plan, cut.order.settings, cut.bucket.time)
    again = end(cut.bucket.lake, cut.plan, cut.order.settings, cut.bucket.time)
    assert first == again and first.registered == 6
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("fixity.rolling.roll.record_roll", killed)
        release(cut.bucket.lake, cut.plan, cut.bucket.time)
    release(cut.bucket.lake, cut.plan, cut.bucket.time)
    assert cut.bucket.due() == [] and not leases(cut.bucket.lake, BUCKET)


def test_a_check_that_ends_after_its_run_was_killed_while_keeping_is_not_called_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Cut(tmp_path)
    cut.check(0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("fixity.rolling.finish.fold_checks", killed)
        cut.end()
    cut.check(1)  # by a step of which nobody knew that it goes on
    rolled = end(cut.bucket.lake, cut.plan, cut.order.settings, cut.bucket.time)
    assert (rolled.objects, rolled.registered, rolled.not_reached) == (2, 2, 4)
    release(cut.bucket.lake, cut.plan, cut.bucket.time)
    assert cut.bucket.due() == list("cdef")
    assert cut.bucket.rolled() == list("cdef")


@pytest.mark.parametrize("look", ["first", "second"])
def test_a_step_that_fails_ends_its_reading_though_an_object_has_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    monkeypatch.setattr(importlib.import_module("fixity.rolling.heartbeat"), "_KEEP_SECONDS", 0.01)
    bucket = Rolling(tmp_path)
    bucket.store.rewrite("a", bytes(2 * 1024 * 1024), bucket.time)
    bucket.take_inventory()
    if look == "second":  # what differs from what the ledger knows is read again
        bucket.roll()
        bucket.store.damage("a")
    before = set(threading.enumerate())

    def threads_of_this() -> set[threading.Thread]:
        return set(threading.enumerate()) - before

    def endless(item: ListedObject, sink: Sink) -> None:
        bucket.over.update(f"r{number:05d}" for number in range(9))
        while True:
            sink.update(memoryview(b"piece"))

    name = {"first": "read", "second": "read_afresh"}[look]
    monkeypatch.setattr(bucket.store, name, endless)
    with pytest.raises(RunOver):
        bucket.roll(keys=["a"])
    until = time.monotonic() + 10
    while threads_of_this() and time.monotonic() < until:  # one may only be about to start, and end at once
        time.sleep(0.01)
    assert not threads_of_this()
