"""A bucket under rolling fixity for a test: objects in memory, a lake in a directory, a clock."""

from __future__ import annotations

import copy
import hashlib
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.buckets import DELETED, ListedObject, ObjectSkipped, ObjectUnreadable, Sink
from fixity.catalog import Window
from fixity.engines.stream.pace import ShardLimits, usual_limits
from fixity.lake import LocalLake
from fixity.ledger import Settings, Snapshot, ready
from fixity.ledger.damage import Damage, damaged_now
from fixity.rolling import Limits, Order, RollingRun, due_now
from fixity.rolling.batches import check_shard
from fixity.rolling.egress import EgressBudget
from fixity.rolling.finish import Rolled
from fixity.rolling.roll import begin, end, release
from fixity.tables import INGEST, Provenance
from tests.fixity.support import MemoryStore, keep_table, take_inventory

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BUCKET = "b"


class Archive(MemoryStore):
    """Objects in memory that can be damaged in silence, refuse to be read, and be rewritten."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable: set[str] = set()
        self.bytes_now: dict[str, bytes] = {}

    def damage(self, key: str) -> None:
        """Change an object's bytes, and nothing that a listing shows."""
        self.bytes_now[key] = b"damaged " + key.encode()

    def rewrite(self, key: str, body: bytes, at: datetime) -> None:
        """Replace an object lawfully: another ETag and time."""
        self.bytes_now.pop(key, None)
        etag = hashlib.md5(body).hexdigest()
        item = ListedObject(key, None, True, len(body), etag, at, "STANDARD")
        self.objects[key, None] = item, body

    def read(self, item: ListedObject, sink: Sink) -> None:
        if (item.key, item.version_id) not in self.objects:
            raise ObjectSkipped(DELETED, "it was deleted")
        if item.key in self.unreadable:
            raise ObjectUnreadable("ReadError", "a broken disk")
        if item.key in self.bytes_now and self.objects[item.key, item.version_id][0] == item:
            self.read_keys.append(item.key)
            sink.update(memoryview(self.bytes_now[item.key]))
            return
        super().read(item, sink)


def roll(order: Order, run: RollingRun, limits: ShardLimits | None = None) -> Rolled:
    """A rolling run: its steps, one after the other."""
    plan = begin(order, run, limits or usual_limits())
    for shard in plan.shards:
        check_shard(order, run, plan, shard)
    rolled = end(run.lake, plan, order.settings, run.now())
    release(run.lake, plan, run.now())
    return rolled


def killed(*arguments: object, **named: object) -> None:
    """A run that is killed where it would call this."""
    raise KeyboardInterrupt


class Rolling:
    """The bucket `b`, with what people do to it: list it, roll, look, and let time pass."""

    def __init__(self, folder: Path, every: timedelta = timedelta(days=90)) -> None:
        self.folder = folder / "lake"
        self.lake = LocalLake(self.folder)
        self.store = Archive()
        self.settings = Settings(every, "SHA256")
        self.time = BEGIN
        self.said: list[str] = []
        self.window: Window | None = None
        self.over: set[str] = set()  # runs that are known to have ended
        self._numbers = count(1)

    def copied(self, folder: Path) -> Rolling:
        """The same bucket and lake in another folder: what is done to either leaves the other as it is."""
        other = copy.copy(self)
        other.folder = shutil.copytree(self.folder, folder / "lake")
        other.lake = LocalLake(other.folder)
        other.store = copy.copy(self.store)
        for of in (other, other.store):
            lists = {name: each for name, each in vars(of).items() if isinstance(each, dict | list | set)}
            vars(of).update(copy.deepcopy(lists))
        other._numbers = copy.copy(self._numbers)
        return other

    def now(self) -> datetime:
        return self.time

    def put(self, *keys: str) -> None:
        for key in keys:
            self.store.rewrite(key, key.encode(), self.time)

    def take_inventory(self) -> None:
        take_inventory(self.store, self.lake, BUCKET, f"i{next(self._numbers):05d}", now=self.now)

    def roll(
        self,
        items: int = 1000,
        size: int | None = None,
        keys: Sequence[str] = (),
        budget: int | None = None,
        threads: int = 2,
    ) -> Rolled:
        budgets = (EgressBudget(budget, (BUCKET, "another")),) if budget is not None else ()
        order = Order(
            BUCKET, self.settings, Limits(items, size), 1800.0, tuple(keys), None, budgets, self.window
        )
        run_id = f"r{next(self._numbers):05d}"
        run = RollingRun(
            self.store,
            self.lake,
            run_id,
            threads,
            self.said.append,
            self.now,
            is_over=self.over.__contains__,
        )
        return roll(order, run)

    def roll_killed(self) -> None:
        """A rolling run that is killed when it has checked, and before the ledger has its checks."""
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("fixity.rolling.finish.checksums_file", killed)
            self.roll()

    def rolled(self, items: int = 1000) -> list[str]:
        """The keys that a rolling run checks."""
        rolled = self.roll(items)
        return keys_of(self.ledger(rolled)) if rolled.file else []

    def ledger(self, rolled: Rolled) -> pa.Table:
        assert rolled.file is not None
        return pq.read_table(self.folder / rolled.file)

    def snapshot(self) -> Snapshot:
        return ready(
            self.lake, BUCKET, self.settings, f"s{next(self._numbers):05d}", self.now, self.said.append
        )

    def due(self) -> list[str]:
        """All keys that are due, in order."""
        with self.lake.workspace() as workspace:
            return keys_of(due_now(self.lake, self.snapshot(), [], self.time, Limits(10_000), workspace))

    def damaged(self) -> list[Damage]:
        return damaged_now(self.lake, self.snapshot())


def keys_of(table: pa.Table) -> list[str]:
    keys: list[str] = table.column("key").to_pylist()
    return keys


def keep_ingest(bucket: Rolling, run_id: str, algorithm: str = "SHA256", **expected: str) -> None:
    """Keep the table of an ingest run that read these objects, each with the bytes that it has now."""
    rows = []
    for key, recorded in expected.items():
        item, body = bucket.store.objects[key, None]
        digest = hashlib.new(algorithm, bucket.store.bytes_now.get(key, body)).hexdigest()
        rows.append(
            {name: getattr(item, name) for name in ("key", "version_id", "size", "etag", "last_modified")}
            | {
                "storage_class": item.storage_class,
                "result": "MATCHED" if digest == recorded else "NOTMATCHED",
                "compared_with": "manifest",
                "algorithm": algorithm,
                "checksum": digest,
                "expected": recorded,
                "recorded_in": "manifest-sha256.txt",
                "conflicts": 0,
                "status": "succeeded",
                "checked_at": bucket.time,
                "run_id": run_id,
            }
        )
    schema = Provenance(BUCKET, run_id, "i", bucket.time).attach(INGEST)
    keep_table(bucket.lake, f"ingest/{BUCKET}/{run_id}.parquet", pa.Table.from_pylist(rows, schema))
