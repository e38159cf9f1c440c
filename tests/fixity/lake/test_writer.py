"""Tables are sorted, whole, and say where they come from, in whatever order the rows came."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixity.lake.database import open_database
from fixity.lake.writer import TableWriter, parquet_writer
from fixity.tables import INVENTORY, Provenance, TableUnreadable

HERE = Provenance("b", "r", "i", datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC))

Row = tuple[str, str | None, int]
keys = st.text(st.sampled_from("ab/.é😀\uffff\x01\n") | st.characters(exclude_categories=["Cs"]), max_size=4)
rows = st.lists(
    st.tuples(keys, st.none() | st.sampled_from(["null", "v1", "V2", ""]), st.integers(0, 2**50)),
    max_size=30,
    unique_by=lambda row: row[:2],
)


def batch(several: list[Row]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [
            {
                "key": key,
                "version_id": version,
                "is_latest": True,
                "size": size,
                "etag": None,
                "last_modified": HERE.listed_at,
                "storage_class": None,
                "checksum_algorithm": None,
            }
            for key, version, size in several
        ],
        INVENTORY,
    )


def write(file: Path, several: list[Row], cut: int) -> list[Row]:
    writer = TableWriter(file, INVENTORY, HERE)
    for start in range(0, len(several), cut):
        writer.write(batch(several[start : start + cut]))
    writer.write(batch([]))
    written = writer.close()
    assert (written.rows, written.size) == (len(several), sum(size for _, _, size in several))
    table = pq.read_table(file)
    return list(zip(*(table.column(name).to_pylist() for name in ("key", "version_id", "size")), strict=True))


def in_order(several: list[Row]) -> list[Row]:
    """By the bytes of the key, then of the version, NULL before all."""
    return sorted(several, key=lambda row: (row[0].encode(), row[1] is not None, (row[1] or "").encode()))


@settings(max_examples=25)
@given(rows, st.integers(1, 7), st.booleans())
def test_rows_that_come_in_any_order_are_kept_in_the_order_of_keys_and_versions(
    tmp_path_factory: pytest.TempPathFactory, several: list[Row], cut: int, sorted_already: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.lake.writer.ROW_GROUP_ROWS", 5)
        file = tmp_path_factory.mktemp("table") / "t.parquet"
        given_rows = in_order(several) if sorted_already else several
        assert write(file, given_rows, cut) == in_order(several)
    assert pq.read_schema(file).equals(HERE.attach(INVENTORY), check_metadata=True)
    assert Provenance.read(file) == HERE
    assert [each.name for each in file.parent.iterdir() if each.name != "spill"] == ["t.parquet"]


def test_rows_that_come_in_order_are_not_sorted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: TableWriter) -> None:
        raise AssertionError("sorted again")

    monkeypatch.setattr(TableWriter, "_sort", fail)
    ordered: list[Row] = [(f"{number:05}", None, number) for number in range(2500)]
    assert write(tmp_path / "t.parquet", ordered, 1000) == ordered


@pytest.mark.parametrize("backwards", [False, True])
def test_row_groups_have_one_size_so_that_a_reader_holds_few_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    monkeypatch.setattr("fixity.lake.writer.ROW_GROUP_ROWS", 2048)
    several: list[Row] = [(f"{number:05}", None, 1) for number in range(5000)]
    write(tmp_path / "t.parquet", several[::-1] if backwards else several, 1000)
    metadata = pq.read_metadata(tmp_path / "t.parquet")
    groups = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert sum(groups) == 5000
    assert max(groups) <= 2048
    assert {metadata.row_group(0).column(0).compression} == {"ZSTD"}
    sizes = pq.read_schema(tmp_path / "t.parquet").get_field_index("size")
    assert "DELTA_BINARY_PACKED" in metadata.row_group(0).column(sizes).encodings


_VALUES = {
    "key": st.text(max_size=3),
    "etag": st.none() | st.text(max_size=70),
    "size": st.none() | st.integers(-(2**63), 2**63 - 1),
    "due_at": st.none() | st.datetimes(timezones=st.just(UTC)),
    "status": st.sampled_from(["succeeded", "failed"]),
}


@settings(max_examples=25)
@given(st.lists(st.fixed_dictionaries(_VALUES), max_size=20), st.integers(1, 30))
def test_arrow_and_duckdb_read_what_was_written_however_far_its_values_are_apart(
    tmp_path_factory: pytest.TempPathFactory, several: list[dict[str, object]], times: int
) -> None:
    kinds = {"size": pa.int64(), "due_at": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in _VALUES])
    table = pa.Table.from_pylist(several * times, schema)
    file = tmp_path_factory.mktemp("table") / "t.parquet"
    with parquet_writer(file, schema) as writer:
        writer.write_table(table)
    assert pq.read_table(file).equals(table)
    with open_database(file.parent) as database:
        read = database.execute("FROM read_parquet($file)", {"file": str(file)}).to_arrow_table()
    assert read.cast(schema).equals(table)


def test_a_file_that_is_no_table_of_ours_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no table")
    pq.write_table(pa.table({"key": ["k"]}), tmp_path / "other.parquet")
    for name in ("text.parquet", "other.parquet"):
        with pytest.raises(TableUnreadable, match=name):
            Provenance.read(tmp_path / name)
