"""The plain case of a comparison: objects on both sides whose bytes were read, and are the same.

`compare.sql` says what a row is; this is a special case of it, and gives the same rows. All other objects are
left to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from fixity.lake.csv_files import bytes_of, lines_of
from fixity.lake.ranges import KeyRange
from fixity.lake.row_groups import ROW, RowGroups
from fixity.reports.beside import Rows, ascend, beside, within
from fixity.reports.columns import COLUMNS
from fixity.reports.counts import Counts
from fixity.tables import CHECKSUMS, DIFFERS, SUCCEEDED

PLACE = "place"
"""The column of other rows that says how many plain ones are before each, among which it belongs."""
READ = pa.schema(
    CHECKSUMS.field(name)
    for name in (
        *("key", "version_id", "size", "etag", "last_modified", "algorithm", "checksum_type", "checksum"),
        *("status", "error_code", "error_message", "evidence", "checked_at", "is_latest", "verdict"),
    )
)
"""The columns of both tables by which they are compared; the verdict only if damage is known."""
_SAME = ("checksum", "size", "algorithm")
_OF_LINE = ("key", "version_id", "algorithm", "checksum", "size", "etag", "checked_at")
_OF_REPLICA = ("etag", "checked_at")


@dataclass
class PlainRows:
    """What a range has. lines: of plain rows in the CSV, in order. count: how many. others: all other rows of
    the source and of the replica, with their numbers, ROW, and PLACE; older versions only of their keys."""

    lines: list[pa.Array] = field(default_factory=list)
    count: int = 0
    others: tuple[Rows, Rows] = field(default_factory=lambda: ([], []))

    def add_others(self, side: int, rows: pa.RecordBatch, places: pa.Array | int) -> None:
        """Add other rows of the source, 0, or the replica, 1, with their places."""
        if rows.num_rows:
            if isinstance(places, int):
                places = pa.repeat(pa.scalar(places, pa.int64()), rows.num_rows)
            self.others[side].append(rows.append_column(PLACE, places))

    @property
    def is_all(self) -> bool:
        """Whether there are no other rows."""
        return not any(self.others)

    @property
    def is_most(self) -> bool:
        """Whether neither side has more other rows than there are plain ones."""
        return all(sum(piece.num_rows for piece in rows) <= self.count for rows in self.others)

    def counts(self) -> Counts:
        """The figures of the plain rows."""
        return Counts(total_objects=self.count, matches=self.count, rows=self.count)

    def table_of_others(self, side: int) -> pa.Table:
        """The other rows of a side."""
        schema = READ.append(pa.field(ROW, pa.int64())).append(pa.field(PLACE, pa.int64()))
        return pa.Table.from_batches(self.others[side]) if self.others[side] else schema.empty_table()


@dataclass(frozen=True)
class Plain:
    """Finds the plain rows of ranges.

    bucket: the source's name. by_version: whether versions are compared, not keys. knows_damage: whether
    rows of which a side's check says that they are not the right ones are no plain ones. tables: both sides'.
    largest: how many bytes of a row group, before compression, may be in memory.
    """

    bucket: str
    by_version: bool
    knows_damage: bool
    tables: tuple[RowGroups, RowGroups]
    largest: int

    def find(self, keys: KeyRange) -> PlainRows | None:
        """The plain rows of a range; None if its tables are not in order, or their row groups are large."""
        pairs = list(zip(self.tables, keys.rows, strict=True))
        if any(table.largest(*rows) > self.largest for table, rows in pairs):
            return None
        source, replica = (within(table.rows(*rows), keys.lower, keys.upper) for table, rows in pairs)
        if source is None or replica is None:
            return None
        older: Rows = []
        if not self.by_version:
            older = _only(source, False)
            source, replica = _only(source, True), _only(replica, True)
        if not (ascend(source, self.by_version) and ascend(replica, self.by_version)):
            return None
        one_a_key = not self.by_version or (ascend(source, False) and ascend(replica, False))
        found = PlainRows()
        for ours, theirs in beside(source, replica, self.by_version):
            self._divide(found, ours, theirs, one_a_key)
        if older and found.others[0]:
            keys_of_others = pa.chunked_array([piece.column("key") for piece in found.others[0]])
            for piece in older:
                found.add_others(0, piece.filter(pc.is_in(piece.column("key"), value_set=keys_of_others)), 0)
        return found

    def _divide(
        self, found: PlainRows, ours: pa.RecordBatch, theirs: pa.RecordBatch, one_a_key: bool
    ) -> None:
        """Divide some rows of both sides into plain ones and others."""
        if not ours.num_rows or not theirs.num_rows:
            found.add_others(0, ours, found.count)
            found.add_others(1, theirs, found.count)
            return
        in_step = ours.column("key").equals(theirs.column("key"))
        match = theirs if in_step else theirs.take(pc.index_in(*map(self._identities, (ours, theirs))))
        is_plain = self._is_plain(ours, match, one_a_key)
        count = pc.sum(is_plain).as_py()
        if count < ours.num_rows:
            found.add_others(0, *_others(ours, is_plain, found.count))
        if count < theirs.num_rows:
            of_plain = match.column(ROW).filter(is_plain)
            is_plain_there = is_plain if in_step else pc.is_in(theirs.column(ROW), value_set=of_plain)
            found.add_others(1, *_others(theirs, is_plain_there, found.count))
        if count:
            ours, match = ours.select(_OF_LINE), match.select(_OF_REPLICA)
            if count < ours.num_rows:
                ours, match = ours.filter(is_plain), match.filter(is_plain)
            found.lines.append(self._lines(ours, match))
            found.count += count

    def _identities(self, rows: pa.RecordBatch) -> pa.Array:
        """One text for each row: the same for the same object, and mostly for no other."""
        if not self.by_version:
            return rows.column("key")
        parts = (rows.column("key"), _named(rows.column("version_id")), "\0")
        return pc.binary_join_element_wise(*parts, null_handling="replace")

    def _is_plain(self, ours: pa.RecordBatch, theirs: pa.RecordBatch, one_a_key: bool) -> pa.Array:
        """Whether rows are of the same object, and are plain.

        Of a key with several versions, those without a name may be several.
        """
        conditions = [pc.equal(ours.column(name), theirs.column(name)) for name in ("key", *_SAME)]
        conditions.append(_same_or_null(ours.column("checksum_type"), theirs.column("checksum_type")))
        if self.by_version:
            names = [_named(side.column("version_id")) for side in (ours, theirs)]
            conditions.append(_same_or_null(*names) if one_a_key else pc.equal(*names))
        for side in (ours, theirs):
            conditions.append(pc.equal(side.column("status"), SUCCEEDED))
            conditions.append(pc.not_equal(side.column("evidence"), "stored"))
            if self.knows_damage:
                conditions.append(pc.coalesce(pc.not_equal(side.column("verdict"), DIFFERS), True))
        met = conditions[0]
        for each in conditions[1:]:
            met = pc.and_(met, each)
        return pc.coalesce(met, False)

    def _lines(self, ours: pa.RecordBatch, theirs: pa.RecordBatch) -> pa.Array:
        checksum, size, etag = (ours.column(name) for name in ("checksum", "size", "etag"))
        algorithm = ours.column("algorithm")
        is_one = pc.all(pc.equal(algorithm, algorithm[0])).as_py()
        line = {
            **dict.fromkeys(COLUMNS),
            "bucket": self.bucket,
            "key": ours.column("key"),
            "version_id": ours.column("version_id"),
            "status": "ok",
            "checksum_algorithm": algorithm[0].as_py() if is_one else algorithm,
            "checksum_source": checksum,
            "checksum_replication": checksum,
            "size_source": size,
            "size_replication": size,
            "etag_source": etag,
            "etag_replication": etag if etag.equals(theirs.column("etag")) else theirs.column("etag"),
            "checked_source": ours.column("checked_at"),
            "checked_replication": theirs.column("checked_at"),
        }
        return lines_of(list(line.values()))


def merged(plain: Iterable[pa.Array], others: Iterable[tuple[int, pa.Buffer]]) -> Iterator[pa.Buffer]:
    """The lines of plain rows, with those of others at their places among them, in order."""
    others = iter(others)
    place, other = next(others, (None, None))
    first = 0  # the number of the first of some lines
    for lines in plain:
        begin = 0
        while place is not None and place < first + len(lines):
            yield bytes_of(lines[begin : place - first])
            yield other
            begin = place - first
            place, other = next(others, (None, None))
        yield bytes_of(lines[begin:])
        first += len(lines)
    while other is not None:
        yield other
        place, other = next(others, (None, None))


def _only(rows: Rows, is_latest: bool) -> Rows:
    """The rows of current versions, or of others."""
    found = []
    for piece in rows:
        which = pc.equal(piece.column("is_latest"), is_latest)
        count = pc.sum(which).as_py()
        if count:
            found.append(piece if count == piece.num_rows else piece.filter(which))
    return found


def _others(rows: pa.RecordBatch, is_plain: pa.Array, before: int) -> tuple[pa.RecordBatch, pa.Array]:
    """The rows that are not plain, and their places; `before` the first of the rows there are so many."""
    places = pc.add(pc.cumulative_sum(is_plain.cast(pa.int64())), before)
    is_other = pc.invert(is_plain)
    return rows.filter(is_other), places.filter(is_other)


def _named(versions: pa.Array) -> pa.Array:
    """The names of versions, as in compare.sql."""
    return pc.if_else(pc.is_in(versions, value_set=pa.array(["", "null"])), None, versions)


def _same_or_null(one: pa.Array, two: pa.Array) -> pa.Array:
    """Whether values are the same, or both NULL."""
    if one.equals(two):
        return pa.repeat(True, len(one))
    return pc.or_(pc.coalesce(pc.equal(one, two), False), pc.and_(pc.is_null(one), pc.is_null(two)))
