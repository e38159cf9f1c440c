"""A repair for people: a row for each object, and what the whole costs in bytes and requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fixity.buckets.s3.upload import MOST_AT_ONCE, MOST_COPIED, part_size_for
from fixity.humanize import bytes_text, printable
from fixity.repair.by_s3 import MOST
from fixity.repair.copy import Done
from fixity.repair.order import Planned
from fixity.repair.run import Repair

_OF_JOB, _OF_COPY = 0.25, 1e-6  # dollars, of a job of S3 Batch and of each object in it
_BAD_BYTES = {
    "version": "the bad bytes stay as an older version",
    "quarantine": "the bad bytes are kept below .fixity-quarantine/",
    "lost": "the bad bytes are not kept",
    None: "nothing is there now",
}
COLUMNS = ("key", "from_bucket", "to_bucket", "bytes", "how", "good_by", "result")
"""What is shown of each object."""


class Cost(NamedTuple):
    """What a repair costs: bytes that are copied, bytes read from each bucket, and requests, about.

    batched: objects that jobs of S3 Batch copy.
    """

    copied: int
    read: Mapping[str, int]
    reads: int
    writes: int
    batched: int = 0

    @property
    def text(self) -> str:
        """The same for people."""
        read = ", ".join(f"{bytes_text(size)} from {bucket}" for bucket, size in self.read.items())
        return (
            f"{bytes_text(self.copied)} to copy; read: {read or 'nothing'} (the good copies, and the new "
            f"ones for the check); about {self.reads:,} requests that read, {self.writes:,} that write"
            f"{self._of_batch}"
        )

    @property
    def _of_batch(self) -> str:
        if not self.batched:
            return ""
        dollars = -(-self.batched // MOST) * _OF_JOB + self.batched * _OF_COPY
        return (
            f"; S3 Batch copies {self.batched:,} objects, for about ${dollars:,.2f} and S3's price of a copy"
        )


def cost_of(plan: Iterable[Planned]) -> Cost:
    """What a plan costs. Directories cost no requests, but are counted as if they did."""
    copied = reads = writes = batched = 0
    read: dict[str, int] = {}
    for each in plan:
        if each.refused:
            continue
        for bucket in (each.good, each.damaged):
            read[bucket] = read.get(bucket, 0) + each.size
        if each.is_other:
            reads += 5  # each copy is listed and read, and that one once more for the check
            read[each.damaged] += each.size
            continue
        copied += each.size
        reads += 8  # four listings, both reads, and attributes and tags of the good copy
        writes += 1 if each.by_batch else _requests(each.size, by_store=each.by_store)
        batched += each.by_batch
        if each.bad_bytes == "quarantine" and each.target is not None:
            reads, writes = reads + 2, writes + _requests(each.target.size, by_store=True)
    return Cost(copied, read, reads, writes, batched)


def _requests(size: int, *, by_store: bool) -> int:
    """Requests that write an object, in parts if it is too large for one."""
    parts = -(-size // part_size_for(size, None, MOST_COPIED if by_store else MOST_AT_ONCE)) or 1
    return 1 if parts == 1 else parts + 2


def row_of(planned: Planned, result: str) -> dict[str, object]:
    """An object as COLUMNS. Arguments: `result`, what became of it, or would."""
    return {
        "key": printable(planned.key, 1000),
        "from_bucket": planned.good,
        "to_bucket": planned.damaged,
        "bytes": planned.size,
        "how": "" if planned.refused else f"{_way(planned)}; {_BAD_BYTES[planned.bad_bytes]}",
        "good_by": planned.evidence,
        "result": printable(result, 1000),
    }


def _way(planned: Planned) -> str:
    if planned.is_other:
        return "is looked at: it has changed since it was found to be bad, perhaps by a repair"
    if planned.by_batch:
        return (
            "a job of S3 Batch copies it, without a precondition: what is written there meanwhile stays as "
            "an older version"
        )
    why = f" (not by S3 Batch: {planned.not_by_batch})" if planned.not_by_batch else ""
    return f"{'the store copies it' if planned.by_store else 'copied through this platform'}{why}"


def planned_row(planned: Planned) -> dict[str, object]:
    """An object of a plan."""
    return row_of(planned, f"refused: {planned.refused}" if planned.refused else "would be repaired")


def done_row(repaired: Repair, done: Done) -> dict[str, object]:
    """An object after a repair."""
    if done.refused:
        return row_of(done.planned, f"refused: {done.refused}")
    if done.job:
        return row_of(
            done.planned, f"the S3 Batch job {done.job} copies it; at its end it is read and checked"
        )
    right = repaired.is_right(done)
    return row_of(
        done.planned, f"{done.detail}; {'read and right' if right else 'NOT right when it was read'}"
    )
