"""Both sides of a pair within one range of keys, one beside the other, where their tables are in order.

Rows are copied as little as possible: those of the source stay as they are, and what only the replica has is
kept apart, with its places among them. What the rows say does not belong here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa

from fixity import compute as pc
from fixity.lake.csv_files import LINES_AT_ONCE

Rows = list[pa.RecordBatch]
"""Rows of a table, in pieces that are not empty."""
_Identity = tuple[bytes, bytes]
_OF_BOTH = ("key", "version_id")
_ORDER = [("key", "ascending", "at_start"), ("version_id", "ascending", "at_start")]
_WITHOUT_NAME = ("", "null")


@dataclass(frozen=True)
class Window:
    """Some of the rows of a report, in its order. The columns of both batches are key and version_id, of the
    source, or else of the replica, and all others of both sides; what a side does not have is NULL, also its
    `row`.

    pairs: the source's rows, each with the replica's of the same object. between: rows that stand between
    those, and are never plain: the replica has them alone. before: how many of `pairs` come before each of
    `between`.
    """

    pairs: pa.RecordBatch
    between: pa.RecordBatch
    before: pa.Array

    def identities(self) -> pa.RecordBatch:
        """Key and version of all rows, in order."""
        pairs, between = (rows.select(_OF_BOTH) for rows in (self.pairs, self.between))
        if not between.num_rows:
            return pairs
        order = order_among(pa.arange(0, pairs.num_rows), self.before)
        return pa.concat_batches([pairs, between]).take(order)


def order_among(places: pa.Array, before: pa.Array) -> pa.Array:
    """The order of rows at `places`, which ascend, and then of others, each of which comes before the row at
    its place: the numbers of all, as they are to be taken."""
    return pc.sort_indices(pa.concat_arrays([pc.add(pc.multiply(places, 2), 1), pc.multiply(before, 2)]))


def within(rows: Rows, lower: str, upper: str | None) -> Rows | None:
    """The rows with the keys from `lower` up to `upper`; None if their keys do not ascend."""
    found = []
    for piece in rows:
        keys = piece.column("key")
        if not _all(pc.less_equal(keys[:-1], keys[1:])):
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

    They come by key or, if `by_version`, by key and version, without one first. Of a key, one version at most
    may be without a name.
    """
    pieces = [_Identities(piece, by_version) for piece in rows]
    return (
        all(one[len(one) - 1] < two[0] for one, two in pairwise(pieces))
        and all(_ascends(piece, by_version) for piece in rows)
        and (not by_version or _ascends_without_name(rows))
    )


def _ascends(rows: pa.RecordBatch, by_version: bool) -> bool:
    keys = rows.column("key")
    later = pc.less(keys[:-1], keys[1:])
    if by_version and not _all(later):
        one, two = rows.column("version_id")[:-1], rows.column("version_id")[1:]
        later_version = pc.coalesce(pc.less(one, two), pc.and_(pc.is_null(one), pc.is_valid(two)))
        later = pc.or_(later, pc.and_(pc.equal(keys[:-1], keys[1:]), later_version))
    return _all(later)


def _ascends_without_name(rows: Rows) -> bool:
    if all(piece.column("version_id").null_count == piece.num_rows for piece in rows):
        return True
    without = (pc.is_null(_named(piece.column("version_id"))) for piece in rows)
    keys = pa.concat_arrays(
        [piece.column("key").filter(each) for piece, each in zip(rows, without, strict=True)]
    )
    return _all(pc.less(keys[:-1], keys[1:]))


def beside(source: Rows, replica: Rows, by_version: bool) -> list[Window] | None:
    """The objects of both sides, which ascend, in the order of a report.

    None if their versions may be in another order by their names.
    """
    found = []
    for ours, theirs in _some(source, replica, by_version):
        in_step = _in_step(ours, theirs, by_version)
        window = _all_met(_joined(ours, ours, theirs)) if in_step else _met(ours, theirs, by_version)
        if window is None:
            return None
        found.append(window)
    # One without a name may be on the other side some rows away, by another one of the names that say so.
    return found if not by_version or ascend([each.identities() for each in found], by_version) else None


def _all_met(pairs: pa.RecordBatch) -> Window:
    return Window(pairs, pairs.slice(0, 0), pa.array([], pa.int64()))


def _joined(both: pa.RecordBatch, ours: pa.RecordBatch, theirs: pa.RecordBatch) -> pa.RecordBatch:
    """Pairs of rows. Arguments: `both` has their keys and versions."""
    columns = {name: both.column(name) for name in _OF_BOTH}
    for side, rows in (("source", ours), ("replica", theirs)):
        columns |= {f"{side}_{name}": rows.column(name) for name in rows.schema.names if name not in _OF_BOTH}
    return pa.RecordBatch.from_arrays([*columns.values()], [*columns])


