"""Shards of 20 minutes, by the rate that was measured when the bucket was last read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.catalog import Bucket
from fixity.engines.stream.pace import MOST_SHARDS, SHARD_SECONDS, ShardLimits, shard_limits
from fixity.engines.stream.shards import Plan, make_plan
from fixity.lake import LocalLake
from fixity.lake.latest import point_to_latest
from fixity.tables import CHECKSUMS, INVENTORY, Provenance
from tests.fixity.support import NOON, keep_table

MIB = 1024**2


def checked(
    lake: LocalLake, runs: Sequence[tuple[str, float, float, int]], evidence: str = "streamed"
) -> None:
    """Keep a table of checks of 1 MiB. Arguments: `runs`: when each began and ended, in seconds, and its
    number of checks."""
    rows = [
        {
            **dict.fromkeys(CHECKSUMS.names),
            "key": f"{run_id}-{number}",
            "size": MIB,
            "algorithm": "SHA256",
            "status": "succeeded",
            "bytes_read": MIB,
            "evidence": evidence,
            "checked_at": NOON + timedelta(seconds=begin + (end - begin) * number / (count - 1)),
            "run_id": run_id,
            "is_latest": True,
        }
        for run_id, begin, end, count in runs
        for number in range(count)
    ]
    provenance = Provenance("b", "r", "r", NOON)
    table = pa.Table.from_pylist(rows, provenance.attach(CHECKSUMS))
    keep_table(lake, "checksums/b/r.parquet", table)
    point_to_latest(lake, "checksums/b/", provenance)


def limits_of(lake: LocalLake, steps: int = 1, bucket: Bucket | None = None) -> ShardLimits:
    with lake.workspace() as workspace:
        return shard_limits(lake, bucket or Bucket(name="b"), steps, workspace)


def test_a_shard_is_what_a_step_read_in_twenty_minutes(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    checked(lake, [("r", 0, 100, 500)])
    found = limits_of(lake)
    assert (found.objects, found.size) == (5 * SHARD_SECONDS, 5 * SHARD_SECONDS * MIB)
    assert found.why.endswith("20 minutes at the measured 5.0 objects and 5.0 MiB a second")
    assert limits_of(lake, steps=2).objects == found.objects // 2
    assert limits_of(lake, steps=2).most == found.most == MOST_SHARDS


def test_the_pause_between_an_interrupted_run_and_the_next_does_not_count(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    checked(lake, [("killed", 0, 50, 250), ("r", 86_400, 86_450, 250)])
    assert limits_of(lake).objects == 5 * SHARD_SECONDS


@pytest.mark.parametrize("what", ["no table", "a short run", "read by S3", "a damaged table"])
def test_without_a_rate_a_usual_one_is_taken(tmp_path: Path, what: str) -> None:
    lake = LocalLake(tmp_path)
    if what != "no table":
        checked(
            lake,
            [("r", 0, 30 if what == "a short run" else 100, 500)],
            "s3_batch" if "S3" in what else "streamed",
        )
    if "damaged" in what:
        (tmp_path / "checksums/b/r.parquet").write_bytes(b"damaged")
    found = limits_of(lake, steps=2)
    assert (found.objects, found.size) == (100_000, 25 * MIB * SHARD_SECONDS)
    assert "no rate was measured yet" in found.why
    slow = Bucket(name="b", max_bandwidth=MIB)
    assert limits_of(lake, bucket=slow).size == MIB * SHARD_SECONDS


def planned(folder: Path, sizes: list[int], limits: ShardLimits) -> Plan:
    """The plan of an inventory of objects of these sizes."""
    file, provenance = folder / "inventory.parquet", Provenance("b", "i", "i", NOON)
    columns = {name: pa.nulls(len(sizes), INVENTORY.field(name).type) for name in INVENTORY.names}
    columns |= {
        "key": pa.array([f"{number:06}" for number in range(len(sizes))]),
        "is_latest": pa.array([True] * len(sizes)),
        "size": pa.array(sizes, pa.int64()),
    }
    pq.write_table(pa.table(columns, provenance.attach(INVENTORY)), file)
    return make_plan("inventory/b/i.parquet", file, "SHA256", limits)


@given(st.lists(st.integers(0, 100), max_size=300), st.integers(1, 20), st.integers(1, 150))
def test_there_are_never_more_shards_than_dagster_carries_and_all_rows_are_in_one(
    sizes: list[int], objects: int, size: int
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        plan = planned(Path(folder), sizes, ShardLimits(objects, size, "", most=20))
    assert len(plan.shards) <= 20
    assert (plan.objects, plan.size, plan.bucket) == (len(sizes), sum(sizes), "b")


def test_there_are_no_more_shards_than_a_bucket_allows_requests_where_steps_are_more(tmp_path: Path) -> None:
    narrow = Bucket(name="b", max_concurrency=3)
    found = limits_of(LocalLake(tmp_path), 8, narrow)
    assert (found.steps, found.most) == (3, 3)
    assert limits_of(LocalLake(tmp_path), 8, Bucket(name="b")).most == MOST_SHARDS  # 16 requests
    plan = planned(tmp_path, [MIB] * 100, replace(found, objects=10))
    assert (len(plan.shards), plan.steps) == (3, 3)


def test_each_step_gets_a_shard_of_its_own_if_it_is_worth_it(tmp_path: Path) -> None:
    cuts = [(1, 30_000, 1), (2, 30_000, 2), (3, 30_000, 3), (8, 30_000, 6), (8, 4_000, 1)]
    for steps, objects, shards in cuts:
        plan = planned(tmp_path, [1] * objects, ShardLimits(100_000, MIB, "", steps))
        assert (len(plan.shards), plan.steps) == (shards, shards)
    large = planned(tmp_path, [1024 * MIB] * 4, ShardLimits(100_000, 10_000 * MIB, "", 2))
    assert [shard.objects for shard in large.shards] == [2, 2]
