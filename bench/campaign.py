"""A campaign over very many small files: what it costs to judge each check and to say what is damaged.

The files are local and hold 50 bytes each: hashing is as cheap as it gets. In ours each object has a
baseline in the ledger, from a campaign before. Beside it stands the same run with nothing expected.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from bench.data import Collections
from bench.measure import Row, Usage, beside, in_turn
from fixity.buckets import BucketReader, open_bucket
from fixity.catalog import Bucket, Catalog
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Plan, Reading, hash_shard, make_plan
from fixity.lake import Lake, LocalLake
from fixity.lake.paths import scratch_folder
from fixity.ledger import Settings, known_so_far
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.carried import carried_over, ledger_state
from fixity.ledger.damage import damage_after
from fixity.ledger.expected import with_expectations
from fixity.ledger.inventory import take_inventory
from fixity.ledger.write import Checksums

_BUCKET, _BYTES, _THREADS = "small", 50, 16
_SETTINGS = Settings(timedelta(days=365), "SHA256")


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """Wall time of a campaign, beside that of its hashing alone."""
    files = collections.small.objects
    folder = scratch / "files"
    for number in range(files):
        file = folder / f"{number % 100:02d}" / f"{number:06d}.txt"
        if number < 100:
            file.parent.mkdir(parents=True)
        file.write_bytes(b"%049d\n" % number)
    bucket = Bucket(name=_BUCKET, path=folder)
    catalog = Catalog(file=scratch / "fixity.yaml", lake=str(scratch / "lake"), buckets={_BUCKET: bucket})
    store = open_bucket(catalog, bucket)
    lake, bare = LocalLake(scratch / "lake"), LocalLake(scratch / "bare")
    _campaign(store, lake, "first")
    used = in_turn(
        rounds,
        {
            "campaign": partial(_timed, partial(_campaign, store, lake)),
            "hashing": partial(_timed, partial(_hashing, store, bare)),
        },
    )
    mine, alone = ([each.wall for each in used[name]] for name in ("campaign", "hashing"))
    name = f"campaign over {files:,} files of {_BYTES} bytes, judged and folded"
    return [beside(name, "s", mine, alone, 1.1, "hashing alone")]


def _timed(work: Callable[[str], None]) -> Usage:
    cpu, wall = time.process_time(), time.perf_counter()
    work(f"run-{time.time_ns()}")
    return Usage(time.process_time() - cpu, time.perf_counter() - wall, 0)


def _campaign(store: BucketReader, lake: Lake, run_id: str) -> None:
    """List, say what is expected, read and judge, keep, say what is damaged: as the asset does."""
    inventory = take_inventory(store, BucketRun(lake, Bucket(name=_BUCKET), run_id))
    with lake.workspace() as workspace:
        listed = lake.fetch(inventory.file, workspace)
        rests_on = ledger_state(lake, _BUCKET)
        expected = carried_over(lake, _BUCKET, _SETTINGS.algorithm, listed, workspace) or with_expectations(
            lake, known_so_far(lake, _BUCKET, _SETTINGS, run_id), listed, None, workspace
        )
        plan = replace(make_plan(inventory.file, expected, _SETTINGS.algorithm), rests_on=rests_on)
        if expected != listed:
            plan = replace(plan, inventory=f"{scratch_folder(run_id)}objects.parquet")
            lake.put(plan.inventory, expected)
        kept = _check(store, lake, plan, run_id)
        listed = lake.fetch(inventory.file, workspace)
        assert not damage_after(lake, _SETTINGS, lake.fetch(kept.file, workspace), listed, workspace)


def _hashing(store: BucketReader, lake: Lake, run_id: str) -> None:
    """List, read, keep."""
    inventory = take_inventory(store, BucketRun(lake, Bucket(name=_BUCKET), run_id))
    with lake.workspace() as workspace:
        plan = make_plan(inventory.file, lake.fetch(inventory.file, workspace), _SETTINGS.algorithm)
    _check(store, lake, plan, run_id)


def _check(store: BucketReader, lake: Lake, plan: Plan, run_id: str) -> Checksums:
    scratch = scratch_folder(run_id)
    for shard in plan.shards:
        hash_shard(Reading(store, _THREADS), lake, scratch, plan, shard, run_id)
    kept = keep_checksums(lake, scratch, plan, _BUCKET, run_id)
    lake.remove(scratch)
    return kept
