"""DuckDB over the lake: what the views say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from fixity.catalog import Bucket, Catalog
from fixity.reports.query import exploring
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
        now = explorer.ask(f"SELECT {columns} FROM checksums WHERE key = 'a'")
        assert now is not None and now.fetchall() == [differs]
        due = explorer.ask(f"SELECT {columns} FROM due WHERE key = 'a'")
        assert due is not None and due.fetchall() == [differs]
