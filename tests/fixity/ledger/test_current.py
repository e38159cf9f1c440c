"""The ledger: what is kept is whole, and what it says of now is true."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fixity.buckets import ListedObject, ObjectUnreadable, Sink
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Reading, hash_shard
from fixity.lake import Lake, LakeError, LocalLake
from fixity.ledger import LeftOut
from fixity.ledger.current import current_checksums
from fixity.ledger.inventory import TableMissing, newest_inventory
from fixity.tables import CHECKSUMS, Provenance, TableUnreadable
from tests.fixity.support import (
    MemoryStore,
    check_inventory,
    inventory_and_checks,
    keep_table,
    plan_of,
    sha256,
    take_inventory,
)


class Flawed(MemoryStore):
    """Objects named in `unreadable` cannot be read."""

    unreadable: frozenset[str] = frozenset()

    def read(self, item: ListedObject, sink: Sink) -> None:
        if item.key in self.unreadable:
            sink.update(memoryview(b"half"))
            raise ObjectUnreadable("ReadError", "a broken disk")
        super().read(item, sink)


def store_of(*keys: str) -> Flawed:
    store = Flawed()
    for key in keys:
        store.put(key, key.encode())
    return store


def current(lake: Lake) -> dict[str, tuple[str, str | None]]:
    """What is said of each object now: status, and checksum or error code."""
    with lake.workspace() as workspace:
        table = pq.read_table(current_checksums(lake, "b", workspace)[0])
    keys = table.column("key").to_pylist()
    assert keys == sorted(keys, key=str.encode)
    assert table.schema.names == CHECKSUMS.names
    return {row["key"]: (row["status"], row["checksum"] or row["error_code"]) for row in table.to_pylist()}


def ok(body: bytes) -> tuple[str, str]:
    return "succeeded", sha256(body)


NEVER = ("skipped", "NeverChecked")


def _later(lake: LocalLake, name: str, by: timedelta) -> None:
    """Have a table of the ledger say that its checks were made later."""
    table = pq.read_table(lake.fetch(name, Path()))
    place = table.schema.get_field_index("checked_at")
    times = pc.add(table.column(place), pa.scalar(by))
    keep_table(lake, name, table.set_column(place, table.schema.field(place), times))


# --- keeping -----------------------------------------------------------------------------------


def test_a_runs_checks_are_kept_with_their_counts_and_reasons(lake: Lake) -> None:
    store = store_of("a", "bb", "ccc", "d")
    inventory = take_inventory(store, lake, "b", "i")
    store.unreadable = frozenset({"bb"})
    store.put("d", b"another one now")
    kept = check_inventory(store, lake, inventory, "r")
    assert (kept.file, kept.objects) == ("checksums/b/r.parquet", 4)
    assert (kept.succeeded, kept.failed, kept.skipped) == (2, 1, 1)
    assert (kept.bytes_read, kept.reasons) == (1 + 4 + 3, {"ChangedSinceListed": 1, "ReadError": 1})
    with lake.workspace() as workspace:
        file = lake.fetch(kept.file, workspace)
        rows = pq.read_table(file).to_pylist()
        assert Provenance.read(file) == Provenance("b", "r", "i", inventory.listed_at)
    assert [(row["checksum_type"], row["checksum"] is None) for row in rows] == [
        ("FULL_OBJECT", False), (None, True), ("FULL_OBJECT", False), (None, True)
    ]  # fmt: skip


@pytest.mark.parametrize("missing", [0, 1, 3])
def test_a_table_that_lacks_a_part_is_never_kept(
    lake: Lake, missing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.engines.stream.shards.PART_OBJECTS", 2)
    store = store_of(*"abcdefg")
    plan = plan_of(lake, take_inventory(store, lake, "b", "i"))
    hash_shard(Reading(store, 1), lake, "scratch/r/", plan, plan.shards[0], "r")
    parts = lake.list("scratch/r/parts/")
    assert len(parts) == 4
    lake.remove("scratch/copy/")
    for number, part in enumerate(parts):
        if number != missing:
            lake.copy(part.name, part.name.replace("scratch/r/", "scratch/copy/"))
    with pytest.raises(LakeError, match=f"end at row {missing * 2} of 7"):
        keep_checksums(lake, "scratch/copy/", plan, "b", "r")
    assert lake.list("checksums/") == []


def test_parts_of_another_cut_are_joined_without_a_gap_or_a_second_check(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    store = store_of(*"abcdefg")
    plan = plan_of(lake, take_inventory(store, lake, "b", "i"))
    for size in (4, 2):  # as after an interruption and a new version of the platform
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fixity.engines.stream.shards.PART_OBJECTS", size)
            hash_shard(Reading(store, 1), lake, "scratch/r/", plan, plan.shards[0], "r")
    kept = keep_checksums(lake, "scratch/r/", plan, "b", "r")
    assert pq.read_table(tmp_path / kept.file).column("key").to_pylist() == list("abcdefg")


def test_a_kept_table_is_never_overwritten(lake: Lake) -> None:
    store = store_of("a")
    inventory_and_checks(store, lake, "r")
    plan = plan_of(lake, "inventory/b/r.parquet")
    (table,) = [file for file in lake.list("checksums/b/") if file.name.endswith(".parquet")]
    assert keep_checksums(lake, "scratch/r/", plan, "b", "r").file == table.name  # the same: tried again
    lake.put_text(table.name, "another", replace=True)
    with pytest.raises(TableUnreadable):
        keep_checksums(lake, "scratch/r/", plan, "b", "r")
    assert lake.read_text(table.name) == "another"


# --- what it says now --------------------------------------------------------------------------


def test_a_bucket_without_tables_says_what_to_run(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(TableMissing, match=r"materialize inventory\[b\]"):
        newest_inventory(lake, "b")
    with pytest.raises(TableMissing, match=r"materialize checksums\[b\]"):
        current_checksums(lake, "b", tmp_path)


def test_checks_of_the_whole_newest_inventory_are_taken_as_they_are(lake: Lake, tmp_path: Path) -> None:
    kept = inventory_and_checks(store_of("a", "b"), lake, "r1")
    file, said = current_checksums(lake, "b", tmp_path)
    assert file == lake.fetch(kept.file, tmp_path)
    assert (said.run_id, said.inventory_run_id) == ("r1", "r1")
    assert current(lake) == {"a": ok(b"a"), "b": ok(b"b")}


def test_checks_of_all_that_is_listed_are_taken_as_they_are_though_others_ended_a_moment_before(
    lake: Lake, tmp_path: Path
) -> None:
    store = store_of("a", "b")
    inventory_and_checks(store, lake, "r1")
    kept = inventory_and_checks(store, lake, "r2")
    file, said = current_checksums(lake, "b", tmp_path)
    assert (file, said.run_id) == (lake.fetch(kept.file, tmp_path), "r2")


def test_a_newer_check_in_a_file_that_appeared_before_counts(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path / "lake")
    store = store_of("a", "b")
    store.unreadable = frozenset({"a"})
    inventory_and_checks(store, lake, "r1")
    store.unreadable = frozenset()
    inventory_and_checks(store, lake, "r2")
    assert current(lake) == {"a": ok(b"a"), "b": ok(b"b")}
    file = tmp_path / "lake/checksums/b/r1.parquet"
    _later(lake, "checksums/b/r1.parquet", timedelta(seconds=30))  # its clock is ahead
    os.utime(file, (file.stat().st_mtime - 10, file.stat().st_mtime - 10))
    assert current(lake) == {"a": ("failed", "ReadError"), "b": ok(b"b")}


def test_an_object_that_the_newest_run_skipped_without_a_time_keeps_what_was_known_of_it(
    tmp_path: Path,
) -> None:
    lake = LocalLake(tmp_path / "lake")
    store = store_of("a", "b")
    inventory_and_checks(store, lake, "r1")
    inventory_and_checks(store, lake, "r2")
    table = pq.read_table(lake.fetch("checksums/b/r2.parquet", tmp_path))
    nothing = {"status": "skipped", "checksum": None, "error_code": "NotInReport", "checked_at": None}
    rows = [row | nothing if row["key"] == "a" else row for row in table.to_pylist()]
    keep_table(lake, "checksums/b/r2.parquet", pa.Table.from_pylist(rows, table.schema))
    assert current(lake) == {"a": ok(b"a"), "b": ok(b"b")}


def test_of_two_inventories_the_one_listed_last_is_the_newest(lake: Lake) -> None:
    store = store_of("a")
    for run in ("z", "m", "a", "k"):  # by name in no order, and all within a second perhaps
        take_inventory(store, lake, "b", run)
        assert newest_inventory(lake, "b") == f"inventory/b/{run}.parquet"


@pytest.mark.parametrize("noted", [True, False])
def test_files_that_got_new_times_in_a_restore_do_not_bring_back_an_older_state(
    tmp_path: Path, noted: bool
) -> None:
    lake = LocalLake(tmp_path / "lake")
    store = store_of("a", "b")
    inventory_and_checks(store, lake, "older")
    store.unreadable = frozenset({"a"})
    inventory_and_checks(store, lake, "newer")
    for folder in ("inventory", "checksums"):
        (tmp_path / f"lake/{folder}/b/older.parquet").touch()
        if not noted:
            (tmp_path / f"lake/{folder}/b/NEWEST.json").unlink()
    assert current(lake) == {"a": ("failed", "ReadError"), "b": ok(b"b")}


def test_what_changed_came_or_went_since_its_check_is_not_said_to_be_checked(
    lake: Lake, tmp_path: Path
) -> None:
    store = store_of("changed", "gone", "kept", "same bytes")
    inventory_and_checks(store, lake, "r1")
    store.put("changed", b"other bytes")
    store.put("same bytes", b"same bytes")  # written again: what was checked is not what is there
    store.put("new", b"new")
    del store.objects["gone", None]
    inventory = take_inventory(store, lake, "b", "r2")
    expected = {"changed": NEVER, "kept": ok(b"kept"), "new": NEVER, "same bytes": NEVER}
    assert current(lake) == expected
    file, said = current_checksums(lake, "b", tmp_path)
    assert said == Provenance("b", "r2", "r2", inventory.listed_at)
    rows = {row["key"]: row for row in pq.read_table(file).to_pylist()}
    assert (rows["kept"]["run_id"], rows["new"]["run_id"]) == ("r1", "r2")
    assert rows["new"]["checked_at"] is None
    assert (rows["new"]["algorithm"], rows["new"]["bytes_read"]) == ("SHA256", 0)
    check_inventory(store, lake, inventory, "r3")
    assert current(lake) == {
        "changed": ok(b"other bytes"), "kept": ok(b"kept"), "new": ok(b"new"), "same bytes": ok(b"same bytes")
    }  # fmt: skip


def test_the_newest_check_of_an_object_counts_be_it_good_or_bad(lake: Lake) -> None:
    store = store_of("a", "b")
    inventory_and_checks(store, lake, "r1")
    store.unreadable = frozenset({"a"})
    inventory_and_checks(store, lake, "r2")
    take_inventory(store, lake, "b", "r3")
    assert current(lake) == {"a": ("failed", "ReadError"), "b": ok(b"b")}
    store.unreadable = frozenset()
    inventory_and_checks(store, lake, "r4")
    take_inventory(store, lake, "b", "r5")
    assert current(lake) == {"a": ok(b"a"), "b": ok(b"b")}


def test_a_check_from_the_future_hides_no_newer_one(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path / "lake")
    store = store_of("a", "b")
    store.unreadable = frozenset({"a"})
    inventory_and_checks(store, lake, "ahead")
    store.unreadable = frozenset()
    _later(lake, "checksums/b/ahead.parquet", timedelta(days=365))
    inventory_and_checks(store, lake, "now")
    take_inventory(store, lake, "b", "r3")
    assert current(lake) == {"a": ok(b"a"), "b": ok(b"b")}


def test_checks_of_an_older_inventory_that_end_late_do_not_hide_newer_ones(lake: Lake) -> None:
    store = store_of("a")
    old = take_inventory(store, lake, "b", "r1")
    store.put("b", b"b")
    inventory_and_checks(store, lake, "r2")
    check_inventory(store, lake, old, "r1-late")
    assert current(lake) == {"a": ok(b"a"), "b": ok(b"b")}


def test_an_object_that_came_back_as_it_was_has_its_check_again(lake: Lake) -> None:
    store = store_of("a", "b")
    inventory_and_checks(store, lake, "r1")
    away = store.objects.pop(("a", None))
    inventory_and_checks(store, lake, "r2")
    store.objects["a", None] = away
    take_inventory(store, lake, "b", "r3")
    assert current(lake) == {"a": ok(b"a"), "b": ok(b"b")}


def test_each_version_has_its_own_check(lake: Lake, tmp_path: Path) -> None:
    store = MemoryStore()
    for version in ("v2", "null", "v1"):
        store.put("k", version.encode(), version)
    inventory_and_checks(store, lake, "r1")
    store.put("k", b"v3", "v3")
    take_inventory(store, lake, "b", "r2")
    file, _ = current_checksums(lake, "b", tmp_path)
    rows = pq.read_table(file).to_pylist()
    assert [(row["version_id"], row["checksum"] or row["error_code"]) for row in rows] == [
        ("null", sha256(b"null")), ("v1", sha256(b"v1")), ("v2", sha256(b"v2")), ("v3", "NeverChecked")
    ]  # fmt: skip


def test_an_emptied_bucket_has_no_checksums_and_a_filled_one_has_them_to_come(lake: Lake) -> None:
    store = store_of()
    inventory_and_checks(store, lake, "r1")
    assert current(lake) == {}
    store.put("a", b"a")
    take_inventory(store, lake, "b", "r2")
    assert current(lake) == {"a": NEVER}
    store.objects.clear()
    take_inventory(store, lake, "b", "r3")
    assert current(lake) == {}


def test_buckets_do_not_see_each_others_checks(lake: Lake) -> None:
    inventory_and_checks(store_of("a"), lake, "r1", bucket="b")
    inventory_and_checks(store_of("x"), lake, "r2", bucket="b2")
    take_inventory(store_of("a", "x"), lake, "b", "r3")
    assert set(current(lake)) == {"a", "x"}
    assert current(lake)["x"] == NEVER


# --- files of other times, and broken ones -------------------------------------------------------


def test_a_ledger_of_an_older_and_a_newer_schema_is_read_by_its_columns_names(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path / "lake")
    store = store_of("a")
    inventory_and_checks(store, lake, "older")
    store.put("b", b"b")
    inventory_and_checks(store, lake, "newer")
    folder = tmp_path / "lake/checksums/b"
    older = pq.read_table(folder / "older.parquet")
    keep_table(lake, "checksums/b/older.parquet", older.drop_columns(["checksum_type", "evidence"]))
    newer = pq.read_table(folder / "newer.parquet")
    newer = newer.select(newer.column_names[::-1]).append_column("later", newer.column("etag"))
    keep_table(lake, "checksums/b/newer.parquet", newer)
    store.put("c", b"c")
    take_inventory(store, lake, "b", "r3")
    assert current(lake) == {"a": ok(b"a"), "b": ok(b"b"), "c": NEVER}
    del store.objects["b", None], store.objects["c", None]
    keep_table(lake, "checksums/b/newer.parquet", newer.slice(1, 1))  # of "b" alone
    take_inventory(store, lake, "b", "r4")
    assert current(lake) == {"a": ok(b"a")}


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def _spoil(file: Path) -> None:
    """Turn the first column's pages into nothing that can be unpacked; the footer stays whole."""
    body = bytearray(file.read_bytes())
    body[4:400] = b"\xff" * 396
    file.write_bytes(bytes(body))


