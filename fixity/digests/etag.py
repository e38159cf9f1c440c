"""The ETag of an S3 upload, recomputed from the bytes: an MD5, or an MD5 of the parts' MD5s.

Reading bytes and comparing ETags do not belong here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import chain, repeat

from fixity.digests.algorithms import Digest

_MIB = 1024**2
# Part sizes of usual tools: aws-cli and boto3 8, s3cmd 15, S3's minimum 5, CyberDuck 10, the S3 console
# 17,179,870 bytes for the largest objects, and powers of two of other tools.
_USUAL = [5, 8, 10, 15, 16, 25, 50, 64, 100, 128, 250, 500, *(2**power for power in range(13))]
_MULTIPART = re.compile(r"[0-9a-f]{32}-([1-9][0-9]{0,4})")


def parts_of(etag: str) -> int | None:
    """The number of parts in a multipart ETag; None for any other ETag."""
    found = _MULTIPART.fullmatch(etag)
    return int(found[1]) if found else None


def likely_part_sizes(size: int, parts: int) -> list[int]:
    """The part sizes, in bytes, with which usual tools would upload `size` bytes in `parts` parts."""
    usual = {mebibytes * _MIB for mebibytes in _USUAL} | {17_179_870, size}
    usual.add(-(-size // (parts * _MIB)) * _MIB)  # the smallest whole number of mebibytes
    return sorted(each for each in usual if each and -(-size // each) == parts)


class MultipartEtag(Digest):
    """The ETag of bytes uploaded in parts.

    Arguments: `sizes` of the parts in bytes; the last size also applies to all parts that follow.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = list(sizes)
        self.restart()

    def restart(self) -> None:
        """Forget all bytes taken."""
        self._count = 0
        self._done: list[bytes] = []
        self._next: Iterator[int] = chain(self._sizes, repeat(self._sizes[-1]))
        self._open()

    def _open(self) -> None:
        self._part = hashlib.md5(usedforsecurity=False)
        self._room = next(self._next)

    def update(self, piece: memoryview) -> None:
        """Take the next bytes."""
        self._count += len(piece)
        while len(piece):
            if not self._room:
                self._done.append(self._part.digest())
                self._open()
            taken = piece[: self._room]
            self._part.update(taken)
            self._room -= len(taken)
            piece = piece[len(taken) :]

    def hexdigest(self) -> str:
        """The ETag of the bytes taken."""
        digests = [*self._done, self._part.digest()]
        return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"
