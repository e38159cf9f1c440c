"""What is known of a suspect row of a pair's report: both sides, other copies, older versions. Plain values.

Gathering them is in `evidence`, what follows from them in `claims` and `diagnosis`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

SideName = Literal["source", "replica"]
SIDES: tuple[SideName, SideName] = ("source", "replica")


@dataclass(frozen=True)
class Expected:
    """A checksum that one side's ledger or records expect of its bytes.

    source: first_seen or the kind of record (`fixity.ledger.judge`). since: the first check that found it;
    until: the last one (UTC); both None for a record that no check found to be right. confirmed: not for a
    baseline that rests on a single read, which may have been a wrong one.
    """

    algorithm: str
    checksum: str
    source: str
    since: datetime | None = None
    until: datetime | None = None
    confirmed: bool = True


@dataclass(frozen=True)
class Copy:
    """One side of a suspect row.

    state: as its newest check or listing says. changed: what happened to it since it was listed, for people,
    if anything did. digests: checksums of its bytes as they are now, by algorithm. written_at: by its store.
    deleted_at: the time of its delete marker. last_read_at: of a missing one. before: the last check of what
    was there until something else was written. All times in UTC.
    """

    bucket: str
    state: Literal["read", "failed", "missing"] = "read"
    changed: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    written_at: datetime | None = None
    expected: tuple[Expected, ...] = ()
    deleted_at: datetime | None = None
    last_read_at: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True)
class OtherCopy:
    """A copy of the same object in a bucket of another pair, by its newest check.

    is_original: by the catalog's pairs, the source itself is a copy of that bucket, or a copy of a copy.
    """

    bucket: str
    digests: Mapping[str, str]
    written_at: datetime | None = None
    is_original: bool = False


@dataclass(frozen=True)
class OlderVersion:
    """An older version of the source's object whose bytes are the replica's now. written_at in UTC."""

    version_id: str | None
    written_at: datetime | None


@dataclass(frozen=True)
class Evidence:
    """All that is known of a suspect row.

    others: copies in other buckets. older: see OlderVersion. same_version: both sides are the same version by
    its id, so the replica cannot be an older one. last_agreed_at: see `Diagnosis`. agreed: the checksums of
    the bytes that both had then. replaced: the sides where something else was written since then.
    """

    source: Copy
    replica: Copy
    others: tuple[OtherCopy, ...] = ()
    older: OlderVersion | None = None
    same_version: bool = False
    last_agreed_at: datetime | None = None
    agreed: Mapping[str, str] = field(default_factory=dict)
    replaced: tuple[SideName, ...] = ()

    def side(self, name: SideName) -> Copy:
        """One of the two sides."""
        return self.source if name == "source" else self.replica


def same_bytes(one: Mapping[str, str], other: Mapping[str, str]) -> bool | None:
    """Whether two sets of checksums, by algorithm, are of the same bytes; None if they cannot be compared."""
    found: bool | None = None
    for algorithm, checksum in one.items():
        if algorithm in other:
            if other[algorithm] != checksum:
                return False
            found = True
    return found