def _three_listings(folder: Path) -> Lake:
    """All of a bucket checked twice, and listed once more with an object that was not checked."""
    lake = LocalLake(folder)
    store = store_of(*(f"key-{number}" for number in range(100)))
    inventory_and_checks(store, lake, "older")
    inventory_and_checks(store, lake, "newer")
    store.put("new", b"new")
    take_inventory(store, lake, "b", "r3")
    return lake


@pytest.mark.parametrize("damage", [_cut, _spoil])
def test_a_broken_inventory_is_named_with_what_to_do(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    lake = _three_listings(tmp_path / "lake")
    damage(tmp_path / "lake/inventory/b/r3.parquet")
    with pytest.raises(TableUnreadable, match=r"inventory/b/r3.parquet is not a whole table .*restore it"):
        current(lake)


def _foreign(file: Path) -> None:
    pq.write_table(pa.table({"name": ["not ours"]}), file)


@pytest.mark.parametrize("damage", [_cut, _spoil, _foreign])
@pytest.mark.parametrize("broken", ["older", "newer"])
@pytest.mark.parametrize("noted", [True, False])
def test_a_broken_file_of_the_ledger_is_left_out_by_name_and_the_others_count(
    tmp_path: Path, damage: Callable[[Path], None], broken: str, noted: bool
) -> None:
    lake = _three_listings(tmp_path / "lake")
    folder = tmp_path / "lake/checksums/b"
    damage(folder / f"{broken}.parquet")
    if not noted:
        (folder / "NEWEST.json").unlink()
    left_out: list[LeftOut] = []
    table, _ = current_checksums(lake, "b", tmp_path, on_left_out=left_out.append)
    assert [each.name for each in left_out] == [f"checksums/b/{broken}.parquet"]
    rows = pq.read_table(table).to_pylist()
    assert {row["run_id"] for row in rows if row["status"] == "succeeded"} == {"older", "newer"} - {broken}
    assert len(rows) == 101 and sum(row["status"] == "succeeded" for row in rows) == 100


def test_where_no_file_of_the_ledger_can_be_read_nothing_is_checked(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path / "lake")
    inventory_and_checks(store_of("a"), lake, "only")
    _cut(tmp_path / "lake/checksums/b/only.parquet")
    left_out: list[LeftOut] = []
    table, _ = current_checksums(lake, "b", tmp_path, on_left_out=left_out.append)
    assert pq.read_table(table).column("status").to_pylist() == ["skipped"]
    assert len(left_out) == 1


def test_a_spoiled_newest_file_of_all_that_is_listed_is_left_out_though_its_end_is_whole(
    tmp_path: Path,
) -> None:
    lake = LocalLake(tmp_path / "lake")
    store = store_of(*(f"key-{number}" for number in range(100)))
    inventory_and_checks(store, lake, "older")
    inventory_and_checks(store, lake, "newer")
    _spoil(tmp_path / "lake/checksums/b/newer.parquet")
    left_out: list[LeftOut] = []
    table, _ = current_checksums(lake, "b", tmp_path, on_left_out=left_out.append, thoroughly=True)
    assert [each.name for each in left_out] == ["checksums/b/newer.parquet"]
    rows = pq.read_table(table).to_pylist()
    assert {(row["run_id"], row["status"]) for row in rows} == {("older", "succeeded")}
