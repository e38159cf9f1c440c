"""Buckets and tables for the tests of shards."""

from __future__ import annotations

import pyarrow.parquet as pq

from fixity.engines.stream.shards import Plan
from fixity.lake import Lake, LocalLake
from tests.fixity.support import MemoryStore, plan_of, take_inventory


def filled(store: MemoryStore, count: int = 40) -> MemoryStore:
    for number in range(count):
        store.put(f"k{number:02}", b"%d" % number * number)
    return store


def rows(lake: Lake, name: str) -> list[dict[str, object]]:
    with lake.workspace() as workspace:
        return list(pq.read_table(lake.fetch(name, workspace)).to_pylist())


def thirty(lake: LocalLake) -> tuple[MemoryStore, Plan]:
    """A bucket of thirty objects, and the plan of its one shard."""
    store = filled(MemoryStore(), 30)
    return store, plan_of(lake, take_inventory(store, lake, "b", "i"))
