"""What a side's own checks say of its bytes: their checksums, and the baselines that they are to have.

Reading the ledger is in `history`; records are in `evidence`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fixity.incidents.asking import Row
from fixity.incidents.history import ObjectHistory
from fixity.incidents.known import Expected, SideName
from fixity.ledger.judge import ETAG, strength
from fixity.tables import FIRST_SEEN, OTHER_COPY, SUCCEEDED


def digests_of(row: Row, name: SideName, history: ObjectHistory) -> dict[str, str]:
    """The checksums of a side's bytes as they are now, and of earlier checks that found the same bytes."""
    if row[f"{name}_status"] != SUCCEEDED or row[f"{name}_checksum_type"] != "FULL_OBJECT":
        return {}
    algorithm, checksum = row[f"{name}_algorithm"], row[f"{name}_checksum"]
    digests = {algorithm: checksum}
    for read in history.reads:
        is_this_check = read.last_at == row[f"{name}_checked_at"]
        if read.digests.get(algorithm) == checksum and (is_this_check or is_strong(algorithm)):
            digests = {**read.digests, **digests}
    return digests


def baselines(history: ObjectHistory, digests: Mapping[str, str], other: ObjectHistory) -> Iterator[Expected]:
    """The first checksums of a side's bytes, unless they come from the only check that there was.

    Arguments: `other`, the other side, whose checks may confirm a checksum that was read only once.
    """
    taken_back = {each.algorithm: each.checksum for each in history.told if each.source == OTHER_COPY}
    for algorithm, checksum in digests.items():
        of_all = [read for read in history.reads if algorithm in read.digests]
        if not of_all:
            continue
        first = min(of_all, key=lambda read: (read.first_at, read.last_at)).digests[algorithm]
        first = taken_back.get(algorithm, first)
        reads = [read for read in of_all if read.digests[algorithm] == first]
        since = min((read.first_at for read in reads), default=None)
        until = max((read.last_at for read in reads), default=None)
        times = sum(read.times for read in [*reads, *other.reads] if read.digests.get(algorithm) == first)
        if first != checksum or since != until:
            yield Expected(algorithm, first, FIRST_SEEN, since, until, confirmed=times > 1)


def is_strong(algorithm: str) -> bool:
    """Whether equal checksums by an algorithm are of the same bytes, whichever objects they are of."""
    return strength(ETAG, algorithm) > strength("api", "CRC64NVME")