def _some(source: Rows, replica: Rows, by_version: bool) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """The rows of both sides, some at a time: mostly all of the same objects."""
    ours, theirs = deque(source), deque(replica)
    while ours and theirs:
        one, two = (side[0].slice(0, LINES_AT_ONCE) for side in (ours, theirs))
        count = min(one.num_rows, two.num_rows)
        if _in_step(one.slice(0, count), two.slice(0, count), by_version):
            yield _taken(ours, count), _taken(theirs, count)
        else:
            sides = [_Identities(side, by_version) for side in (one, two)]
            end = min(side[len(side) - 1] for side in sides)
            yield _taken(ours, bisect_right(sides[0], end)), _taken(theirs, bisect_right(sides[1], end))
    while ours:
        rows = _taken(ours, LINES_AT_ONCE)
        yield rows, rows.slice(0, 0)
    while theirs:
        rows = _taken(theirs, LINES_AT_ONCE)
        yield rows.slice(0, 0), rows


def _in_step(ours: pa.RecordBatch, theirs: pa.RecordBatch, by_version: bool) -> bool:
    """Whether rows are of the same objects, one by one."""
    if not ours.column("key").equals(theirs.column("key")):
        return False
    versions = [side.column("version_id") for side in (ours, theirs)]
    return (
        not by_version or versions[0].equals(versions[1]) or _named(versions[0]).equals(_named(versions[1]))
    )


def _met(ours: pa.RecordBatch, theirs: pa.RecordBatch, by_version: bool) -> Window | None:
    """The rows of both sides, which ascend on each; None if both sides have them in another order."""
    index = pc.index_in(*(_identities(side, by_version) for side in (ours, theirs))).cast(pa.int64())
    met = index.drop_null()
    if not _all(pc.less(met[:-1], met[1:])):
        return None
    pairs = _joined(ours, ours, _rows(_others_of(theirs), index))
    if len(met) == theirs.num_rows:
        return _all_met(pairs)
    is_met = pc.is_valid(pc.scatter(pa.repeat(True, len(met)), met, max_index=theirs.num_rows - 1))
    alone, alone_there = (_numbers(pc.invert(each)) for each in (pc.is_valid(index), is_met))
    theirs_alone = _rows(theirs, alone_there)
    before = _before(ours, alone, theirs_alone, alone_there)
    if before is None:
        return None
    none_of_ours = _rows(_others_of(ours), pa.nulls(theirs_alone.num_rows, pa.int64()))
    return Window(pairs, _joined(theirs_alone, none_of_ours, theirs_alone), before)


def _before(
    ours: pa.RecordBatch, alone: pa.Array, theirs_alone: pa.RecordBatch, alone_there: pa.Array
) -> pa.Array | None:
    """How many of our rows come before each of theirs that is alone; None if those that have met are in
    another order. Only those that are on one side are sorted, which are mostly few.

    Arguments: `alone` and `alone_there`, the numbers of the rows on each side that are alone.
    """
    rows = [_rows(ours.select(_OF_BOTH), alone), theirs_alone.select(_OF_BOTH)]
    by_identity = pc.sort_indices(pa.concat_batches(rows), _ORDER)
    # How many that have met come before each that has not.
    met_before = [pc.subtract(each, pa.arange(0, len(each))) for each in (alone, alone_there)]
    after = pa.concat_arrays(met_before).take(by_identity)
    if not _all(pc.less_equal(after[:-1], after[1:])):
        return None
    places = pc.add(after, pa.arange(0, len(after)))
    is_theirs = pc.greater_equal(by_identity, len(alone))
    return pc.subtract(places.filter(is_theirs), pa.arange(0, len(alone_there)))


def _all(which: pa.Array) -> bool:
    """Whether all are true; also of none."""
    return bool(pc.all(which, min_count=0).as_py())


def _numbers(which: pa.Array) -> pa.Array:
    return pc.indices_nonzero(which).cast(pa.int64())


def _others_of(side: pa.RecordBatch) -> pa.RecordBatch:
    """A side's columns without those that pairs have once, which take the longest to copy."""
    return side.drop_columns(list(_OF_BOTH))


def _rows(side: pa.RecordBatch, numbers: pa.Array) -> pa.RecordBatch:
    """The rows with these numbers, NULL where there is no number."""
    return pc.take(side, numbers, boundscheck=False)


def _identities(rows: pa.RecordBatch, by_version: bool) -> pa.Array:
    """One text for each row: the same for the same object, and for no other."""
    if not by_version:
        return rows.column("key")
    keys = rows.column("key")
    # A key may have any character. By its length it is known where it ends.
    parts = (pc.binary_length(keys).cast(pa.string()), keys, _named(rows.column("version_id")), "\0")
    return pc.binary_join_element_wise(*parts, null_handling="replace")


def _taken(rows: deque[pa.RecordBatch], count: int) -> pa.RecordBatch:
    """Take the first rows, which are of one piece."""
    piece = rows.popleft()
    if count < piece.num_rows:
        rows.appendleft(piece.slice(count))
    return piece.slice(0, count)


def _named(versions: pa.Array) -> pa.Array:
    """The names of versions, as in compare.sql."""
    if versions.null_count == len(versions):
        return versions
    return pc.if_else(pc.is_in(versions, value_set=pa.array(_WITHOUT_NAME)), None, versions)


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
