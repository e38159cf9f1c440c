"""Plain objects get the rows that folding gives to every other one."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
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
LATE = NOW + timedelta(days=10)
SETTINGS = Settings(timedelta(days=90), "SHA256")
NEWS = CHECKSUMS.append(pa.field("only_verdict", pa.bool_()))
OBJECTS = 400  # of one ledger; they do not know of each other, so each is a case of its own

# Mostly what is plain, so that a row which is nearly plain differs in one thing from one that is.
CONTENTS: list[dict[str, Any]] = [
    {"etag": "f"},
    {"etag": None},
    {"size": 2},
    {"last_modified": None},
    {"version_id": "v1"},
    {"version_id": "v2"},
    {"version_id": "null"},
]
VERDICTS: list[dict[str, Any]] = [
    {"verdict": verdict, "expected": expected, "expected_algorithm": algorithm, "expected_from": source}
    for verdict, expected in (("matched", "aa"), ("matched", "aa"), ("matched", "aa"), ("differs", "bb"))
    for algorithm in ("SHA256", "MD5", "CRC32")
    for source in ("first_seen", "object-etag", "manifest", "api", "of another version")
]
ODDITIES: list[dict[str, Any]] = [
    {"status": "failed", "checksum": None, "error_code": "ReadError", "verdict": "not_compared"},
    {"status": "skipped", "checksum": None, "error_code": "DeletedSinceListed"},
    {"checksum": "cc"},
    {"checksum": "cc", "expected": "cc"},
    {"expected": "cc"},
    {"checksum_type": "COMPOSITE"},
    {"checksum_type": None},
    {"evidence": "stored"},
    {"evidence": None},
    {"algorithm": "SHA512"},
    {"algorithm": "MD5"},
    *[{"checked_at": LATE}] * 4,
    {"checked_at": None},
    {"only_verdict": True},
    {"other_checksums": [("MD5", "dd")]},
    {"error_code": "EtagConflict"},
    {"storage_class": "GLACIER"},
    {"verdict": None},
    {"verdict": "not_compared"},
]


def _object(key: str, content: dict[str, Any]) -> dict[str, Any]:
    listed = {"key": key, "version_id": None, "is_latest": True, "size": 1, "etag": "e"}
    return listed | {"last_modified": BEGIN, "storage_class": "STANDARD"} | content


def _check(key: str, content: dict[str, Any], hour: int = 0, **other: Any) -> dict[str, Any]:
    values = {"algorithm": "SHA256", "checksum_type": "FULL_OBJECT", "checksum": "aa", "bytes_read": 1}
    values |= {"status": "succeeded", "evidence": "streamed", "verdict": "registered", "reads": 1}
    made = {"checked_at": BEGIN + timedelta(hours=hour), "run_id": f"r{hour}", "only_verdict": False}
    return {**_object(key, content), **values, **made, **other}


def _checks(random: Random, most: int) -> list[dict[str, Any]]:
    """Checks of some of the objects, those of one mostly alike."""
    rows = []
    for number in range(OBJECTS):
        content: dict[str, Any] = random.choice(CONTENTS) if random.random() < 0.1 else {}
        verdict = random.choice(VERDICTS) if random.random() < 0.5 else {}
        oddity = random.choice(ODDITIES) if random.random() < 0.2 else {}
        for again in range(random.randint(0, most)):
            if random.random() < 0.1:
                content = random.choice(CONTENTS)
            if random.random() < 0.2:
                verdict = random.choice(VERDICTS)
            odd = random.choice(ODDITIES) if random.random() < 0.1 else oddity
            hour = again if random.random() < 0.8 else random.randint(0, 2)
            rows.append(_check(f"k{number:03d}", content, hour, **(verdict | odd)))
    return rows


def _listing(random: Random) -> list[dict[str, Any]]:
    """Most of the objects, some of them in several versions, or of other content than was checked."""
    rows = {}
    for number in range(OBJECTS):
        for _ in range(random.choice((0, 1, 1, 1, 1, 1, 1, 2))):
            content: dict[str, Any] = random.choice(CONTENTS) if random.random() < 0.2 else {}
            if random.random() < 0.1:
                content = content | {"storage_class": "DEEP_ARCHIVE"}
            row = _object(f"k{number:03d}", content)
            rows[row["key"], row["version_id"]] = row
    return list(rows.values())


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


def _rows(table: pa.Table, without: set[str]) -> list[str]:
    return sorted(str(row) for row in table.to_pylist() if row["key"] not in without)


@settings(max_examples=8, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([SETTINGS, SETTINGS, replace(SETTINGS, algorithm="SHA512")]),
    st.sampled_from([SETTINGS, replace(SETTINGS, etag_is_md5=False), replace(SETTINGS, algorithm="SHA512")]),
    st.booleans(),
)
def test_plain_objects_get_the_rows_that_the_statement_gives_them(
    seed: int, terms_before: Settings, terms: Settings, is_first: bool
) -> None:
    random = Random(seed)
    with _database() as database:
        prior = SNAPSHOT.empty_table()
        if not is_first:
            before = Tables(_table(_listing(random), INVENTORY), prior, _table(_checks(random, 1), NEWS))
            prior = _folded(database, terms_before, before, BEGIN)
        news = _checks(random, 3 if is_first else random.randint(0, 1))
        tables = Tables(_table(_listing(random), INVENTORY), prior, _table(news, NEWS))
        plain, others = plain_rows(terms, NOW, NOW, tables)
        assert plain.num_rows or terms.algorithm != SETTINGS.algorithm
        together = pa.concat_tables([plain, _folded(database, terms, others, NOW)])
        of_statement = _folded(database, terms, tables, NOW)
    # Of checks that were made at the same moment the statement takes any. None of these objects may be plain.
    made = Counter((row["key"], row["checked_at"]) for row in news)
    ambiguous = {key for (key, _), checks in made.items() if checks > 1}
    assert ambiguous.isdisjoint(plain.column("key").to_pylist())
    assert _rows(together, ambiguous) == _rows(of_statement, ambiguous)
    assert together.num_rows == of_statement.num_rows


def test_an_object_that_is_as_it_was_or_has_nothing_new_is_not_left_to_the_statement() -> None:
    by_etag: dict[str, Any] = {"expected": "dd", "expected_algorithm": "MD5", "expected_from": "object-etag"}
    listing = _table([_object(key, {}) for key in ("a", "b", "c", "twice")], INVENTORY)
    several = [_check("twice", {}, 1), _check("twice", {}, 2, checksum="bb")]
    news = [_check("a", {}), _check("b", {}, verdict="matched", **by_etag), *several]
    first, left = plain_rows(
        SETTINGS, BEGIN, NOW, Tables(listing, SNAPSHOT.empty_table(), _table(news, NEWS))
    )
    assert first.column("key").to_pylist() == ["a", "b", "c"]
    assert [set(table.column("key").to_pylist()) for table in left] == [{"twice"}, set(), {"twice"}]
    own: dict[str, Any] = {"expected": "aa", "expected_algorithm": "SHA256", "expected_from": "first_seen"}
    news = [_check(key, {}, 1, verdict="matched", **own) for key in "ab"] + [_check("c", {})]
    again, left = plain_rows(SETTINGS, NOW, NOW, Tables(listing, first, _table(news, NEWS)))
    # b has its baseline from a record, and the new check was held against another one.
    assert [set(table.column("key").to_pylist()) for table in left] == [{"b"}] * 3
    assert again.column("key").to_pylist() == ["a", "c", "twice"]
    assert again.column("verified_at").to_pylist() == [BEGIN + timedelta(hours=1), BEGIN, None]
    assert again.column("baseline_at").to_pylist() == [BEGIN, BEGIN, None]
    assert again.column("baseline_run").to_pylist() == ["r0", "r0", None]
    assert again.column("last_listed_at").to_pylist() == [NOW] * 3


def _matched(source: str, algorithm: str = "SHA256", expected: str = "aa") -> dict[str, Any]:
    return {
        "verdict": "matched", "expected": expected, "expected_algorithm": algorithm, "expected_from": source
    }  # fmt: skip


FIRST, MANIFEST, ETAG = _matched("first_seen"), _matched("manifest"), _matched("object-etag", "MD5", "dd")
AGAIN: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], bool]] = {
    "first seen, found again": ([{}], [FIRST | {"hour": 5}], True),
    "registered twice": ([{}], [{"hour": 5}], True),
    "proved by a manifest, twice": ([MANIFEST], [MANIFEST | {"hour": 5}], True),
    "proved by its ETag, twice": ([ETAG], [ETAG | {"hour": 5}], True),
    "found again twice": ([{}], [FIRST | {"hour": 5}, FIRST | {"hour": 6}], True),
    "found again at the same moment": ([{"hour": 5}], [FIRST | {"hour": 5}], True),
    "found again before": ([{"hour": 5}], [FIRST | {"hour": 3}], False),
    "failed since": ([{}, {"hour": 9, **ODDITIES[0]}], [FIRST | {"hour": 5}], False),
    "failed before": ([{}, {"hour": 3, **ODDITIES[0]}], [FIRST | {"hour": 5}], False),
    "wrong before": ([MANIFEST | {"verdict": "differs", "checksum": "bb"}], [MANIFEST | {"hour": 5}], False),
    "another one registered": ([{}], [{"hour": 5, "checksum": "bb"}], False),
    "another one proved": (
        [MANIFEST], [_matched("manifest", expected="bb") | {"hour": 5, "checksum": "bb"}], False
    ),
    "proved by a manifest since": ([{}], [MANIFEST | {"hour": 5}], False),
    "only first seen since": ([MANIFEST], [FIRST | {"hour": 5}], False),
    "with a record that is weaker": ([_matched("manifest", "CRC32", "ee")], [FIRST | {"hour": 5}], False),
    "of another algorithm before": ([{"algorithm": "SHA512"}], [FIRST | {"hour": 5}], False),
    "of another content": ([{}], [{"hour": 5, "etag": "f"}], False),
}  # fmt: skip
"""Checks in the snapshot, new checks, and whether all of this is plain."""


def test_an_object_that_was_checked_before_is_plain_only_if_its_baseline_is_found_again() -> None:
    before = [_check(key, {}, **check) for key, (checks, _, _) in AGAIN.items() for check in checks]
    since = [_check(key, {}, **check) for key, (_, checks, _) in AGAIN.items() for check in checks]

    listing = _table([_object(key, {}) for key in AGAIN], INVENTORY)
    with _database() as database:
        prior = _folded(
            database, SETTINGS, Tables(listing, SNAPSHOT.empty_table(), _table(before, NEWS)), BEGIN
        )
        tables = Tables(listing, prior, _table(since, NEWS))
        plain, others = plain_rows(SETTINGS, NOW, NOW, tables)
        of_statement = {row["key"]: row for row in _folded(database, SETTINGS, tables, NOW).to_pylist()}
    rows = {row["key"]: row for row in plain.to_pylist()}
    assert rows == {key: of_statement[key] for key in rows}
    assert {key: key in rows for key in AGAIN} == {key: is_plain for key, (_, _, is_plain) in AGAIN.items()}
    assert set(others.news.column("key").to_pylist()) == AGAIN.keys() - rows.keys()


@pytest.mark.parametrize("terms", [replace(SETTINGS, sample=0.5), replace(SETTINGS, is_rolled=False)])
def test_where_more_than_the_term_says_when_an_object_is_due_none_is_plain(terms: Settings) -> None:
    listing = _table([_object("a", {})], INVENTORY)
    tables = Tables(listing, SNAPSHOT.empty_table(), NEWS.empty_table())
    plain, others = plain_rows(terms, BEGIN, NOW, tables)
    assert (plain.num_rows, others) == (0, tables)
