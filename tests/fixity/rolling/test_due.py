"""What is due, in which order, and how much of it makes a batch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import time, timedelta
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.buckets import ListedObject, Sink
from fixity.catalog import Window
from fixity.engines.stream import engine
from fixity.errors import NotInInventory
from fixity.ledger.clocks import redate
from fixity.rolling import Limits, Order, RollingRun, due_now
from fixity.tables import CHECKSUMS, Provenance
from tests.fixity.rolling.support import BEGIN, BUCKET, Archive, Rolling, keys_of, roll
from tests.fixity.support import keep_table

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def bucket(tmp_path: Path) -> Rolling:
    return Rolling(tmp_path)


def test_what_was_never_checked_comes_first_and_then_what_is_due_longest(bucket: Rolling) -> None:
    bucket.put("a", "b", "c")
    bucket.take_inventory()
    for key in ("c", "a", "b"):
        bucket.roll(keys=[key])
        bucket.time += DAY
    bucket.put("z")
    bucket.take_inventory()
    bucket.time += 90 * DAY
    assert bucket.due() == ["z", "c", "a", "b"]
    assert bucket.rolled(2) == ["c", "z"]  # a table is sorted by key
    assert bucket.due() == ["a", "b"]


def test_nothing_is_due_before_its_term_and_there_is_no_lower_bound(bucket: Rolling) -> None:
    bucket.put("a")
    bucket.take_inventory()
    bucket.roll()
    bucket.time += 90 * DAY - HOUR
    assert bucket.due() == []
    bucket.time += HOUR
    assert bucket.due() == ["a"]
    bucket.time += 5000 * DAY
    assert bucket.due() == ["a"]


def test_a_failed_check_is_made_again_soon_after_waits_that_grow_to_a_day(bucket: Rolling) -> None:
    bucket.put("a")
    bucket.take_inventory()
    bucket.store.unreadable = {"a"}
    for hours in (1, 2, 4, 8, 16, 24, 24, 24):
        assert bucket.roll().failed == 1
        bucket.time += (hours - 1) * HOUR
        assert bucket.due() == []
        bucket.time += HOUR
        assert bucket.due() == ["a"]
    bucket.store.unreadable = set()
    assert bucket.roll().succeeded == 1
    bucket.time += 89 * DAY
    assert bucket.due() == []


def test_a_read_of_the_sample_that_fails_is_made_again_soon_and_one_that_others_failed_is_not(
    bucket: Rolling,
) -> None:
    bucket.settings = replace(bucket.settings, is_rolled=False, sample=1 / 90)
    bucket.put("a", "b")
    bucket.take_inventory()
    bucket.store.unreadable = {"a"}
    assert bucket.roll(keys=["a"]).failed == 1
    failed = bucket.roll(keys=["a"])
    assert failed.file
    rows = bucket.ledger(failed).to_pylist()
    bucket.time += 2 * HOUR
    assert bucket.due() == ["a"]
    by_s3 = [row | {"evidence": "s3_batch", "checked_at": bucket.time, "run_id": "job"} for row in rows]
    schema = Provenance(BUCKET, "job", "i00001", bucket.time).attach(CHECKSUMS)
    keep_table(bucket.lake, f"checksums/{BUCKET}/job.parquet", pa.Table.from_pylist(by_s3, schema))
    bucket.time += 2 * HOUR
    assert bucket.due() == []


def test_objects_that_always_fail_do_not_keep_others_from_their_turn(bucket: Rolling) -> None:
    bad = [f"bad/{number}" for number in range(6)]
    bucket.put(*bad, *(f"good/{number}" for number in range(6)))
    bucket.take_inventory()
    bucket.store.unreadable = set(bad)
    read: set[str] = set()
    for _ in range(4):
        read.update(bucket.rolled(6))
        bucket.time += HOUR / 2
    assert len(read) == 12


def test_what_failed_is_a_fifth_of_a_batch_as_long_as_others_are_due(bucket: Rolling) -> None:
    bad, good = [f"bad/{number:02d}" for number in range(20)], [f"good/{number:02d}" for number in range(20)]
    bucket.put(*bad, *good)
    bucket.take_inventory()
    bucket.roll()
    bucket.store.unreadable = set(bad)
    bucket.time += 89 * DAY
    bucket.roll(keys=bad)
    bucket.time += DAY
    assert bucket.rolled(10) == [*bad[:2], *good[:8]]
    assert bucket.rolled(10) == [*bad[2:4], *good[8:16]]
    assert bucket.rolled(10) == [*bad[4:10], *good[16:]]
    assert bucket.rolled(10) == bad[10:]


def test_what_failed_is_a_fifth_of_a_batch_s_bytes_too(bucket: Rolling) -> None:
    for key in ("bad/1", "bad/2", "good/1", "good/2"):
        bucket.store.rewrite(key, bytes(100), bucket.time)
    bucket.take_inventory()
    bucket.roll()
    bucket.store.unreadable = {"bad/1", "bad/2"}
    bucket.time += 89 * DAY
    bucket.roll(keys=["bad/1", "bad/2"])
    bucket.time += DAY
    rolled = bucket.roll(size=300)
    assert keys_of(bucket.ledger(rolled)) == ["bad/1", "good/1", "good/2"]


def test_a_queue_that_has_room_for_a_part_of_what_is_due_is_made_anew_before_it_is_empty(
    bucket: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("fixity.ledger.fold_all", "fixity.ledger.refresh"):
        monkeypatch.setattr(import_module(module), "QUEUE_ROWS", 4)
    keys = [f"{number:02d}" for number in range(12)]
    bucket.put(*keys)
    bucket.take_inventory()
    assert [key for _ in range(6) for key in bucket.rolled(2)] == keys


def test_the_front_of_a_queue_is_the_same_whatever_was_checked_or_taken_since_it_was_folded(
    bucket: Rolling,
) -> None:
    bucket.put(*"abcdefghijkl")
    bucket.take_inventory()
    for keys in ("ab", "cd", "efg"):  # the others were never checked, and come first
        bucket.roll(keys=list(keys))
        bucket.time += HOUR
    bucket.take_inventory()
    bucket.time += 91 * DAY
    bucket.snapshot()
    bucket.roll(keys=["h", "k", "a"])
    bucket.store.unreadable = {"c"}
    assert bucket.roll(keys=["c"]).failed == 1
    bucket.time += HOUR
    due = "ijlbdefgc"  # it failed lately, and comes last
    snapshot = bucket.snapshot()
    assert len(snapshot.since(bucket.lake)) == 2
    with bucket.lake.workspace() as workspace:

        def front(items: int, *taken: Path) -> str:
            return "".join(
                keys_of(due_now(bucket.lake, snapshot, taken, bucket.time, Limits(items), workspace))
            )

        taken = workspace / "taken.parquet"
        everything = due_now(bucket.lake, snapshot, [], bucket.time, Limits(100), workspace)
        for count in (1, 8):
            pq.write_table(everything.slice(0, count), taken)
            assert [front(items) for items in (1, 5, 100)] == [due[:1], due[:5], due]
            assert [front(items, taken) for items in (1, 5)] == [due[count:][:1], due[count:][:5]]


def test_archived_objects_are_left_out_with_the_reason(bucket: Rolling) -> None:
    bucket.put("a")
    for storage_class in ("GLACIER", "DEEP_ARCHIVE", "GLACIER_IR"):
        item, body = bucket.store.objects["a", None]
        values = {name: getattr(item, name) for name in ListedObject.__slots__}
        values |= {"key": storage_class, "storage_class": storage_class}
        bucket.store.objects[storage_class, None] = ListedObject(**values), body
    bucket.take_inventory()
    assert bucket.due() == ["GLACIER_IR", "a"]
    objects = pq.read_table(bucket.folder / bucket.snapshot().names("objects")[0]).to_pylist()
    assert {row["key"]: row["left_out"] for row in objects} == {
        "DEEP_ARCHIVE": "archived", "GLACIER": "archived", "GLACIER_IR": None, "a": None
    }  # fmt: skip


def test_a_batch_takes_the_front_of_the_queue_as_far_as_bytes_and_budget_allow(bucket: Rolling) -> None:
    for key, size in (("a", 10), ("b", 1000), ("c", 10)):
        bucket.store.rewrite(key, b"x" * size, bucket.time)
    bucket.take_inventory()
    first = bucket.roll(size=100)
    assert (first.objects, first.cut_short) == (1, "batch_bytes allows 100 B")
    alone = bucket.roll(size=100)  # larger than the limit: by itself, and not passed over
    assert (alone.bytes_read, alone.objects) == (1000, 1)
    read = 10 + 1000
    none = bucket.roll(budget=read + 9)
    assert none.cut_short == "1 objects are larger than the 9 B that monthly_egress leaves for now"
    assert bucket.due() == ["c"]
    last = bucket.roll(budget=read + 10)
    assert (last.objects, last.cut_short) == (1, None)
    assert any("0 objects are taken" in said and "monthly_egress" in said for said in bucket.said)


def test_a_clock_that_jumps_back_loses_no_object_from_the_queue(bucket: Rolling) -> None:
    bucket.put("a", "b")
    bucket.take_inventory()
    begin = bucket.time
    bucket.roll(keys=["a"])
    bucket.time = begin + 4000 * DAY  # a clock gone wrong
    assert sorted(bucket.due()) == ["a", "b"]
    bucket.roll(keys=["b"])
    bucket.time = begin + DAY
    list(redate(bucket.lake, BUCKET, bucket.time))
    assert bucket.due() == []  # it was checked by now at the latest
    bucket.time += 89 * DAY
    assert bucket.due() == ["a"]
    bucket.time += DAY
    bucket.take_inventory()
    assert bucket.due() == ["a", "b"]
    assert not bucket.damaged()


def test_what_is_larger_than_the_whole_budget_is_left_out_with_the_reason_and_holds_up_nothing(
    bucket: Rolling,
) -> None:
    bucket.store.rewrite("a", bytes(1000), bucket.time)
    bucket.put("b", "c")
    bucket.take_inventory()
    rolled = bucket.roll(budget=100)
    assert keys_of(bucket.ledger(rolled)) == ["b", "c"]
    assert rolled.cut_short == "1 objects are larger than all of monthly_egress and are never read within it"


def test_an_object_taken_by_a_batch_that_outlasts_its_interval_is_not_taken_again_and_newer_ones_move(
    tmp_path: Path,
) -> None:
    bucket = Rolling(tmp_path)
    slow = Slow()
    bucket.store = slow
    bucket.put("b", "c", "d", "e")
    slow.rewrite("a-slow", bytes(5 * 1024**2), bucket.time)
    bucket.take_inventory()
    order = Order(BUCKET, bucket.settings, Limits(2), interval=0.05)
    slow.until = lambda: {"b", "c", "d", "e"} <= set(slow.read_keys)
    rolled = roll(order, RollingRun(slow, bucket.lake, "run", 2, bucket.said.append, bucket.now))
    assert rolled.succeeded == 5
    assert sorted(slow.read_keys) == ["a-slow", "b", "c", "d", "e"]
    assert any("longer than its interval" in said for said in bucket.said)
    assert keys_of(bucket.ledger(rolled)) == ["a-slow", "b", "c", "d", "e"]


def test_a_run_that_cannot_keep_up_ends_and_leaves_the_rest_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("fixity.rolling.batches"), "_MOST_BATCHES", 2)
    bucket = Rolling(tmp_path)
    slow = Slow()
    bucket.store = slow
    bucket.put("b", "c", "d", "e")
    slow.rewrite("a-slow", bytes(5 * 1024**2), bucket.time)
    bucket.take_inventory()
    order = Order(BUCKET, bucket.settings, Limits(2), interval=0.05)
    slow.until = lambda: len(slow.read_keys) >= 3
    assert roll(order, RollingRun(slow, bucket.lake, "run", 2, bucket.said.append, bucket.now)).succeeded == 4
    assert (
        roll(order, RollingRun(slow, bucket.lake, "next", 2, bucket.said.append, bucket.now)).succeeded == 1
    )


class Slow(Archive):
    """The object `a-slow` takes until something has happened."""

    def __init__(self) -> None:
        super().__init__()
        self.until: Callable[[], bool] = lambda: True

    def read(self, item: ListedObject, sink: Sink) -> None:
        pause = threading.Event()
        for _ in range(1000):
            if item.key != "a-slow" or self.until():
                break
            pause.wait(0.01)
        super().read(item, sink)


def test_one_identifier_is_checked_by_hand_whether_due_or_not(bucket: Rolling) -> None:
    bucket.put("a", "b")
    bucket.take_inventory()
    bucket.roll()
    assert bucket.roll(keys=["b"]).objects == 1
    with pytest.raises(NotInInventory, match="the newest inventory of 'b' has no 'c': if it is new, list"):
        bucket.roll(keys=["c"])
    assert bucket.rolled() == []


def test_outside_its_window_nothing_is_read_and_at_its_end_no_object_is_begun(
    bucket: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.window = Window(time(20), time(6))
    bucket.put(*"abcdef")
    bucket.take_inventory()
    bucket.time += 19 * HOUR + timedelta(minutes=59)
    none = bucket.roll()
    assert (none.objects, none.cut_short) == (0, "the policy's window is 20:00-06:00 UTC")
    assert bucket.roll(keys=["a"]).objects == 1  # a person has named it
    monkeypatch.setattr(bucket.store, "read", _taking(bucket, 4 * HOUR))
    monkeypatch.setattr(engine, "_BATCH", 1)
    bucket.time += timedelta(minutes=1)
    # Of what the first two hours began, all is read to its end; what the window left is due the next evening.
    checked = bucket.roll(threads=1).objects
    assert 1 <= checked < 5 and not bucket.window.is_open(bucket.time)
    bucket.time = BEGIN + 20 * HOUR + DAY
    assert len(bucket.due()) == 5 - checked


def _taking(bucket: Rolling, length: timedelta) -> Callable[[ListedObject, Sink], None]:
    read = bucket.store.read

    def slowly(item: ListedObject, sink: Sink) -> None:
        bucket.time += length
        read(item, sink)

    return slowly
