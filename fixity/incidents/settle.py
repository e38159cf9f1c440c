"""What a second look settles: which of its checks count, and what both sides together say.

Whole columns are compared, not row by row: thousands of rows may have been looked at. How objects are looked
at is in `one_side`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from fixity import compute as pc
from fixity.buckets import CHANGED, DELETED
from fixity.incidents.one_side import Seen
from fixity.incidents.suspects import SIDES, checks_of
from fixity.ledger.align import equal
from fixity.ledger.judge import UNSTABLE_READ
from fixity.tables import (
    CHECKSUMS,
    DIFFERS,
    FAILED,
    FIRST_SEEN,
    MATCHED,
    OTHER_COPY,
    REGISTERED,
    SUCCEEDED,
)

_Array = Any
"""An array of Arrow, of one value for each row that was looked at."""


class OfSide:
    """A side's checks of the rows that were looked at: those before, and those of the second look.

    Arguments: `chosen`, the rows as from `suspects_of`; `name` of the side; `seen` there.
    kept: of which rows the new check counts, since it says no less than the one before.
    """

    def __init__(self, chosen: pa.Table, name: str, seen: Seen) -> None:
        places = pc.index_in(pa.array(range(chosen.num_rows), pa.int64()), value_set=seen.rows)
        self.before, self.had_one = checks_of(chosen, name)
        self.now = seen.table.take(places).combine_chunks()
        was_seen = pc.is_valid(places)
        self._says_less = pc.and_(was_seen, _says_less(self.now, self.before, self.had_one))
        self.kept = pc.and_(was_seen, pc.invert(self._says_less))
        is_same = _all(self.kept, self.had_one, self._same(self.before, "status", "checksum"))
        reads = pc.add(pc.max_element_wise(pc.coalesce(self.before["reads"], 1), 1), 1)
        self._set(is_same, {"reads": pc.max_element_wise(self.now["reads"], reads)})

    def refused(self) -> Iterator[tuple[int, str, str | None]]:
        """The rows of which the check before still counts, with the reason, and the checksum of that one."""
        rows = pc.indices_nonzero(self._says_less)
        said = self.now.select(["error_code", "error_message"]).take(rows).to_pylist()
        before = self.before["checksum"].take(rows).to_pylist()
        for row, new, checksum in zip(rows.to_pylist(), said, before, strict=True):
            yield row, f"{new['error_code']}: {new['error_message']}", checksum

    def rows(self) -> pa.Table:
        """The new rows of the ledger: the checks that are kept."""
        return self.now.filter(self.kept).cast(CHECKSUMS)

    @property
    def unkept_bytes(self) -> int:
        """How many bytes were read for new checks that are not kept."""
        read = pc.sum(self.now.filter(self._says_less)["bytes_read"]).as_py()
        return int(read or 0)

    def value(self, name: str) -> _Array:
        """A column of the checks that count now."""
        return pc.if_else(self.kept, self.now[name], self.before[name])

    def believe_the_other_copy(self, is_agreed: _Array) -> None:
        """Where checks differ from nothing but the first read, which no other confirmed: take that back.

        Arguments: `is_agreed`, whether later reads of both sides agree.
        """
        was_first = pc.or_(pc.is_null(self.before["verdict"]), _is(self.before["verdict"], REGISTERED))
        is_it = _all(
            is_agreed,
            self.kept,
            self.had_one,
            was_first,
            _is(self.now["verdict"], DIFFERS),
            _is(self.now["expected_from"], FIRST_SEEN),
            equal(self.now["expected"], self.before["checksum"]),
            pc.invert(self._same(self.before, "checksum")),
        )
        later = "; later ones agree with the other copy of the pair"
        said = pc.binary_join_element_wise("the first read gave ", self.before["checksum"], later, "")
        self._set(
            is_it,
            {
                "expected": self.now["checksum"],
                "expected_from": pa.scalar(OTHER_COPY),
                "verdict": pa.scalar(MATCHED),
                "error_code": pa.scalar(UNSTABLE_READ),
                "error_message": said,
            },
        )

    def _same(self, before: pa.Table, *names: str) -> _Array:
        return _all(*(equal(self.now[name], before[name]) for name in names))

    def _set(self, where: _Array, values: Mapping[str, _Array]) -> None:
        if not pc.any(where).as_py():
            return
        for name, value in values.items():
            place = self.now.schema.get_field_index(name)
            column = pc.if_else(where, value, self.now[name]).cast(CHECKSUMS.field(name).type)
            self.now = self.now.set_column(place, name, column)


def settle(chosen: pa.Table, seen: Mapping[str, Seen]) -> dict[str, OfSide]:
    """The checks of both sides as they count after a second look.

    A side's only read before is taken back, if later reads of both sides agree: it gave other bytes than the
    object has. Without this, they would be the baseline, and the object called damaged.
    """
    sides = {name: OfSide(chosen, name, seen[name]) for name in SIDES}
    source, replica = sides.values()
    is_agreed = _all(
        *(pc.or_(side.kept, side.had_one) for side in sides.values()),
        *(equal(source.value(name), replica.value(name)) for name in ("algorithm", "checksum", "status")),
    )
    for side in sides.values():
        side.believe_the_other_copy(is_agreed)
    return sides


def _says_less(now: pa.Table, before: pa.Table, had_one: _Array) -> _Array:
    """Whether a new check without a result would hide the one before: bytes that were read and differ, or a
    failure. That an object is gone, is another one, or reads differently each time is news.
    """
    is_news = pc.or_(_is(now["status"], SUCCEEDED), _is(now["error_code"], DELETED, CHANGED, UNSTABLE_READ))
    both_failed = pc.and_(_is(now["status"], FAILED), _is(before["status"], FAILED))
    return pc.and_(had_one, pc.invert(pc.or_(is_news, both_failed)))


def _is(column: _Array, *values: str) -> _Array:
    return pc.is_in(column, value_set=pa.array(values))


def _all(first: _Array, *others: _Array) -> _Array:
    for each in others:
        first = pc.and_(first, each)
    return first
