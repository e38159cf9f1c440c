"""The blocks of a snapshot: they have the rows that its table has, and each is found and proved by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.lake import Lake, LakeError, LocalLake
from fixity.lake.proof import sealed, unsealed
from fixity.ledger import blocks
from fixity.ledger.blocks import BlocksWriter, rows_of
from fixity.ledger.repeats import packed, unpacked
from fixity.ledger.snapshot import BLOCKS, FORMAT, INDEX, SNAPSHOT, Snapshot, in_force
from fixity.tables import TableUnreadable
from tests.fixity.rolling.support import BUCKET, Rolling
from tests.fixity.support import flipped

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
EMPTY = Snapshot(
    FORMAT,
    BUCKET,
    "g",
    "i",
    WHEN.isoformat(),
    WHEN.isoformat(),
    1.0,
    "SHA256",
    0,
    0,
    0,
    0,
    folded={},
    ingested={},
)


def small_blocks(patch: pytest.MonkeyPatch, rows: int) -> None:
    patch.setattr(blocks, "BLOCK_ROWS", rows)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch, 2)


def keep(lake: Lake, *tables: pa.Table, snapshot: Snapshot = EMPTY) -> Snapshot:
    """Keep rows of a snapshot as its blocks. Arguments: `tables`, as they are written one after the other."""
    with lake.workspace() as workspace:
        files = workspace / "blocks.bin", workspace / "blocks.parquet"
        with BlocksWriter(*files) as writer:
            for table in tables:
                writer.write(packed(table))
        lake.put(f"{snapshot.parts[0]}{BLOCKS}", files[0], replace=True)
        lake.put(f"{snapshot.parts[0]}{INDEX}", files[1], replace=True)
    return snapshot


def found(lake: Lake, snapshot: Snapshot, *keys: str) -> pa.Table:
    with lake.workspace() as workspace:
        return rows_of(lake, snapshot, keys, workspace)


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, SNAPSHOT)


def numbered(count: int) -> pa.Table:
    return table_of(
        [{"key": f"{number:06d}", "size": number, "checksum": f"{number:064x}"} for number in range(count)]
    )


KEYS = st.text(st.sampled_from("\0a\x7fÿ\uffff\U00010000é"), max_size=3) | st.text(max_size=4)
ROWS = st.fixed_dictionaries(
    {
        "key": KEYS,
        "version_id": st.sampled_from([None, "v1", "v2"]),
        "size": st.integers(0, 3),
        "checksum": st.sampled_from([None, "a" * 64, "b" * 64, ""]),
        "baseline": st.sampled_from([None, "a" * 64]),
        "checked_at": st.sampled_from([None, WHEN]),
        "good_at": st.sampled_from([None, WHEN]),
        "is_latest": st.sampled_from([None, True, False]),
        "other_checksums": st.sampled_from([None, [], [("MD5", "c")]]),
    }
)


@given(st.lists(ROWS, max_size=25), st.lists(KEYS, max_size=5), st.data())
def test_the_rows_of_keys_are_those_that_a_scan_of_all_rows_finds(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    others: list[str],
    data: st.DataObject,
) -> None:
    rows.sort(key=lambda row: row["key"].encode())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    edges = [0, *cuts, len(rows)]
    table = table_of(rows)
    lake = LocalLake(tmp_path_factory.mktemp("lake"))
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, data.draw(st.integers(1, 4)))
        snapshot = keep(lake, *(table[begin:end] for begin, end in pairwise(edges)))
    wanted = {
        *others,
        *data.draw(st.sets(st.sampled_from([row["key"] for row in rows])) if rows else st.just(set())),
    }
    scanned = table.filter(pc.is_in(table["key"], value_set=pa.array(sorted(wanted), pa.string())))
    got = found(lake, snapshot, *wanted)
    assert got["key"].to_pylist() == scanned["key"].to_pylist()  # in order
    assert sorted(map(repr, got.to_pylist())) == sorted(map(repr, scanned.to_pylist()))


def test_all_versions_of_a_key_are_found_though_they_are_more_than_a_block_has(
    tmp_path: Path, tiny: None
) -> None:
    lake = LocalLake(tmp_path)
    versions = [{"key": "b", "version_id": f"v{number}", "size": number} for number in range(9)]
    snapshot = keep(lake, table_of([{"key": "a"}, *versions, {"key": "c"}]))
    assert found(lake, snapshot, "b").num_rows == 9
    assert found(lake, snapshot, "a", "c")["key"].to_pylist() == ["a", "c"]


def test_in_either_kind_of_lake_only_the_blocks_of_the_keys_are_read(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = numbered(100_000)
    snapshot = keep(lake, rows)
    read: list[int] = []
    part = type(lake).part

    def counted(self: Lake, name: str, start: int, size: int) -> bytes:
        read.append(size)
        return part(self, name, start, size)

    monkeypatch.setattr(type(lake), "part", counted)
    assert found(lake, snapshot, "000700", "055555", "055556").equals(rows.take([700, 55_555, 55_556]))
    (whole,) = [file.size for file in lake.list(snapshot.folder) if file.name.endswith(BLOCKS)]
    assert len(read) == 2 and sum(read) < whole / 90  # two blocks of two hundred
    read.clear()
    monkeypatch.setattr(blocks, "_AT_ONCE", whole // 4)
    assert found(lake, snapshot, *rows["key"].to_pylist()).equals(rows)
    assert sum(read) == whole and len(read) < 7  # neighbours at once,
    assert max(read) <= whole // 4  # and not all of them


def test_where_a_store_answers_slowly_blocks_that_lie_apart_are_asked_for_at_once(
    tmp_path: Path, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = LocalLake(tmp_path)
    rows = numbered(100)
    snapshot = keep(lake, rows)
    part = lake.part
    together = Barrier(4)  # nobody goes on before four wait

    def slow(name: str, start: int, size: int) -> bytes:
        together.wait(timeout=60)
        return part(name, start, size)

    monkeypatch.setattr(lake, "part", slow)
    monkeypatch.setattr(lake, "at_once", 4)
    apart = [3, 23, 43, 63]
    assert found(lake, snapshot, *(f"{number:06d}" for number in apart)).equals(rows.take(apart))


def test_a_flipped_bit_is_seen_by_who_reads_its_block_and_by_nobody_else(tmp_path: Path, tiny: None) -> None:
    lake = LocalLake(tmp_path)
    rows = numbered(10)
    snapshot = keep(lake, rows)
    file = tmp_path / snapshot.parts[0] / BLOCKS
    right = file.read_bytes()
    file.write_bytes(flipped(right))  # in the last block
    assert found(lake, snapshot, "000007").equals(rows[7:8])
    with pytest.raises(TableUnreadable, match=r"blocks.bin.* have changed since they were written"):
        found(lake, snapshot, "000007", "000009")
    file.write_bytes(right[:-1])
    with pytest.raises(TableUnreadable, match=r"blocks.bin.* have changed since they were written"):
        found(lake, snapshot, "000009")
    file.write_bytes(right)
    assert found(lake, snapshot, "000009").equals(rows[9:10])


@pytest.mark.parametrize("name", ["blocks.bin", "blocks.parquet"])
def test_a_snapshot_whose_blocks_are_damaged_is_removed_and_the_next_run_has_it_again(
    tmp_path: Path, name: str
) -> None:
    bucket = Rolling(tmp_path)
    bucket.put(*"abc")
    bucket.take_inventory()
    bucket.roll()
    bucket.store.damage("b")
    file = bucket.folder / bucket.snapshot().parts[0] / name
    file.write_bytes(flipped(file.read_bytes()))
    bucket.lake = LocalLake(bucket.folder)  # another process
    with pytest.raises(LakeError, match=f"was damaged and is removed: run this again.*{name}"):
        bucket.roll(keys=["b"])
    assert not file.exists()
    bucket.roll(keys=["b"])
    assert [each.key for each in bucket.damaged()] == ["b"]


@pytest.mark.parametrize("name", ["blocks.bin", "blocks.parquet"])
def test_a_snapshot_without_its_blocks_is_folded_anew(tmp_path: Path, name: str) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a")
    bucket.take_inventory()
    (bucket.folder / bucket.snapshot().parts[0] / name).unlink()
    assert bucket.roll(keys=["a"]).registered == 1


def test_a_snapshot_of_the_format_before_which_had_no_blocks_is_folded_anew(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put(*"ab")
    bucket.take_inventory()
    bucket.roll()
    old = bucket.snapshot()
    for name in old.files_of(0)[1:]:
        bucket.lake.discard(name)
    note = bucket.folder / "standing/b/NEWEST.json"
    values = unsealed(note.read_text())
    assert values["format"] == FORMAT
    note.write_text(sealed({**values, "format": FORMAT - 1}))
    assert in_force(bucket.lake, BUCKET) is None
    new = bucket.snapshot()
    assert new.generation != old.generation and new.rows == 2
    bucket.store.damage("a")
    bucket.roll(keys=["a"])
    assert [each.key for each in bucket.damaged()] == ["a"]


def test_columns_with_one_value_stand_in_the_index_alone(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put(*(f"{number:04d}" for number in range(200)))
    bucket.take_inventory()
    bucket.roll()
    bucket.take_inventory()
    snapshot = bucket.snapshot()
    (block,) = pq.read_table(bucket.folder / snapshot.parts[0] / INDEX).to_pylist()
    assert block["algorithm"] == "SHA256" and block["listed"] is True
    assert (block["checksum"], block["etag"]) == (None, None)
    assert block["same"].bit_count() > 30
    table = unpacked(pq.read_table(bucket.folder / snapshot.names("objects")[0]))
    assert found(bucket.lake, snapshot, *table["key"].to_pylist()).equals(table)


def test_an_error_while_blocks_are_written_reaches_who_writes_them(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no disk that is always full")
    with (
        pytest.raises(OSError, match="No space left"),
        BlocksWriter(Path("/dev/full"), tmp_path / "i") as writer,
    ):
        writer.write(packed(numbered(100_000)))
