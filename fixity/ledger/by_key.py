"""Rows of tables for a range of keys, as Arrow, and the ranges that a bucket is folded in.

What the rows mean does not belong here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.lake.database import quoted
from fixity.lake.ranges import Piece, TableNotSorted, pieces_of
from fixity.lake.row_groups import constants_of_group, read_group
from fixity.lake.writer import ROW_GROUP_ROWS

if TYPE_CHECKING:
    import duckdb

    from fixity.ledger.files import LedgerFile

_RANGE_ROWS = 200_000
_MOST_READS = 3  # of a row, on average
_MOST_ROWS = 600_000  # of a table for a range: about a gigabyte of checks
_WHOLE_GROUPS = 2**62  # bytes


Keys = tuple[str, str | None]
"""A range of keys: from one on, and up to another, or to the end."""


class Group(NamedTuple):
    """A row group of a table."""

    file: Path
    piece: Piece


def groups_of(*files: Path) -> list[Group]:
    """The row groups of the files of a table, from their footers. Raises TableNotSorted."""
    return [Group(file, piece) for file in files for piece in pieces_of(file, _WHOLE_GROUPS)]


class ByKey:
    """The rows of row groups by ranges of keys. Only groups that may have such keys are read.

    Arguments: `schema`, by which a file is read: columns that it lacks are NULL, but for `filename`, which is
    its path; `whole`, which makes rows of what was read.
    """

    def __init__(
        self,
        groups: Iterable[Group],
        schema: pa.Schema,
        whole: Callable[[pa.Table], pa.Table] = lambda read: read,
    ) -> None:
        self.groups = sorted(groups, key=lambda group: group.piece.first)
        self._schema = schema
        self._whole = whole

    def rows(self, lower: str, upper: str | None) -> pa.Table:
        """The rows with the keys from `lower` up to `upper`, sorted by key."""
        found = [self._schema.empty_table()]
        for file, piece in self.groups:
            if (upper is None or piece.first < upper) and piece.last >= lower:
                rows = _read(file, piece, self._schema)
                if piece.first < lower or (upper is not None and piece.last >= upper):
                    rows = _within(rows, lower, upper)
                found.append(rows)
        return sorted_by_key(self._whole(pa.concat_tables(found).combine_chunks()))


def _read(file: Path, piece: Piece, schema: pa.Schema) -> pa.Table:
    with pq.ParquetFile(file, pre_buffer=False) as table:
        rows_of = (table.metadata.row_group(each).num_rows for each in range(table.num_row_groups))
        number = bisect_right([*accumulate(rows_of, initial=0)], piece.start) - 1  # groups may be empty
        return read_group(table, number, schema, {"filename": str(file)})


def constants_of(*files: Path) -> dict[str, str | int | None]:
    """The columns of the files of a table that have one value in all rows, as the footers show."""
    groups = []
    for file in files:
        with pq.ParquetFile(file) as table:
            groups += [constants_of_group(table.metadata, number) for number in range(table.num_row_groups)]
    first = groups[0] if groups else {}
    return {
        name: value for name, value in first.items() if all((name, value) in each.items() for each in groups)
    }


def _within(rows: pa.Table, lower: str, upper: str | None) -> pa.Table:
    keys = rows.column("key")
    mask = pc.greater_equal(keys, lower)
    return rows.filter(mask if upper is None else pc.and_(mask, pc.less(keys, upper)))


def sorted_by_key(rows: pa.Table) -> pa.Table:
    """The rows sorted by key; those of one key stay as they are."""
    keys = rows.column("key")
    if rows.num_rows < 2 or pc.all(pc.less_equal(keys[:-1], keys[1:])).as_py():
        return rows
    return rows.take(pc.sort_indices(keys))


def tables_by_key(
    tables: Collection[LedgerFile],
    schema: pa.Schema,
    others: Sequence[ByKey],
    sort: Callable[[list[Path]], Path | None],
) -> ByKey:
    """The rows of many tables, to be read range by range with those of others.

    Arguments: `sort` sorts some into one table, which it returns: those that are
    not sorted, that would be read for each of many ranges, or of which a range would have too many rows. It
    is called also without any, and may return a table then, or None.
    """
    rows_of = {table.path: table.rows for table in tables}
    groups = {table.path: _groups(table) for table in tables}
    table = ByKey(chain(*groups.values()), schema)
    if is_scattered(table, ranges_of([*others, table])):
        groups = {file: groups[file] if rows > ROW_GROUP_ROWS else [] for file, rows in rows_of.items()}
        table = ByKey(chain(*groups.values()), schema)
    if is_crowded(table, ranges_of([*others, table])):
        groups = {file: [] for file in rows_of}
    in_order = sort([file for file, rows in rows_of.items() if rows and not groups[file]])
    if in_order is not None:
        groups[in_order] = groups_of(in_order)
    return ByKey(chain(*groups.values()), schema)


def sorted_copy(database: duckdb.DuckDBPyConnection, query: str, file: Path) -> Path:
    """Write the rows of a query, sorted by key, as a table that is read by ranges; returns its `file`."""
    database.execute(f"COPY ({query} ORDER BY key) TO {quoted(file)} (ROW_GROUP_SIZE {ROW_GROUP_ROWS})")
    return file


def _groups(table: LedgerFile) -> list[Group]:
    """The row groups of a table that is sorted; none of others."""
    if table.pieces is not None:
        return [Group(table.path, piece) for piece in table.pieces]
    try:
        return groups_of(table.path)
    except TableNotSorted:
        return []


def ranges_of(tables: Sequence[ByKey], keys: Keys = ("", None)) -> list[Keys]:
    """Ranges of some keys that are small enough for memory, in order."""
    begin, end = keys
    pieces = sorted(
        (group.piece for table in tables for group in table.groups), key=lambda piece: piece.first
    )
    edges: list[str | None] = [begin]
    lower, held = begin, 0
    for piece in pieces:
        if end is not None and piece.first >= end:
            break
        if held >= _RANGE_ROWS and piece.first > lower:
            lower, held = piece.first, 0
            edges.append(lower)
        if piece.last >= begin:
            held += piece.rows
    return [(lower or "", upper) for lower, upper in pairwise([*edges, end])]


def is_scattered(table: ByKey, ranges: Sequence[Keys]) -> bool:
    """Whether the rows of a table are read much more often than once if it is read range by range."""
    lowers = [lower for lower, _ in ranges]
    rows = read = 0
    for _, piece in table.groups:
        rows += piece.rows
        read += piece.rows * (1 + bisect_right(lowers, piece.last) - bisect_right(lowers, piece.first))
    return read > _MOST_READS * rows


def is_crowded(table: ByKey, ranges: Sequence[Keys]) -> bool:
    """Whether more rows of a table are read for one of the ranges than memory should hold.

    So it is with many files whose row groups begin with the same key: no range ends before all of them end.
    """
    lowers = [lower for lower, _ in ranges]
    held = Counter[int]()
    for _, piece in table.groups:
        for number in range(bisect_right(lowers, piece.first), bisect_right(lowers, piece.last) + 1):
            held[number] += piece.rows
    return max(held.values(), default=0) > _MOST_ROWS
