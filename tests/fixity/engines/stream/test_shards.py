"""Shards and parts: all rows once, and nothing read twice after an interruption."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from fixity.buckets import BucketUnreachable, ListedObject, ObjectUnreadable, Sink
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Plan, Progress, Reading, Shard, cut, hash_shard, make_plan
from fixity.errors import AnotherPlace
from fixity.lake import Lake, LocalLake
from fixity.ledger.inventory import Inventory
from tests.conftest import MakeBucket
from tests.fixity.engines.stream.shards_support import filled, rows
from tests.fixity.support import (
    NOON,
    MemoryStore,
    check_inventory,
    plan_of,
    s3_store,
    sha256,
    take_inventory,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REPOSITORY = Path(__file__).resolve().parents[4]


def test_a_plan_is_of_the_place_that_was_listed_and_of_no_other(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    unknown = plan_of(lake, take_inventory(MemoryStore(), lake, "b", "r1"))
    unknown.refuse_elsewhere("b", "anywhere")
    taken = take_inventory(MemoryStore(), lake, "b", "r2", place="s3://x/ at AWS, all versions")
    plan = plan_of(lake, taken)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    again.refuse_elsewhere("b", "s3://x/ at AWS, all versions")
    with pytest.raises(AnotherPlace, match=r"b was listed at s3://x/ at AWS, .*says s3://y/.*inventory\[b\]"):
        again.refuse_elsewhere("b", "s3://y/ at AWS, all versions")


@given(
    st.lists(st.integers(0, 100), max_size=60),
    st.integers(1, 10),
    st.integers(1, 250),
    st.integers(0, 1000),
)
def test_a_cut_covers_all_rows_in_order_and_keeps_within_the_limits(
    sizes: list[int], objects: int, size: int, first: int
) -> None:
    pieces = list(cut(iter(sizes), objects, size, first))
    place = first
    for piece in pieces:
        inside = sizes[piece.first - first : piece.first - first + piece.objects]
        assert piece.first == place
        assert (piece.objects, piece.size) == (len(inside), sum(inside))
        assert 1 <= piece.objects <= objects
        assert piece.size <= size or piece.objects == 1
        place += piece.objects
    assert place == first + len(sizes)
    for one, following in pairwise(pieces):  # and no more pieces than needed
        assert one.objects == objects or one.size + sizes[following.first - first] > size


def test_a_plan_is_kept_as_text_and_read_back(lake: Lake) -> None:
    store = MemoryStore()
    for number in range(7):
        store.put(f"k{number}", bytes(number))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.engines.stream.pace.SHARD_OBJECTS", 3)
        plan = plan_of(lake, take_inventory(store, lake, "b", "r1"), "CRC64NVME")
    assert plan.shards == [Shard(0, 3, 3), Shard(3, 3, 12), Shard(6, 1, 6)]
    assert (plan.objects, plan.size, plan.algorithm) == (7, 21, "CRC64NVME")
    assert Plan.from_json(plan.to_json()) == plan


class Interrupted(MemoryStore):
    """Becomes unreachable at the `at`th object."""

    at: int | None = None

    def read(self, item: ListedObject, sink: Sink) -> None:
        if self.at is not None and len(self.read_keys) >= self.at:
            raise BucketUnreachable("the cable is out", final=False)
        super().read(item, sink)


@pytest.mark.parametrize("at", [0, 1, 5, 17, 33, 39])
@pytest.mark.parametrize("threads", [1, 4])
def test_a_run_of_an_unreachable_bucket_keeps_what_it_read_and_goes_on_there(
    lake: Lake, small_parts: None, at: int, threads: int
) -> None:
    store = Interrupted()
    filled(store)
    inventory = take_inventory(store, lake, "b", "i")
    store.at = at
    with pytest.raises(BucketUnreachable):
        check_inventory(store, lake, inventory, "r", threads=threads)
    done = set(store.read_keys)
    assert at <= len(done) < at + threads
    store.at, store.read_keys = None, []
    kept = check_inventory(store, lake, inventory, "r", threads=1)
    assert done.isdisjoint(store.read_keys)
    assert len(store.read_keys) == 40 - len(done)
    assert [row["checksum"] for row in rows(lake, kept.file)] == [
        sha256(b"%d" % number * number) for number in range(40)
    ]


class Lost(MemoryStore):
    """Refuses what begins at the `at`th object, and is unreachable after three refusals."""

    at: int | None = None
    refused = 0

    def read(self, item: ListedObject, sink: Sink) -> None:
        if self.at is not None and len(self.read_keys) >= self.at:
            self.refused += 1
            if self.refused == 3:
                raise BucketUnreachable("the rights were lost")
            raise ObjectUnreadable("AccessDenied", "no")
        super().read(item, sink)


@pytest.mark.parametrize("at", [1, 3, 4, 5, 11])
def test_what_was_refused_because_rights_were_lost_is_read_by_the_run_that_goes_on(
    lake: Lake, small_parts: None, at: int
) -> None:
    store = Lost()
    filled(store)
    plan = plan_of(lake, take_inventory(store, lake, "b", "i"))
    store.at = at
    for shard in plan.shards:  # the second sends no request
        with pytest.raises(BucketUnreachable, match="the rights were lost"):
            hash_shard(Reading(store, 1), lake, "scratch/r/", plan, shard, "r")
    assert (store.refused, len(store.read_keys)) == (3, at)
    store.at = None
    for shard in plan.shards:
        hash_shard(Reading(store, 1), lake, "scratch/r/", plan, shard, "again")
    assert store.read_keys == [f"k{number:02}" for number in range(40)]
    kept = keep_checksums(lake, "scratch/r/", plan, "b", "again")
    assert (kept.succeeded, kept.failed) == (40, 0)


def test_what_was_finished_counts_as_progress_of_the_run_that_goes_on(
    tmp_path: Path, small_parts: None
) -> None:
    lake = LocalLake(tmp_path)
    store = Interrupted()
    filled(store, 30)
    plan = plan_of(lake, take_inventory(store, lake, "b", "i"))
    store.at = 25
    with pytest.raises(BucketUnreachable):
        hash_shard(Reading(store, 1), lake, "scratch/r/", plan, plan.shards[0], "r")
    finished = len(lake.list("scratch/r/parts/")) * 5
    assert finished > 0
    store.at = None
    told: list[Progress] = []
    hash_shard(Reading(store, 1, progress=told.append), lake, "scratch/r/", plan, plan.shards[0], "r")
    assert [each.objects for each in told] == list(range(finished, 31))
    last = told[-1]
    assert (last.size, last.of_objects, last.of_size) == (plan.size, 30, plan.size)


@settings(max_examples=15)
@given(st.lists(st.integers(0, 40), max_size=50), st.integers(1, 6), st.integers(1, 9), st.integers(20, 90))
def test_the_table_is_the_same_for_any_number_of_threads_and_any_cut(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], threads: int, objects: int, size: int
) -> None:
    lake = LocalLake(tmp_path_factory.mktemp("lake"))
    store = MemoryStore()
    for number, each in enumerate(sizes):
        store.put(f"k{number:03}", bytes([number]) * each)
    inventory = take_inventory(store, lake, "b", "i")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.engines.stream.pace.SHARD_OBJECTS", objects * 3)
        patch.setattr("fixity.engines.stream.shards.PART_OBJECTS", objects)
        patch.setattr("fixity.engines.stream.shards.PART_BYTES", size)
        kept = check_inventory(store, lake, inventory, "r", threads=threads)
    assert [(row["key"], row["checksum"], row["bytes_read"]) for row in rows(lake, kept.file)] == [
        (f"k{number:03}", sha256(bytes([number]) * each), each) for number, each in enumerate(sizes)
    ]
    assert (kept.objects, kept.bytes_read) == (len(sizes), sum(sizes))


def test_shards_that_cross_row_groups_read_their_own_rows(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    store = filled(MemoryStore(), 23)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.lake.writer.ROW_GROUP_ROWS", 4)
        patch.setattr("fixity.engines.stream.pace.SHARD_OBJECTS", 7)
        inventory = take_inventory(store, lake, "b", "i")
        with lake.workspace() as workspace:
            assert pq.read_metadata(lake.fetch(inventory.file, workspace)).num_row_groups > 3
        kept = check_inventory(store, lake, inventory, "r")
    assert [row["key"] for row in rows(lake, kept.file)] == [f"k{number:02}" for number in range(23)]


def test_shards_may_be_hashed_in_any_order(tmp_path: Path, small_parts: None) -> None:
    lake = LocalLake(tmp_path)
    store = filled(MemoryStore())
    plan = plan_of(lake, take_inventory(store, lake, "b", "i"))
    for shard in reversed(plan.shards):
        hash_shard(Reading(store, 2, now=lambda: NOON), lake, "scratch/r/", plan, shard, "r")
    kept = keep_checksums(lake, "scratch/r/", plan, "b", "r")
    checked = rows(lake, kept.file)
    assert [row["key"] for row in checked] == [f"k{number:02}" for number in range(40)]
    assert {(row["algorithm"], row["checksum_type"], row["evidence"], row["run_id"]) for row in checked} == {
        ("SHA256", "FULL_OBJECT", "streamed", "r")
    }


# --- over the wire --------------------------------------------------------------------------------


@pytest.fixture
def listed_bucket(
    s3: S3Client, make_bucket: MakeBucket, faulty_proxy: FaultyProxy, tmp_path: Path
) -> tuple[str, LocalLake, Inventory]:
    """A bucket of twenty objects behind the proxy, with its inventory."""
    name = make_bucket()
    for number in range(20):
        s3.put_object(Bucket=name, Key=f"k{number:02}", Body=b"%d" % number)
    lake = LocalLake(tmp_path / "lake")
    return name, lake, take_inventory(s3_store(faulty_proxy.endpoint_url, name), lake, "b", "i")


def test_after_a_store_went_down_only_what_was_not_kept_is_asked_for_again(
    faulty_proxy: FaultyProxy, listed_bucket: tuple[str, LocalLake, Inventory], small_parts: None
) -> None:
    name, lake, inventory = listed_bucket
    store = s3_store(faulty_proxy.endpoint_url, name)
    faulty_proxy.fault(faults.HangUpBeforeAnswer(times=None), key="k17")
    faulty_proxy.fault(faults.HangUpBeforeAnswer(times=None), listing=True)
    with pytest.raises(BucketUnreachable):
        check_inventory(store, lake, inventory, "r", threads=1)
    kept = {f"k{first + number:02}" for first in (0, 5) for number in range(5)}
    first = [Path(part.name).stem.split("-")[0] for part in lake.list("scratch/r/parts/")]
    assert first[:2] == ["000000000000", "000000000005"]
    faulty_proxy.forget()
    done = check_inventory(store, lake, inventory, "r", threads=2)
    assert kept.isdisjoint(get.key for get in faulty_proxy.gets())
    assert (done.succeeded, done.failed, done.skipped) == (20, 0, 0)


_RUN = """
import sys
from pathlib import Path

