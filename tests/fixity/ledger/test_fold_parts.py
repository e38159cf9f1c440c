"""A snapshot of many parts says what one of a single part says, whoever folds them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.catalog import Bucket
from fixity.lake import LocalLake
from fixity.ledger import Snapshot, by_key, fold_plan
from fixity.ledger.blocks import rows_of
from fixity.ledger.fold_steps import FoldSteps
from fixity.ledger.repeats import unpacked
from fixity.ledger.snapshot import CHOSEN, OBJECTS, in_force
from tests.fixity.rolling.support import BUCKET, Rolling
from tests.fixity.support import flipped

KEYS = "abcde"
SCRATCH = "scratch/r/checksums/"


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Rolling:
    bucket = Rolling(tmp_path_factory.mktemp("made"))
    bucket.put(*KEYS)
    bucket.take_inventory()
    bucket.roll(keys=[*KEYS])
    bucket.store.damage("b")
    bucket.store.unreadable.add("c")
    for key in KEYS[:-1]:
        bucket.time += timedelta(hours=1)
        bucket.roll(keys=[key])
    bucket.store.rewrite("d", b"newer", bucket.time)
    del bucket.store.objects["e", None]
    bucket.take_inventory()
    bucket.lake.remove("standing/")
    return bucket


@pytest.fixture
def bucket(_made: Rolling, tmp_path: Path) -> Rolling:
    """Objects that are right, damaged, unreadable, rewritten and gone, each checked by a run of its own."""
    return _made.copied(tmp_path)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_key, "_RANGE_ROWS", 1)
    monkeypatch.setattr(by_key, "_MOST_READS", 1000)
    monkeypatch.setattr(fold_plan, "_RANGES_OF_PART", 1)


def said(bucket: Rolling, snapshot: Snapshot) -> dict[str, Any]:
    """All that a snapshot says."""
    tables: dict[str, Any] = {
        table: pa.concat_tables([pq.read_table(bucket.folder / name) for name in snapshot.names(table)])
        for table in (OBJECTS, *CHOSEN)
    }
    tables[OBJECTS] = unpacked(tables[OBJECTS])
    with bucket.lake.workspace() as workspace:
        few = rows_of(bucket.lake, snapshot, ["a", "aa", "d", "z"], workspace).to_pylist()
    return {
        **{name: table.to_pylist() for name, table in tables.items()},
        "few": few,
        "figures": (snapshot.objects, snapshot.rows, snapshot.queued, snapshot.read_by_day, snapshot.folded),
        "damaged now": bucket.damaged(),
    }


def in_one_part(bucket: Rolling) -> dict[str, Any]:
    """What the snapshot says where it is folded at once; it is removed again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold_plan, "_RANGES_OF_PART", 1000)
        snapshot = bucket.snapshot()
        assert len(snapshot.parts) == 1
        right = said(bucket, snapshot)
    bucket.lake.remove("standing/")
    assert [each.key for each in right["damaged now"]] == ["b"]
    assert [row["key"] for row in right["lost"]] == ["e"]
    return right


def steps(bucket: Rolling) -> FoldSteps:
    """The steps of a run, each as another process has them."""
    return FoldSteps(
        LocalLake(bucket.folder), Bucket(name=BUCKET, fixity_every=bucket.settings.every), SCRATCH
    )


def folded_since(bucket: Rolling, generation: str) -> bool:
    return bucket.snapshot().generation != generation


@pytest.mark.usefixtures("tiny")
def test_a_snapshot_in_parts_says_what_one_says_that_is_a_single_part(bucket: Rolling) -> None:
    right = in_one_part(bucket)
    snapshot = bucket.snapshot()
    assert len(snapshot.parts) > 3
    assert said(bucket, snapshot) == right


