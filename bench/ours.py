"""Ours, as a process of its own: the engine as any program would use it, with no Dagster.

Usage: python -m bench.ours hash|list CATALOG BUCKET, repair CATALOG PAIR, or memory LAKE OBJECTS. Prints what
was done.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from fixity.start import started_quickly

with started_quickly():  # as the `fixity` command does
    import pyarrow as pa

    from fixity.buckets import DEFAULT_CONCURRENCY, BucketReader, ListedObject, Sink, open_bucket
    from fixity.catalog import Algorithm, Bucket, load_catalog
    from fixity.engines.stream.engine import Threads
    from fixity.engines.stream.keep import keep_checksums
    from fixity.engines.stream.shards import Reading, hash_shard, make_plan
    from fixity.lake import Lake, LocalLake, open_lake
    from fixity.lake.paths import scratch_folder
    from fixity.ledger.bucket_run import BucketRun
    from fixity.ledger.inventory import take_inventory
    from fixity.ledger.write import Checksums
    from fixity.tables import INVENTORY

RUN_ID = "bench"


def list_bucket(catalog_file: Path, name: str) -> int:
    """List a bucket into its inventory; returns the objects listed."""
    catalog = load_catalog(catalog_file)
    bucket = catalog.buckets[name]
    store = open_bucket(catalog, bucket)
    return take_inventory(store, BucketRun(open_lake(catalog), bucket, str(uuid4()))).objects


def hash_bucket(catalog_file: Path, name: str) -> Checksums:
    """List a bucket and check all its objects, as the assets do, one shard after the other."""
    catalog = load_catalog(catalog_file)
    bucket = catalog.buckets[name]
    store = open_bucket(catalog, bucket)
    return verify(store, open_lake(catalog), name, bucket.algorithm, store.at_once)


def repair_pair(catalog_file: Path, name: str) -> int:
    """Repair what open incidents say of a pair; returns the new copies that were read and are right."""
    # Imported here: the start of the other works is measured without it.
    from fixity.repair import Order, RepairRun, repair
    from fixity.repair.sides import open_side

    catalog = load_catalog(catalog_file)
    pair = catalog.pairs[name]
    with ExitStack() as opened:
        buckets = [catalog.buckets[each] for each in (pair.source, pair.replica)]
        sides = {each.name: opened.enter_context(open_side(catalog, each, 4)) for each in buckets}
        repaired = repair(Order(pair), RepairRun(open_lake(catalog), str(uuid4()), sides, print))
    return sum(map(repaired.is_right, repaired.done))


def verify(store: BucketReader, lake: Lake, name: str, algorithm: Algorithm, threads: Threads) -> Checksums:
    """Inventory, plan, shards, ledger."""
    inventory = take_inventory(store, BucketRun(lake, Bucket(name=name), RUN_ID))
    scratch = scratch_folder(RUN_ID)
    with lake.workspace() as workspace:
        plan = make_plan(inventory.file, lake.fetch(inventory.file, workspace), algorithm)
    for shard in plan.shards:
        hash_shard(Reading(store, threads), lake, scratch, plan, shard, RUN_ID)
    kept = keep_checksums(lake, scratch, plan, name, RUN_ID)
    store.close()
    if kept.succeeded != inventory.objects:
        raise SystemExit(f"of {inventory.objects:,} objects {kept.succeeded:,} were hashed: {kept.reasons}")
    return kept


class MadeUpStore:
    """`objects` objects of a few bytes each, which come from nowhere: what remains is our own memory."""

    waits_in_turns = False
    BODY = memoryview(b"made up ")
    PAGE = 1000

    def __init__(self, objects: int) -> None:
        self._objects = objects

    def at_once(self) -> int:
        """As many as of a store, to begin with."""
        return DEFAULT_CONCURRENCY

    def list_objects(self) -> Iterator[pa.RecordBatch]:
        """Pages as an S3 store yields them."""
        listed = datetime(2024, 2, 29, tzinfo=UTC)
        for first in range(0, self._objects, self.PAGE):
            numbers = range(first, min(first + self.PAGE, self._objects))
            columns = {
                "key": [f"a-folder-of-some-length/{number:012d}.tif" for number in numbers],
                "version_id": [None] * len(numbers),
                "is_latest": [True] * len(numbers),
                "size": [len(self.BODY)] * len(numbers),
                "etag": [f"{number:032x}" for number in numbers],
                "last_modified": [listed] * len(numbers),
                "storage_class": ["STANDARD"] * len(numbers),
                "checksum_algorithm": ["CRC64NVME"] * len(numbers),
            }
            yield pa.RecordBatch.from_pydict(columns, schema=INVENTORY)

    def read(self, item: ListedObject, sink: Sink) -> None:
        """Give the few bytes."""
        sink.update(self.BODY)

    read_afresh = read

    def find(self, key: str, version_id: str | None = None) -> ListedObject | None:
        """Look through the pages."""
        for batch in self.list_objects():
            for row in batch.to_pylist():
                if row["key"] == key and version_id is None:
                    return ListedObject(**{name: row[name] for name in ListedObject.__slots__})
        return None

    def close(self) -> None:
        """Nothing is open."""


def hash_made_up(lake: Path, objects: int) -> Checksums:
    """List and check objects that a store stubbed at the client makes up."""
    return verify(MadeUpStore(objects), LocalLake(lake), "made-up", "SHA256", DEFAULT_CONCURRENCY)


def main(work: str, where: str, what: str) -> None:
    """Do one piece of work and print what was done."""
    if work == "list":
        print(list_bucket(Path(where), what))
    elif work == "hash":
        print(hash_bucket(Path(where), what))
    elif work == "repair":
        if repair_pair(Path(where), what) != 1:
            raise SystemExit("it was not repaired")
    elif work == "memory":
        print(hash_made_up(Path(where), int(what)))
    else:
        raise SystemExit(__doc__)
    assert "dagster" not in sys.modules, "the engine alone is measured"


if __name__ == "__main__":
    main(*sys.argv[1:])
