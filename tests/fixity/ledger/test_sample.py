"""The random sample: seeded, spread over the term, and no object twice within one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixity.clock import EPOCH
from fixity.lake.database import open_database, own_table
from fixity.ledger.fold import define_macros

DAY = timedelta(days=1)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_database(tmp_path_factory.mktemp("sample"), threads=1) as connection:
        define_macros(connection)
        yield connection


def _drawn_after(
    database: duckdb.DuckDBPyConnection,
    after: dict[str, datetime],
    seed: str,
    share: float | None,
    term: timedelta,
) -> dict[str, datetime | None]:
    """When objects are drawn next. Arguments: `after`, their keys with the moments after which."""
    moments = pa.array(list(after.values()), pa.timestamp("us", tz="UTC"))
    own_table(database, "objects", pa.table({"key": list(after), "moment": moments}))
    rows = database.execute(
        "SELECT key, drawn_after($seed, $sample, $every, key, NULL, moment) FROM objects",
        {
            "seed": seed,
            "sample": share and share / (DAY / timedelta(microseconds=1)),
            "every": term // timedelta(microseconds=1),
        },
    ).fetchall()
    return dict(rows)


def _draws(
    database: duckdb.DuckDBPyConnection,
    keys: Iterable[str],
    seed: str,
    share: float,
    term: timedelta,
    terms: int,
) -> list[tuple[str, datetime]]:
    """All draws from the beginning of a term on, each as if the object were read as soon as it is drawn."""
    begin = EPOCH + ((BEGIN - EPOCH) // term) * term
    end = begin + terms * term
    found: list[tuple[str, datetime]] = []
    left = dict.fromkeys(keys, begin - timedelta(microseconds=1))
    for _ in range(terms + 1):
        drawn = _drawn_after(database, left, seed, share, term) if left else {}
        left = {key: at for key, at in drawn.items() if at is not None and at < end}
        found += left.items()
    assert not left
    return found


@settings(max_examples=25, deadline=None)
@given(
    seed=st.text(max_size=8),
    keys=st.sets(st.text(min_size=1, max_size=12), min_size=1, max_size=12),
    days=st.integers(1, 400),
    of_all=st.floats(0.01, 1.0),
)
def test_within_a_term_no_object_is_drawn_twice_and_the_same_seed_draws_the_same(
    database: duckdb.DuckDBPyConnection, seed: str, keys: set[str], days: int, of_all: float
) -> None:
    term, share = days * DAY, of_all / days
    draws = _draws(database, sorted(keys), seed, share, term, terms=2)
    in_terms = Counter((key, (at - EPOCH) // term) for key, at in draws)
    assert max(in_terms.values(), default=1) == 1
    assert sorted(draws) == sorted(_draws(database, sorted(keys), seed, share, term, terms=2))


def test_each_day_has_its_share_of_the_objects_and_another_seed_draws_others(
    database: duckdb.DuckDBPyConnection,
) -> None:
    keys, term = [f"key-{number}" for number in range(4000)], 50 * DAY
    draws = _draws(database, keys, "b", 0.02, term, terms=1)
    assert {key for key, _ in draws} == set(keys)  # 2 % a day of 50 days are all
    days = Counter((at - EPOCH) // DAY for _, at in draws)
    assert len(days) == 50 and all(40 <= count <= 120 for count in days.values())  # 80, and 9 by chance
    half = {key for key, _ in _draws(database, keys, "b", 0.01, term, terms=1)}
    other = {key for key, _ in _draws(database, keys, "c", 0.01, term, terms=1)}
    assert 1800 < len(half) < 2200 and 800 < len(half & other) < 1200


def test_without_a_sample_nothing_is_drawn(database: duckdb.DuckDBPyConnection) -> None:
    assert _drawn_after(database, {"a": BEGIN}, "b", None, 90 * DAY) == {"a": None}
