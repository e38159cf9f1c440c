"""The second look: what differs is read again, whole, and only two equal reads are damage."""

from __future__ import annotations

import hashlib
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from devstack.faults import CorruptBytes
from devstack.faulty_proxy import FaultyProxy
from fixity.buckets import (
    BucketReader,
    BucketUnreachable,
    ListedObject,
    ObjectSkipped,
    ObjectUnreadable,
    Sink,
)
from fixity.catalog import Bucket, SecondLook
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Reading, hash_shard, make_plan
from fixity.lake import LocalLake
from fixity.ledger.damage import known_damage
from fixity.ledger.expected import expected_by_ledger
from fixity.ledger.fold import settings_of
from tests.conftest import MakeBucket
from tests.fixity.support import Unsteady, flipped, s3_store, sha256, take_inventory

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = Bucket(name="b")
AWAY = BucketUnreachable("the cable is out", final=False)


def run(
    lake: LocalLake,
    store: BucketReader,
    run_id: str,
    resumes: bool = False,
    **reading: Any,
) -> dict[str, dict[str, Any]]:
    """Check all objects, as a run does that knows the ledger; its rows by key."""
    scratch = f"scratch/{run_id}/"
    with lake.workspace() as workspace:
        own = f"{scratch}objects.parquet"
        if not resumes:
            inventory = lake.fetch(take_inventory(store, lake, "b", run_id).file, workspace)
            lake.put(own, expected_by_ledger(lake, BUCKET, inventory, run_id, workspace))
        plan = make_plan(own, lake.fetch(own, workspace), "SHA256")
        for shard in plan.shards:
            hash_shard(Reading(store, 3, **reading), lake, scratch, plan, shard, run_id)
        kept = keep_checksums(lake, scratch, plan, "b", run_id)
        return {row["key"]: row for row in pq.read_table(lake.fetch(kept.file, workspace)).to_pylist()}


def damaged(lake: LocalLake) -> list[tuple[str, bool]]:
    """The damaged objects, each with whether it was not looked at twice."""
    with lake.workspace() as workspace:
        found = known_damage(lake, "b", settings_of(BUCKET), workspace)
        return [(each.key, each.suspect) for each in found]


def brief(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("status", "verdict", "reads", "error_code"))


RIGHT = ("succeeded", "matched", 1, None)


@pytest.fixture
def lake(tmp_path: Path) -> LocalLake:
    return LocalLake(tmp_path / "lake")


def filled(lake: LocalLake, count: int = 5) -> Unsteady:
    """Objects of which the ledger knows the checksums."""
    store = Unsteady()
    for number in range(count):
        store.put(f"k{number:03}", b"content %d" % number)
    run(lake, store, "first")
    assert store.afresh == []
    store.read_keys = []
    return store


def body(store: Unsteady, key: str) -> bytes:
    return store.objects[key, None][1]


def test_a_bit_that_flips_in_one_read_is_no_damage(lake: LocalLake) -> None:
    store = filled(lake, 200)
    keys = [key for key, _ in store.objects]
    store.answers = {key: [flipped(body(store, key))] for key in keys}
    rows = run(lake, store, "second")
    assert {brief(row) for row in rows.values()} == {("succeeded", "matched", 2, "UnstableRead")}
    assert [row["checksum"] for row in rows.values()] == [sha256(body(store, key)) for key in keys]
    assert sha256(flipped(body(store, "k007"))) in rows["k007"]["error_message"]
    assert sorted(store.afresh) == keys and len(store.read_keys) == 400
    assert damaged(lake) == []
    # Afterwards nothing is known of it any more: the next run reads once.
    assert {brief(row) for row in run(lake, store, "third").values()} == {RIGHT}


def test_bytes_that_are_wrong_twice_are_damage_and_have_their_md5(lake: LocalLake) -> None:
    store = filled(lake)
    wrong = flipped(body(store, "k001"))
    store.answers = {"k001": [wrong, wrong]}
    rows = run(lake, store, "second")
    row = rows.pop("k001")
    assert brief(row) == ("succeeded", "differs", 2, None)
    assert (row["checksum"], row["bytes_read"]) == (sha256(wrong), 2 * len(wrong))
    assert row["other_checksums"] == [("MD5", hashlib.md5(wrong).hexdigest())]
    assert {brief(row) for row in rows.values()} == {RIGHT}
    assert damaged(lake) == [("k001", False)]
    # Known damage is looked at twice again.
    store.answers = {"k001": [wrong, wrong]}
    assert brief(run(lake, store, "third")["k001"]) == ("succeeded", "differs", 2, None)


def test_where_etags_are_no_md5s_none_is_computed(lake: LocalLake) -> None:
    store = filled(lake)
    wrong = flipped(body(store, "k001"))
    store.answers = {"k001": [wrong, wrong]}
    assert run(lake, store, "second", etag_is_md5=False)["k001"]["other_checksums"] is None


# What a read may give: the right bytes, wrong ones of two kinds, or an error.
READS = ("right", "wrong", "other", "broken", "changed")
CODES = {"broken": "ReadError", "changed": "ChangedSinceListed"}


