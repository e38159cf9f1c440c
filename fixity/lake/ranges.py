"""Cuts sorted tables into ranges of keys that are small enough to compare in memory.

Only the footers of the tables are read, if these suffice. Comparing a range does not belong here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.errors import FixityError
from fixity.lake.row_groups import column_of_group


class TableNotSorted(FixityError):
    """A table whose keys do not ascend, so that its footer does not show its ranges."""


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of a table: a row group, or a part of a large one.

    first, last: bounds of its keys (the smallest and the largest, or wider if a footer truncates them).
    start: the number of its first row. rows: how many. size: bytes according to the footer, encoded but not
    compressed.
    """

    first: str
    last: str
    start: int
    rows: int
    size: int


@dataclass(frozen=True)
class KeyRange:
    """The keys from `lower` to `upper` (exclusive; None: to the end), and the rows that may have them.

    rows: for each table, the numbers of the first and the last row that may have such a key; the last is less
    than the first if there is no such row.
    """

    lower: str
    upper: str | None
    rows: tuple[tuple[int, int], ...]


def key_ranges(*tables: Path, most: int) -> list[KeyRange]:
    """The ranges of all tables, in order. They cover all keys; versions of a key stay together.

    Arguments: `most`, the intended bytes of a range, all tables together, according to the footers. A range
    may exceed it by a row group of each table whose edges do not meet, and without limit if all rows have the
    same key.
    Raises TableNotSorted.
    """
    pieces = [pieces_of(table, most // 2) for table in tables]
    edges: list[str | None] = ["", *_cuts(pieces, most), None]
    finders = [_Finder(table) for table in pieces]
    return [
        KeyRange(lower or "", upper, tuple(finder.rows(lower or "", upper) for finder in finders))
        for lower, upper in pairwise(edges)
    ]


def _cuts(tables: Sequence[list[Piece]], most: int) -> Iterator[str]:
    """The keys to cut at: the start of each piece that no longer fits into the range before it."""
    order = sorted(
        ((table, piece) for table, pieces in enumerate(tables) for piece in pieces),
        key=lambda begins: begins[1].first,
    )
    begun: list[Piece | None] = [None] * len(tables)
    held, lower = 0, order[0][1].first if order else ""
    for table, piece in order:
        if held + piece.size > most and piece.first > lower:
            yield piece.first
            lower = piece.first
            held = sum(other.size for other in begun if other and other.last >= lower)
        held += piece.size
        begun[table] = piece


class _Finder:
    """Finds the rows of a table whose keys may be between two keys."""

    def __init__(self, pieces: list[Piece]) -> None:
        self._pieces = pieces
        self._firsts = [piece.first for piece in pieces]
        self._lasts = list(accumulate((piece.last for piece in pieces), max))

    def rows(self, lower: str, upper: str | None) -> tuple[int, int]:
        begin = bisect_left(self._lasts, lower)
        end = len(self._pieces) if upper is None else bisect_left(self._firsts, upper)
        if begin >= end:
            return 0, -1
        last = self._pieces[end - 1]
        return self._pieces[begin].start, last.start + last.rows - 1


def pieces_of(table: Path, most: int) -> list[Piece]:
    """A table's row groups; those of more than `most` bytes as several pieces.

    Raises TableNotSorted if a piece begins before the piece that it follows.
    """
    pieces: list[Piece] = []
    with pq.ParquetFile(table) as file:
        for number, (group, start) in enumerate(_groups(file.metadata)):
            rows, size = group.num_rows, group.total_byte_size
            bounds = _bounds_in_footer(group) if size <= most else None
            if bounds:
                pieces.append(Piece(*bounds, start, rows, size))
            elif rows:
                at_once = max(1, min(rows, rows * most // max(1, size)))
                pieces += _read_pieces(file, number, start, at_once, size // rows)
    out_of_order = _out_of_order(pieces)
    if out_of_order:
        before, after = out_of_order
        raise TableNotSorted(
            f"{table} is not sorted by key: row {after.start} or one after it has {after.first!r}, "
            f"but earlier rows begin with {before.first!r}"
        )
    return pieces


def pieces_in_footer(metadata: pq.FileMetaData) -> tuple[Piece, ...] | None:
    """A table's row groups by its footer alone; None if that lacks bounds, or the table is not sorted."""
    pieces = list[Piece]()
    for group, start in _groups(metadata):
        bounds = _bounds_in_footer(group)
        if bounds:
            pieces.append(Piece(*bounds, start, group.num_rows, group.total_byte_size))
        elif group.num_rows:
            return None
    return None if _out_of_order(pieces) else tuple(pieces)


def _groups(metadata: pq.FileMetaData) -> Iterator[tuple[pq.RowGroupMetaData, int]]:
    """The row groups of a table, each with the number of its first row."""
    start = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        yield group, start
        start += group.num_rows


def _out_of_order(pieces: Sequence[Piece]) -> tuple[Piece, Piece] | None:
    """The first piece that begins before the one that it follows, after that one."""
    return next(((before, after) for before, after in pairwise(pieces) if after.first < before.first), None)


def _bounds_in_footer(group: pq.RowGroupMetaData) -> tuple[str, str] | None:
    """The bounds of a row group's keys, or None if the footer does not have them."""
    keys = column_of_group(group, "key")
    statistics: Any = keys and keys.statistics
    if statistics is None or not statistics.has_min_max:
        return None
    try:
        first, last = statistics.min, statistics.max
    except UnicodeDecodeError:  # truncated within a character
        return None
    return (first, last) if isinstance(first, str) and isinstance(last, str) else None


def _read_pieces(
    file: pq.ParquetFile, group: int, start: int, at_once: int, row_size: int
) -> Iterator[Piece]:
    """The pieces of a row group whose keys must be read; `at_once` rows each."""
    for batch in file.iter_batches(batch_size=at_once, row_groups=[group], columns=["key"]):
        bounds = pc.min_max(batch.column(0)).as_py()
        yield Piece(bounds["min"], bounds["max"], start, batch.num_rows, batch.num_rows * row_size)
        start += batch.num_rows
