"""The second look: what differs from what is expected is read again, whole, before it counts.

Two equal reads confirm each other. If the second is as expected, the first was wrong on its way to us; if
the two differ and neither is as expected, nothing is known of the object. Where checks are kept, and which
store is read, does not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Protocol

from fixity.buckets import BucketReader, ListedObject
from fixity.catalog import Algorithm, SecondLook
from fixity.clock import utc_now
from fixity.digests.algorithms import Digest, digest_by
from fixity.engines.stream.engine import Check, Threads, check_objects
from fixity.humanize import printable
from fixity.lake import Lake
from fixity.ledger.judge import BEYOND_LIMITS, UNSTABLE_READ, is_differing
from fixity.tables import FAILED, SUCCEEDED

_MD5 = re.compile(r"[0-9a-f]{32}")


class Suspect(NamedTuple):
    """A check whose checksum is not the expected one. `expectations`: of its object, as EXPECTATIONS."""

    item: ListedObject
    check: Check
    expectations: list[dict[str, Any]]


class Allows(Protocol):
    """Says what may still be read."""

    def take(self, item: ListedObject) -> bool:
        """Whether an object may be read. If so, it counts as read."""


@dataclass
class Allowance:
    """What may still be read a second time: so many objects, with so many bytes in all."""

    objects: int
    size: int

    def take(self, item: ListedObject) -> bool:
        """Whether an object may be read a second time. If so, it counts as read."""
        if self.objects < 1 or item.size > self.size:
            return False
        self.objects -= 1
        self.size -= item.size
        return True


@contextmanager
def allowance_of_run(lake: Lake, folder: str, limits: SecondLook, name: str) -> Iterator[Allowance]:
    """What the parts of a run leave of its limits. What the block takes of it is noted in the lake.

    Arguments: `folder`, of the run's notes; `name`, of the part. Parts that are read at the same moment may
    together take more. Raises LakeError.
    """
    notes = [PurePosixPath(file.name).stem.split("-") for file in lake.list(folder)]
    taken = [(int(objects), int(size)) for part, objects, size in notes if part != name]
    left = Allowance(
        limits.objects - sum(objects for objects, _ in taken), limits.bytes - sum(size for _, size in taken)
    )
    before = replace(left)
    try:
        yield left
    finally:
        note = f"{name}-{before.objects - left.objects}-{before.size - left.size}.txt"
        lake.put_text(f"{folder}{note}", "", replace=True)


@dataclass(frozen=True)
class SecondReader:
    """How suspects are read again.

    store: the open bucket. threads: objects read at once. etag_is_md5: whether a plain ETag of the store is
    the MD5 of the bytes. now: returns the time in UTC.
    """

    store: BucketReader
    threads: Threads
    etag_is_md5: bool = True
    now: Callable[[], datetime] = utc_now

    def look_again(
        self, suspects: Iterable[Suspect], algorithm: Algorithm, allowance: Allows
    ) -> Iterator[Check]:
        """The check of each suspect that counts, in any order; each has the position of the first one.

        A confirmed one has also the MD5 of the bytes where the ETag may be one. One that was not read again,
        because nothing of the `allowance` is left, says so in its message.
        Raises BucketUnreachable, after the checks that were done until then.
        """
        chosen: dict[int, Suspect] = {}
        for suspect in suspects:
            if allowance.take(suspect.item):
                chosen[suspect.check.position] = suspect
            else:
                yield suspect.check._replace(error_message=BEYOND_LIMITS)
        if chosen:
            items = [(position, suspect.item) for position, suspect in chosen.items()]
            others = {
                position: {each["algorithm"] for each in suspect.expectations}
                for position, suspect in chosen.items()
            }
            for check in self.read_again(items, algorithm, others):
                yield settled(chosen[check.position], check, algorithm)

    def read_again(
        self,
        items: Sequence[tuple[int, ListedObject]],
        algorithm: Algorithm,
        others: dict[int, set[Algorithm]],
    ) -> Iterator[Check]:
        """Read objects whole with nothing of an earlier read, as `check_objects` does.

        Arguments: `items`, positions and objects; `others`, for some positions, more algorithms.
        Each check has also the MD5 of the bytes where the ETag may be one. Raises BucketUnreachable.
        """

        def digest_of(position: int, item: ListedObject) -> Digest:
            wanted = set(others.get(position, ()))
            if self.etag_is_md5 and _MD5.fullmatch(item.etag or ""):
                wanted.add("MD5")
            return digest_by(algorithm, sorted(wanted))

        return check_objects(Afresh(self.store), items, digest_of, self.threads, self.now)


class Afresh:
    """A bucket that is read with nothing of an earlier read."""

    def __init__(self, store: BucketReader) -> None:
        self.read = store.read_afresh
        self.waits_in_turns = store.waits_in_turns


def settled(suspect: Suspect, again: Check, algorithm: Algorithm) -> Check:
    """The check that counts, from both reads of an object. Arguments: `again`, the second one."""
    first = suspect.check
    both = again._replace(reads=first.reads + 1, bytes_read=first.bytes_read + again.bytes_read)
    if again.status != SUCCEEDED:
        return both
    before, now = first.checksums(algorithm), again.checksums(algorithm)
    if all(now.get(each) == checksum for each, checksum in before.items()):
        return both
    found = f"{algorithm} {before[algorithm]}, then {now[algorithm]}"
    if not is_differing(suspect.expectations, now):
        return both._replace(
            error_code=UNSTABLE_READ,
            error_message=f"the first of two reads gave other bytes: {found}, as expected",
        )
    expected = suspect.expectations[0]
    return both._replace(
        status=FAILED,
        checksum=None,
        others={},
        error_code=UNSTABLE_READ,
        error_message=printable(
            f"two reads gave different bytes, and neither is as expected: {found}; expected "
            f"{expected['algorithm']} {expected['checksum']} ({expected['source']})"
        )[:500],
    )