def test_only_two_equal_wrong_reads_are_damage_whatever_two_reads_give(lake: LocalLake) -> None:
    reads = list(product(READS, READS))
    store = filled(lake, len(reads))
    for (key, _), answers in zip(list(store.objects), reads, strict=True):
        given: dict[str, bytes | Exception] = {
            "right": body(store, key),
            "wrong": flipped(body(store, key), 0),
            "other": flipped(body(store, key), 1),
            "broken": ObjectUnreadable("ReadError", "the disk is broken"),
            "changed": ObjectSkipped("ChangedSinceListed", "it was overwritten"),
        }
        store.answers[key] = [given[each] for each in answers]
    rows = run(lake, store, "second")
    for row, (first, second) in zip(rows.values(), reads, strict=True):
        found = (row["reads"], row["verdict"], row["error_code"])
        if first not in ("wrong", "other"):  # no second look
            verdict = "matched" if first == "right" else "not_compared"
            assert found == (1, verdict, CODES.get(first))
        elif second in CODES:  # no bytes, so no mismatch
            assert found == (2, "not_compared", CODES[second])
            assert row["bytes_read"] == len(body(store, row["key"]))
        elif first == second:
            assert found == (2, "differs", None)
        elif second == "right":
            assert found == (2, "matched", "UnstableRead") and row["status"] == "succeeded"
        else:
            assert found == (2, "not_compared", "UnstableRead") and row["status"] == "failed"
            for each in (body(store, row["key"]), *(flipped(body(store, row["key"]), bit) for bit in (0, 1))):
                assert sha256(each) in row["error_message"]
    alike = [("wrong", "wrong"), ("other", "other")]
    assert damaged(lake) == [(key, False) for key, each in zip(rows, reads, strict=True) if each in alike]


@pytest.mark.parametrize(("limits", "twice"), [(SecondLook(objects=3), 3), (SecondLook(bytes=25), 2)])
def test_what_is_beyond_the_limit_of_a_run_is_said_to_be_a_suspect(
    lake: LocalLake, limits: SecondLook, twice: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.engines.stream.pace.SHARD_OBJECTS", 4)
    monkeypatch.setattr("fixity.engines.stream.shards.PART_OBJECTS", 2)
    store = filled(lake, 10)
    for key, _ in list(store.objects):
        store.answers[key] = [flipped(body(store, key))] * 2
    rows = list(run(lake, store, "second", second_look=limits).values())
    assert [row["reads"] for row in rows].count(2) == len(store.afresh) == twice
    assert {row["verdict"] for row in rows} == {"differs"}
    for row in rows:
        said = row["error_message"] or ""
        assert said.startswith("suspect, not looked at twice: `second_look`") == (row["reads"] == 1)
    assert [suspect for _, suspect in damaged(lake)].count(False) == twice


def test_a_bucket_that_goes_away_before_the_second_look_leaves_no_suspect_in_the_run(
    lake: LocalLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.engines.stream.shards.PART_OBJECTS", 4)
    store = filled(lake, 12)
    store.answers = {
        "k001": [flipped(body(store, "k001")), AWAY],
        "k005": [flipped(body(store, "k005"))],
        "k006": [flipped(body(store, "k006")), None],
    }
    with pytest.raises(BucketUnreachable):
        run(lake, store, "second")
    store.read_keys = []
    rows = run(lake, store, "second", resumes=True)
    assert {row["verdict"] for row in rows.values()} == {"matched"}
    assert "k001" in store.read_keys and {"k000", "k002", "k003"}.isdisjoint(store.read_keys)


def test_the_second_read_of_a_large_object_is_whole_and_not_from_a_state_that_was_kept(
    lake: LocalLake, tmp_path: Path
) -> None:
    class Counted(Unsteady):
        began: list[int]

        def read(self, item: ListedObject, sink: Sink) -> None:
            self.began.append(sink.count)
            super().read(item, sink)

    store = Counted()
    store.began = []
    mib = 1024**2
    store.put("film", bytes(3 * mib))
    run(lake, store, "first", chunk_size=mib)
    store.answers = {"film": [flipped(bytes(3 * mib)), None]}
    row = run(lake, store, "second", chunk_size=mib)["film"]
    assert brief(row) == ("succeeded", "matched", 2, "UnstableRead")
    assert store.began == [0, 0, 0]


def test_on_a_real_server_the_second_read_uses_a_connection_that_no_first_read_used(
    lake: LocalLake, s3: S3Client, make_bucket: MakeBucket, faulty_proxy: FaultyProxy
) -> None:
    bucket = make_bucket()
    for key in ("a", "b", "c", "d"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode() * 1000)
    store = s3_store(faulty_proxy.endpoint_url, bucket)
    run(lake, store, "first")
    faulty_proxy.fault(CorruptBytes(100), key="b")
    faulty_proxy.fault(CorruptBytes(100, times=2), key="c")
    rows = run(lake, store, "second")
    assert {key: brief(row) for key, row in rows.items()} == {
        "a": RIGHT,
        "b": ("succeeded", "matched", 2, "UnstableRead"),
        "c": ("succeeded", "differs", 2, None),
        "d": RIGHT,
    }
    assert damaged(lake) == [("c", False)]
    assert [len(faulty_proxy.gets(key)) for key in ("b", "c")] == [3, 3]
    seconds = [faulty_proxy.gets(key)[-1] for key in ("b", "c")]
    firsts = [get for get in faulty_proxy.gets() if all(get is not each for each in seconds)]
    assert {get.port for get in seconds}.isdisjoint(get.port for get in firsts)
