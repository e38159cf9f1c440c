"""A store's egress budget: shared by its buckets, by what they have read and what they are reading."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from fixity.clock import utc_now
from fixity.engines.stream.engine import Check
from fixity.ledger import SNAPSHOT
from fixity.rolling.egress import EgressBudget, egress_left
from fixity.rolling.lease import Lease, take_lease
from tests.fixity.rolling.support import BUCKET, Rolling, keep_ingest, keys_of
from tests.fixity.support import MemoryStore, inventory_and_checks

DAY = timedelta(days=1)


@pytest.fixture
def bucket(tmp_path: Path) -> Rolling:
    rolling = Rolling(tmp_path)
    for key in "abcd":
        rolling.store.rewrite(key, bytes(100), rolling.time)
    rolling.take_inventory()
    return rolling


def _run_of_another(bucket: Rolling, *sizes: int) -> Lease:
    """A run on another bucket of the store that has taken objects of these sizes."""
    other = take_lease(bucket.lake, "another", "other", bucket.time)
    if sizes:
        values = {name: [None] * len(sizes) for name in SNAPSHOT.names}
        columns = values | {"key": [f"o{size}" for size in sizes], "size": list(sizes)}
        rows = pa.table({name: pa.array(columns[name], SNAPSHOT.field(name).type) for name in SNAPSHOT.names})
        with bucket.lake.workspace() as workspace:
            other.take(bucket.lake, 1, rows, bucket.snapshot(), workspace)
    return other


def test_what_other_buckets_of_the_store_have_read_in_thirty_days_is_taken_off(bucket: Rolling) -> None:
    store = MemoryStore()
    store.put("x", bytes(250))
    inventory_and_checks(store, bucket.lake, "whole", "another")
    bucket.time = utc_now()
    bucket.take_inventory()
    assert bucket.roll(budget=500).objects == 2
    bucket.time += 40 * DAY
    assert bucket.roll(budget=500).objects == 2


def test_what_runs_on_other_buckets_of_the_store_have_taken_is_taken_off(bucket: Rolling) -> None:
    _run_of_another(bucket, 100, 150)
    rolled = bucket.roll(budget=500)
    assert rolled.objects == 2
    assert rolled.cut_short == "monthly_egress allows 250 B more for now"


def test_of_a_run_that_is_dead_only_what_it_had_read_is_taken_off(bucket: Rolling) -> None:
    other = _run_of_another(bucket, 100, 150)
    with bucket.lake.workspace() as workspace:
        ended = Check(0, "succeeded", "00", None, None, 100, bucket.time)
        other.keep(bucket.lake, "1", [ended], workspace)
    bucket.time += DAY
    assert bucket.roll(budget=400).objects == 3


def test_a_run_that_has_not_said_yet_what_it_takes_is_left_a_share(bucket: Rolling) -> None:
    _run_of_another(bucket)
    assert bucket.roll(budget=400).objects == 2


def test_of_two_runs_that_choose_at_the_same_time_the_later_one_steps_back(
    bucket: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Lease.take

    def at_the_same_time(mine: Lease, *args: object) -> Path:
        if mine.bucket == "b":
            monkeypatch.setattr(Lease, "take", take)
            _run_of_another(bucket, 300)
        return take(mine, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Lease, "take", at_the_same_time)
    rolled = bucket.roll(budget=400)
    assert keys_of(bucket.ledger(rolled)) == ["a"]
    assert rolled.cut_short == "monthly_egress allows 100 B more for now"


def test_what_is_larger_than_what_is_left_waits_and_smaller_ones_are_taken(bucket: Rolling) -> None:
    bucket.store.rewrite("0-large", bytes(450), bucket.time)
    bucket.take_inventory()
    _run_of_another(bucket, 100)
    rolled = bucket.roll(budget=500)
    assert keys_of(bucket.ledger(rolled)) == ["a", "b", "c", "d"]
    assert rolled.cut_short == "1 objects are larger than the 400 B that monthly_egress leaves for now"


@pytest.mark.parametrize("folded", [False, True])
def test_what_ingest_has_read_is_taken_off_once_whether_it_is_folded_or_not(
    bucket: Rolling, folded: bool
) -> None:
    inventory_and_checks(bucket.store, bucket.lake, "ingest", BUCKET)  # the ledger has its 400 B, too
    bucket.time = utc_now()
    keep_ingest(bucket, "ingest", a="00", b="00")
    keep_ingest(bucket, "by-another-algorithm", "MD5", c="00", d="00")
    if folded:
        bucket.snapshot()
    mine = Lease(BUCKET, "mine", bucket.time.isoformat(), bucket.time.isoformat())
    budget = EgressBudget(1000, (BUCKET,))
    assert egress_left(bucket.lake, [budget], mine, bucket.time).size == 1000 - 400 - 200
    assert egress_left(bucket.lake, [budget], mine, bucket.time + 40 * DAY).size == 1000
