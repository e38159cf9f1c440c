"""A listing in ranges at the same time is the listing that one range gives, whatever the store does."""

from __future__ import annotations

import itertools
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.seaweedfs import SeaweedFS
from devstack.stub_s3 import Lister, StubS3, as_s3_lists
from devstack.stub_s3_bucket import Bucket, StoredVersion
from fixity.buckets import BucketUnreachable, ListedObject, listed_objects
from fixity.buckets.s3 import pages, ranges
from fixity.buckets.s3.listing import Coding, Kind, Page, parse_page
from fixity.buckets.s3.ranges import Ranges
from fixity.buckets.s3.reader import S3Reader
from fixity.buckets.throttle import Throttle
from tests.conftest import MakeBucket
from tests.fixity.buckets.test_s3_odd_listings import bucket_of, v1
from tests.fixity.support import Naps, listed, s3_store

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

odd_keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6) | st.text(
    "a-/.0 +%", min_size=1, max_size=4
)
key_sets = st.lists(odd_keys, min_size=1, max_size=30, unique=True)
cut_sets = st.lists(odd_keys, max_size=8, unique=True).map(lambda keys: sorted(keys, key=str.encode))


@pytest.fixture(scope="module")
def few_pages(stub: StubS3) -> Iterator[StubS3]:
    """The stub, of which an unknown bucket is cut after its first page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.buckets.s3.reader._MANY", 1)
        yield stub


def reader(
    server: StubS3, bucket: Bucket, lister: Lister = as_s3_lists, versions: bool = False, at_once: int = 4
) -> S3Reader:
    server.buckets["b"], server.lister = bucket, lister
    return s3_store(server.endpoint_url, "b", versions=versions, throttle=Naps().throttle(at_once))


def in_ranges(store: S3Reader, cuts: list[str] | None) -> list[ListedObject]:
    return [item for batch in store.list_in_ranges(cuts) for item in listed_objects(batch)]


@given(key_sets, cut_sets, st.booleans(), st.integers(2, 6))
def test_any_keys_cut_anywhere_are_listed_as_in_one_range(
    stub: StubS3, keys: list[str], cuts: list[str], versions: bool, at_once: int
) -> None:
    store = reader(stub, bucket_of(*keys, versions=2), versions=versions, at_once=at_once)
    found = in_ranges(store, cuts)
    assert found == listed(store)
    assert len(found) == len(keys) * (2 if versions else 1)


@given(key_sets, st.booleans())
def test_keys_that_exist_cut_a_listing_too(stub: StubS3, keys: list[str], versions: bool) -> None:
    store = reader(stub, bucket_of(*keys, versions=3), versions=versions)
    assert in_ranges(store, sorted(keys, key=str.encode)[1::3]) == listed(store)


@given(key_sets, st.booleans())
def test_a_bucket_that_was_never_listed_is_cut_somewhere_and_listed_whole(
    few_pages: StubS3, keys: list[str], versions: bool
) -> None:
    store = reader(few_pages, bucket_of(*keys, versions=2), versions=versions)
    assert in_ranges(store, None) == listed(store)


@pytest.mark.parametrize(("seconds", "pages_before"), [(0.03, 4), (0.001, 9)])
def test_a_store_that_is_far_away_is_cut_sooner(
    odd: StubS3, monkeypatch: pytest.MonkeyPatch, seconds: float, pages_before: int
) -> None:
    monkeypatch.setattr("fixity.buckets.s3.reader._PAGE", 1)
    monkeypatch.setattr("fixity.buckets.s3.reader._MANY", 9)
    keys = [f"{number:02d}" for number in range(40)]
    name = f"cut-after-{pages_before}"  # its own: a thread of another test's listing may still send a request
    odd.buckets[name], odd.lister = bucket_of(*keys), as_s3_lists
    ticks = count(0, seconds)  # of each piece of a page that is waited for
    store = s3_store(odd.endpoint_url, name, throttle=Throttle(4, clock=lambda: next(ticks)))
    assert [item.key for item in in_ranges(store, None)] == keys
    asked = [each.query for each in odd.requests if each.bucket == name]
    before = itertools.takewhile(lambda query: "delimiter" not in query, asked)
    assert len(set(before)) == pages_before  # a page may be asked for twice where the machine is slow


def ignoring(name: str) -> Lister:
    """A store that does not know a parameter."""

    def lister(bucket_name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
        return as_s3_lists(bucket_name, bucket, {each: query[each] for each in query if each != name})

    return lister


def refusing(name: str) -> Lister:
    def lister(bucket_name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
        if name in query:
            raise ValueError
        return as_s3_lists(bucket_name, bucket, query)

    return lister


@pytest.mark.parametrize("lister", [ignoring("start-after"), refusing("start-after"), v1])
def test_a_store_that_cannot_begin_after_a_key_is_listed_in_one_range(odd: StubS3, lister: Lister) -> None:
    keys = [f"{number:02d}" for number in range(40)]
    assert [item.key for item in in_ranges(reader(odd, bucket_of(*keys), lister), ["05", "11", "30"])] == keys
    assert len(odd.requests) <= 20 + 3 + 3 + 2


@pytest.mark.parametrize("lister", [ignoring("start-after"), refusing("start-after"), v1])
def test_a_store_in_which_no_cuts_can_be_found_is_listed_in_one_range(
    few_pages: StubS3, lister: Lister
) -> None:
    keys = [f"{number:02d}" for number in range(40)]
    assert [item.key for item in in_ranges(reader(few_pages, bucket_of(*keys), lister), None)] == keys


class _ByFolder(Bucket):
    """Keys in the order of a store that walks through folders: `a/x` comes before `a-b`."""

    @classmethod
    def lists(cls, name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
        """A page. The order is the stub's own, of keys that stand for others."""
        after = query.get("start-after", "")
        order = sorted(bucket.keys, key=lambda key: key.split("/"))
        number = sum(key.split("/") <= after.split("/") for key in order) if after else 0
        numbered = Bucket()
        for at, key in enumerate(order):
            numbered.put(f"{at:04d}", bucket.versions(key)[0])
        asked = {each: query[each] for each in query if each != "start-after"}
        if number:
            asked["start-after"] = f"{number - 1:04d}"
        page = as_s3_lists(name, numbered, asked)
        for at, key in enumerate(order):
            page = page.replace(f"<Key>{at:04d}<".encode(), f"<Key>{key}<".encode())
        return page


