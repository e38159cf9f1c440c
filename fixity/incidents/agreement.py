"""When both sides of a pair last had the same bytes under a key, whatever was written there since.

Only checks of the ledger count. What follows from it is in `claims`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from fixity.incidents.history import Content, ObjectHistory, named
from fixity.incidents.known import same_bytes


class Span(NamedTuple):
    """Bytes that a side had under a key: their content and checksums, and the first and the last check (UTC)
    that found them.
    """

    content: Content
    digests: Mapping[str, str]
    first: datetime
    last: datetime


class Agreement(NamedTuple):
    """The last time (UTC) at which checks of both sides had found the same bytes: the earlier one of both
    sides' last checks of them.
    """

    at: datetime
    source: Span
    replica: Span


def spans(objects: Mapping[Content, ObjectHistory], version: str | None, by_version: bool) -> list[Span]:
    """What a side had under a key.

    Arguments: `objects`, all of the key's contents; `version`, the only one that counts if `by_version`, else
    what was the current version counts.
    """
    return [
        Span(content, read.digests, first, last)
        for content, history in objects.items()
        if not by_version or named(history.version_id) == named(version)
        for read in history.reads
        for first, last in [
            (read.first_at, read.last_at) if by_version else (read.current_from, read.current_until)
        ]
        if first is not None and last is not None
    ]


def last_agreement(source: Sequence[Span], replica: Sequence[Span]) -> Agreement | None:
    """When both sides last had the same bytes; None if they never had."""
    found = (
        Agreement(min(one.last, other.last), one, other)
        for one in source
        for other in replica
        if same_bytes(one.digests, other.digests) and _met(one, source, other, replica)
    )
    return max(found, key=lambda each: each.at, default=None)


def _met(one: Span, source: Sequence[Span], other: Span, replica: Sequence[Span]) -> bool:
    """Whether neither side had other bytes before the other side got these."""
    return all(other.first < end for end in _ends(one, source)) and all(
        one.first < end for end in _ends(other, replica)
    )


def _ends(span: Span, of_side: Iterable[Span]) -> Iterator[datetime]:
    """When a side was found to have other bytes after these."""
    return (
        each.first
        for each in of_side
        if each.first > span.last and same_bytes(each.digests, span.digests) is False
    )


def had_before(content: Content, of_side: Sequence[Span]) -> datetime | None:
    """The last check of what a side had until something else was written; None if nothing else is known."""
    begun = min((each.first for each in of_side if each.content == content), default=None)
    others = (each.last for each in of_side if each.content != content)
    return max((last for last in others if begun is None or last < begun), default=None)
