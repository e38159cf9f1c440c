"""Inventories: all that a bucket holds, in order, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import SeaweedFS
from devstack.stub_s3 import StubS3
from devstack.stub_s3_bucket import Bucket
from fixity.buckets import BucketReader, BucketUnreachable
from fixity.lake import Lake, LocalLake
from fixity.ledger.inventory import EXCLUDED
from fixity.tables import INVENTORY, Provenance
from tests.conftest import MakeBucket
from tests.fixity.support import NOON, MemoryStore, s3_store, take_inventory

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def table(lake: Lake, name: str) -> pa.Table:
    with lake.workspace() as workspace:
        return pq.read_table(lake.fetch(name, workspace))


def test_an_inventory_is_kept_with_its_counts_and_where_it_comes_from(lake: Lake) -> None:
    store = MemoryStore()
    for number in range(10):
        store.put(f"k{number}", bytes(number))
    told: list[int] = []
    taken = take_inventory(store, lake, "b", "r1", progress=told.append, now=lambda: NOON)
    assert (taken.file, taken.objects, taken.size) == ("inventory/b/r1.parquet", 10, 45)
    assert (taken.listed_at, told) == (NOON, [3, 6, 9, 10])
    kept = table(lake, taken.file)
    assert kept.schema.names == INVENTORY.names
    assert kept.column("key").to_pylist() == [f"k{number}" for number in range(10)]
    with lake.workspace() as workspace:
        assert Provenance.read(lake.fetch(taken.file, workspace)) == Provenance("b", "r1", "r1", NOON)


def test_excluded_keys_are_left_out_by_pattern_and_counted(lake: Lake) -> None:
    store = MemoryStore()
    left_out = ["a.tmp", "deep/b.tmp", "x[1]", "new\nline.tmp"]
    for key in (*left_out, "keep.txt", "A.TMP", ".tmp/x", "x1", "a.tmp2"):
        store.put(key, b"12")
    taken = take_inventory(store, lake, "b", "r1", exclude=("*.tmp", "x[[]1]"))
    assert (taken.objects, taken.size, taken.excluded) == (5, 10, 4)
    kept = table(lake, taken.file)
    assert kept.column("key").to_pylist() == [".tmp/x", "A.TMP", "a.tmp2", "keep.txt", "x1"]
    assert kept.schema.metadata[EXCLUDED.encode()] == b"4"
    assert take_inventory(store, lake, "b", "r2").excluded == 0


def test_an_empty_bucket_has_an_inventory_without_rows(lake: Lake) -> None:
    taken = take_inventory(MemoryStore(), lake, "b", "r1")
    assert (taken.objects, taken.size, table(lake, taken.file).num_rows) == (0, 0, 0)


def test_a_listing_by_directory_still_gives_a_table_in_the_order_of_keys(
    seaweedfs: SeaweedFS, s3: S3Client, make_bucket: MakeBucket, lake: Lake
) -> None:
    name = make_bucket()
    keys = ["a/x", "a.b", "a-1", "a/z/1", "a/z.1", "Z", "é", "aa", "a b"]
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=b"")
    store = s3_store(seaweedfs.endpoint_url, name)
    as_listed = [key for batch in store.list_objects() for key in batch.column("key").to_pylist()]
    assert as_listed != sorted(keys), "the server lists in order now: this test shows nothing any more"
    taken = take_inventory(store, lake, "b", "r1")
    assert table(lake, taken.file).column("key").to_pylist() == sorted(keys, key=str.encode)


def test_versions_are_in_the_order_of_their_ids_below_each_key(stub_s3: StubS3, lake: Lake) -> None:
    for version in ("m", "z", "a", None):
        stub_s3.put("v", "k", b"", version_id=version)
    stub_s3.put("v", "j", b"", version_id="x")
    taken = take_inventory(s3_store(stub_s3.endpoint_url, "v", versions=True), lake, "b", "r1")
    kept = table(lake, taken.file)
    assert list(zip(*(kept.column(name).to_pylist() for name in ("key", "version_id")), strict=True)) == [
        ("j", "x"), ("k", "a"), ("k", "m"), ("k", "null"), ("k", "z")
    ]  # fmt: skip
    assert kept.column("is_latest").to_pylist() == [True, False, False, True, False]


def _begun_after(server: StubS3) -> set[str]:
    """The keys after which ranges of listings began, since the last call."""
    queries = [parse_qs(request.query) for request in server.requests]
    server.requests.clear()
    return {query["start-after"][0] for query in queries if "start-after" in query}


def test_the_second_listing_is_cut_where_the_first_was_long_and_gives_the_same_table(
    stub_s3: StubS3, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.buckets.s3.reader._PAGE", 2)
    monkeypatch.setattr("fixity.ledger.cuts._PAGE", 5)
    for number in range(19):
        stub_s3.put("b", f"k{number:02d}", b"")
    store = s3_store(stub_s3.endpoint_url, "b", prefix="k")
    first = take_inventory(store, lake, "b", "r1", place="here")
    assert _begun_after(stub_s3) == set()
    second = take_inventory(store, lake, "b", "r2", place="here")
    assert _begun_after(stub_s3) == {"k03", "k07", "k11", "k15"}
    assert table(lake, second.file).equals(table(lake, first.file))
    take_inventory(store, lake, "b", "r3", place="elsewhere")
    assert _begun_after(stub_s3) == set()


def test_the_first_listing_is_cut_where_keys_differ_once_it_is_long(
    stub_s3: StubS3, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.buckets.s3.reader._PAGE", 2)
    monkeypatch.setattr("fixity.buckets.s3.reader._MANY", 4)
    for number in range(8):
        stub_s3.put("b", f"k{number:02d}", b"")
    store = s3_store(stub_s3.endpoint_url, "b")
    take_inventory(store, lake, "b", "r1", place="here")
    assert _begun_after(stub_s3) == set()
    for number in range(8, 40):
        stub_s3.put("b", f"k{number:02d}", b"")
    found = take_inventory(store, lake, "b", "r2", place="elsewhere")
    assert {"k1", "k2", "k3", "k4"} <= _begun_after(stub_s3)
    assert table(lake, found.file).column("key").to_pylist() == [f"k{number:02d}" for number in range(40)]


def test_a_store_that_did_not_list_in_order_is_not_cut(
    stub_s3: StubS3, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.ledger.cuts._PAGE", 2)
    stub_s3.buckets["b"] = Bucket()
    for key in "abcd":
        stub_s3.put("b", key, b"")
    stub_s3.buckets["b"].keys = ["a", "c", "b", "d"]
    store = s3_store(stub_s3.endpoint_url, "b")
    for run_id in ("r1", "r2"):
        assert take_inventory(store, lake, "b", run_id).objects == 4
        assert _begun_after(stub_s3) == set()


def test_an_inventory_that_cannot_be_read_does_not_keep_the_bucket_from_being_listed(
    stub_s3: StubS3, tmp_path: Path
) -> None:
    lake = LocalLake(tmp_path)
    stub_s3.put("b", "k", b"")
    store = s3_store(stub_s3.endpoint_url, "b")
    file = tmp_path / take_inventory(store, lake, "b", "r1").file
    file.chmod(0o600)
    file.write_bytes(b"damaged")
    assert take_inventory(store, lake, "b", "r2").objects == 1


class _BreaksOff(MemoryStore):
    def list_objects(self) -> Iterator[pa.RecordBatch]:
        yield from super().list_objects()
        raise BucketUnreachable("the connection is gone")


def test_of_a_listing_that_breaks_off_nothing_is_kept(lake: Lake) -> None:
    store = _BreaksOff()
    store.put("k", b"")
    with pytest.raises(BucketUnreachable):
        take_inventory(store, lake, "b", "r1")
    assert lake.list("inventory/") == []


def test_of_a_server_that_fails_on_a_later_page_nothing_is_kept(
    stub_s3: StubS3, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.buckets.s3.reader._PAGE", 2)
    for number in range(5):
        stub_s3.put("b", f"k{number}", b"")
    with FaultyProxy(stub_s3.endpoint_url) as proxy:
        store: BucketReader = s3_store(proxy.endpoint_url, "b")
        told: list[int] = []

        def progress(objects: int) -> None:
            told.append(objects)
            proxy.fault(faults.Refuse(times=None), listing=True)

        with pytest.raises(BucketUnreachable, match="AccessDenied"):
            take_inventory(store, lake, "b", "r1", progress=progress)
    assert told == [2]
    assert lake.list("inventory/") == []


def test_an_inventory_of_the_same_run_is_never_overwritten(lake: Lake) -> None:
    take_inventory(MemoryStore(), lake, "b", "r1")
    with pytest.raises(FileExistsError):
        take_inventory(MemoryStore(), lake, "b", "r1")
