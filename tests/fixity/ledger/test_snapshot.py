"""The snapshot: what it folds is what the ledger says, whose files stay as they are."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.buckets import ListedObject
from fixity.catalog import Bucket
from fixity.lake import LakeError, LocalLake
from fixity.lake.database import open_database
from fixity.ledger import Settings, confirm_empty, usable_files
from fixity.ledger.damage import damaged_now, known_damage
from fixity.ledger.files import ledger_files
from fixity.ledger.listing import NothingToConfirm
from fixity.ledger.repeats import unpacked
from fixity.ledger.snapshot import Snapshot, in_force
from fixity.ledger.views import NowByKey, view_now, view_now_of
from fixity.rolling import bucket_coverage
from tests.fixity.rolling.support import BUCKET, Rolling
from tests.fixity.support import flipped

DAY = timedelta(days=1)


@pytest.fixture
def bucket(tmp_path: Path) -> Rolling:
    return Rolling(tmp_path)


def _digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.parquet")}


def _objects(bucket: Rolling) -> dict[str, dict[str, object]]:
    table = unpacked(pq.read_table(bucket.folder / bucket.snapshot().names("objects")[0]))
    return {row["key"]: row for row in table.to_pylist()}


def test_folding_changes_no_file_of_the_ledger_and_says_the_same_from_all_of_it_anew(bucket: Rolling) -> None:
    bucket.put(*"abcde")
    bucket.take_inventory()
    for step in range(6):
        bucket.store.unreadable = {"b"} if step % 2 else set()
        bucket.time += 45 * DAY
        bucket.roll(3)
        if step == 2:
            bucket.store.damage("c")
        if step % 2:
            bucket.put(f"new {step}")
            bucket.take_inventory()
            before = _digests(bucket.folder / "checksums/b")
            bucket.snapshot()
            assert _digests(bucket.folder / "checksums/b") == before
    bucket.take_inventory()
    little_by_little = _objects(bucket)
    shutil.rmtree(bucket.folder / "standing")
    at_once = _objects(bucket)
    for row in (*little_by_little.values(), *at_once.values()):
        del row["listed_since"]  # known only to who looked at the time
    assert little_by_little == at_once
    assert [each.key for each in bucket.damaged()] == ["c"]


def test_a_lawful_replacement_begins_a_new_baseline_and_history_has_both(bucket: Rolling) -> None:
    bucket.put("a")
    bucket.take_inventory()
    bucket.roll()
    bucket.time += DAY
    bucket.store.rewrite("a", b"another", bucket.time)
    bucket.take_inventory()
    assert bucket.roll().registered == 1
    assert bucket.damaged() == []
    bucket.take_inventory()
    rows = unpacked(pq.read_table(bucket.folder / bucket.snapshot().names("objects")[0])).to_pylist()
    assert sorted(row["listed"] for row in rows) == [False, True]
    assert len({row["baseline"] for row in rows}) == 2


def test_damage_to_a_version_is_seen_though_its_time_and_etag_are_listed_otherwise(bucket: Rolling) -> None:
    bucket.store.put("a", b"right", "v1")
    bucket.take_inventory()
    bucket.roll()
    item, _ = bucket.store.objects["a", "v1"]
    values = {name: getattr(item, name) for name in ListedObject.__slots__} | {"etag": "x", "size": 5}
    bucket.store.objects["a", "v1"] = ListedObject(**values), b"wrong"
    bucket.take_inventory()
    bucket.time += 91 * DAY
    bucket.roll()
    (damage,) = bucket.damaged()
    assert (damage.key, damage.version_id) == ("a", "v1")


def test_a_damaged_object_whose_bytes_are_right_again_is_damaged_no_more(bucket: Rolling) -> None:
    bucket.put("a")
    bucket.take_inventory()
    bucket.roll()
    bucket.store.damage("a")
    first_wrong = bucket.time = bucket.time + 90 * DAY
    bucket.roll()
    bucket.time += DAY
    bucket.roll(keys=["a"])
    assert [each.damaged_at for each in bucket.damaged()] == [first_wrong]
    bucket.store.unreadable = {"a"}
    bucket.time += DAY
    bucket.roll(keys=["a"])
    assert len(bucket.damaged()) == 1  # not read: nothing new is known
    bucket.store.unreadable, bucket.store.bytes_now = set(), {}
    bucket.time += DAY
    bucket.roll(keys=["a"])
    assert bucket.damaged() == []
    bucket.take_inventory()
    assert bucket.damaged() == []


def test_damage_stays_damage_though_the_catalog_asks_for_another_algorithm(bucket: Rolling) -> None:
    bucket.put("a", "b")
    bucket.take_inventory()
    bucket.roll()
    bucket.store.damage("a")
    bucket.time += 90 * DAY
    bucket.roll()
    bucket.settings = Settings(bucket.settings.every, "MD5")
    assert [each.key for each in bucket.damaged()] == ["a"]
    assert bucket.due() == []  # their bytes were read: the other algorithm comes when they fall due
    bucket.time += 90 * DAY
    assert bucket.rolled() == ["a", "b"] and bucket.due() == []
    assert [(each.key, each.algorithm) for each in bucket.damaged()] == [("a", "SHA256")]
    of_catalog = Bucket(name=BUCKET, path=Path("/nowhere"), fixity_every=timedelta(days=90), algorithm="MD5")
    covered = bucket_coverage(bucket.lake, of_catalog, "c", bucket.now)
    assert (covered.objects, covered.within_term, covered.damaged) == (2, 2, 1)


def _view(lake: LocalLake, snapshot: Snapshot, workspace: Path) -> None:
    with open_database(workspace) as database:
        view_now(database, lake, snapshot, "damaged", workspace)


def _view_some(lake: LocalLake, snapshot: Snapshot, workspace: Path) -> None:
    with open_database(workspace) as database:
        view_now_of(database, lake, snapshot, "(SELECT 'a' AS key)", workspace)


def _begin_ranges(lake: LocalLake, snapshot: Snapshot, workspace: Path) -> None:
    NowByKey(lake, snapshot, [], workspace)


def _look_for_damage(lake: LocalLake, snapshot: Snapshot, workspace: Path) -> None:
    known_damage(lake, BUCKET, Settings(90 * DAY, "SHA256"), workspace)


@pytest.mark.parametrize("read", [_view, _view_some, _begin_ranges, _look_for_damage])
def test_who_reads_a_snapshot_that_another_process_removes_is_told_to_run_again(
    bucket: Rolling, tmp_path: Path, read: Callable[[LocalLake, Snapshot, Path], None]
) -> None:
    bucket.put("a")
    bucket.take_inventory()
    snapshot = bucket.snapshot()
    read(bucket.lake, snapshot, tmp_path)
    bucket.lake.remove(snapshot.folder)
    with pytest.raises(LakeError, match="of 'b' was replaced or removed while it was read: run this again"):
        read(bucket.lake, snapshot, tmp_path)


def test_who_reads_a_snapshot_by_ranges_is_told_so_where_it_is_removed_between_two(
    bucket: Rolling, tmp_path: Path
) -> None:
    bucket.put("a")
    bucket.take_inventory()
    snapshot = bucket.snapshot()
    ranges = NowByKey(bucket.lake, snapshot, [], tmp_path)
    assert ranges.rows("", "b")["key"].to_pylist() == ["a"]
    bucket.lake.remove(snapshot.folder)
    with pytest.raises(LakeError, match="was replaced or removed while it was read: run this again"):
        ranges.rows("", "b")


def test_after_a_damaged_snapshot_was_removed_whoever_asks_for_damage_is_told_by_the_ledger(
    bucket: Rolling, tmp_path: Path
) -> None:
    bucket.put("a")
    bucket.take_inventory()
    bucket.roll()
    bucket.store.damage("a")
    bucket.roll(keys=["a"])
    table = bucket.folder / bucket.snapshot().names("damaged")[0]
    table.write_bytes(flipped(table.read_bytes()))
    lake = LocalLake(bucket.folder)  # another process
    with pytest.raises(LakeError, match="was damaged and is removed: run this again"):
        known_damage(lake, BUCKET, bucket.settings, tmp_path)
    assert [each.key for each in known_damage(lake, BUCKET, bucket.settings, tmp_path)] == ["a"]


def test_a_snapshot_that_was_found_to_be_damaged_takes_no_other_one_with_it(bucket: Rolling) -> None:
    bucket.put("a")
    bucket.take_inventory()
    damaged = bucket.snapshot()
    bucket.time += timedelta(minutes=1)
    bucket.put("b")
    bucket.take_inventory()
    newer = bucket.snapshot()
    damaged.remove(bucket.lake)
    assert in_force(bucket.lake, BUCKET) == newer and bucket.lake.list(damaged.folder) == []


class _FarLake(LocalLake):
    """A lake whose tables are downloaded, and whose snapshot is removed after its table was."""

    def _fetch(self, name: str, workspace: Path) -> Path:
        local = workspace / name.replace("/", "-")
        shutil.copy2(super()._fetch(name, workspace), local)
        return local

    def fetch(self, name: str, workspace: Path) -> Path:
        local = super().fetch(name, workspace)
        if name.endswith("/damaged.parquet"):
            self.remove(name.removesuffix("damaged.parquet"))
        return local


def test_what_has_changed_since_is_not_missed_where_a_snapshot_is_removed_while_it_is_read(
    bucket: Rolling,
) -> None:
    bucket.put("a")
    bucket.take_inventory()
    bucket.roll()
    bucket.store.damage("a")
    bucket.roll(keys=["a"])
    snapshot = bucket.snapshot()
    assert [each.rows for each in snapshot.since(bucket.lake)] == [1, 1]
    assert [each.key for each in damaged_now(_FarLake(bucket.folder), snapshot)] == ["a"]
    assert bucket.lake.list(snapshot.folder) == []


def test_of_two_folds_at_once_neither_takes_away_what_the_other_has_put_in_force(bucket: Rolling) -> None:
    bucket.put("a")
    bucket.take_inventory()
    first = bucket.snapshot()
    for _ in range(3):
        bucket.time += timedelta(minutes=1)
        bucket.put("a")
        bucket.take_inventory()
        bucket.snapshot()
    first.put_in_force(bucket.lake)  # by a fold that was slower
    assert [each.key for each in damaged_now(bucket.lake, first)] == []
    assert bucket.snapshot().objects == 1


def test_a_batch_does_not_read_the_inventory_that_is_folded(
    bucket: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put(*(f"{number:05d}" for number in range(5000)))
    bucket.take_inventory()
    bucket.snapshot()
    fetched: list[str] = []
    fetch = LocalLake.fetch

    def counting(lake: LocalLake, name: str, workspace: Path) -> Path:
        fetched.append(name)
        return fetch(lake, name, workspace)

    monkeypatch.setattr(LocalLake, "fetch", counting)
    assert bucket.roll(3).objects == 3
    assert fetched and not [name for name in fetched if name.startswith("inventory/")]


def test_a_snapshot_of_which_files_are_missing_is_folded_anew(bucket: Rolling) -> None:
    bucket.put("a")
    bucket.take_inventory()
    shutil.rmtree(bucket.folder / bucket.snapshot().folder)
    assert bucket.due() == ["a"] and bucket.damaged() == []


def test_generations_of_more_than_a_day_ago_are_cleared_away(bucket: Rolling) -> None:
    bucket.put("a")
    bucket.take_inventory()
    old = bucket.folder / bucket.snapshot().folder
    for file in old.rglob("*"):
        os.utime(file, (0, 0))
    bucket.take_inventory()
    assert (bucket.folder / bucket.snapshot().folder).exists() and not old.exists()


def test_a_process_whose_clock_is_behind_spoils_nothing_for_those_that_come_after(bucket: Rolling) -> None:
    bucket.put("a", "b")
    bucket.take_inventory()
    bucket.time += 30 * DAY
    bucket.roll()
    bucket.store.damage("a")
    bucket.time += DAY
    bucket.roll(keys=["a"])
    bucket.take_inventory()
    right = _objects(bucket)
    now, bucket.time = bucket.time, bucket.time - 300 * DAY
    bucket.take_inventory()
    assert bucket.due() == ["a", "b"]  # what was checked in its future counts as long ago
    bucket.time = now
    assert _objects(bucket) == right
    assert bucket.due() == []


def test_a_file_that_is_torn_after_it_was_folded_is_named_and_what_it_said_goes_on_to_count(
    bucket: Rolling,
) -> None:
    bucket.put("a", "b")
    bucket.take_inventory()
    file = bucket.folder / str(bucket.roll(1).file)
    bucket.take_inventory()
    assert bucket.due() == ["b"]
    whole = file.read_bytes()
    file.write_bytes(whole[:100] + whole[200:])
    of_catalog = Bucket(name=BUCKET, path=Path("/nowhere"), fixity_every=timedelta(days=90))
    covered = bucket_coverage(bucket.lake, of_catalog, "c", bucket.now)
    assert (covered.within_term, covered.is_right) == (1, False)
    (said,) = covered.ledger
    assert file.name in said and "bytes when it was folded" in said
    snapshot = bucket.snapshot()
    with bucket.lake.workspace() as workspace:
        files = ledger_files(bucket.lake, BUCKET)
        usable, left_out = usable_files(bucket.lake, BUCKET, files, workspace, doubted=snapshot.left_out)
    assert not usable and [each.name for each in left_out] == [f"checksums/b/{file.name}"]
    assert bucket.snapshot().generation == snapshot.generation  # not folded again and again
    file.write_bytes(whole)
    assert bucket_coverage(bucket.lake, of_catalog, "d", bucket.now).ledger == []


@pytest.mark.parametrize(
    "kind", ["truncated", "foreign schema", "foreign file", "other bucket", "wrong type"]
)
def test_a_file_of_the_ledger_that_cannot_be_used_is_named_left_out_and_turns_coverage_red(
    bucket: Rolling, kind: str
) -> None:
    bucket.put("a", "b")
    bucket.take_inventory()
    rolled = bucket.roll(1)
    good = bucket.folder / str(rolled.file)
    bad = good.with_name("bad.parquet")
    table = pq.read_table(good)
    if kind == "truncated":
        bad.write_bytes(good.read_bytes()[:-50])
    elif kind == "foreign schema":
        pq.write_table(table.drop_columns(["checked_at"]), bad)
    elif kind == "wrong type":
        position = table.schema.get_field_index("size")
        pq.write_table(table.set_column(position, "size", pa.array(["big"])), bad)
    elif kind == "other bucket":
        said = table.schema.metadata[b"fixity"].replace(b'"bucket": "b"', b'"bucket": "c"')
        pq.write_table(table.replace_schema_metadata({b"fixity": said}), bad)
    else:
        bad.write_text("not a table")
    of_catalog = Bucket(name=BUCKET, path=Path("/nowhere"), fixity_every=timedelta(days=90))
    covered = bucket_coverage(bucket.lake, of_catalog, "c", bucket.now)
    (said_of_it,) = covered.ledger
    assert "bad.parquet cannot be used" in said_of_it and not covered.is_right
    assert (covered.objects, covered.within_term, covered.never) == (2, 1, 1)
    assert bucket.rolled() == ["b"]
    bad.unlink()
    assert bucket_coverage(bucket.lake, of_catalog, "d", bucket.now).within_term == 2


def test_an_empty_listing_after_a_filled_one_is_not_believed_until_it_is_confirmed(bucket: Rolling) -> None:
    bucket.put("a")
    bucket.take_inventory()
    bucket.roll()
    away = dict(bucket.store.objects)
    bucket.store.objects.clear()
    for _ in range(2):
        bucket.time += DAY
        bucket.take_inventory()
    assert bucket.snapshot().objects == 1
    assert "the empty one is not used" in bucket.said[-1]
    confirm_empty(bucket.lake, BUCKET)
    assert bucket.snapshot().objects == 0
    bucket.time += DAY
    bucket.take_inventory()
    assert bucket.snapshot().objects == 0  # still as empty as was confirmed
    bucket.store.objects.update(away)
    bucket.time += DAY
    bucket.take_inventory()
    assert bucket.due() == []  # it came back as it was, with its check
    with pytest.raises(NothingToConfirm, match="has 1 objects: nothing to confirm"):
        confirm_empty(bucket.lake, BUCKET)


def test_coverage_says_within_term_due_overdue_never_and_how_long_it_was_silent(bucket: Rolling) -> None:
    of_catalog = Bucket(name=BUCKET, path=Path("/nowhere"), fixity_every=timedelta(days=90))
    bucket.put(*"abcd")
    bucket.take_inventory()
    assert bucket_coverage(bucket.lake, of_catalog, "c", bucket.now).silent == float("inf")
    bucket.roll(2)
    now = bucket_coverage(bucket.lake, of_catalog, "c", bucket.now)
    assert (now.within_term, now.never, now.overdue, now.silent) == (2, 2, 0, None)
    assert now.days_to_go == 7.0
    bucket.time += timedelta(days=90, hours=12)
    later = bucket_coverage(bucket.lake, of_catalog, "c", bucket.now)
    assert (later.within_term, later.due, later.never, later.overdue) == (0, 2, 2, 0)
    assert later.silent == 90 * 24 + 12 and later.days_to_go is None
    bucket.time += DAY
    assert bucket_coverage(bucket.lake, of_catalog, "c", bucket.now).overdue == 4
