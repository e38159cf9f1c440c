"""What the tests of the domain share: a throttle that never waits, and short ways to read stores."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.credentials import Credentials
from hypothesis import strategies as st

from devstack import stub_s3_bucket
from devstack.seaweedfs import ACCESS_KEY, REGION, SECRET_KEY
from devstack.stub_s3 import Lister, as_s3_lists
from fixity.buckets import BucketReader, ListedObject, ObjectSkipped, Sink, Throttle
from fixity.buckets.s3.address import Address
from fixity.buckets.s3.http1 import Origin
from fixity.buckets.s3.reader import S3Reader
from fixity.catalog import Algorithm, Bucket
from fixity.clock import utc_now
from fixity.digests.algorithms import Digest
from fixity.engines.stream.engine import Check, check_object
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Plan, Reading, hash_shard, make_plan
from fixity.lake import Lake
from fixity.ledger import inventory as inventories
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.inventory import Inventory
from fixity.ledger.write import Checksums
from fixity.tables import INVENTORY


class Clock:
    """A clock that moves when somebody sleeps or lets it tick."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    def tick(self) -> None:
        self.now += 10.0


def keep_table(lake: Lake, name: str, table: pa.Table) -> None:
    """Put a table into the lake with its proof, in the place of one that may be there."""
    with lake.workspace() as workspace:
        pq.write_table(table, workspace / "table.parquet")
        lake.put(name, workspace / "table.parquet", replace=True)


_OTHERS = ["", "null", "7", "[]", "{}", '"text"', "[" * 9999, '{"a": ' * 9999, "\x00", "NaN", "[[1, 2]]"]
_VALUES = st.sampled_from([None, 7, -1, 1e999, True, "", "text", [], [None], {}, {"a": 1}])


def spoilt(text: str) -> st.SearchStrategy[bytes]:
    """What a file of JSON may become: a bit flipped, cut short, another text, members changed or gone."""
    body = text.encode()

    def flipped(bit: int) -> bytes:
        return body[: bit // 8] + bytes([body[bit // 8] ^ 1 << bit % 8]) + body[bit // 8 + 1 :]

    def member(name: str, value: object) -> bytes:
        return json.dumps({**json.loads(text), name: value}).encode()

    def without(name: str) -> bytes:
        return json.dumps({key: value for key, value in json.loads(text).items() if key != name}).encode()

    names = st.sampled_from(sorted(json.loads(text)))
    return st.one_of(
        st.integers(0, len(body) * 8 - 1).map(flipped),
        st.integers(0, len(body) - 1).map(lambda length: body[:length]),
        st.sampled_from(_OTHERS).map(str.encode),
        st.builds(member, names, _VALUES),
        st.builds(without, names),
        st.binary(max_size=20),
    )


class Naps(list[float]):
    """A `sleep` that keeps count of the seconds and takes none."""

    def throttle(self, concurrency: int = 4) -> Throttle:
        return Throttle(concurrency, clock=lambda: sum(self), sleep=self.append)


def address(endpoint_url: str, bucket: str, timeout: float = 10.0) -> Address:
    parts = urlsplit(endpoint_url)
    assert parts.hostname is not None and parts.port is not None
    origin = Origin(parts.hostname, parts.port, timeout=timeout)
    return Address(origin, f"/{bucket}", REGION, Credentials(ACCESS_KEY, SECRET_KEY).get_frozen_credentials)


def s3_store(
    endpoint_url: str,
    bucket: str,
    *,
    throttle: Throttle | None = None,
    prefix: str = "",
    versions: bool = False,
    timeout: float = 10.0,
) -> S3Reader:
    where = address(endpoint_url, bucket, timeout)
    return S3Reader(bucket, where, throttle or Naps().throttle(), prefix, versions)


def listed(store: BucketReader) -> list[ListedObject]:
    """All objects as the store lists them."""
    names = ListedObject.__slots__
    return [
        ListedObject(**{name: row[name] for name in names})
        for batch in store.list_objects()
        for row in batch.to_pylist()
    ]


def only(store: BucketReader, key: str) -> ListedObject:
    """The one object of that key."""
    (item,) = [item for item in listed(store) if item.key == key]
    return item


def by_sha256(position: int, item: ListedObject) -> Digest:
    """A digest for each object, as `check_objects` wants it."""
    return Digest("SHA256")


def check(store: BucketReader, item: ListedObject) -> Check:
    return check_object(store, item, Digest("SHA256"))


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def outcome(store: BucketReader, item: ListedObject) -> tuple[str, str | None]:
    """The check's status, with the checksum where it succeeded, else with the error's code."""
    done = check(store, item)
    return done.status, done.checksum if done.error_code is None else done.error_code


def listing_twice(other: bool) -> Lister:
    """Lists `k` a second time: as the last entry of its page, as another object if so said."""

    def lister(name: str, bucket: stub_s3_bucket.Bucket, query: Mapping[str, str]) -> bytes:
        page = as_s3_lists(name, bucket, query).decode()
        found = re.search("<(Contents|Version)><Key>k</Key>.*?</\\1>", page)
        if found is None:
            return page.encode()
        again = found[0].replace("<Size>3<", "<Size>99<") if other else found[0]
        return page.replace(found[0], found[0] + again).encode()

    return lister


NOON = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)


