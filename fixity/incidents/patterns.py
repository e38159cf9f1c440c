"""Which suspect rows are alike in all that a diagnosis depends on, so that it is found once for all of them.

A diagnosis depends on which checksums, ETags, versions and sizes are the same, not on which they are; on the
order of times; and on the days, which its words name. All else that is known counts as it is. Gathering what
is known is in `evidence`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from fixity import compute as pc

_SAME = ("version_id", "size", "checksum")
_TIMES = (
    "last_modified", "checked_at", "first_at", "last_at", "current_from", "current_until", "since", "until",
    "told_at", "listed_at", "deleted_at",
)  # fmt: skip
_UNUSED = ("key", "storage_class")
_NO_VERSION = {"": -1, "null": -2}
_MOST_OF_A_KEY = 4
"""Rows of a table. With more of its key, a row is like no other: the work grows with the square."""
_DAY = 24 * 60 * 60 * 1_000_000

_Array = Any
"""An array of Arrow, of one value for each suspect row."""


def alike(rows: pa.Table, known: Iterable[pa.Table]) -> tuple[list[int], list[_Array]]:
    """For each of some rows, the first one that is like it, and the times in what is known of them.

    Arguments: `rows`, with a column `key`; columns of a side may have its name before theirs. `known`, tables
    of what is known of keys. The times are arrays, in microseconds; those of rows that are alike stand for
    the same.
    """
    facts = _Facts()
    facts.add(rows)
    alone = pa.repeat(False, rows.num_rows)
    for table in known:
        for number, places in enumerate(_places(rows["key"], table["key"])):
            if number == _MOST_OF_A_KEY:
                alone = pc.or_(alone, pc.is_valid(places))
                break
            facts.plain.append(pc.is_valid(places))
            facts.add(table.take(places))
    numbers = pa.array(range(rows.num_rows), pa.int64())
    columns = [*facts.pattern(), pc.if_else(alone, numbers, -1)]
    names = list(map(str, range(len(columns))))
    pattern = pa.table([*columns, numbers], [*names, "row"])
    first_alike = [0] * rows.num_rows
    for of_pattern in pattern.group_by(names).aggregate([("row", "list")])["row_list"].to_pylist():
        first = min(of_pattern)
        for row in of_pattern:
            first_alike[row] = first
    return first_alike, facts.times


class _Facts:
    """All that is known of the rows, by how it counts. texts: only which of them are the same."""

    def __init__(self) -> None:
        self.plain: list[_Array] = []
        self.texts: list[_Array] = []
        self.times: list[_Array] = []

    def add(self, table: pa.Table) -> None:
        """Take the columns of a table, which has a row for each."""
        for column, name in zip(table.columns, table.column_names, strict=True):
            name = name.removeprefix("source_").removeprefix("replica_")
            column = column.combine_chunks()
            if name in _UNUSED:
                continue
            if name == "size":
                self.texts.append(pc.binary_join_element_wise("size", column.cast(pa.string()), " "))
            elif name in _SAME:
                self.texts.append(column.cast(pa.string()))
            elif name == "etag":  # it may also be an MD5 in upper case
                self.texts += [column, pc.utf8_lower(column)]
            elif name in _TIMES:
                self.times.append(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()))
            elif name == "other_checksums":
                for algorithm, checksum in _entries(column):
                    self.plain.append(algorithm)
                    self.texts.append(checksum)
            else:
                self.plain.append(column)

    def pattern(self) -> Iterator[_Array]:
        """Arrays of numbers that are equal for rows that are alike."""
        yield from (each.dictionary_encode().indices for each in self.plain)
        yield from _first_same(self.texts)
        for time in self.times:
            yield pc.divide(time, _DAY)
            earlier = [pc.fill_null(pc.less(each, time), False).cast(pa.int32()) for each in self.times]
            yield pc.if_else(pc.is_valid(time), _sum(earlier), None)


def _sum(arrays: Sequence[_Array]) -> _Array:
    total = arrays[0]
    for each in arrays[1:]:
        total = pc.add(total, each)
    return total


def _first_same(texts: Sequence[_Array]) -> Iterator[_Array]:
    """For each text, the place of the first one of its row that is the same."""
    encoded = pa.chunked_array(texts, pa.string()).dictionary_encode().chunks  # by one dictionary
    names = {text: encoded[0].dictionary.index(text).as_py() for text in _NO_VERSION if encoded}
    codes = [each.indices for each in encoded]
    for place, code in enumerate(codes):
        first = pc.if_else(pc.is_valid(code), place, None)
        for before in range(place - 1, -1, -1):
            first = pc.if_else(pc.fill_null(pc.equal(codes[before], code), False), before, first)
        for text, number in names.items():
            if number >= 0:
                is_it = pc.fill_null(pc.equal(code, number), False)
                first = pc.if_else(is_it, _NO_VERSION[text], first)
        yield first


def _entries(column: _Array) -> Iterator[tuple[_Array, _Array]]:
    """The first key and value of each map of an array, the second, and so on; NULL where there is none."""
    begin, end = column.offsets.slice(0, len(column)), column.offsets.slice(1)
    length = pc.if_else(pc.is_valid(column), pc.subtract(end, begin), 0)
    for number in range(pc.max(length).as_py() or 0):
        places = pc.if_else(pc.greater(length, number), pc.add(begin, number), None)
        yield column.keys.take(places), column.items.take(places)


def _places(keys: pa.ChunkedArray, of_table: pa.ChunkedArray) -> Iterator[_Array]:
    """For each key, the place of its first row in a table, then of its second, and so on; NULL: none."""
    every = pc.unique(keys)
    wanted = pc.index_in(keys, every).combine_chunks()
    codes = pc.index_in(of_table, every).combine_chunks()
    order = pc.array_sort_indices(codes)  # stable: the rows of a key keep their order
    codes = codes.take(order)
    while len(codes):
        is_new = pc.not_equal(codes.slice(1), codes.slice(0, len(codes) - 1))
        is_first = pa.concat_arrays([pa.array([True]), is_new])
        yield order.filter(is_first).take(pc.index_in(wanted, codes.filter(is_first)))
        rest = pc.invert(is_first)
        codes, order = codes.filter(rest), order.filter(rest)
