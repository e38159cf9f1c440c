"""Which suspect rows are alike in all that a diagnosis depends on, so that it is found once for all of them.

A diagnosis depends on which checksums, ETags, versions and sizes are the same, not on which they are; on the
order of times; and on the days, which its words name. All else that is known counts as it is. Gathering what
is known is in `evidence`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

_SAME = ("version_id", "size", "checksum")
_TIMES = (
    "last_modified", "checked_at", "first_at", "last_at", "current_from", "current_until", "since", "until",
    "told_at", "listed_at", "deleted_at",
)  # fmt: skip
_UNUSED = ("key", "storage_class")
_NO_VERSION = (None, "", "null")


class Kinds(NamedTuple):
    """How the columns of a table count, by their places.

    same: only which of their values are the same. etags: the same; an ETag may also be an MD5 in upper case.
    sums: lists of checksums with their algorithms. times: their order and days. plain: gives the others.
    """

    same: Sequence[int]
    etags: Sequence[int]
    sums: Sequence[int]
    times: Sequence[int]
    plain: Callable[[Sequence[Any]], Any]


def kinds_of(columns: Iterable[str]) -> Kinds:
    """How the columns of a table count, by their names."""
    names = list(columns)

    def places(wanted: Iterable[str]) -> list[int]:
        return [place for place, name in enumerate(names) if name in wanted]

    etags, sums = ("etag",), ("other_checksums",)
    plain = places(set(names).difference(_UNUSED, _SAME, etags, sums, _TIMES))
    return Kinds(
        places(_SAME), places(etags), places(sums), places(_TIMES), itemgetter(*plain) if plain else tuple
    )


Facts = tuple[Hashable, Kinds, Sequence[Any]]
"""A row of a table: which table, how its columns count, and its values."""


def pattern_of(rows: Iterable[Facts]) -> tuple[Hashable, list[datetime]]:
    """The pattern of what is known, equal for rows that are alike, and all times in it, in their order."""
    names: dict[Any, int] = {}
    facts: list[Any] = []
    at: list[datetime | None] = []
    for table, kinds, values in rows:
        facts += (table, kinds.plain(values))
        for place in kinds.same:
            value = values[place]
            facts.append(value if value in _NO_VERSION else names.setdefault(value, len(names)))
        for place in kinds.etags:
            etag = values[place] or ""
            facts += (names.setdefault(etag, len(names)), names.setdefault(etag.lower(), len(names)))
        for place in kinds.sums:
            sums = values[place] or ()
            facts.append(tuple([(by, names.setdefault(checksum, len(names))) for by, checksum in sums]))
        at += [values[place] for place in kinds.times]
    times = sorted({moment for moment in at if moment is not None})
    order = {moment: (number, moment.toordinal()) for number, moment in enumerate(times)}
    return (tuple(facts), tuple([moment and order[moment] for moment in at])), times