import fixity.engines.stream.shards
from fixity.ledger.inventory import Inventory
from fixity.lake import LocalLake
from tests.fixity.support import NOON, check_inventory, s3_store

fixity.engines.stream.shards.PART_OBJECTS = 5
endpoint_url, bucket, lake, file = sys.argv[1:]
inventory = Inventory(file, 20, 0, 0, NOON)
check_inventory(s3_store(endpoint_url, bucket), LocalLake(Path(lake)), inventory, "r", threads=1)
"""


def test_a_run_that_was_killed_goes_on_after_its_last_part(
    faulty_proxy: FaultyProxy,
    listed_bucket: tuple[str, LocalLake, Inventory],
    small_parts: None,
    tmp_path: Path,
) -> None:
    name, lake, inventory = listed_bucket
    stall = faults.Stall(times=None)
    faulty_proxy.fault(stall, key="k16")
    command = [
        sys.executable,
        "-c",
        _RUN,
        faulty_proxy.endpoint_url,
        name,
        str(tmp_path / "lake"),
        inventory.file,
    ]
    with subprocess.Popen(command, cwd=REPOSITORY, env={"PYTHONPATH": str(REPOSITORY)}) as process:
        assert stall.reached.wait(timeout=60)
        # The checks of the sixteen objects before were handed over eight at a time: three parts are
        # full. The third is being kept while the reader waits, so this waits for the file, and for it alone.
        while len(lake.list("scratch/r/parts/")) < 3:
            assert process.poll() is None
        process.kill()
    assert process.returncode == -9
    faulty_proxy.forget()
    done = check_inventory(s3_store(faulty_proxy.endpoint_url, name), lake, inventory, "r")
    assert sorted(get.key for get in faulty_proxy.gets()) == [f"k{number}" for number in range(15, 20)]
    assert [row["checksum"] for row in rows(lake, done.file)] == [sha256(b"%d" % n) for n in range(20)]


def test_a_plan_of_an_empty_inventory_is_an_empty_table(lake: Lake) -> None:
    inventory = take_inventory(MemoryStore(), lake, "b", "i")
    with lake.workspace() as workspace:
        plan = make_plan(inventory.file, lake.fetch(inventory.file, workspace), "SHA256")
    assert (plan.shards, plan.objects, plan.size) == ([], 0, 0)
    assert check_inventory(MemoryStore(), lake, inventory, "r").objects == 0


def test_parts_of_another_inventory_of_the_same_run_are_never_taken_for_this_one_s(
    tmp_path: Path, small_parts: None
) -> None:
    lake = LocalLake(tmp_path)
    store = Interrupted()
    filled(store, 10)
    older = plan_of(lake, take_inventory(store, lake, "b", "older"))
    hash_shard(Reading(store, 1), lake, "scratch/r/", older, older.shards[0], "r")
    store.put("0 new", b"in front of all others")
    newer = take_inventory(store, lake, "b", "newer")
    kept = check_inventory(store, lake, newer, "r", threads=1)  # both have the scratch of one run
    assert next(row["key"] for row in rows(lake, kept.file)) == "0 new"
    assert all(row["status"] == "succeeded" for row in rows(lake, kept.file))
