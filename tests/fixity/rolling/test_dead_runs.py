"""Runs that are killed: what they had checked is kept, once, by whatever run comes next."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fixity.buckets import Throttle
from fixity.buckets.local import LocalReader
from fixity.lake import LocalLake
from fixity.ledger import Settings
from fixity.ledger.current import current_checksums
from fixity.rolling import BucketBusy, Limits, Order, RollingRun
from fixity.rolling.dead_runs import keep_of_dead_runs
from fixity.rolling.lease import leased_buckets, leases, take_lease
from fixity.tables import Provenance
from tests.fixity.rolling.support import BUCKET, Rolling, keys_of, killed, roll
from tests.fixity.support import check_inventory, take_inventory

KILLED = """
import sys, threading
from datetime import timedelta
from pathlib import Path
from fixity.lake import LocalLake
from fixity.engines.stream.pace import usual_limits
from fixity.rolling import Limits, Order, RollingRun
from fixity.rolling import heartbeat
from fixity.rolling.batches import check_shard
from fixity.rolling.roll import begin
from fixity.ledger import Settings
from fixity.buckets import Throttle
from fixity.buckets.local import LocalReader

heartbeat._KEEP_SECONDS = 0.05
class Stuck(LocalReader):
    def read(self, item, sink):
        if item.key == "0-stuck":
            threading.Event().wait()
        super().read(item, sink)
