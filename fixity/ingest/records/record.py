"""One recorded checksum: its kind, its rank among the others, and its value in one spelling."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple, get_args

from fixity.catalog import Algorithm
from fixity.digests.algorithms import algorithm_named, as_hex
from fixity.ledger.judge import strength

Source = Literal["api", "manifest", "object-tagging", "object-metadata", "s3-checksum", "object-etag"]
"""Where a checksum was recorded; `api` is one that was given by hand."""

SOURCES: tuple[Source, ...] = tuple(
    sorted(get_args(Source), key=lambda source: strength(source, "SHA256"), reverse=True)
)
"""In the order in which records of one algorithm count."""

_STRONGEST = strength(SOURCES[0], "SHA256")
BY_STRENGTH: tuple[Algorithm, ...] = (
    "SHA512", "SHA256", "SHA1", "MD5", "CRC64NVME", "XXHASH128", "XXHASH3", "XXHASH64", "CRC32C", "CRC32",
)  # fmt: skip
"""The algorithms, the strongest first."""


class Record(NamedTuple):
    """A recorded checksum of an object, or the reason why there is none.

    `version_id` None: the current version. `checksum` in lower-case hex; None if it cannot be used, and
    `problem` has the reason. `recorded_in`: the file, tag or header, for people. `recorded_at`: when it was
    given (UTC); None if unknown. `other_keys`: what else the record may mean by the key, if the bucket has no
    such object; the first that there is. `if_missing`: what is known of an object that is not there.
    `may_name`: the folder whose objects may be named in what of a manifest cannot be read.
    """

    key: str
    version_id: str | None
    algorithm: Algorithm | None
    checksum: str | None
    source: Source
    recorded_in: str
    problem: str | None = None
    recorded_at: datetime | None = None
    other_keys: tuple[str, ...] = ()
    if_missing: str | None = None
    may_name: str | None = None


def rank(source: Source, algorithm: Algorithm | None, preferred: Algorithm) -> int:
    """A record's place in the order; the lowest decides.

    Ordered by `strength`, as in the ledger; within one strength the `preferred` algorithm first, then the
    strongest.
    """
    place = len(BY_STRENGTH) if algorithm is None else BY_STRENGTH.index(algorithm)
    within = 0 if algorithm == preferred else place + 1
    return (_STRONGEST - strength(source, algorithm or "")) * 100 + within


def record_of(
    key: str, version_id: str | None, algorithm: Algorithm, value: str, source: Source, recorded_in: str
) -> Record:
    """A record from a value; if the value is no checksum, a record with a problem."""
    checksum = as_hex(value, algorithm)
    shown = value if len(value) <= 80 else f"{value[:80]}…"
    problem = None if checksum else f"{shown!r} is no {algorithm} in hex or base64"
    return Record(key, version_id, algorithm, checksum, source, recorded_in, problem)


def listed_record(key: str, named: str, value: str, listed_in: str) -> Record:
    """A record in the manifest `listed_in`, by an algorithm as people write it; with a problem if unknown."""
    algorithm = algorithm_named(named)
    if algorithm is not None:
        return record_of(key, None, algorithm, value, "manifest", listed_in)
    return unusable(listed_in, f"{named[:80]} is computed by no one here", key)


def unusable(manifest: str, problem: str, key: str | None = None, may_name: str | None = None) -> Record:
    """A record with a problem in a manifest: of an object, or of the manifest itself."""
    return Record(key or manifest, None, None, None, "manifest", manifest, problem, may_name=may_name)
