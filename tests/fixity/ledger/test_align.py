"""Tables that are sorted by key, aligned in Arrow: no row meets one of another key, and NULL is a value."""

from __future__ import annotations

import pyarrow as pa

from fixity.ledger.align import CONTENT, align, alone, equal, is_same, marked


def _table(*rows: tuple[str, int | None]) -> pa.Table:
    keys, sizes = zip(*rows, strict=True) if rows else ((), ())
    columns = {name: pa.array([None] * len(rows), pa.string()) for name in CONTENT}
    return pa.table(columns | {"key": pa.array(keys, pa.string()), "size": pa.array(sizes, pa.int64())})


def test_each_key_gets_its_own_row_and_a_key_without_one_gets_nulls() -> None:
    keys = pa.chunked_array([["a", "b"], ["d"]])
    assert align(keys, _table(("b", 2), ("c", 3), ("d", 4))).select(["key", "size"]).to_pylist() == [
        {"key": None, "size": None},
        {"key": "b", "size": 2},
        {"key": "d", "size": 4},
    ]
    assert align(keys, _table()).column("key").to_pylist() == [None] * 3


def test_a_key_with_several_rows_is_not_alone_even_where_it_begins_or_ends_the_table() -> None:
    keys = pa.chunked_array([["a", "a"], ["b", "c"], ["c"]])
    assert alone(keys).to_pylist() == [False, False, True, False, False]
    assert alone(pa.chunked_array([], pa.string())).to_pylist() == []


def test_rows_are_of_one_object_only_where_the_key_has_one_row_and_all_of_its_content_is_equal() -> None:
    ours = _table(("a", 1), ("b", 2), ("c", None), ("d", 4), ("e", 5))
    theirs = marked(_table(("a", 1), ("b", 3), ("c", None), ("d", 4), ("d", 4)))
    found = is_same(ours, align(ours.column("key"), theirs))
    assert found.to_pylist() == [True, False, True, False, False]


def test_null_is_equal_to_null_and_to_nothing_else() -> None:
    one, two = pa.chunked_array([[1, None, None, 4]]), pa.chunked_array([[1, None, 3, None]])
    assert equal(one, two).to_pylist() == [True, True, False, False]
    assert equal(one, one).to_pylist() == [True] * 4
