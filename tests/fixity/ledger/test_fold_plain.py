"""Plain objects get the rows that folding gives to every other one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixity.lake.database import open_database, own_table
from fixity.ledger import Settings
from fixity.ledger.fold import folded
from fixity.ledger.fold_plain import Tables, plain_rows
from fixity.ledger.snapshot import SNAPSHOT
from fixity.tables import CHECKSUMS, INVENTORY

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = BEGIN + timedelta(days=30)
LATE = NOW + timedelta(days=1)
SETTINGS = Settings(timedelta(days=90), "SHA256")
NEWS = CHECKSUMS.append(pa.field("only_verdict", pa.bool_()))
KEYS = [f"k{number}" for number in range(20)]

# Mostly what is plain, so that a row which is nearly plain differs in one thing from one that is.
CONTENT = st.sampled_from(
    [{}] * 6
    + [{"etag": "f"}, {"etag": None}, {"size": 2}, {"last_modified": None}]
    + [{"version_id": "v1"}, {"version_id": "v2"}, {"version_id": "null"}]
)
VERDICT = st.sampled_from(
    [{"verdict": "registered"}] * 4
    + [
        {"verdict": verdict, "expected": expected, "expected_algorithm": algorithm, "expected_from": source}
        for verdict, expected in (("matched", "aa"), ("matched", "aa"), ("differs", "bb"))
        for algorithm in ("SHA256", "MD5", "CRC32")
        for source in ("first_seen", "object-etag", "manifest", "api")
    ]
    + [{"verdict": "not_compared"}, {"verdict": None}]
)
ODDITY = st.sampled_from(
    [{}] * 12
    + [
        {"status": "failed", "checksum": None, "error_code": "ReadError", "verdict": "not_compared"},
        {"status": "skipped", "checksum": None, "error_code": "DeletedSinceListed"},
        {"checksum": "cc"},
        {"checksum_type": "COMPOSITE"},
        {"checksum_type": None},
        {"evidence": "stored"},
        {"evidence": None},
        {"algorithm": "SHA512"},
        {"algorithm": "MD5"},
        {"checked_at": LATE},
        {"checked_at": None},
        {"only_verdict": True},
        {"other_checksums": [("MD5", "dd")]},
        {"error_code": "EtagConflict"},
        {"storage_class": "GLACIER"},
    ]
)


def _object(key: str, content: dict[str, Any]) -> dict[str, Any]:
    listed = {"key": key, "version_id": None, "is_latest": True, "size": 1, "etag": "e"}
    return listed | {"last_modified": BEGIN, "storage_class": "STANDARD"} | content


LISTED = st.builds(_object, st.sampled_from(KEYS), CONTENT).flatmap(
    lambda row: st.sampled_from(["STANDARD", "STANDARD", "DEEP_ARCHIVE"]).map(
        lambda name: row | {"storage_class": name}
    )
)
CHECK = st.builds(
    lambda key, content, verdict, hour, oddity: {
        **_object(key, content),
        "algorithm": "SHA256",
        "checksum_type": "FULL_OBJECT",
        "checksum": "aa",
        "status": "succeeded",
        "bytes_read": 1,
        "evidence": "streamed",
        "checked_at": BEGIN + timedelta(hours=hour),
        "run_id": f"r{hour}",
        "reads": 1,
        "only_verdict": False,
        **verdict,
        **oddity,
    },
    st.sampled_from(KEYS),
    CONTENT,
    VERDICT,
    st.integers(1, 9),
    ODDITY,
)


def _one_a_version(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({(row["key"], row["version_id"]): row for row in rows}.values())


LISTING = st.lists(LISTED, min_size=10, max_size=30).map(_one_a_version)
MOSTLY_ONE_A_KEY = st.one_of(
    st.lists(CHECK, max_size=30, unique_by=lambda row: row["key"]), st.lists(CHECK, max_size=30)
)


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["key"]), schema)


@contextmanager
def _database() -> Iterator[duckdb.DuckDBPyConnection]:
    with tempfile.TemporaryDirectory() as folder, open_database(Path(folder)) as database:
        yield database


def _folded(
    database: duckdb.DuckDBPyConnection, terms: Settings, tables: Tables, listed_at: datetime
) -> pa.Table:
    """The rows as the statement gives them."""
    for name, table in zip(Tables._fields, tables, strict=True):
        own_table(database, name, table)
    return pa.Table.from_batches(folded(database, terms, listed_at, NOW, "", None), SNAPSHOT)


def _rows(*tables: pa.Table) -> list[dict[str, Any]]:
    rows = pa.concat_tables(tables).to_pylist()
    return sorted(rows, key=lambda row: (row["key"], row["version_id"] or "", str(row)))


@settings(max_examples=20, deadline=None)
@given(
    LISTING,
    LISTING,
    st.lists(CHECK, max_size=20),
    MOSTLY_ONE_A_KEY,
    st.sampled_from([SETTINGS] * 3 + [replace(SETTINGS, algorithm="SHA512")]),
    st.sampled_from([SETTINGS] * 3 + [replace(SETTINGS, etag_is_md5=False), replace(SETTINGS, sample=0.1)]),
)
def test_plain_objects_get_the_rows_that_the_statement_gives_them(
    listed_before: list[dict[str, Any]],
    listed: list[dict[str, Any]],
    before: list[dict[str, Any]],
    news: list[dict[str, Any]],
    terms_before: Settings,
    terms: Settings,
) -> None:
    earlier = Tables(_table(listed_before, INVENTORY), SNAPSHOT.empty_table(), _table(before, NEWS))
    with _database() as database:
        prior = _folded(database, terms_before, earlier, BEGIN)
        tables = Tables(_table(listed, INVENTORY), prior, _table(news, NEWS))
        plain, others = plain_rows(terms, NOW, NOW, tables)
        together = _rows(plain, _folded(database, terms, others, NOW))
        assert together == _rows(_folded(database, terms, tables, NOW))


def test_an_object_with_one_right_check_or_with_nothing_new_is_not_left_to_the_statement() -> None:
    def check(key: str, **verdict: str) -> dict[str, Any]:
        values = {"algorithm": "SHA256", "checksum_type": "FULL_OBJECT", "checksum": "aa", "bytes_read": 1}
        values |= {"status": "succeeded", "evidence": "streamed", "run_id": "r", "verdict": "registered"}
        return {**_object(key, {}), **values, "checked_at": BEGIN, "only_verdict": False, **verdict}

    by_etag = {"expected": "dd", "expected_algorithm": "MD5", "expected_from": "object-etag"}
    listing = _table([_object(key, {}) for key in ("a", "b", "c", "twice")], INVENTORY)
    news = [check("a"), check("b", verdict="matched", **by_etag), check("twice"), check("twice")]
    first, left = plain_rows(
        SETTINGS, BEGIN, NOW, Tables(listing, SNAPSHOT.empty_table(), _table(news, NEWS))
    )
    assert first.column("key").to_pylist() == ["a", "b", "c"]
    assert [set(table.column("key").to_pylist()) for table in left] == [{"twice"}, set(), {"twice"}]
    again, left = plain_rows(
        SETTINGS, NOW, NOW, Tables(listing, first, _table([check("a"), check("c")], NEWS))
    )
    assert [set(table.column("key").to_pylist()) for table in left] == [{"a"}] * 3  # it has a history
    assert again.column("key").to_pylist() == ["b", "c", "twice"]
    assert again.column("verified_at").to_pylist() == [BEGIN, BEGIN, None]
    assert again.column("last_listed_at").to_pylist() == [NOW] * 3


@pytest.mark.parametrize("terms", [replace(SETTINGS, sample=0.5), replace(SETTINGS, is_rolled=False)])
def test_where_more_than_the_term_says_when_an_object_is_due_none_is_plain(terms: Settings) -> None:
    listing = _table([_object("a", {})], INVENTORY)
    tables = Tables(listing, SNAPSHOT.empty_table(), NEWS.empty_table())
    plain, others = plain_rows(terms, BEGIN, NOW, tables)
    assert (plain.num_rows, others) == (0, tables)