@given(
    st.lists(st.text("ab-./", min_size=1, max_size=4), min_size=1, max_size=30, unique=True),
    st.lists(st.text("ab-./", min_size=1, max_size=4), max_size=6, unique=True).map(sorted),
)
def test_a_store_with_an_order_of_its_own_loses_no_object(
    stub: StubS3, keys: list[str], cuts: list[str]
) -> None:
    store = reader(stub, bucket_of(*keys), _ByFolder.lists)
    assert in_ranges(store, cuts) == listed(store)


def test_pages_that_lie_are_an_error_in_any_range(odd: StubS3) -> None:
    def lister(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
        page = as_s3_lists(name, bucket, query)
        if b"<Key>31<" not in page:
            return page
        entry = b"<Contents><Key>31</Key><Size>1</Size></Contents>"
        token = b"<NextContinuationToken>again</NextContinuationToken>"
        return b"<ListBucketResult><IsTruncated>true</IsTruncated>" + token + entry + b"</ListBucketResult>"

    def tokens(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
        known = {each: query[each] for each in query if query[each] != "again"}
        return lister(name, bucket, known if len(known) == len(query) else {**known, "start-after": "30"})

    keys = [f"{number:02d}" for number in range(40)]
    store = reader(odd, bucket_of(*keys), tokens)
    with pytest.raises(BucketUnreachable, match="does not advance"):
        in_ranges(store, ["10", "20"])


@given(st.lists(st.integers(0, 59).map("{:02d}".format) | st.none(), max_size=30))
def test_a_bucket_that_changes_while_it_is_listed_keeps_what_stays(
    stub: StubS3, changes: list[str | None]
) -> None:
    keys = [f"{number:02d}" for number in range(0, 60, 2)]
    bucket = bucket_of(*keys)
    gone, come = set[str](), set[str]()

    def lister(name: str, stored: Bucket, query: Mapping[str, str]) -> bytes:
        assert isinstance(bucket.keys, list)
        change = changes.pop() if changes else None
        if change is not None and change in bucket.keys:
            bucket.keys.remove(change)
            gone.add(change)
        elif change is not None and change not in gone:
            bucket.put(change, StoredVersion(b"x", '"e"', 1))
            come.add(change)
        return as_s3_lists(name, stored, query)

    found = [item.key for item in in_ranges(reader(stub, bucket, lister, at_once=2), ["14", "27", "40"])]
    assert found == sorted(set(found))
    assert set(keys) - gone <= set(found) <= set(keys) | come


def test_of_many_ranges_two_pages_are_parsed_at_once(odd: StubS3, monkeypatch: pytest.MonkeyPatch) -> None:
    met = list[bool]()
    three_together = threading.Barrier(3, lambda: met.append(True))
    parsed = count()

    def parse(body: bytes, versions: bool, kind: Kind | None = None, coding: Coding | None = None) -> Page:
        if next(parsed):  # the first page is parsed alone
            with suppress(threading.BrokenBarrierError):
                three_together.wait(timeout=0.5)
        return parse_page(body, versions, kind, coding)

    monkeypatch.setattr(pages, "parse_page", parse)
    keys = [f"{number:02d}" for number in range(40)]
    store = reader(odd, bucket_of(*keys), at_once=6)
    assert [item.key for item in in_ranges(store, ["05", "11", "17", "22", "30"])] == keys
    assert next(parsed) > 6
    assert not met


def rows(*keys: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"key": list(keys)})


def keys_of(batches: Iterator[pa.RecordBatch]) -> list[str]:
    return [key for batch in batches for key in batch.column("key").to_pylist()]


def pages_after(after: str | None, wait: Callable[[], object] = lambda: None) -> Iterator[pa.RecordBatch]:
    """Pages of one key, 000 to 099."""
    for number in range(int(after or "-1") + 1, 100):
        wait()
        yield rows(f"{number:03d}")


def test_many_ranges_leave_parsing_to_two_threads(stub: StubS3, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed_by = set[str]()

    def noted(*arguments: object) -> Page:
        parsed_by.add(threading.current_thread().name)
        return parse_page(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pages, "parse_page", noted)
    bucket = bucket_of(*(f"{number:03d}" for number in range(60)))
    cuts = [f"{number:03d}" for number in range(5, 60, 5)]
    assert len(in_ranges(reader(stub, bucket, at_once=12), cuts)) == 60
    assert parsed_by
    assert parsed_by <= {"parse_0", "parse_1"}


def test_as_many_ranges_are_listed_at_once_as_may_be() -> None:
    together = threading.Barrier(3)

    def lists(after: str | None) -> Iterator[pa.RecordBatch]:
        together.wait(timeout=10)  # breaks unless three are listed at once
        return pages_after(after)

    cuts = ["009", "019", "029", "039", "049"]
    assert keys_of(Ranges(lists, cuts, lambda: 3).batches()) == [f"{number:03d}" for number in range(100)]
    assert not together.broken


def test_ranges_wait_rather_than_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "_MOST_HELD", 10)
    asked, first_may_go_on = count(), threading.Event()
    held = threading.Event()

    def lists(after: str | None) -> Iterator[pa.RecordBatch]:
        for page in pages_after(after):
            if after is None:
                first_may_go_on.wait(timeout=10)
            elif next(asked) >= 9:
                held.set()
            yield page

    batches = Ranges(lists, ["049", "079"], lambda: 3).batches()

    def release() -> None:
        held.wait(timeout=10)
        first_may_go_on.set()

    released = threading.Thread(target=release)
    released.start()
    found = [next(batches).column("key")[0].as_py()]
    assert next(asked) <= 10 + 3
    assert found + keys_of(batches) == [f"{number:03d}" for number in range(100)]
    released.join()


def test_pages_that_wait_take_less_than_two_thirds_of_their_room() -> None:
    random, all_wait, sizes = Random(1), threading.Event(), list[int]()

    def page(first: int) -> pa.RecordBatch:
        numbers = range(first, first + 1000)
        columns = {
            "key": [f"{number:06d}.tif" for number in numbers],
            "etag": [random.randbytes(16).hex() for _ in numbers],
            "size": pa.repeat(1024, len(numbers)),
            "last_modified": pa.repeat(datetime(2024, 1, 1, tzinfo=UTC), len(numbers)),
            "storage_class": pa.repeat("STANDARD", len(numbers)),
        }
        return pa.record_batch(columns)

    def lists(after: str | None) -> Iterator[pa.RecordBatch]:
        if after is None:
            all_wait.wait(timeout=10)
            yield page(0)
            yield page(1000)
            return
        for first in range(1000, 40_000, 1000):
            waits = page(first)
            sizes.append(waits.nbytes)
            yield waits
        all_wait.set()

    def taken() -> int:
        return int(pa.total_allocated_bytes()) + tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = taken()
        batches = Ranges(lists, ["000999.tif"], lambda: 2).batches()
        found = keys_of(itertools.islice(batches, 1))
        assert len(sizes) == 39 and taken() - before < sum(sizes) * 2 / 3
    finally:
        tracemalloc.stop()
    assert found + keys_of(batches) == [f"{number:06d}.tif" for number in range(40_000)]


class _SeesWaiting(threading.Condition):
    """A lock that says when the first thread that lists a range waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        if threading.current_thread().name == "list-0":
            self.waits.set()
        return super().wait(timeout)


def test_a_range_that_is_far_larger_waits_too_for_whoever_takes_its_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ranges, "_MOST_HELD", 10)
    asked = count(1)

    def lists(after: str | None) -> Iterator[pa.RecordBatch]:
        for page in pages_after(after):
            if after is None:
                next(asked)
            yield page

    whole = Ranges(lists, ["089"], lambda: 1)
    whole._changed = changed = _SeesWaiting()
    batches = whole.batches()
    found = [next(batches).column("key")[0].as_py()]
    assert changed.waits.wait(timeout=10)
    assert (
        next(asked) <= 10 + 10 + 3
    )  # as many may have been taken with the first, before whoever takes them woke
    assert found + keys_of(batches) == [f"{number:03d}" for number in range(100)]


class _SlowToLeave(threading.Condition):
    """A lock after which the first thread that lists a range comes to nothing more until `may_go_on`."""

    def __init__(self, may_go_on: threading.Event) -> None:
        super().__init__()
        self._may_go_on = may_go_on
        self.is_done: Callable[[], bool] = lambda: False

    def __exit__(self, *error: object) -> None:
        done = threading.current_thread().name == "list-0" and self.is_done()
        super().__exit__(None, None, None)
        if done:
            self._may_go_on.wait(timeout=10)


def test_a_range_that_lists_on_for_another_is_listed_by_one_thread_alone() -> None:
    taken_over = threading.Event()
    listing_on = set[str]()

    def lists(after: str | None) -> Iterator[pa.RecordBatch]:
        if after is not None:
            raise BucketUnreachable("refused")
        for page in pages_after(None):
            if page.column("key")[0].as_py() > "010":
                listing_on.add(threading.current_thread().name)
                taken_over.set()
            yield page

    whole = Ranges(lists, ["009"], lambda: 2)
    first = whole._ranges[0]
    whole._changed = changed = _SlowToLeave(taken_over)
    changed.is_done = lambda: first.done
    batches = whole.batches()
    found = []
    for batch in batches:
        found += keys_of(iter([batch]))
        if taken_over.is_set():
            for thread in whole._threads:
                thread.join(timeout=10)
    assert found == [f"{number:03d}" for number in range(100)]
    assert listing_on == {threading.current_thread().name}


def test_a_range_that_fails_while_its_rows_are_taken_is_an_error() -> None:
    taken = threading.Event()

    def lists(after: str | None) -> Iterator[pa.RecordBatch]:
        yield from itertools.islice(pages_after(after), 1)
        taken.wait(timeout=10)
        raise BucketUnreachable("refused")

    whole = Ranges(lists, [], lambda: 1)
    batches = whole.batches()
    assert keys_of(itertools.islice(batches, 1))
    taken.set()
    for thread in whole._threads:
        thread.join(timeout=10)
    with pytest.raises(BucketUnreachable, match="refused"):
        next(batches)


def test_a_range_that_cannot_be_listed_is_listed_by_the_one_before() -> None:
    def lists(after: str | None) -> Iterator[pa.RecordBatch]:
        if after == "019":
            raise BucketUnreachable("refused")
        return pages_after(after)

    assert keys_of(Ranges(lists, ["009", "019", "029"], lambda: 2).batches()) == [
        f"{n:03d}" for n in range(100)
    ]


def test_a_listing_that_breaks_off_in_a_range_is_no_listing() -> None:
    def lists(after: str | None) -> Iterator[pa.RecordBatch]:
        for page in pages_after(after):
            if page.column("key")[0].as_py() == "025":
                raise BucketUnreachable("gone")
            yield page

    with pytest.raises(BucketUnreachable, match="gone"):
        keys_of(Ranges(lists, ["009", "019", "029"], lambda: 2).batches())


@pytest.mark.parametrize("versions", [False, True])
def test_a_real_server_is_listed_in_ranges_as_in_one(
    seaweedfs: SeaweedFS,
    s3: S3Client,
    make_bucket: MakeBucket,
    monkeypatch: pytest.MonkeyPatch,
    versions: bool,
) -> None:
    monkeypatch.setattr("fixity.buckets.s3.reader._PAGE", 1000 if versions else 3)
    monkeypatch.setattr("fixity.buckets.s3.reader._MANY", 1)
    bucket = make_bucket(versioned=versions)
    keys = ["a-b", "a.b", "a0", "b c", "b+c", "b%20c", "é", "😀", "z", "z-z", "folder/x", "folder/y", "g/z"]
    if not versions:  # of versions this server loses some from one page to the next, as boto3 sees too
        keys += ["a/x", "a/y", "z/z"]
    for key in keys:
        for body in (b"old", b"new"):
            s3.put_object(Bucket=bucket, Key=key, Body=body)
    store = s3_store(seaweedfs.endpoint_url, bucket, versions=versions)
    whole = listed(store)
    assert {item.key for item in whole} == set(keys)
    for cuts in (["a/x", "b c", "z"], ["a.", "a/y", "é"], ["a-c", "a0", "b", "zz"], None):
        assert in_ranges(store, cuts) == whole
