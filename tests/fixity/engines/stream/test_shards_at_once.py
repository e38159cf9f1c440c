"""Shards that several steps hash at once, parts that were damaged, and steps of a run that has ended."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.parts import PartsMissing, kept_parts, part_file, whole_table
from fixity.engines.stream.shards import Reading, hash_shard
from fixity.errors import RunOver
from fixity.lake import LocalLake
from tests.fixity.engines.stream.shards_support import rows, thirty
from tests.fixity.support import keep_table


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), max_size=9), st.integers(0, 10))
def test_parts_of_several_attempts_give_each_row_once_however_they_overlap(
    pieces: list[tuple[int, int]], objects: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake, parts = LocalLake(Path(folder)), "scratch/r/parts/p/"
        for number, (first, count) in enumerate(pieces):
            keys = [f"k{row:02}" for row in range(first, min(first + count, objects))]
            keep_table(
                lake, part_file(parts, first, f"{number:03}"), pa.table({"key": pa.array(keys, pa.string())})
            )
        there = {row for first, count in pieces for row in range(first, first + count) if row < objects}
        with lake.workspace() as workspace:
            kept = kept_parts(lake, parts, range(objects), workspace)
            found = [
                key
                for part in kept
                for key in pq.read_table(part.file).slice(part.skip, part.count).column("key").to_pylist()
            ]
            assert found == [f"k{row:02}" for row in sorted(there)]
            if len(there) == objects:
                assert sum(part.count for part in whole_table(lake, parts, objects, workspace)) == objects
            else:
                missing = min(set(range(objects)) - there)
                with pytest.raises(PartsMissing, match=f"end at row {missing} of {objects}"):
                    whole_table(lake, parts, objects, workspace)


def test_a_shard_that_two_steps_hash_at_once_is_whole(tmp_path: Path, small_parts: None) -> None:
    lake = LocalLake(tmp_path)
    store, plan = thirty(lake)
    together = threading.Barrier(2)

    def hash_it() -> None:
        together.wait(timeout=30)
        hash_shard(Reading(store, 1), lake, "scratch/r/", plan, plan.shards[0], "r")

    steps = [threading.Thread(target=hash_it) for _ in range(2)]
    for step in steps:
        step.start()
    for step in steps:
        step.join()
    kept = keep_checksums(lake, "scratch/r/", plan, "b", "r")
    assert [row["key"] for row in rows(lake, kept.file)] == [f"k{number:02}" for number in range(30)]
    assert keep_checksums(lake, "scratch/r/", plan, "b", "r") == kept  # and the last step twice


def test_an_object_of_which_two_steps_read_other_bytes_at_once_is_no_check(
    tmp_path: Path, small_parts: None
) -> None:
    lake = LocalLake(tmp_path)
    store, plan = thirty(lake)
    hash_shard(Reading(store, 1), lake, "scratch/r/", plan, plan.shards[0], "r")
    (part,) = (tmp_path / "scratch/r/parts").rglob("000000000010-*")
    table = pq.read_table(part)
    other = ["0" * 64, *table["checksum"].to_pylist()[1:]]
    at = table.schema.get_field_index("checksum")
    # A part of another attempt that begins in the part before and ends in this one.
    double = pa.concat_tables([table.slice(0, 1), table.set_column(at, table.schema.field(at), [other])])
    keep_table(lake, f"{part.parent.relative_to(tmp_path)}/000000000009-other.parquet", double.slice(0, 3))
    found = rows(lake, keep_checksums(lake, "scratch/r/", plan, "b", "r").file)
    assert {row["key"] for row in found if row["error_code"] == "UnstableRead"} == {"k09", "k10"}
    unstable = found[10]
    assert (unstable["status"], unstable["verdict"], unstable["checksum"]) == ("failed", "not_compared", None)
    assert f"SHA256 {'0' * 64}, and {table['checksum'][0]}" in str(unstable["error_message"])
    assert [row["verdict"] for row in found].count("registered") == 28


def test_a_part_that_was_damaged_since_is_read_again(tmp_path: Path, small_parts: None) -> None:
    lake = LocalLake(tmp_path)
    store, plan = thirty(lake)
    hash_shard(Reading(store, 1), lake, "scratch/r/", plan, plan.shards[0], "r")
    (part,) = (tmp_path / "scratch/r/parts").rglob("000000000010-*")
    part.write_bytes(b"damaged")
    with pytest.raises(PartsMissing, match="end at row 10 of 30"):
        keep_checksums(lake, "scratch/r/", plan, "b", "r")
    store.read_keys = []
    said: list[str] = []
    hash_shard(Reading(store, 1, log=said.append), lake, "scratch/r/", plan, plan.shards[0], "r")
    assert store.read_keys == [f"k{number}" for number in range(10, 15)]
    assert any(part.name in text and "read again" in text for text in said)
    assert keep_checksums(lake, "scratch/r/", plan, "b", "r").objects == 30


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_step_of_a_run_that_has_ended_keeps_no_more_parts(
    tmp_path: Path, small_parts: None, at: int
) -> None:
    lake = LocalLake(tmp_path)
    store, plan = thirty(lake)
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        if asked > at:
            raise RunOver("the run has ended")

    with pytest.raises(RunOver):
        hash_shard(Reading(store, 1, ask=ask), lake, "scratch/r/", plan, plan.shards[0], "r")
    assert len(lake.list("scratch/r/parts/")) == max(0, at - 1)
    assert (len(store.read_keys) > 0) == (at > 0)
