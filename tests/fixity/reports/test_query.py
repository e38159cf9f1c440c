"""DuckDB over the lake: what the views say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from fixity.catalog import Bucket, Catalog, Pair
from fixity.errors import WrongUsage
from fixity.lake import LocalLake
from fixity.lake.paths import report_file
from fixity.reports.query import VIEWS, exploring
from tests.fixity.reports.rows import report, row
from tests.fixity.rolling.support import Rolling
from tests.fixity.support import sha256


def test_the_history_of_a_key_shows_what_each_check_was_held_against(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a", "b")
    bucket.take_inventory()
    bucket.roll()
    bucket.store.damage("a")
    bucket.time += timedelta(days=91)
    bucket.roll()
    buckets = {"b": Bucket(name="b", fixity_every=timedelta(days=90))}
    catalog = Catalog(file=tmp_path / "fixity.yaml", lake=str(bucket.folder), buckets=buckets)
    columns = "verdict, expected, expected_from"
    with exploring(catalog, bucket.lake, bucket.said.append) as explorer:
        history = explorer.ask(f"SELECT {columns} FROM checks WHERE key = 'a' ORDER BY checked_at")
        assert history is not None
        differs = ("differs", sha256(b"a"), "first_seen")
        assert history.fetchall() == [("registered", None, None), differs]
        counted = explorer.ask(
            "SELECT run_id, count(*), min(checked_at) FROM checks WHERE bucket = 'b' GROUP BY 1 ORDER BY 3"
        )
        assert counted is not None and sorted(count for _, count, _ in counted.fetchall()) == [2, 2]
        now = explorer.ask(f"SELECT {columns} FROM checksums WHERE key = 'a'")
        assert now is not None and now.fetchall() == [differs]
        due = explorer.ask(f"SELECT {columns} FROM due WHERE key = 'a'")
        assert due is not None and due.fetchall() == [differs]


def test_a_query_over_reports_reads_every_key_and_null_as_they_were_compared(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path / "lake")
    keys = ["\n", " a ", '"', "#", "=1", "Icon\r", "a\r\nb"]
    rows = [row(key, version_id=None if number % 2 else "") for number, key in enumerate(keys)]
    lake.put(report_file("a", None), report(tmp_path, rows, rows).csv)
    buckets = {name: Bucket(name=name) for name in ("a", "b")}
    pairs = {"a": Pair(name="a", replica="b")}
    catalog = Catalog(file=tmp_path / "fixity.yaml", lake="./lake", buckets=buckets, pairs=pairs)
    with exploring(catalog, lake, list[str]().append) as explorer:
        found = explorer.ask("SELECT key, version_id FROM reports")
        assert found is not None
        assert found.fetchall() == [(each["key"], each["version_id"]) for each in rows]


def test_reports_of_earlier_versions_have_fewer_columns_and_are_read_beside_new_ones(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path / "lake")
    lake.put_text(report_file("a", None), "bucket,key,version_id,status,detail\nold,k,,mismatch,sizes\n")
    lake.put(report_file("b", None), report(tmp_path, [row("k")], [row("k")]).csv)
    buckets = {name: Bucket(name=name) for name in ("a", "b", "c")}
    pairs = {name: Pair(name=name, replica="c") for name in ("a", "b")}
    catalog = Catalog(file=tmp_path / "fixity.yaml", lake="./lake", buckets=buckets, pairs=pairs)
    with exploring(catalog, lake, list[str]().append) as explorer:
        found = explorer.ask("SELECT pair, status, detail, diagnosis FROM reports ORDER BY pair")
        assert found is not None
        assert found.fetchall() == [("a", "mismatch", "sizes", None), ("b", "ok", None, None)]


def test_a_restricted_explorer_reads_only_the_lake_and_writes_nothing(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a")
    bucket.take_inventory()
    catalog = Catalog(file=tmp_path / "fixity.yaml", lake=str(bucket.folder), buckets={"b": Bucket(name="b")})
    (inventory,) = bucket.folder.glob("inventory/b/*.parquet")
    outside = tmp_path / "secret.csv"
    outside.write_text("a\n1\n")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with exploring(catalog, bucket.lake, bucket.said.append) as explorer:
        for query in (
            f"from '{inventory}'",
            "from inventory",
            "pivot inventory on key",
            "create table t as select 1",
        ):
            explorer.ask(query)
        for reading in (
            f"from '{outside}'",
            f"from '{inventory.parent}/../../../{outside.name}'",
            "from glob('/*')",
        ):
            with pytest.raises(duckdb.PermissionException, match="Cannot access file"):
                explorer.ask(reading)
        for writing in (
            f"copy (select 1) to '{inventory}'",
            f"explain analyze copy (select 1) to '{inventory}'",
            f"prepare p as copy (select 1) to '{inventory}'",
            f"select 1; copy (select 1) to '{outside}'",
            f"attach '{bucket.folder}/new.db'",
            f"export database '{tmp_path}'",
            "set enable_external_access = true",
            "install httpfs",
        ):
            with pytest.raises(WrongUsage, match="is not a query: only SELECT and CREATE are run"):
                explorer.ask(writing)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    with exploring(catalog, bucket.lake, bucket.said.append, unrestricted=True) as explorer:
        explorer.ask(f"copy (from '{outside}') to '{tmp_path}/copy.csv'")
    assert (tmp_path / "copy.csv").read_text() == "a\n1\n"


def test_show_tables_names_the_views_and_what_the_user_made(tmp_path: Path) -> None:
    catalog = Catalog(file=tmp_path / "fixity.yaml", lake="./lake", buckets={"b": Bucket(name="b")})
    with exploring(catalog, LocalLake(tmp_path / "lake"), list[str]().append) as explorer:
        explorer.ask("CREATE TABLE mine AS SELECT count(*) AS n FROM checks")
        shown = explorer.ask(" SHOW Tables ;")
        assert shown is not None
        assert [name for (name,) in shown.fetchall()] == sorted([*VIEWS, "mine"])
