"""Rows of tables by ranges of keys: none is lost, and not more are held than memory has room for."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from fixity.lake.database import open_database
from fixity.lake.writer import parquet_writer
from fixity.ledger import by_key
from fixity.ledger.by_key import ByKey, groups_of
from fixity.ledger.files import LedgerFile
from fixity.ledger.fold_ranges import news_of
from fixity.ledger.snapshot import SNAPSHOT
from fixity.tables import CHECKSUMS


def _rows(keys: str, schema: pa.Schema) -> pa.Table:
    columns = {field.name: pa.nulls(len(keys), field.type) for field in schema}
    listed = {"listed": pa.array([True] * len(keys)), "size": pa.array([1] * len(keys), pa.int64())}
    columns |= {"key": pa.array(list(keys))} | {name: listed[name] for name in columns if name in listed}
    return pa.table([columns[name] for name in schema.names], schema=schema)


def test_row_groups_without_rows_hide_none_of_the_others(tmp_path: Path) -> None:
    file = tmp_path / "objects.parquet"
    schema = pa.schema([field.with_nullable(True) for field in SNAPSHOT])
    with parquet_writer(file, schema) as writer:
        for keys in ("", "ab", "", "", "cd", ""):
            writer.write_table(_rows(keys, schema))
    table = ByKey(groups_of(file), SNAPSHOT)
    assert table.rows("", None).column("key").to_pylist() == ["a", "b", "c", "d"]
    assert table.rows("b", "d").column("key").to_pylist() == ["b", "c"]


@pytest.mark.parametrize(("most", "sorted_first"), [(5, True), (6, False)])
def test_files_that_begin_with_the_same_key_are_sorted_where_a_range_would_have_too_many_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, sorted_first: bool
) -> None:
    monkeypatch.setattr(by_key, "_MOST_ROWS", most)
    schema = pa.schema([field.with_nullable(True) for field in CHECKSUMS])
    files = []
    for number in range(3):
        path = tmp_path / f"{number}.parquet"
        with parquet_writer(path, schema) as writer:
            writer.write_table(_rows("ab", schema))
        files.append(LedgerFile(path.name, path, 2, path.stat().st_size, None, True, None))
    with open_database(tmp_path) as database:
        news = news_of(database, files, [], [], tmp_path)
    assert [group.file for group in news.groups] == (
        [tmp_path / "news-sorted.parquet"] if sorted_first else [file.path for file in files]
    )
    assert news.rows("", None).column("key").to_pylist() == [*"aaabbb"]
