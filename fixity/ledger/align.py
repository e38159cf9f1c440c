"""Aligns tables that are sorted by key, in Arrow: the row of one for each key of another.

Where a key has one row, this takes a fraction of the memory and time of a join in SQL. What the rows mean
does not belong here.
"""

from __future__ import annotations

import pyarrow as pa

from fixity import compute as pc

CONTENT = ("version_id", "etag", "last_modified", "size")
"""Columns that tell apart what was written under one key: rows that are equal in all are of one object."""


def marked(table: pa.Table) -> pa.Table:
    """The table, sorted by key, with a column `plain`: whether a row is the only one of its key."""
    return table.append_column("plain", alone(table.column("key")))


def alone(keys: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether each of some keys, which are sorted, is there once."""
    other = pc.not_equal(keys[1:], keys[:-1]).combine_chunks()
    end = pa.array([True] * min(1, len(keys)), pa.bool_())
    return pa.chunked_array(
        [pc.and_(pa.concat_arrays([end, other]), pa.concat_arrays([other, end]))], pa.bool_()
    )


def align(keys: pa.ChunkedArray, table: pa.Table) -> pa.Table:
    """The rows of a table for some keys, one for each key, all NULL where there is none.

    Of several rows of one key it is the first: see `marked`.
    """
    of_table = table.column("key")
    if of_table.equals(keys):
        return table
    if not table.num_rows:
        return pa.table([pa.nulls(len(keys), each.type) for each in table.schema], table.schema.names)
    return table.take(pc.index_in(keys, value_set=of_table)).combine_chunks()


def is_same(rows: pa.Table, other: pa.Table) -> pa.ChunkedArray:
    """Whether the aligned rows are there and `plain` (see `marked`), and of the same content."""
    pairs = [(rows.column(name), other.column(name)) for name in CONTENT]
    return every(other.column("plain"), *(equal(one, two) for one, two in pairs if not one.equals(two)))


def equal(one: pa.ChunkedArray, two: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether values are equal; NULL is equal to NULL."""
    return pc.or_(pc.fill_null(pc.equal(one, two), False), pc.and_(pc.is_null(one), pc.is_null(two)))


def every(*conditions: pa.ChunkedArray) -> pa.ChunkedArray:
    """All of the conditions; NULL is no."""
    met = pc.fill_null(conditions[0], False)
    for each in conditions[1:]:
        met = pc.and_(met, pc.fill_null(each, False))
    return met