class MemoryStore:
    """Objects in memory, listed in the order in which they were put; `read_keys` are those read."""

    waits_in_turns = False

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str | None], tuple[ListedObject, bytes]] = {}
        self.read_keys: list[str] = []
        self._lock = threading.Lock()
        self._puts = 0

    def at_once(self) -> int:
        return 3

    def put(self, key: str, body: bytes, version_id: str | None = None) -> None:
        """BucketReader an object, a second later than the one before."""
        self._puts += 1
        etag = hashlib.md5(body).hexdigest()
        modified = NOON + timedelta(seconds=self._puts)
        item = ListedObject(key, version_id, True, len(body), etag, modified, "STANDARD")
        for other, was in self.objects.items():
            if other[0] == key:
                self.objects[other] = replace(was[0], is_latest=False), was[1]
        self.objects[key, version_id] = item, body

    def list_objects(self) -> Iterator[pa.RecordBatch]:
        rows = [
            {"checksum_algorithm": None, **{name: getattr(item, name) for name in ListedObject.__slots__}}
            for item, _ in self.objects.values()
        ]
        for start in range(0, len(rows), 3):
            yield pa.RecordBatch.from_pylist(rows[start : start + 3], INVENTORY)

    def read(self, item: ListedObject, sink: Sink) -> None:
        with self._lock:
            self.read_keys.append(item.key)
        now, body = self.objects.get((item.key, item.version_id), (None, b""))
        if now != item:
            raise ObjectSkipped("ChangedSinceListed", "it is another one now")
        sink.update(memoryview(body))

    def read_afresh(self, item: ListedObject, sink: Sink) -> None:
        self.read(item, sink)

    def find(self, key: str, version_id: str | None = None) -> ListedObject | None:
        """One object, the one put last where no version is named."""
        found = [item for item, _ in self.objects.values() if item.key == key]
        return next((item for item in reversed(found) if version_id in (None, item.version_id)), None)

    def close(self) -> None:
        """Nothing is open."""


class Unsteady(MemoryStore):
    """Gives other answers to the next reads of some objects. `afresh`: the keys of those read afresh."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, list[bytes | Exception | None]] = {}
        self.afresh: list[str] = []

    def read(self, item: ListedObject, sink: Sink) -> None:
        answers = self.answers.get(item.key)
        answer = answers.pop(0) if answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            super().read(item, sink)
        else:
            self.read_keys.append(item.key)
            sink.update(memoryview(answer))

    def read_afresh(self, item: ListedObject, sink: Sink) -> None:
        self.afresh.append(item.key)
        self.read(item, sink)


def flipped(body: bytes, bit: int = 0) -> bytes:
    """The same bytes but for one bit of the last one."""
    return body[:-1] + bytes([body[-1] ^ 1 << bit])


def plan_of(lake: Lake, inventory: Inventory | str, algorithm: Algorithm = "SHA256") -> Plan:
    name = inventory if isinstance(inventory, str) else inventory.file
    with lake.workspace() as workspace:
        return make_plan(name, lake.fetch(name, workspace), algorithm)


def take_inventory(
    store: BucketReader,
    lake: Lake,
    bucket: str,
    run_id: str,
    *,
    progress: Callable[[int], None] = lambda objects: None,
    now: Callable[[], datetime] = utc_now,
    exclude: tuple[str, ...] = (),
    place: str | None = None,
) -> Inventory:
    """An inventory of a bucket with this name."""
    run = BucketRun(lake, Bucket(name=bucket, exclude=exclude), run_id, place)
    return inventories.take_inventory(store, run, progress, now)


def check_inventory(
    store: BucketReader,
    lake: Lake,
    inventory: Inventory,
    run_id: str,
    bucket: str = "b",
    algorithm: Algorithm = "SHA256",
    threads: int = 3,
    now: Callable[[], datetime] = utc_now,
) -> Checksums:
    """Hash an inventory and keep the table, as a run does."""
    plan = plan_of(lake, inventory, algorithm)
    scratch = f"scratch/{run_id}/"
    for shard in plan.shards:
        hash_shard(Reading(store, threads, now=now), lake, scratch, plan, shard, run_id)
    return keep_checksums(lake, scratch, plan, bucket, run_id)


def inventory_and_checks(store: BucketReader, lake: Lake, run_id: str, bucket: str = "b") -> Checksums:
    """A bucket's inventory and the checks of all of it."""
    return check_inventory(store, lake, take_inventory(store, lake, bucket, run_id), run_id, bucket)