@pytest.mark.usefixtures("tiny")
def test_a_few_ranges_more_than_a_part_has_are_no_part_of_their_own(
    bucket: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = [bucket.snapshot().parts[0], *bucket.snapshot().cuts]
    bucket.lake.remove("standing/")
    monkeypatch.setattr(fold_plan, "_RANGES_OF_PART", len(ranges) - 1)
    assert len(bucket.snapshot().parts) == 1
    bucket.lake.remove("standing/")
    monkeypatch.setattr(fold_plan, "_RANGES_OF_PART", len(ranges) // 2)
    assert bucket.snapshot().cuts == [ranges[len(ranges) // 2]]


@pytest.mark.usefixtures("tiny")
def test_each_key_is_in_the_part_that_the_cuts_name(bucket: Rolling) -> None:
    snapshot = bucket.snapshot()
    edges = ["", *snapshot.cuts, "\U0010ffff"]
    for number, name in enumerate(snapshot.names(OBJECTS)):
        keys = pq.read_table(bucket.folder / name)["key"].to_pylist()
        assert keys == sorted(keys)
        assert all(edges[number] <= key < edges[number + 1] for key in keys)


@pytest.mark.usefixtures("tiny")
def test_steps_fold_what_one_process_folds_in_whatever_order_and_however_often(bucket: Rolling) -> None:
    right = in_one_part(bucket)
    parts = steps(bucket).plan("run", bucket.now)
    assert parts > 3
    for number in [*reversed(range(parts)), 0, parts - 1]:
        assert in_force(bucket.lake, BUCKET) is None
        steps(bucket).fold(number)
    snapshot = steps(bucket).finish()
    assert snapshot is not None
    assert len(snapshot.parts) == parts
    assert said(bucket, snapshot) == right
    assert not folded_since(bucket, snapshot.generation)
    assert not bucket.lake.list(SCRATCH)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("lost", ["never folded", "figures", "rows", "part"])
def test_a_part_that_no_step_has_whole_is_folded_at_the_end(bucket: Rolling, lost: str) -> None:
    right = in_one_part(bucket)
    for number in range(steps(bucket).plan("run", bucket.now)):
        if (lost, number) != ("never folded", 1):
            steps(bucket).fold(number)
    generation = json.loads(bucket.lake.read_text(f"{SCRATCH}fold/plan.json"))["snapshot"]["generation"]
    part = {
        "figures": f"{SCRATCH}fold/{generation}/00001/found.json",
        "rows": f"{SCRATCH}fold/{generation}/00001/queue.parquet",
        "part": f"standing/{BUCKET}/{generation}/00001/blocks.bin",
    }.get(lost)
    if part:
        (bucket.folder / part).unlink()
    snapshot = steps(bucket).finish()
    assert snapshot is not None
    assert said(bucket, snapshot) == right


@pytest.mark.usefixtures("tiny")
def test_what_is_checked_while_steps_fold_is_folded_next(bucket: Rolling) -> None:
    parts = steps(bucket).plan("run", bucket.now)
    steps(bucket).fold(0)
    bucket.store.damage("a")
    bucket.time += timedelta(hours=1)
    bucket.roll(keys=["a"])
    for number in range(1, parts):
        steps(bucket).fold(number)
    steps(bucket).finish()
    assert [each.key for each in bucket.damaged()] == ["a", "b"]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("change", ["gone", "another", "damaged"])
def test_a_file_of_the_ledger_that_is_not_what_was_planned_leaves_the_fold_to_who_needs_the_snapshot(
    bucket: Rolling, change: str
) -> None:
    file = max((bucket.folder / "checksums" / BUCKET).glob("*.parquet"))
    steps(bucket).plan("run", bucket.now)
    if change == "gone":
        file.unlink()
    elif change == "another":
        pq.write_table(pq.read_table(file).slice(0, 0), other := bucket.folder / "other")
        bucket.lake.put(f"checksums/{BUCKET}/{file.name}", other, replace=True)
    else:
        file.write_bytes(flipped(file.read_bytes()))
    steps(bucket).fold(0)
    assert steps(bucket).finish() is None
    assert in_force(bucket.lake, BUCKET) is None
    assert (file.stem in bucket.snapshot().folded) == (change == "another")


@pytest.mark.usefixtures("tiny")
def test_a_plan_that_is_damaged_leaves_the_fold_to_who_needs_the_snapshot(bucket: Rolling) -> None:
    right = in_one_part(bucket)
    steps(bucket).plan("run", bucket.now)
    plan = bucket.folder / SCRATCH / "fold/plan.json"
    plan.write_text(plan.read_text().replace('"cuts"', '"cut"'))
    steps(bucket).fold(0)
    assert steps(bucket).finish() is None
    assert said(bucket, bucket.snapshot()) == right


def test_there_is_nothing_for_steps_where_one_part_is_all(bucket: Rolling) -> None:
    assert steps(bucket).plan("run", bucket.now) == 0
    assert steps(bucket).finish() is None


@pytest.mark.usefixtures("tiny")
def test_there_is_nothing_for_steps_where_the_snapshot_has_all_there_is(bucket: Rolling) -> None:
    bucket.snapshot()
    assert steps(bucket).plan("run", bucket.now) == 0
    assert steps(bucket).finish() is None


@pytest.mark.usefixtures("tiny")
def test_a_plan_of_days_ago_does_not_replace_a_snapshot_that_knows_more(bucket: Rolling) -> None:
    for number in range(steps(bucket).plan("run", bucket.now)):
        steps(bucket).fold(number)
    bucket.time += timedelta(days=1)
    bucket.put("new")
    bucket.take_inventory()
    newer = bucket.snapshot()
    assert steps(bucket).finish() is None  # the run is re-executed
    assert in_force(bucket.lake, BUCKET) == newer


@pytest.mark.usefixtures("tiny")
def test_a_plan_is_given_up_when_the_catalog_says_something_else(bucket: Rolling) -> None:
    right = in_one_part(bucket)
    other = Bucket(name=BUCKET, fixity_every=timedelta(days=9))
    for number in range(steps(bucket).plan("run", bucket.now)):
        FoldSteps(bucket.lake, other, SCRATCH).fold(number)
    assert FoldSteps(bucket.lake, other, SCRATCH).finish() is None
    steps(bucket).finish()  # it says again what it said
    assert said(bucket, bucket.snapshot()) == right


@pytest.mark.usefixtures("tiny")
def test_a_step_of_a_plan_before_changes_nothing_of_the_plan_now(
    bucket: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = steps(bucket).plan("before", bucket.now)
    planned = steps(bucket)._plan()
    bucket.store.damage("a")
    bucket.time += timedelta(hours=1)
    bucket.roll(keys=["a"])
    bucket.lake.remove("standing/")
    for number in range(steps(bucket).plan("now", bucket.now)):
        steps(bucket).fold(number)
    with monkeypatch.context() as patch:
        patch.setattr(FoldSteps, "_plan", lambda self: planned)  # as it was when the steps began
        for number in range(before):
            steps(bucket).fold(number)
    steps(bucket).finish()
    assert [each.key for each in bucket.damaged()] == ["a", "b"]


@pytest.mark.usefixtures("tiny")
def test_a_table_of_the_snapshot_before_that_is_damaged_meanwhile_is_left_to_who_needs_the_snapshot(
    bucket: Rolling,
) -> None:
    right = in_one_part(bucket)
    before = bucket.snapshot()
    bucket.time += timedelta(hours=1)
    bucket.take_inventory()
    parts = steps(bucket).plan("run", bucket.now)
    file = bucket.folder / before.names(OBJECTS)[1]
    file.write_bytes(flipped(file.read_bytes()))
    for number in range(parts):
        steps(bucket).fold(number)
    assert steps(bucket).finish() is None
    assert [row["key"] for row in said(bucket, bucket.snapshot())["objects"]] == [
        row["key"] for row in right["objects"]
    ]