store = Stuck(Path(sys.argv[1]), Throttle(2))
order = Order("b", Settings(timedelta(days=90), "SHA256"), Limits(100), 1800.0)
run = RollingRun(store, LocalLake(Path(sys.argv[2])), "killed", 2)
plan = begin(order, run, usual_limits())
check_shard(order, run, plan, plan.shards[0])
"""


def test_after_a_kill_the_next_run_keeps_what_was_checked_and_checks_the_rest_each_once(
    tmp_path: Path,
) -> None:
    folder, lake = tmp_path / "data", LocalLake(tmp_path / "lake")
    folder.mkdir()
    for number in range(30):
        (folder / f"a-{number:02d}").write_bytes(b"content")
    (folder / "0-stuck").write_bytes(bytes(5 * 1024**2))
    store = LocalReader(folder, Throttle(2))
    take_inventory(store, lake, BUCKET, "i")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder), str(tmp_path / "lake")])
    kept = tmp_path / "lake/scratch/rolling/b/killed"
    deadline = time.monotonic() + 60
    while sum(pq.read_metadata(file).num_rows for file in kept.glob("checks/*.parquet")) < 30:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run did not keep its checks"
        time.sleep(0.05)
    process.kill()
    process.wait()
    order = Order(BUCKET, Settings(timedelta(days=90), "SHA256"), Limits(100), 1800.0)
    with pytest.raises(BucketBusy, match="rolling run killed since"):
        roll(order, RollingRun(store, lake, "too-soon", 2))
    said: list[str] = []

    def later() -> datetime:
        return datetime.now(UTC) + timedelta(minutes=11)

    rolled = roll(order, RollingRun(store, lake, "next", 2, said.append, later))
    assert any("the run killed was killed or failed: its 30 checks are kept" in text for text in said)
    assert rolled.objects == 1
    tables = {
        file.stem: keys_of(pq.read_table(file)) for file in (tmp_path / "lake/checksums/b").glob("*.parquet")
    }
    assert {name: len(keys) for name, keys in tables.items()} == {"killed": 30, "next": 1}
    assert roll(order, RollingRun(store, lake, "last", 2, now=later)).objects == 0
    assert not leases(lake, BUCKET)


@pytest.mark.parametrize("killed_after", ["ledger", "changed rows"])
def test_a_run_killed_while_it_keeps_its_checks_has_them_counted_once(
    tmp_path: Path, killed_after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a", "b", "c")
    bucket.take_inventory()
    what = "keep_since" if killed_after == "ledger" else "point_to_latest"
    with monkeypatch.context() as patch:
        patch.setattr(f"fixity.rolling.finish.{what}", killed)
        with pytest.raises(KeyboardInterrupt):
            bucket.roll(2)
    bucket.time += timedelta(minutes=11)
    assert bucket.rolled() == ["c"]
    tables = [
        keys_of(pq.read_table(file)) for file in sorted((bucket.folder / "checksums/b").glob("*.parquet"))
    ]
    assert tables == [["a", "b"], ["c"]]
    assert bucket.due() == []


def _ends_after_a_newer_fold(tmp_path: Path) -> Rolling:
    """A run that checked `gone` and `k2` ends after another listing, and a later check of `k2`."""
    bucket = Rolling(tmp_path)
    bucket.time = datetime.now(UTC) - timedelta(days=92)
    bucket.put("gone", "k2")
    bucket.take_inventory()
    bucket.roll()
    bucket.time += timedelta(days=91)
    bucket.store.damage("gone")
    bucket.roll_killed()
    bucket.time += timedelta(days=1)
    del bucket.store.objects["gone", None]
    bucket.put("new")
    bucket.store.damage("k2")
    inventory = take_inventory(bucket.store, bucket.lake, BUCKET, "i-again", now=bucket.now)
    check_inventory(bucket.store, bucket.lake, inventory, "whole")
    assert [each.key for each in bucket.damaged()] == ["k2"]
    bucket.roll()
    return bucket


def test_a_run_that_ends_after_a_newer_fold_hides_no_damage_and_invents_none(tmp_path: Path) -> None:
    bucket = _ends_after_a_newer_fold(tmp_path)
    assert [each.key for each in bucket.damaged()] == ["k2"]


def test_what_a_late_run_read_is_not_called_the_newest_check_of_the_newest_listing(tmp_path: Path) -> None:
    bucket = _ends_after_a_newer_fold(tmp_path)
    with bucket.lake.workspace() as workspace:
        table = pq.read_table(current_checksums(bucket.lake, BUCKET, workspace)[0])
    late = list((bucket.folder / "checksums/b").glob("r*.parquet"))
    said = {Provenance.read(file).inventory_run_id for file in late}
    assert dict(zip(keys_of(table), table.column("run_id").to_pylist(), strict=True)) == {
        "k2": "whole", "new": "whole"
    }  # fmt: skip
    assert said == {"i00001"}


def test_what_cannot_be_used_of_a_dead_run_is_named_and_set_aside_and_blocks_no_other(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a")
    bucket.take_inventory()
    bucket.roll_killed()
    (batch,) = (bucket.folder / "scratch/rolling/b").glob("*/batch-*")
    batch.unlink()
    spoiled = bucket.folder / "scratch/rolling/b/spoiled/alive.json"
    spoiled.parent.mkdir()
    spoiled.write_text("{")
    bucket.time += timedelta(minutes=11)
    assert bucket.rolled() == ["a"]
    assert any("cannot be used" in text and "set-aside/b/" in text for text in bucket.said)
    assert not leases(bucket.lake, BUCKET)
    assert len(list((bucket.folder / "set-aside/b").glob("*/checks/*.parquet"))) == 1


def test_what_a_dead_run_read_is_kept_by_the_algorithm_that_it_was_read_by(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a")
    bucket.take_inventory()
    bucket.roll_killed()
    bucket.settings = replace(bucket.settings, algorithm="SHA512")
    for _ in range(2):
        bucket.time += timedelta(days=91)
        bucket.roll()
    files = sorted((bucket.folder / "checksums/b").glob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert [(row["algorithm"], len(row["checksum"])) for row in rows] == [
        ("SHA256", 64),
        ("SHA512", 128),
        ("SHA512", 128),
    ]
    assert bucket.damaged() == []


def test_a_lease_that_is_half_gone_is_of_use_to_its_heir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a")
    bucket.take_inventory()
    remove = LocalLake.remove

    def half(lake: LocalLake, folder: str) -> None:
        remove(lake, folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LocalLake, "remove", half)
        with pytest.raises(KeyboardInterrupt):
            bucket.roll()
    bucket.time += timedelta(minutes=11)
    assert bucket.rolled() == []
    assert not (bucket.folder / "set-aside").exists() and not leases(bucket.lake, BUCKET)


def test_what_a_dead_run_found_is_kept_by_whatever_run_comes_next_and_not_while_one_works(
    tmp_path: Path,
) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a", "b")
    bucket.take_inventory()
    bucket.roll()
    bucket.time += timedelta(days=91)
    bucket.store.damage("a")
    bucket.roll_killed()
    (dead,) = leases(bucket.lake, BUCKET)
    over: set[str] = set()

    def keep(run_id: str) -> None:
        keep_of_dead_runs(
            bucket.lake, BUCKET, bucket.settings, run_id, bucket.time, over.__contains__, bucket.said.append
        )

    keep("campaign")  # nobody knows yet that it is dead
    assert bucket.damaged() == []
    over.add(dead.run_id)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("fixity.rolling.finish.checksums_file", killed)
        keep("campaign")
    assert leases(bucket.lake, BUCKET) == [dead] and leased_buckets(bucket.lake) == {BUCKET}
    working = take_lease(bucket.lake, BUCKET, "working", bucket.time, over.__contains__)
    keep("campaign")
    assert bucket.damaged() == []
    working.end(bucket.lake)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(BucketBusy, match="kept by the run coverage"):
        patch.setattr("fixity.rolling.dead_runs.take_over", lambda *_: bucket.roll())
        keep("coverage")
    keep("coverage")
    assert [each.key for each in bucket.damaged()] == ["a"]
    assert any(
        f"the run {dead.run_id} was killed or failed: its 2 checks are kept" in text for text in bucket.said
    )
    assert not leases(bucket.lake, BUCKET) and not leased_buckets(bucket.lake)
