"""Both sides of a pair within one range of keys, one beside the other, where their tables are in order.

What the rows say does not belong here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from fixity.lake.csv_files import LINES_AT_ONCE

Rows = list[pa.RecordBatch]
"""Rows of a table, in pieces that are not empty."""
_Identity = tuple[bytes, bytes]


def within(rows: Rows, lower: str, upper: str | None) -> Rows | None:
    """The rows with the keys from `lower` up to `upper`; None if their keys do not ascend."""
    found = []
    for piece in rows:
        keys = piece.column("key")
        if not pc.all(pc.less_equal(keys[:-1], keys[1:])).as_py():
            return None
        begin, end = (
            piece.num_rows if edge is None else bisect_left(_Identities(piece, False), (edge.encode(), b""))
            for edge in (lower, upper)
        )
        if begin < end:
            found.append(piece.slice(begin, end - begin))
    return found


def ascend(rows: Rows, by_version: bool) -> bool:
    """Whether each row comes after the one before, so that no object comes twice.

    They come by key or, if `by_version`, by key and version, without one first.
    """
    pieces = [_Identities(piece, by_version) for piece in rows]
    return all(one[len(one) - 1] < two[0] for one, two in pairwise(pieces)) and all(
        _ascends(piece, by_version) for piece in rows
    )


def _ascends(rows: pa.RecordBatch, by_version: bool) -> bool:
    keys = rows.column("key")
    later = pc.less(keys[:-1], keys[1:])
    if by_version and not pc.all(later).as_py():
        one, two = rows.column("version_id")[:-1], rows.column("version_id")[1:]
        later_version = pc.coalesce(pc.less(one, two), pc.and_(pc.is_null(one), pc.is_valid(two)))
        later = pc.or_(later, pc.and_(pc.equal(keys[:-1], keys[1:]), later_version))
    return bool(pc.all(later).as_py())


def beside(source: Rows, replica: Rows, by_version: bool) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """The rows of both sides, which ascend, some at a time: mostly all of the same objects."""
    ours, theirs = deque(source), deque(replica)
    while ours and theirs:
        one, two = (side[0].slice(0, LINES_AT_ONCE) for side in (ours, theirs))
        rows = min(one.num_rows, two.num_rows)
        if one.column("key").slice(0, rows).equals(two.column("key").slice(0, rows)):
            yield _taken(ours, rows), _taken(theirs, rows)
        else:
            sides = [_Identities(side, by_version) for side in (one, two)]
            end = min(side[len(side) - 1] for side in sides)
            yield _taken(ours, bisect_right(sides[0], end)), _taken(theirs, bisect_right(sides[1], end))
    for piece in ours:
        yield piece, piece.slice(0, 0)
    for piece in theirs:
        yield piece.slice(0, 0), piece


def _taken(rows: deque[pa.RecordBatch], count: int) -> pa.RecordBatch:
    """Take the first rows, which are of one piece."""
    piece = rows.popleft()
    if count < piece.num_rows:
        rows.appendleft(piece.slice(count))
    return piece.slice(0, count)


class _Identities:
    """The keys of rows or, if `by_version`, their keys and versions, to be compared."""

    def __init__(self, rows: pa.RecordBatch, by_version: bool) -> None:
        self._keys = rows.column("key")
        self._versions = rows.column("version_id") if by_version else None

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, number: int) -> _Identity:
        version = None if self._versions is None else self._versions[number].as_py()
        return self._keys[number].as_py().encode(), b"" if version is None else b"\0" + version.encode()
