"""Evidence of an object here and there, for the tests of its diagnosis."""

from __future__ import annotations

from datetime import UTC, datetime

from fixity.incidents.known import Copy, Expected, OlderVersion, OtherCopy

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
SEPTEMBER = datetime(2026, 9, 1, 8, 30, tzinfo=UTC)
A, B, C = "aa", "bb", "cc"
HERE, THERE = "here", "there"


def first(checksum: str, algorithm: str = "SHA256") -> Expected:
    """A baseline that was first seen in March, and last in September."""
    return Expected(algorithm, checksum, "first_seen", MARCH, SEPTEMBER)


def record(source: str, checksum: str, algorithm: str = "SHA256") -> Expected:
    return Expected(algorithm, checksum, source)


def here(sha256: str, *expected: Expected, md5: str | None = None, written: datetime | None = JUNE) -> Copy:
    return Copy(HERE, digests=digests(sha256, md5), expected=expected, written_at=written)


def there(sha256: str, *expected: Expected, md5: str | None = None, written: datetime | None = JUNE) -> Copy:
    return Copy(THERE, digests=digests(sha256, md5), expected=expected, written_at=written)


def digests(sha256: str, md5: str | None = None) -> dict[str, str]:
    return {"SHA256": sha256} | ({"MD5": md5} if md5 else {})


def third(*checksums: str, written: datetime = JUNE, is_original: bool = False) -> tuple[OtherCopy, ...]:
    return tuple(
        OtherCopy(f"copy{n}", digests(each), written, is_original) for n, each in enumerate(checksums, 3)
    )


OLDER = OlderVersion("v1", MARCH)
DAMAGED = {
    "source_damaged": (HERE,),
    "replica_damaged": (THERE,),
    "replica_stale": (THERE,),
    "both_damaged": (HERE, THERE),
}
"""Whose bucket a diagnosis calls damaged, by its word."""
