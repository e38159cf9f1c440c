"""Tells the rows of a comparison that are plainly right: both sides were read, and have the same bytes.

Nearly all rows of a report are, and Arrow finds them in a fraction of the time of a join. All others are left
to `compare.sql`; so are all rows of a range where one might be taken for another. Reading the tables, and
writing the report, does not belong here.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fixity.tables import DIFFERS, SUCCEEDED

_OF_RIGHT = ("key", "version_id", "algorithm", "checksum", "size", "etag", "checked_at")
_OF_REPLICA = (
    *("checksum", "algorithm", "size", "checksum_type", "status", "evidence", "verdict", "checked_at"),
    *("etag", "row"),
)


class Parted(NamedTuple):
    """A range of a pair. right: the objects that are plainly right, in order: the source's columns, and the
    replica's as `etag_replication` and `checked_replication`. source, replica: all other rows."""

    right: pa.RecordBatch
    source: pa.Table
    replica: pa.Table


def part_plain(source: pa.RecordBatch, replica: pa.RecordBatch, by_version: bool) -> Parted:
    """Tell the rows that are plainly right from all others.

    Arguments: the rows of a range of keys, as `rows_of_range` gives them; `by_version`, whether versions are
    compared, or the current ones by key alone.
    """
    (source, older), (replica, also_older) = (_that_take_part(side, by_version) for side in (source, replica))
    at = _places(source, replica, by_version)
    found = replica.select(_OF_REPLICA).take(at)
    is_right = _is_plainly_right(source, found)
    theirs = found.select(["etag", "checked_at", "row"]).filter(is_right)
    right = source.select(_OF_RIGHT).filter(is_right)
    right = right.append_column("etag_replication", theirs["etag"])
    right = right.append_column("checked_replication", theirs["checked_at"])
    rest, left = pc.invert(is_right), pc.invert(pc.is_in(replica["row"], theirs["row"]))
    return Parted(
        right,
        pa.Table.from_batches([source.filter(rest), older]),
        pa.Table.from_batches([replica.filter(left), also_older]),
    )


def _that_take_part(rows: pa.RecordBatch, by_version: bool) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """The rows that are compared, and those of older versions."""
    takes_part = rows["is_latest"]
    if by_version or pc.all(takes_part).as_py():
        return rows, rows.slice(0, 0)
    return rows.filter(takes_part), rows.filter(pc.invert(takes_part))


def _places(source: pa.RecordBatch, replica: pa.RecordBatch, by_version: bool) -> pa.Array:
    """For each row of the source, the replica's row of the same object; NULL where there is none, or none for
    certain."""
    names, others = (_names(side, by_version) for side in (source, replica))
    if names is None or others is None:
        return pa.nulls(source.num_rows, pa.int32())
    if names.equals(others):
        return pa.array(range(source.num_rows), pa.int32())
    return pc.index_in(names, value_set=others)


def _names(rows: pa.RecordBatch, by_version: bool) -> pa.Array | None:
    """What both sides call the same object; None if the rows are not in order, or two have the same name."""
    keys = rows["key"]
    if not by_version:
        return keys if _ascend(keys) else None
    if pc.any(pc.match_substring(keys, "\0")).as_py():  # which stands between a key and a version here
        return None
    versions = pc.fill_null(rows["version_id"], "")
    written = pc.binary_join_element_wise(keys, versions, "\0")
    # A store without versions has none, and objects from before versioning have S3's version 'null'.
    named = pc.binary_join_element_wise(keys, pc.if_else(pc.equal(versions, "null"), "", versions), "\0")
    if not _ascend(written) or (not named.equals(written) and pc.count_distinct(named).as_py() < len(named)):
        return None
    return named


def _ascend(texts: pa.Array) -> bool:
    return bool(pc.all(pc.less(texts[:-1], texts[1:])).as_py())


def _is_plainly_right(source: pa.RecordBatch, replica: pa.RecordBatch) -> pa.Array:
    """Whether both sides' checks read the same bytes, and nothing more is to be said of them.

    Arguments: rows of the same objects; NULL in all columns of the replica where it has none.
    """
    types = [side["checksum_type"] for side in (source, replica)]
    conditions = [pc.equal(source[name], replica[name]) for name in ("checksum", "algorithm", "size")]
    conditions.append(pc.or_kleene(pc.equal(*types), pc.and_(*(pc.is_null(each) for each in types))))
    for side in (source, replica):
        conditions += [
            pc.equal(side["status"], SUCCEEDED),
            pc.not_equal(side["evidence"], "stored"),
            pc.fill_null(pc.not_equal(side["verdict"], DIFFERS), True),
            pc.is_valid(side["checked_at"]),
        ]
    is_right = conditions[0]
    for each in conditions[1:]:
        is_right = pc.and_(is_right, each)
    return pc.fill_null(is_right, False)
